"""The customer's reply clock (R59), the next stage report (R80), and the warnings on the way (T3, T7)."""

from datetime import datetime, timedelta

import pytest

from accounts import scope
from accounts.models import AuditEntry, BusinessCalendar, Contact, Customer, Role, Severity, SlaTerm, User
from accounts.services import calendars
from assets.models import Asset
from incidents import contacts, services
from incidents.models import Clock, Incident, Pause, TimelineEntry
from incidents.stages import Stage
from notify.models import Delivery
from tests.conftest import NOW, make_person
from tests.incidents.conftest import alarm, raise_incident
from tests.incidents.test_deadlines import sweep

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
Kind = Clock.Kind


def named(customer: Customer, kind: str, name: str, *, away: bool = False) -> User:
    """A person of the customer with a duty."""
    person = make_person(name, Role.CUSTOMER_MEMBER, customer)
    with scope.platform("test"):
        Contact.objects.create(
            customer=customer, kind=kind, user=person, phone="13900000000", email=person.email, is_away=away
        )
    return person


def clocks(incident: Incident, kind: Kind) -> list[Clock]:
    return list(Clock.objects.filter(incident=incident, kind=kind).order_by("round"))


def asked(actor: User, engineer: User, customer: Customer, severity: Severity, *, now: datetime = NOW) -> Incident:
    incident = raise_incident(actor, customer=customer, severity=severity, now=now)
    services.acknowledge(incident=incident, actor=engineer, now=now)
    return services.wait_for_customer(incident=incident, question="Which order?", actor=engineer, now=now)


def told(key: str) -> set[str]:
    with scope.platform("test"):
        return {row.user.name for row in Delivery.objects.filter(key__contains=key, medium="inbox") if row.user}


# --- the customer's reply --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "target"),
    [
        (Severity.DISASTER, 15 * MINUTE),
        (Severity.HIGH, 15 * MINUTE),
        (Severity.AVERAGE, 48 * HOUR),
        (Severity.WARNING, 48 * HOUR),
    ],
)
def test_the_customer_has_the_time_of_table_1_from_the_question_on(
    in_jia: Customer, alice: User, chen: User, severity: Severity, target: timedelta
) -> None:
    friday = datetime.fromisoformat("2026-03-06T17:00+08:00")
    incident = asked(alice, chen, in_jia, severity, now=friday)
    (reply,) = clocks(incident, Kind.CUSTOMER_REPLY)
    assert (reply.started_at, reply.due_at) == (friday, friday + target)
    assert incident.next_due_at is None  # nothing of ours is due meanwhile


def test_a_contract_may_count_the_reply_in_office_hours(in_jia: Customer, alice: User, chen: User) -> None:
    SlaTerm.objects.update(customer_reply_calendar="5x8", customer_reply_minutes=120)
    incident = asked(alice, chen, in_jia, Severity.HIGH, now=datetime.fromisoformat("2026-03-06T17:00+08:00"))
    (reply,) = clocks(incident, Kind.CUSTOMER_REPLY)
    assert reply.due_at == datetime.fromisoformat("2026-03-09T10:00+08:00")


def test_the_reply_stops_the_customers_clock_and_the_pause_does_not_hold_it(
    in_jia: Customer, alice: User, chen: User
) -> None:
    incident = asked(alice, chen, in_jia, Severity.AVERAGE)
    services.comment(incident=incident, body="Order 7", actor=alice, now=NOW + 3 * HOUR)
    (reply,) = clocks(incident, Kind.CUSTOMER_REPLY)
    assert (reply.stopped_at, reply.elapsed_seconds, reply.paused_seconds) == (NOW + 3 * HOUR, 3 * 3600, 0)
    assert not reply.is_breached


def test_an_answer_that_an_engineer_heard_stops_it_too_and_the_next_question_begins_another(
    in_jia: Customer, alice: User, chen: User
) -> None:
    incident = asked(alice, chen, in_jia, Severity.AVERAGE)
    services.resume(incident=incident, actor=chen, now=NOW + HOUR, note="By phone")
    services.wait_for_customer(incident=incident, question="And which user?", actor=chen, now=NOW + 2 * HOUR)
    first, second = clocks(incident, Kind.CUSTOMER_REPLY)
    assert (first.stopped_at, second.started_at, second.stopped_at) == (NOW + HOUR, NOW + 2 * HOUR, None)


