"""Durable timers of the clocks: warned, missed, late, twice, and not at all when somebody was in time."""

from datetime import datetime, timedelta

import pytest
from celery import current_app

from accounts import scope
from accounts.models import AuditEntry, Customer, RosterShift, Severity, SlaTerm, User
from incidents import services, tasks
from incidents.models import Clock, Incident, TimelineEntry
from notify.models import Delivery
from tests.conftest import NOW
from tests.incidents.conftest import raise_incident
from timers import services as timers
from timers.models import Timer

MINUTE = timedelta(minutes=1)
Kind = TimelineEntry.Kind


def sweep(now: datetime) -> None:
    """What sweeper and worker do at `now`."""
    with scope.platform("test sweep"):
        for timer_id in timers.claim(now=now):
            timers.fire(timer_id=timer_id, now=now)


def kinds(incident: Incident) -> list[str]:
    with scope.platform("test"):
        rows = TimelineEntry.objects.filter(incident=incident).exclude(kind=Kind.ESCALATION)
        return list(rows.values_list("kind", flat=True))


@pytest.fixture
def incident(jia: Customer, alice: User, chen: User) -> Incident:
    return raise_incident(alice, customer=jia)


def test_warnings_come_at_half_and_four_fifths_and_the_miss_at_the_deadline(incident: Incident) -> None:
    sweep(NOW + 7 * MINUTE)
    assert kinds(incident) == [Kind.OPENED]
    sweep(NOW + 8 * MINUTE)
    assert kinds(incident) == [Kind.OPENED, Kind.WARNING]
    sweep(NOW + 12 * MINUTE)
    assert kinds(incident) == [Kind.OPENED, Kind.WARNING, Kind.WARNING]
    sweep(NOW + 15 * MINUTE)
    assert kinds(incident) == [Kind.OPENED, Kind.WARNING, Kind.WARNING, Kind.BREACH]
    with scope.platform("test"):
        clock = Clock.objects.get(kind="response")
        assert (clock.warned_at, clock.breached_at) == (NOW + 12 * MINUTE, NOW + 15 * MINUTE)
        assert AuditEntry.objects.filter(action="incident.breach").count() == 1


def test_a_second_sweep_changes_nothing(incident: Incident) -> None:
    for minutes in (15, 15, 16):
        sweep(NOW + minutes * MINUTE)
    assert kinds(incident).count(Kind.BREACH) == 1


def test_a_platform_that_slept_records_the_miss_late_and_sends_no_warning_after_it(incident: Incident) -> None:
    sweep(NOW + timedelta(hours=2))
    with scope.platform("test"):
        entry = TimelineEntry.objects.get(kind=Kind.BREACH)
        assert entry.data["late"] is True
        assert Clock.objects.get(kind="response").breached_at == NOW + 15 * MINUTE
        assert Delivery.objects.filter(key__contains=":near:").count() == 0


def test_nobody_is_warned_after_acknowledging(incident: Incident, chen: User, jia: Customer) -> None:
    with scope.customer(jia):
        clock = Clock.objects.get(kind="response")
        services.acknowledge(incident=incident, actor=chen, now=NOW + 7 * MINUTE)
    sweep(NOW + 20 * MINUTE)
    assert Kind.WARNING not in kinds(incident)
    # and a wake-up that was already on its way finds nothing to do
    for task in ("incidents.warn_clock", "incidents.breach_clock", "incidents.chase_clock"):
        with scope.customer(jia):
            current_app.tasks[task].run(due_at=NOW, now=NOW + timedelta(hours=1), clock_id=clock.pk)
    assert kinds(incident) == [Kind.OPENED, Kind.ACKNOWLEDGED]


def test_a_wake_up_for_a_clock_that_moved_on_is_ignored(jia: Customer, alice: User, chen: User) -> None:
    with scope.customer(jia):
        SlaTerm.objects.update(handling_minutes=60)
    incident = raise_incident(alice, customer=jia, severity=Severity.HIGH)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=NOW)
        services.wait_for_customer(incident=incident, question="?", actor=chen, now=NOW + 10 * MINUTE)
        clock = Clock.objects.get(kind="handling")
        assert clock.due_at is None
        assert not services.breach(clock_id=clock.pk, now=NOW + timedelta(hours=2))
        services.resume(incident=incident, actor=chen, now=NOW + 30 * MINUTE)
        assert not services.breach(clock_id=clock.pk, now=NOW + 60 * MINUTE)
        assert services.breach(clock_id=clock.pk, now=NOW + 80 * MINUTE)


def test_the_miss_goes_to_the_second_responder_and_the_manager_of_the_hour(
    incident: Incident, jia: Customer, chen: User, lin: User, root: User
) -> None:
    with scope.platform("test"):
        for duty, person in (("first", chen), ("second", root), ("manager", lin)):
            RosterShift.objects.create(duty=duty, user=person, starts_at=NOW - MINUTE, ends_at=NOW + timedelta(hours=8))
    sweep(NOW + 15 * MINUTE)
    with scope.platform("test"):
        missed = Delivery.objects.filter(key__contains=":missed:", medium="inbox")
        assert {row.user for row in missed} == {chen, root, lin}
        near = Delivery.objects.filter(key__contains=":near:")
        assert {row.user for row in near} <= {chen}


def test_the_warning_is_internal_and_the_miss_is_not(incident: Incident) -> None:
    sweep(NOW + 10 * MINUTE)
    sweep(NOW + 15 * MINUTE)
    with scope.platform("test"):
        assert TimelineEntry.objects.get(kind=Kind.WARNING).is_internal
        assert not TimelineEntry.objects.get(kind=Kind.BREACH).is_internal


def test_the_timers_belong_to_the_customer(incident: Incident, jia: Customer) -> None:
    with scope.platform("test"):
        assert {timer.customer_id for timer in Timer.objects.pending()} == {jia.pk}


def test_every_task_of_incidents_has_a_queue() -> None:
    registered = {name for name in current_app.tasks if name.startswith("incidents.")}
    own = (tasks.warn_clock, tasks.breach_clock, tasks.chase_clock, tasks.close_unanswered)
    assert registered >= {task.name for task in (*own, tasks.escalate, tasks.watch_duty)}
    assert {getattr(current_app.tasks[name], "queue", None) for name in registered} <= {"default", "notify"}
