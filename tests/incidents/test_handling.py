"""The verbs between opening and closing, and who may use them."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Assignment, AuditEntry, Customer, Severity, SlaTerm, User
from assets.models import Asset
from incidents import services
from incidents.models import Clock, Incident, Pause, TimelineEntry
from notify.models import Delivery
from tests.conftest import NOW
from tests.incidents.conftest import alarm, raise_incident
from timers.models import Timer

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
Kind = TimelineEntry.Kind


def kinds(incident: Incident) -> list[str]:
    return list(incident.timeline.values_list("kind", flat=True))


def response(incident: Incident) -> Clock:
    return Clock.objects.filter(incident=incident, kind="response").order_by("-round")[0]


def handling(incident: Incident) -> Clock:
    return Clock.objects.get(incident=incident, kind="handling")


def test_acknowledging_stops_the_response_clock_and_takes_the_incident(
    in_jia: Customer, alice: User, chen: User
) -> None:
    incident = raise_incident(alice, customer=in_jia)
    incident = services.acknowledge(incident=incident, actor=chen, now=NOW + 7 * MINUTE)
    assert (incident.state, incident.assignee, incident.acknowledged_by) == ("acknowledged", chen, chen)
    assert (response(incident).elapsed_seconds, response(incident).is_breached) == (7 * 60, False)
    assert incident.next_due_at == NOW + 67 * MINUTE  # the next stage report
    with scope.platform("test"):
        assert not Timer.objects.pending().exclude(key__contains=":stage_report:").exists()
    assert AuditEntry.objects.filter(action="incident.acknowledge", actor=chen).count() == 1


def test_who_acknowledges_second_is_told_who_was_first(in_jia: Customer, alice: User, chen: User, lin: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.acknowledge(incident=incident, actor=chen, now=NOW + MINUTE)
    with pytest.raises(DomainError) as refusal:
        services.acknowledge(incident=incident, actor=lin, now=NOW + 2 * MINUTE)
    assert all(words in refusal.value.message for words in ("Chen", incident.number, "10:01:00"))
    assert kinds(incident).count(Kind.ACKNOWLEDGED) == 1


def test_acknowledging_late_is_a_breach_even_before_the_timer_fired(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.acknowledge(incident=incident, actor=chen, now=NOW + 16 * MINUTE)
    assert response(incident).breached_at == NOW + 15 * MINUTE
    assert kinds(incident).count(Kind.BREACH) == 1


@pytest.mark.parametrize("verb", ["acknowledge", "resolve", "assign", "wait", "severity"])
def test_a_customer_does_not_do_the_work_of_the_provider(in_jia: Customer, alice: User, verb: str) -> None:
    incident = raise_incident(alice, customer=in_jia)
    presses = {
        "acknowledge": lambda: services.acknowledge(incident=incident, actor=alice, now=NOW),
        "resolve": lambda: services.resolve(incident=incident, resolution="x", cause="system", actor=alice, now=NOW),
        "assign": lambda: services.assign(incident=incident, assignee=None, actor=alice, now=NOW),
        "wait": lambda: services.wait_for_customer(incident=incident, question="?", actor=alice, now=NOW),
        "severity": lambda: services.change_severity(
            incident=incident, severity=Severity.DISASTER, reason="x", actor=alice, now=NOW
        ),
    }
    with pytest.raises(PermissionDenied):
        presses[verb]()
    assert kinds(incident) == [Kind.OPENED]


def test_waiting_for_the_customer_stops_the_clocks_until_their_comment(
    in_jia: Customer, alice: User, chen: User
) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.acknowledge(incident=incident, actor=chen, now=NOW + MINUTE)
    services.wait_for_customer(incident=incident, question="Which order?", actor=chen, now=NOW + HOUR)
    services.comment(incident=incident, body="Order 7", actor=alice, now=NOW + 3 * HOUR)
    incident = services.resolve(incident=incident, resolution="Fixed", cause="system", actor=chen, now=NOW + 4 * HOUR)
    pause = Pause.objects.get()
    assert (pause.started_at, pause.ended_at) == (NOW + HOUR, NOW + 3 * HOUR)
    assert handling(incident).elapsed_seconds == 2 * 3600
    # the reply came later than the quarter of an hour that a High incident gives the customer
    assert kinds(incident)[-5:] == [Kind.WAITING, Kind.COMMENT, Kind.BREACH, Kind.RESUMED, Kind.RESOLVED]


def test_an_engineer_who_heard_the_answer_resumes(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.acknowledge(incident=incident, actor=chen, now=NOW)
    services.wait_for_customer(incident=incident, question="?", actor=chen, now=NOW)
    incident = services.resume(incident=incident, note="By phone: order 7", actor=chen, now=NOW + HOUR)
    assert incident.state == "acknowledged"
    assert not Pause.objects.filter(ended_at=None).exists()


def test_an_engineers_comment_does_not_end_the_waiting(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.acknowledge(incident=incident, actor=chen, now=NOW)
    services.wait_for_customer(incident=incident, question="?", actor=chen, now=NOW)
    services.comment(incident=incident, body="Still waiting", actor=chen, now=NOW + HOUR)
    incident.refresh_from_db()
    assert incident.state == "waiting_customer"


def test_resolving_without_acknowledging_is_a_response_too(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    incident = services.resolve(incident=incident, resolution="Done", cause="aliyun", actor=chen, now=NOW + MINUTE)
    assert incident.acknowledged_at == NOW + MINUTE
    assert not response(incident).is_running
    assert kinds(incident) == [Kind.OPENED, Kind.ACKNOWLEDGED, Kind.RESOLVED]


@pytest.mark.parametrize(("resolution", "cause"), [("  ", "system"), ("Fixed", ""), ("Fixed", "weather")])
def test_a_resolution_says_what_and_where(
    in_jia: Customer, alice: User, chen: User, resolution: str, cause: str
) -> None:
    incident = raise_incident(alice, customer=in_jia)
    with pytest.raises(DomainError):
        services.resolve(incident=incident, resolution=resolution, cause=cause, actor=chen, now=NOW)
    incident.refresh_from_db()
    assert incident.state == "open"


def test_the_customer_confirms_and_closes(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.resolve(incident=incident, resolution="Done", cause="system", actor=chen, now=NOW)
    incident = services.close(incident=incident, actor=alice, now=NOW + HOUR)
    assert (incident.state, incident.closed_at) == ("closed", NOW + HOUR)
    assert incident.timeline.get(kind=Kind.CLOSED).data == {"confirmed": True}


def test_a_customer_who_reopens_is_owed_a_response_again(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.resolve(incident=incident, resolution="Done", cause="system", actor=chen, now=NOW + HOUR)
    incident = services.reopen(incident=incident, reason="Still down", actor=alice, now=NOW + 3 * HOUR)
    assert (incident.state, response(incident).round) == ("open", 2)
    assert incident.next_due_at == NOW + 3 * HOUR + 15 * MINUTE
    incident = services.resolve(incident=incident, resolution="Now", cause="system", actor=chen, now=NOW + 4 * HOUR)
    assert handling(incident).elapsed_seconds == 2 * 3600


def test_an_engineer_who_reopens_is_already_on_it(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.resolve(incident=incident, resolution="Done", cause="system", actor=chen, now=NOW)
    incident = services.reopen(incident=incident, reason="Again", actor=chen, now=NOW + HOUR)
    assert (incident.state, response(incident).round) == ("acknowledged", 1)
    assert handling(incident).is_running


def test_reopening_beside_a_newer_incident_of_the_same_asset_leaves_its_alarms_there(
    in_jia: Customer, web: Asset, chen: User
) -> None:
    first = alarm(web, key="a:1")
    services.resolve(incident=first, resolution="Done", cause="system", actor=chen, now=NOW)
    second = alarm(web, key="a:2", now=NOW + MINUTE)
    services.reopen(incident=first, reason="Not yet", actor=chen, now=NOW + 2 * MINUTE)
    assert alarm(web, key="a:3", now=NOW + 3 * MINUTE) == second


def test_a_new_severity_counts_from_the_original_start_and_keeps_the_pauses(
    in_jia: Customer, alice: User, chen: User
) -> None:
    SlaTerm.objects.filter(severity=Severity.HIGH).update(handling_minutes=4 * 60)
    incident = raise_incident(alice, customer=in_jia, severity=Severity.AVERAGE)
    services.acknowledge(incident=incident, actor=chen, now=NOW + MINUTE)
    services.wait_for_customer(incident=incident, question="?", actor=chen, now=NOW + HOUR)
    services.comment(incident=incident, body="!", actor=alice, now=NOW + 2 * HOUR)
    incident = services.change_severity(
        incident=incident, severity=Severity.HIGH, reason="Worse than thought", actor=chen, now=NOW + 2 * HOUR
    )
    assert handling(incident).due_at == NOW + 5 * HOUR
    assert incident.next_due_at == NOW + 3 * HOUR  # the next stage report
    assert handling(incident).calendar_version is None
    assert incident.policy["severity"] == Severity.HIGH


def test_raising_a_warning_to_high_after_the_response_was_late_for_high_is_a_breach(
    in_jia: Customer, web: Asset, chen: User
) -> None:
    incident = alarm(web, severity=Severity.WARNING)
    services.acknowledge(incident=incident, actor=chen, now=NOW + HOUR)
    assert not response(incident).is_breached
    services.change_severity(incident=incident, severity=Severity.HIGH, reason="x", actor=chen, now=NOW + 2 * HOUR)
    assert response(incident).breached_at == NOW + 15 * MINUTE
    services.change_severity(incident=incident, severity=Severity.WARNING, reason="x", actor=chen, now=NOW + 2 * HOUR)
    assert not response(incident).is_breached


def test_an_incident_goes_only_to_people_who_serve_the_customer(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.assign(incident=incident, assignee=chen, actor=chen, now=NOW)
    with scope.platform("test"):
        Assignment.objects.filter(user=chen).delete()
    services.assign(incident=incident, assignee=None, actor=chen, now=NOW)
    for stranger in (chen, alice):
        with pytest.raises(DomainError):
            services.assign(incident=incident, assignee=stranger, actor=chen, now=NOW)


def test_an_old_page_overwrites_nothing(in_jia: Customer, alice: User, chen: User, lin: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    seen = incident.version
    services.assign(incident=incident, assignee=lin, actor=lin, now=NOW, version=seen)
    with pytest.raises(DomainError) as refusal:
        services.assign(incident=incident, assignee=chen, actor=chen, now=NOW, version=seen)
    assert refusal.value.code == "changed_meanwhile"
    incident.refresh_from_db()
    assert incident.assignee == lin


def test_the_people_concerned_are_told(in_jia: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.acknowledge(incident=incident, actor=chen, now=NOW)
    services.comment(incident=incident, body="We are on it", actor=chen, now=NOW)
    services.comment(incident=incident, body="Thank you", actor=alice, now=NOW)
    services.comment(incident=incident, body="Their load balancer is a mess", actor=chen, now=NOW, is_internal=True)
    told = [(row.user, row.text) for row in Delivery.objects.filter(user__isnull=False)]
    assert any(user == chen and "Thank you" in text for user, text in told)
    assert any(user == alice and "We are on it" in text for user, text in told)
    assert not any("mess" in text for user, text in told if user != chen)