def test_a_worse_alarm_and_a_solution_withdraw_the_question(in_jia: Customer, web: Asset, chen: User) -> None:
    incident = alarm(web, severity=Severity.AVERAGE)
    for close in (lambda: alarm(web, severity=Severity.HIGH, key="a:2", now=NOW + HOUR), None):
        services.acknowledge(incident=incident, actor=chen, now=NOW + HOUR)
        services.wait_for_customer(incident=incident, question="?", actor=chen, now=NOW + HOUR)
        if close is not None:
            close()
            assert not Clock.objects.filter(kind=Kind.CUSTOMER_REPLY, stopped_at=None).exists()
    services.resolve(incident=incident, resolution="Fixed", cause="system", actor=chen, now=NOW + 65 * MINUTE)
    assert [clock.stopped_at for clock in clocks(incident, Kind.CUSTOMER_REPLY)] == [NOW + HOUR, NOW + 65 * MINUTE]


def test_the_project_manager_in_charge_is_warned_and_both_hear_of_the_late_reply(
    jia: Customer, alice: User, chen: User
) -> None:
    named(jia, Contact.Kind.FIRST_PM, "first", away=True)
    named(jia, Contact.Kind.SECOND_PM, "second")
    named(jia, Contact.Kind.PRIMARY, "primary")
    with scope.customer(jia):
        incident = asked(alice, chen, jia, Severity.HIGH)
        (reply,) = clocks(incident, Kind.CUSTOMER_REPLY)
    sweep(NOW + 8 * MINUTE)
    sweep(NOW + 12 * MINUTE)
    assert told(f":near:{reply.pk}:50") == told(f":near:{reply.pk}:80") == {"Second"}
    sweep(NOW + 15 * MINUTE)
    assert told(f":missed:{reply.pk}") == {"First", "Second"}
    with scope.customer(jia):
        (reply,) = clocks(incident, Kind.CUSTOMER_REPLY)
        assert reply.breached_at == NOW + 15 * MINUTE
        assert not TimelineEntry.objects.get(incident=incident, kind="breach").is_internal
        # counted, but no breach of ours (Q16)
        assert not Clock.objects.of_provider().missed().exists()
        assert not AuditEntry.objects.filter(action="incident.breach").exists()


def test_of_a_disaster_both_service_contacts_are_asked_even_when_they_are_away(
    jia: Customer, alice: User, chen: User
) -> None:
    primary = named(jia, Contact.Kind.PRIMARY, "primary", away=True)
    secondary = named(jia, Contact.Kind.SECONDARY, "secondary")
    with scope.customer(jia):
        average = asked(alice, chen, jia, Severity.AVERAGE)
        assert contacts.to_ask(average) == [secondary]
        disaster = asked(alice, chen, jia, Severity.DISASTER)
        assert set(contacts.to_ask(disaster)) == {primary, secondary}
        assert told(f"incident:{disaster.pk}:waiting:") == {"Alice", "Primary", "Secondary"}
    sweep(NOW + 15 * MINUTE)
    with scope.customer(jia):
        (reply,) = clocks(disaster, Kind.CUSTOMER_REPLY)
    assert told(f":missed:{reply.pk}") == {"Primary", "Secondary"}


def test_a_customer_is_reminded_in_office_hours_and_the_miss_is_recorded_at_night(
    jia: Customer, alice: User, chen: User
) -> None:
    """T7: 80 % of 48 hours from Thursday 13:00 is Saturday 03:24, when nobody is at work."""
    thursday = datetime.fromisoformat("2026-03-05T13:00+08:00")
    with scope.customer(jia):
        incident = asked(alice, chen, jia, Severity.AVERAGE, now=thursday)
        (reply,) = clocks(incident, Kind.CUSTOMER_REPLY)
    sweep(thursday + 24 * HOUR)
    sweep(thursday + 48 * HOUR - MINUTE)
    assert told(f":near:{reply.pk}:50") == {"Alice"}
    assert told(f":near:{reply.pk}:80") == set()
    sweep(thursday + 48 * HOUR)
    assert told(f":missed:{reply.pk}") == {"Alice"}


def test_a_reminder_out_of_hours_waits_for_the_morning(jia: Customer, alice: User, chen: User) -> None:
    """T7: half of 48 hours from Sunday 20:00 is Monday 20:00; the reminder waits for Tuesday nine o'clock."""
    sunday = datetime.fromisoformat("2026-03-08T20:00+08:00")
    with scope.customer(jia):
        incident = asked(alice, chen, jia, Severity.WARNING, now=sunday)
        (reply,) = clocks(incident, Kind.CUSTOMER_REPLY)
    sweep(sunday + 36 * HOUR)
    assert told(f":near:{reply.pk}:50") == set()
    sweep(datetime.fromisoformat("2026-03-10T09:00+08:00"))
    assert told(f":near:{reply.pk}:50") == {"Alice"}


