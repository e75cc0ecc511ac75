"""How incidents begin: by alarm, by the customer, by a call; and what is promised from that moment on."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contract, Customer, Severity, SlaTerm, User
from assets.models import Asset
from incidents import services
from incidents.models import Clock, Incident, IncidentAlert, TimelineEntry
from tests.conftest import NOW
from tests.incidents.conftest import alarm, make_asset, raise_incident
from timers.models import Timer

MINUTE = timedelta(minutes=1)
Kind = TimelineEntry.Kind


def timer_tasks() -> dict[str, int]:
    with scope.platform("test"):
        tasks = list(Timer.objects.pending().filter(key__startswith="incidents:").values_list("task", flat=True))
    return {task: tasks.count(task) for task in tasks}


def test_an_alarm_opens_an_incident_with_its_clocks_running(in_jia: Customer, web: Asset) -> None:
    incident = alarm(web)
    response, handling = incident.response, incident.handling
    assert response is not None
    assert handling is not None
    assert (incident.state, incident.source, incident.severity) == ("open", "monitoring", 2)
    assert response.due_at == NOW + 15 * MINUTE == incident.next_due_at
    assert (handling.due_at, handling.is_running) == (None, True)
    assert list(incident.assets.all()) == [web]
    assert [entry.kind for entry in incident.timeline.all()] == [Kind.OPENED, Kind.ALERT]
    assert timer_tasks() == {"incidents.breach_clock": 1, "incidents.warn_clock": 2}
    assert AuditEntry.objects.filter(action="incident.open", object_id=str(incident.pk)).count() == 1


@pytest.mark.usefixtures("in_jia")
@pytest.mark.parametrize(
    ("severity", "by_alarm", "by_customer"),
    [(Severity.DISASTER, 15, 15), (Severity.HIGH, 15, 15), (Severity.AVERAGE, 15, 15), (Severity.WARNING, 1440, 15)],
)
def test_the_response_is_what_table_1_says_and_15_minutes_for_whatever_a_customer_raises(
    web: Asset, alice: User, severity: Severity, by_alarm: int, by_customer: int
) -> None:
    born_of_alarm = alarm(web, severity=severity).response
    raised = raise_incident(alice, customer=web.customer, severity=severity).response
    assert born_of_alarm is not None
    assert raised is not None
    assert born_of_alarm.due_at == NOW + by_alarm * MINUTE
    assert raised.due_at == NOW + by_customer * MINUTE


def test_response_runs_at_night_while_handling_keeps_office_hours(in_jia: Customer, alice: User) -> None:
    saturday_night = NOW + timedelta(days=5, hours=13)
    incident = raise_incident(alice, customer=in_jia, severity=Severity.AVERAGE, now=saturday_night)
    response, handling = incident.response, incident.handling
    assert response is not None
    assert handling is not None
    assert response.due_at == saturday_night + 15 * MINUTE
    assert response.calendar_version is None
    assert handling.calendar_version is not None
    assert incident.policy["calendar_version_id"] == handling.calendar_version_id


def test_an_alert_of_the_same_asset_joins_the_unsolved_incident(in_jia: Customer, web: Asset) -> None:
    first = alarm(web, key="a:1")
    second = alarm(web, key="a:2", title="CPU above 90 %", now=NOW + MINUTE)
    assert first == second
    assert first.alerts.count() == 2
    assert Incident.objects.count() == 1


def test_an_alert_that_is_known_stays_on_its_incident(in_jia: Customer, web: Asset) -> None:
    first = alarm(web, key="a:1")
    again = alarm(web, key="a:1", now=NOW + MINUTE)
    assert again == first
    assert first.timeline.filter(kind=Kind.ALERT).count() == 1


def test_another_asset_has_its_own_incident(in_jia: Customer, web: Asset) -> None:
    assert alarm(web, key="a:1") != alarm(make_asset(in_jia, "web-02"), key="a:2")


def test_a_worse_alert_raises_the_severity_and_asks_for_a_response_again(
    in_jia: Customer, web: Asset, chen: User
) -> None:
    incident = alarm(web, severity=Severity.WARNING, key="a:1")
    services.acknowledge(incident=incident, actor=chen, now=NOW + MINUTE)
    later = NOW + timedelta(hours=5)
    alarm(web, severity=Severity.DISASTER, key="a:2", now=later)
    incident.refresh_from_db()
    assert (incident.severity, incident.state) == (Severity.DISASTER, "open")
    assert incident.next_due_at == later + 15 * MINUTE
    rounds = [(c.round, c.is_running, c.is_breached) for c in Clock.objects.filter(kind="response")]
    assert rounds == [(1, False, False), (2, True, False)]
    assert incident.assignee == chen


def test_a_milder_alert_leaves_the_severity_alone(in_jia: Customer, web: Asset) -> None:
    alarm(web, severity=Severity.HIGH, key="a:1")
    incident = alarm(web, severity=Severity.WARNING, key="a:2")
    incident.refresh_from_db()
    assert incident.severity == Severity.HIGH


def test_after_the_incident_is_resolved_the_next_alert_opens_a_new_one_that_names_it(
    in_jia: Customer, web: Asset, chen: User
) -> None:
    first = alarm(web, key="a:1")
    services.resolve(incident=first, resolution="Restarted", cause="system", actor=chen, now=NOW + MINUTE)
    second = alarm(web, key="a:2", now=NOW + 2 * MINUTE)
    assert second != first
    assert second.timeline.get(kind=Kind.OPENED).data == {"by_monitoring": True, "earlier": first.number}


def test_recovery_is_written_once_on_the_same_incident_and_leaves_it_open(in_jia: Customer, web: Asset) -> None:
    incident = alarm(web, key="a:1")
    for _ in range(2):
        services.record_recovery(
            incident_id=incident.pk, alert_key="a:1", text="OK", occurred_at=NOW + MINUTE, now=NOW + MINUTE
        )
    incident.refresh_from_db()
    assert incident.state == "open"
    assert incident.timeline.filter(kind=Kind.RECOVERY).count() == 1
    assert IncidentAlert.objects.get().recovered_at == NOW + MINUTE


def test_an_alert_may_fire_again_after_it_recovered(in_jia: Customer, web: Asset) -> None:
    incident = alarm(web, key="a:1")
    services.record_recovery(incident_id=incident.pk, alert_key="a:1", text="OK", occurred_at=NOW, now=NOW)
    assert alarm(web, key="a:1", now=NOW + MINUTE) == incident
    assert incident.alerts.count() == 2


def test_a_notice_that_comes_too_late_is_recorded_as_missed(in_jia: Customer, web: Asset) -> None:
    late = NOW + timedelta(minutes=31)
    services.open_from_alert(
        customer=in_jia,
        asset=web,
        severity=Severity.WARNING,
        title="Disk 90 %",
        text="",
        alert_key="a:1",
        occurred_at=NOW,
        now=late,
    )
    notice = Clock.objects.get(kind=Clock.Kind.NOTICE)
    assert notice.is_breached
    assert notice.elapsed_seconds == 31 * 60


def test_the_clock_of_a_phone_call_starts_at_the_call(in_jia: Customer, chen: User) -> None:
    incident = services.log_contact(
        customer=in_jia,
        title="Site is down",
        description="",
        severity=Severity.DISASTER,
        category="system",
        source="phone",
        assets=[],
        contacted_at=NOW - 10 * MINUTE,
        caller="王总",
        callee="陈工",
        actor=chen,
        now=NOW,
    )
    assert incident.next_due_at == NOW + 5 * MINUTE
    assert incident.timeline.get().data["caller"] == "王总"


@pytest.mark.parametrize("minutes", [5, -8 * 24 * 60])
def test_a_call_of_the_future_or_of_last_month_is_refused(in_jia: Customer, chen: User, minutes: int) -> None:
    with pytest.raises(DomainError):
        services.log_contact(
            customer=in_jia,
            title="x",
            description="",
            severity=Severity.HIGH,
            category="system",
            source="phone",
            assets=[],
            contacted_at=NOW + minutes * MINUTE,
            caller="",
            callee="",
            actor=chen,
            now=NOW,
        )


def test_a_viewer_raises_nothing(in_jia: Customer, vera: User) -> None:
    with pytest.raises(PermissionDenied):
        raise_incident(vera, customer=in_jia)


def test_a_person_of_another_customer_raises_nothing_here(in_jia: Customer, eve: User) -> None:
    with pytest.raises(PermissionDenied):
        raise_incident(eve, customer=in_jia)


def test_a_customer_without_a_contract_gets_the_table_of_the_statement_of_work(in_jia: Customer, web: Asset) -> None:
    Contract.objects.all().delete()
    incident = alarm(web)
    assert incident.policy["response_minutes"] == 15
    assert incident.policy["contract"] == ""


def test_the_terms_are_frozen_when_the_severity_is_set(in_jia: Customer, web: Asset, chen: User) -> None:
    incident = alarm(web)
    SlaTerm.objects.filter(severity=Severity.HIGH).update(response_minutes=5, monitoring_response_minutes=5)
    services.assign(incident=incident, assignee=chen, actor=chen, now=NOW + MINUTE)
    response = Incident.objects.get().response
    assert response is not None
    assert response.due_at == NOW + 15 * MINUTE
