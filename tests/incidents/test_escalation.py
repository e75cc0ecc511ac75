"""While nobody takes an incident, the steps of its policy fire by themselves, each once; and nobody is called after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from celery import current_app
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Assignment, Contact, Customer, Role, RosterShift, Severity, User
from assets.models import Asset
from incidents import services, tasks
from incidents.escalation import Policy, Step, Who
from incidents.models import EscalationStep, Incident, IncidentKind, TimelineEntry
from incidents.services import escalating, policies
from notify.models import Delivery
from notify.services import delivering, withdraw
from tests.conftest import NOW, make_person
from tests.incidents.conftest import alarm, make_asset, raise_incident
from timers import services as timers
from timers.models import Timer

MINUTE = timedelta(minutes=1)
STEP_TASK = tasks.escalate.name
POLICY = Policy(
    (
        Step(0, Who.FIRST, ("inbox",)),
        Step(5, Who.SECOND, ("inbox", "email")),
        Step(10, Who.MANAGER, ("inbox", "email")),
    ),
    "7x24",
    2,
    20,
)


def sweep(now: datetime) -> int:
    """What sweeper and worker do at `now`."""
    with scope.platform("test sweep"):
        return sum(timers.fire(timer_id=timer_id, now=now) for timer_id in timers.claim(now=now))


def steps(incident: Incident, **where: object) -> list[EscalationStep]:
    with scope.platform("test"):
        return list(EscalationStep.objects.filter(incident=incident, **where))


def states(incident: Incident, **where: object) -> list[str]:
    return [step.state for step in steps(incident, **where)]


def called(incident: Incident) -> list[tuple[str, str]]:
    """Whom steps have called, in order, and how."""
    with scope.platform("test"):
        rows = Delivery.objects.filter(key__startswith=f"incident:{incident.pk}:step:").order_by("pk")
        return [(row.user.name, row.medium) for row in rows.select_related("user") if row.user]


@pytest.fixture
def zhou(jia: Customer) -> User:
    person = make_person("zhou", Role.ENGINEER)
    with scope.platform("test"):
        Assignment.objects.create(customer=jia, user=person, assigned_at=NOW)
    return person


@pytest.fixture
def roster(chen: User, zhou: User, lin: User) -> None:
    with scope.platform("test"):
        for duty, person in (("first", chen), ("second", zhou), ("manager", lin)):
            RosterShift.objects.create(duty=duty, user=person, starts_at=NOW - MINUTE, ends_at=NOW + timedelta(days=9))


@pytest.fixture
def policy(jia: Customer, roster: None, lin: User) -> Policy:
    with scope.customer(jia):
        for level in Severity:
            policies.save(customer=jia, severity=level, policy=POLICY, reason="test", actor=lin, now=NOW)
    return POLICY


@pytest.fixture
def incident(jia: Customer, alice: User, policy: Policy) -> Incident:
    return raise_incident(alice, customer=jia)


def test_the_steps_call_first_second_and_manager_at_their_times_and_once_more(incident: Incident) -> None:
    sweep(NOW)
    assert called(incident) == [("Chen", "inbox")]
    sweep(NOW + 4 * MINUTE)
    assert len(called(incident)) == 1
    sweep(NOW + 5 * MINUTE)
    sweep(NOW + 10 * MINUTE)
    one_round = [("Chen", "inbox"), ("Zhou", "inbox"), ("Zhou", "email"), ("Lin", "inbox"), ("Lin", "email")]
    assert called(incident) == one_round
    for minutes in (20, 25, 30, 31, 90):
        sweep(NOW + minutes * MINUTE)
    assert called(incident) == one_round * 2
    assert states(incident) == ["done"] * 6


def test_each_step_is_provable_from_timeline_and_audit_log(incident: Incident, jia: Customer) -> None:
    sweep(NOW)
    sweep(NOW + 5 * MINUTE)
    with scope.customer(jia):
        told = TimelineEntry.objects.filter(incident=incident, kind="escalation")
        assert [(entry.data["step"], entry.is_internal) for entry in told] == [(1, True), (2, True)]
        assert list(audit.verify(jia.pk)) == []
    done = steps(incident, state="done")
    assert [step.done_at for step in done] == [NOW, NOW + 5 * MINUTE]
    assert [one["name"] for one in done[1].outcome["people"]] == ["Zhou"]


def test_who_takes_it_stops_the_rest_and_nobody_is_called_afterwards(
    incident: Incident, jia: Customer, chen: User
) -> None:
    sweep(NOW)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=NOW + 2 * MINUTE)
    sweep(NOW + timedelta(hours=2))  # the clocks of who took it go on; the calls do not
    assert called(incident) == [("Chen", "inbox")]
    assert states(incident) == ["done"] + ["cancelled"] * 5
    with scope.platform("test"):
        assert not Timer.objects.pending().filter(key__startswith="escalation:").exists()


def test_a_message_that_has_not_left_is_withdrawn_when_somebody_takes_it(
    incident: Incident, jia: Customer, zhou: User
) -> None:
    sweep(NOW + 5 * MINUTE)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=zhou, now=NOW + 6 * MINUTE)
    with scope.platform("test"):
        mail = Delivery.objects.get(key__startswith=f"incident:{incident.pk}:step:", medium="email")
        assert (mail.state, mail.withdrawn_at) == ("withdrawn", NOW + 6 * MINUTE)
        assert delivering.lanes_due(now=NOW + timedelta(hours=1)) == []


def test_a_message_that_is_being_sent_is_not_tried_again_after_it_was_withdrawn(
    incident: Incident, jia: Customer, zhou: User
) -> None:
    sweep(NOW + 5 * MINUTE)
    claim = delivering.claim_next(lane=0, now=NOW + 5 * MINUTE)
    assert claim is not None
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=zhou, now=NOW + 6 * MINUTE)
    delivering.recover(now=NOW + 20 * MINUTE)
    with scope.platform("test"):
        mail = Delivery.objects.get(pk=claim.delivery.pk)
        assert mail.state == "withdrawn"
    assert delivering.drain(lane=0, clock=lambda: NOW + timedelta(hours=1)) == 0


def test_withdrawing_leaves_what_was_delivered_and_what_others_are_told(incident: Incident, jia: Customer) -> None:
    sweep(NOW + 5 * MINUTE)
    with scope.customer(jia):
        assert withdraw(customer=jia, keys=[], now=NOW) == 0
        assert withdraw(customer=jia, keys=["incident:1:nothing"], now=NOW) == 0
    assert [medium for _name, medium in called(incident)].count("email") == 1


def resolve(incident: Incident, actor: User, now: datetime) -> None:
    services.resolve(incident=incident, resolution="Restarted", cause="system", actor=actor, now=now)


def test_resolving_stops_it_and_the_customer_who_reopens_begins_it_again(
    incident: Incident, jia: Customer, chen: User, alice: User
) -> None:
    sweep(NOW)
    with scope.customer(jia):
        resolve(incident, chen, NOW + MINUTE)
        assert states(incident, state="pending") == []
        services.reopen(incident=incident, reason="Not solved", actor=alice, now=NOW + 30 * MINUTE)
    again = steps(incident, run=2)
    assert [(step.due_at - NOW) // MINUTE for step in again] == [30, 35, 40, 50, 55, 60]
    sweep(NOW + 30 * MINUTE)
    assert called(incident) == [("Chen", "inbox")] * 2


def test_an_engineer_who_reopens_has_it_in_hand(incident: Incident, jia: Customer, chen: User) -> None:
    with scope.customer(jia):
        resolve(incident, chen, NOW + MINUTE)
        services.reopen(incident=incident, reason="Again", actor=chen, now=NOW + 30 * MINUTE)
    assert steps(incident, run=2) == []


def test_another_severity_begins_its_own_policy_at_that_moment(incident: Incident, jia: Customer, chen: User) -> None:
    sweep(NOW)
    with scope.customer(jia):
        services.change_severity(
            incident=incident, severity=Severity.DISASTER, reason="worse", actor=chen, now=NOW + 3 * MINUTE
        )
    assert {step.cancelled_because for step in steps(incident, run=1, state="cancelled")} == {"severity"}
    assert steps(incident, run=2)[0].due_at == NOW + 3 * MINUTE


def test_a_worse_alarm_on_an_incident_in_hand_begins_it_again(
    web: Asset, policy: Policy, jia: Customer, chen: User
) -> None:
    incident = alarm(web, severity=Severity.WARNING)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=NOW + MINUTE)
    alarm(web, severity=Severity.DISASTER, key="a:2", now=NOW + 5 * MINUTE)
    assert states(incident, run=1) == ["cancelled"] * 6
    assert states(incident, run=2) == ["pending"] * 6


def test_an_edit_never_changes_what_is_running(incident: Incident, jia: Customer, lin: User) -> None:
    calm = replace(
        POLICY, steps=tuple(replace(step, after_minutes=500 + step.after_minutes) for step in POLICY.steps), rounds=1
    )
    with scope.customer(jia):
        policies.save(customer=jia, severity=Severity.HIGH, policy=calm, reason="calmer", actor=lin, now=NOW + MINUTE)
    assert [(step.due_at - NOW) // MINUTE for step in steps(incident)] == [0, 5, 10, 20, 25, 30]
    with scope.platform("test"):
        versions = EscalationStep.objects.filter(incident=incident).values_list("policy__number", flat=True)
        assert set(versions) == {1}


def test_a_late_step_is_done_and_says_so(incident: Incident) -> None:
    sweep(NOW + timedelta(hours=3))
    assert states(incident) == ["done"] * 6
    assert all(step.is_late for step in steps(incident))
    assert len(called(incident)) == 10


@pytest.mark.parametrize(("late_by", "is_late"), [(60, False), (61, True)])
def test_a_minute_is_still_on_time(incident: Incident, late_by: int, is_late: bool) -> None:
    sweep(NOW + timedelta(seconds=late_by))
    assert steps(incident)[0].is_late is is_late


def test_a_wake_up_that_comes_twice_or_too_late_calls_nobody_twice(
    incident: Incident, jia: Customer, chen: User
) -> None:
    first, second = steps(incident)[:2]
    with scope.customer(jia):
        assert escalating.fire(step_id=first.pk, now=NOW)
        assert not escalating.fire(step_id=first.pk, now=NOW)
        services.acknowledge(incident=incident, actor=chen, now=NOW)
        current_app.tasks[STEP_TASK].run(due_at=NOW, now=NOW + 9 * MINUTE, step_id=second.pk)
        assert not escalating.fire(step_id=999_999, now=NOW)
    assert called(incident) == [("Chen", "inbox")]


def test_whoever_is_on_duty_when_the_step_fires_is_called(incident: Incident, zhou: User) -> None:
    with scope.platform("test"):
        RosterShift.objects.create(
            duty="first", user=zhou, starts_at=NOW + 19 * MINUTE, ends_at=NOW + timedelta(hours=8)
        )
    for minutes in (0, 20):
        sweep(NOW + minutes * MINUTE)
    assert [step.outcome["people"][0]["name"] for step in steps(incident, number=1)] == ["Chen", "Zhou"]


def test_without_a_roster_the_engineers_stand_in_and_at_last_the_managers(
    jia: Customer, alice: User, chen: User, lin: User
) -> None:
    incident = raise_incident(alice, customer=jia, severity=Severity.DISASTER)
    sweep(NOW + 10 * MINUTE)
    done = steps(incident, state="done", round=1)
    assert [[one["name"] for one in step.outcome["people"]] for step in done] == [["Chen"], ["Lin"], ["Lin"]]
    assert all(step.outcome["stands_in"] for step in done)


def test_nobody_is_called_who_does_not_serve_the_customer(yi: Customer, jia: Customer, alice: User, lin: User) -> None:
    """An engineer of another customer on the roster for all would find the message nowhere."""
    stranger = make_person("wang", Role.ENGINEER)
    with scope.platform("test"):
        Assignment.objects.create(customer=yi, user=stranger, assigned_at=NOW)
        RosterShift.objects.create(duty="first", user=stranger, starts_at=NOW, ends_at=NOW + timedelta(days=1))
    incident = raise_incident(alice, customer=jia, severity=Severity.DISASTER)
    sweep(NOW)
    assert [one["name"] for one in steps(incident)[0].outcome["people"]] == ["Lin"]


def test_what_a_person_cannot_receive_is_skipped_and_recorded(
    jia: Customer, alice: User, policy: Policy, lin: User
) -> None:
    loud = replace(POLICY, steps=(Step(0, Who.FIRST, ("inbox", "email", "carrier_pigeon")), *POLICY.steps[1:]))
    with scope.customer(jia):
        policies.save(customer=jia, severity=Severity.HIGH, policy=loud, reason="test", actor=lin, now=NOW)
    incident = raise_incident(alice, customer=jia)
    sweep(NOW)
    (chen,) = steps(incident)[0].outcome["people"]
    assert chen["media"] == ["inbox", "email"]
    assert chen["missing"] == {"carrier_pigeon": "not set up"}


def test_who_can_be_told_by_none_of_the_media_finds_it_in_the_inbox(
    jia: Customer, alice: User, policy: Policy, lin: User
) -> None:
    odd = replace(POLICY, steps=(Step(0, Who.FIRST, ("carrier_pigeon",)), *POLICY.steps[1:]))
    with scope.customer(jia):
        policies.save(customer=jia, severity=Severity.HIGH, policy=odd, reason="test", actor=lin, now=NOW)
    incident = raise_incident(alice, customer=jia)
    sweep(NOW)
    assert called(incident) == [("Chen", "inbox")]


def named(jia: Customer, **people: User) -> None:
    with scope.platform("test"):
        for kind, person in people.items():
            Contact.objects.create(customer=jia, kind=kind, user=person, phone="13900000000", email=person.email)


@pytest.mark.parametrize(("is_away", "name"), [(False, "Alice"), (True, "Bob")])
def test_the_customers_project_manager_in_charge_is_called(
    jia: Customer, alice: User, bob: User, policy: Policy, lin: User, is_away: bool, name: str
) -> None:
    named(jia, first_pm=alice, second_pm=bob)
    with scope.customer(jia):
        Contact.objects.filter(kind="first_pm").update(is_away=is_away)
        with_customer = replace(POLICY, steps=(*POLICY.steps, Step(0, Who.CUSTOMER_PM, ("inbox",))))
        policies.save(customer=jia, severity=Severity.HIGH, policy=with_customer, reason="t", actor=lin, now=NOW)
    incident = raise_incident(alice, customer=jia)
    sweep(NOW)
    assert called(incident) == [("Chen", "inbox"), (name, "inbox")]


def test_the_customer_is_never_called_about_what_the_provider_keeps_to_itself(
    jia: Customer, alice: User, policy: Policy, lin: User
) -> None:
    named(jia, first_pm=alice)
    with scope.customer(jia):
        with_customer = replace(POLICY, steps=(*POLICY.steps, Step(0, Who.CUSTOMER_PM, ("inbox",))))
        policies.save(customer=jia, severity=Severity.HIGH, policy=with_customer, reason="t", actor=lin, now=NOW)
    incident = raise_incident(alice, customer=jia)
    with scope.platform("test"):
        Incident.objects.filter(pk=incident.pk).update(kind=IncidentKind.INTERNAL)
    sweep(NOW)
    assert called(incident) == [("Chen", "inbox")]


def test_an_engineer_escalates_at_once_and_the_rest_keeps_its_times(
    incident: Incident, jia: Customer, chen: User
) -> None:
    sweep(NOW)
    with scope.customer(jia):
        step = services.escalate_now(incident=incident, actor=chen, now=NOW + MINUTE)
    assert (step.number, step.done_by, step.is_late) == (2, chen, False)
    assert called(incident)[1:] == [("Zhou", "inbox"), ("Zhou", "email")]
    sweep(NOW + 5 * MINUTE)
    assert len(called(incident)) == 3, "its own time finds it done"
    assert steps(incident, state="pending")[0].due_at == NOW + 10 * MINUTE


def test_escalating_at_once_is_the_providers_and_needs_a_step_that_is_left(
    incident: Incident, jia: Customer, chen: User, alice: User
) -> None:
    with scope.customer(jia):
        with pytest.raises(PermissionDenied):
            services.escalate_now(incident=incident, actor=alice, now=NOW)
        services.acknowledge(incident=incident, actor=chen, now=NOW)
        with pytest.raises(DomainError):
            services.escalate_now(incident=incident, actor=chen, now=NOW)


def test_the_customers_own_policy_goes_before_the_providers_until_it_follows_again(
    jia: Customer, yi: Customer, lin: User
) -> None:
    own, all_of_us = replace(POLICY, rounds=1), replace(POLICY, rounds=3)
    with scope.platform("test"):
        high = Severity.HIGH
        policies.save(customer=None, severity=high, policy=all_of_us, reason="all", actor=lin, now=NOW)
        policies.save(customer=jia, severity=high, policy=own, reason="own", actor=lin, now=NOW)
        assert policies.in_force(jia)[high].terms.rounds == 1
        assert policies.in_force(yi)[high].terms.rounds == 3
        for _twice in range(2):
            policies.follow_default(customer=jia, severity=high, actor=lin, now=NOW)
        assert policies.in_force(jia)[high].terms.rounds == 3
        assert policies.in_force(jia)[Severity.WARNING].terms == policies.brought_along()[Severity.WARNING]


def test_a_policy_that_cannot_be_is_refused_with_its_reason(jia: Customer, lin: User) -> None:
    with scope.customer(jia), pytest.raises(DomainError) as refused:
        policies.save(
            customer=jia,
            severity=Severity.HIGH,
            policy=replace(POLICY, steps=POLICY.steps[:1]),
            reason="",
            actor=lin,
            now=NOW,
        )
    assert refused.value.code == "escalation_duty_missing"


def statements(act: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as seen:
        act()
    return len(seen)


def test_a_burst_lays_out_its_steps_in_a_constant_number_of_statements(jia: Customer, policy: Policy) -> None:
    def burst(name: str, count: int) -> Callable[[], object]:
        assets = [make_asset(jia, f"{name}-{number}") for number in range(count)]
        alarms = [
            services.Alarm(asset, Severity(1 + at % 4), "down", "", f"{name}:{asset.pk}", NOW)
            for at, asset in enumerate(assets)
        ]
        return lambda: services.open_from_alerts(customer=jia, alarms=alarms, now=NOW)

    with scope.customer(jia):
        few, many = burst("few", 4), burst("many", 40)
        assert statements(few) == statements(many)
        assert EscalationStep.objects.count() == 44 * 6
        again = [
            services.Alarm(one.storm_asset, Severity.DISASTER, "worse", "", f"w:{one.pk}", NOW)
            for one in Incident.objects.exclude(severity=1)
            if one.storm_asset
        ]
        small, rest = again[:3], again[3:]

        def worsen(some: list[services.Alarm]) -> Callable[[], object]:
            return lambda: services.open_from_alerts(customer=jia, alarms=some, now=NOW + MINUTE)

        assert statements(worsen(small)) == statements(worsen(rest))