def test_another_severity_counts_the_awaited_reply_anew_from_the_question(
    in_jia: Customer, alice: User, chen: User
) -> None:
    incident = asked(alice, chen, in_jia, Severity.HIGH)
    services.change_severity(
        incident=incident, severity=Severity.AVERAGE, reason="Less", actor=chen, now=NOW + 5 * MINUTE
    )
    (reply,) = clocks(incident, Kind.CUSTOMER_REPLY)
    assert reply.due_at == NOW + 48 * HOUR
    assert Pause.objects.filter(incident=incident, ended_at=None).exists()


# --- the next stage report -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "minutes"), [(Severity.DISASTER, 30), (Severity.HIGH, 60), (Severity.AVERAGE, 300)]
)
def test_the_first_report_is_due_from_acknowledging_on(
    in_jia: Customer, alice: User, chen: User, severity: Severity, minutes: int
) -> None:
    """Four hours of Average from ten o'clock on: lunch is not counted."""
    incident = raise_incident(alice, customer=in_jia, severity=severity)
    assert clocks(incident, Kind.STAGE_REPORT) == []
    incident = services.acknowledge(incident=incident, actor=chen, now=NOW)
    (report,) = clocks(incident, Kind.STAGE_REPORT)
    assert report.due_at == NOW + minutes * MINUTE == incident.next_due_at


def test_each_word_to_the_customer_is_a_report_and_internal_notes_are_none(
    in_jia: Customer, alice: User, chen: User
) -> None:
    incident = raise_incident(alice, customer=in_jia)
    services.acknowledge(incident=incident, actor=chen, now=NOW)
    services.comment(incident=incident, body="Ask Zhou", actor=chen, now=NOW + 10 * MINUTE, is_internal=True)
    services.comment(incident=incident, body="Any news?", actor=alice, now=NOW + 20 * MINUTE)
    assert len(clocks(incident, Kind.STAGE_REPORT)) == 1
    services.comment(incident=incident, body="The disk is full.", actor=chen, now=NOW + 30 * MINUTE)
    entry = services.report_stage(
        incident=incident, stage=Stage.DIAGNOSED, body="A log runs over.", actor=chen, now=NOW + 50 * MINUTE
    )
    first, second, third = clocks(incident, Kind.STAGE_REPORT)
    assert (first.elapsed_seconds, second.elapsed_seconds) == (30 * 60, 20 * 60)
    assert third.due_at == NOW + 110 * MINUTE
    assert entry.data == {"stage": "diagnosed"}
    incident.refresh_from_db()
    assert incident.next_due_at == third.due_at
    assert "Alice" in told(f":stage:{entry.pk}")
    services.resolve(incident=incident, resolution="Cleaned", cause="system", actor=chen, now=NOW + 60 * MINUTE)
    assert not Clock.objects.filter(incident=incident, stopped_at=None).exists()


def test_reports_wait_while_the_customer_is_asked(in_jia: Customer, alice: User, chen: User) -> None:
    incident = asked(alice, chen, in_jia, Severity.HIGH)
    services.comment(incident=incident, body="Order 7", actor=alice, now=NOW + 10 * HOUR)
    report = clocks(incident, Kind.STAGE_REPORT)[-1]
    assert (report.started_at, report.due_at) == (NOW, NOW + 11 * HOUR)


def test_a_late_report_is_told_to_the_assignee_and_then_to_the_manager(
    jia: Customer, alice: User, chen: User, lin: User
) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=NOW)
        (report,) = clocks(incident, Kind.STAGE_REPORT)
    sweep(NOW + 60 * MINUTE)
    assert told(f":missed:{report.pk}") == {"Chen"}
    sweep(NOW + 89 * MINUTE)
    assert told(f":chased:{report.pk}") == set()
    sweep(NOW + 90 * MINUTE)
    assert told(f":chased:{report.pk}") == {"Lin"}


def test_a_report_in_between_leaves_the_manager_in_peace(jia: Customer, alice: User, chen: User, lin: User) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=NOW)
    sweep(NOW + 60 * MINUTE)
    with scope.customer(jia):
        services.comment(incident=incident, body="Still on it", actor=chen, now=NOW + 70 * MINUTE)
        first, second = clocks(incident, Kind.STAGE_REPORT)
        assert (first.breached_at, second.breached_at) == (NOW + 60 * MINUTE, None)
    sweep(NOW + 2 * HOUR)
    assert told(":chased:") == set()


def test_a_contract_without_reports_has_no_clock_of_them(in_jia: Customer, alice: User, chen: User) -> None:
    SlaTerm.objects.update(report_minutes=None)
    incident = raise_incident(alice, customer=in_jia)
    services.acknowledge(incident=incident, actor=chen, now=NOW)
    services.comment(incident=incident, body="Hello", actor=chen, now=NOW)
    assert clocks(incident, Kind.STAGE_REPORT) == []


# --- warnings and terms ----------------------------------------------------------------------------------------------


def test_the_contract_names_the_shares_at_which_people_are_warned(jia: Customer, alice: User, chen: User) -> None:
    with scope.customer(jia):
        SlaTerm.objects.update(warning_shares=[20, 40, 60])
    incident = raise_incident(alice, customer=jia)
    for minutes, share in ((3, 20), (6, 40), (9, 60)):
        sweep(NOW + minutes * MINUTE)
        with scope.customer(jia):
            assert clocks(incident, Kind.RESPONSE)[0].warned_share == share
    with scope.customer(jia):
        assert TimelineEntry.objects.filter(incident=incident, kind="warning").count() == 3


def test_of_warnings_that_are_past_when_a_clock_is_set_only_the_last_is_given(
    jia: Customer, alice: User, chen: User
) -> None:
    with scope.customer(jia):
        SlaTerm.objects.update(warning_shares=[20, 40, 90])
        services.log_contact(
            customer=jia,
            title="Shop is down",
            description="",
            severity=Severity.HIGH,
            category="system",
            source="phone",
            assets=[],
            contacted_at=NOW - 10 * MINUTE,
            caller="Wang",
            callee="",
            actor=chen,
            now=NOW,
        )
    sweep(NOW)
    with scope.customer(jia):
        assert [clock.warned_share for clock in Clock.objects.filter(kind=Kind.RESPONSE)] == [40]
        assert TimelineEntry.objects.filter(kind="warning").count() == 1


def test_no_shares_no_warnings(jia: Customer, alice: User, chen: User) -> None:
    with scope.customer(jia):
        SlaTerm.objects.update(warning_shares=[])
    incident = raise_incident(alice, customer=jia)
    sweep(NOW + 14 * MINUTE)
    with scope.customer(jia):
        assert not TimelineEntry.objects.filter(incident=incident, kind="warning").exists()


def test_a_miss_that_the_new_severity_confirms_is_told_once_and_keeps_its_reason(
    jia: Customer, alice: User, chen: User
) -> None:
    incident = raise_incident(alice, customer=jia)
    sweep(NOW + 15 * MINUTE)
    with scope.customer(jia):
        (response,) = clocks(incident, Kind.RESPONSE)
        services.explain(clock=response, code="workload", note="Five at once", actor=chen, now=NOW + HOUR)
        services.change_severity(
            incident=incident, severity=Severity.DISASTER, reason="Worse", actor=chen, now=NOW + HOUR
        )
    sweep(NOW + HOUR)
    with scope.customer(jia):
        (response,) = clocks(incident, Kind.RESPONSE)
        assert (response.breached_at, response.breach_code) == (NOW + 15 * MINUTE, "workload")
        assert TimelineEntry.objects.filter(incident=incident, kind="breach").count() == 1


def test_an_edited_calendar_does_not_move_the_clocks_of_an_incident(in_jia: Customer, alice: User, chen: User) -> None:
    """T12: the version is frozen; a new severity is judged on the version of that day."""
    incident = raise_incident(alice, customer=in_jia, severity=Severity.AVERAGE)
    services.acknowledge(incident=incident, actor=chen, now=NOW)
    before = clocks(incident, Kind.STAGE_REPORT)[0].due_at
    with scope.platform("test"):
        calendar = BusinessCalendar.objects.get(customer=None)
        calendars.add_version(
            calendar=calendar,
            week=[["09:00-10:30"]] * 7,
            workday_hours=["09:00-10:30"],
            days=[],
            known_years=[2026],
            reason="Short days",
            actor=None,
            now=NOW,
        )
    services.assign(incident=incident, assignee=None, actor=chen, now=NOW)
    services.wait_for_customer(incident=incident, question="?", actor=chen, now=NOW)
    services.resume(incident=incident, actor=chen, now=NOW)
    assert clocks(incident, Kind.STAGE_REPORT)[-1].due_at == before
    services.change_severity(incident=incident, severity=Severity.WARNING, reason="Less", actor=chen, now=NOW)
    assert clocks(incident, Kind.STAGE_REPORT)[-1].due_at != before
