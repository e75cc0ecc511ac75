"""Many alarms at once become what they would have become one after the other, with no more statements for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from accounts import audit, scope
from accounts.models import AuditEntry, Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import Clock, EscalationStep, Incident, IncidentAlert, IncidentAsset, Pause, TimelineEntry
from incidents.services import Alarm, Recovery, policies
from notify.models import Channel, Delivery
from tests.conftest import NOW
from tests.incidents.conftest import make_asset
from timers.models import Timer

MINUTE = timedelta(minutes=1)
DISASTER, HIGH, AVERAGE, WARNING = Severity.DISASTER, Severity.HIGH, Severity.AVERAGE, Severity.WARNING
Event = tuple[int, Severity, str]
"""Which asset, how bad, the alert's key."""

SCENARIOS: dict[str, list[Event]] = {
    "one": [(0, HIGH, "a")],
    "each its own asset": [(0, HIGH, "a"), (1, WARNING, "b"), (2, DISASTER, "c")],
    "a storm on one asset, worst first": [(0, DISASTER, "a"), (0, HIGH, "b"), (0, WARNING, "c")],
    "a storm that gets worse step by step": [(0, WARNING, "a"), (0, AVERAGE, "b"), (0, HIGH, "c"), (0, DISASTER, "d")],
    "the same alert twice": [(0, HIGH, "a"), (1, HIGH, "b"), (0, HIGH, "a")],
    "interleaved": [(0, WARNING, "a"), (1, HIGH, "b"), (0, HIGH, "c"), (1, DISASTER, "d"), (2, AVERAGE, "e")],
    "onto an incident that is in hand": [(3, DISASTER, "a"), (3, WARNING, "b"), (3, HIGH, "c")],
    "onto one that waits, twice worse": [(4, HIGH, "a"), (4, DISASTER, "b"), (0, HIGH, "c")],
    "an alert that is known": [(3, DISASTER, "known"), (3, HIGH, "b")],
    "after a solved one": [(5, HIGH, "a"), (5, AVERAGE, "b")],
}


@pytest.fixture
def worlds(jia: Customer, yi: Customer, chen: User, lin: User) -> tuple[Customer, Customer]:
    """Two customers with the same assets and history, and a channel that hears everything."""
    for customer in (jia, yi):
        with scope.customer(customer):
            for number in range(6):
                make_asset(customer, f"host-{number}")
            one_by_one(customer, [(3, AVERAGE, "known"), (4, WARNING, "old"), (5, HIGH, "solved")], NOW - 60 * MINUTE)
            in_hand, waiting, solved = Incident.objects.order_by("pk")
            services.acknowledge(incident=in_hand, actor=lin, now=NOW - 50 * MINUTE)
            services.acknowledge(incident=waiting, actor=lin, now=NOW - 50 * MINUTE)
            services.wait_for_customer(incident=waiting, question="?", actor=lin, now=NOW - 40 * MINUTE)
            services.resolve(incident=solved, resolution="x", cause="system", actor=lin, now=NOW - 30 * MINUTE)
        with scope.platform("test"):
            Channel.objects.create(customer=customer, kind="webhook", name="all", created_at=NOW)
    return jia, yi


def alarms(customer: Customer, events: Sequence[Event]) -> list[Alarm]:
    with scope.customer(customer):
        assets = {asset.name: asset for asset in Asset.objects.filter(customer=customer)}
        return [
            Alarm(assets[f"host-{number}"], severity, f"Alert {key}", f"text {key}", key, NOW - MINUTE)
            for number, severity, key in events
        ]


def one_by_one(customer: Customer, events: Sequence[Event], now: datetime = NOW) -> None:
    for alarm in alarms(customer, events):
        with scope.customer(customer):
            services.open_from_alert(
                customer=customer,
                asset=alarm.asset,
                severity=alarm.severity,
                title=alarm.title,
                text=alarm.text,
                alert_key=alarm.key,
                occurred_at=alarm.occurred_at,
                now=now,
            )


def together(customer: Customer, events: Sequence[Event]) -> list[Incident]:
    with scope.customer(customer):
        return services.open_from_alerts(customer=customer, alarms=alarms(customer, events), now=NOW)


def everything(customer: Customer) -> dict[str, Any]:
    """All rows that alarms leave behind, without what tells the two customers apart."""
    with scope.platform("test"):
        places = {pk: place for place, pk in enumerate(ids(Incident, customer))}
        names = {pk: f"incident {place}" for pk, place in places.items()}
        alerts = {pk: place for place, pk in enumerate(ids(IncidentAlert, customer))}

        def anonymous(value: object) -> str:
            if isinstance(value, dict):
                kept = {key: f"alert {alerts[each]}" if key == "alert" else each for key, each in value.items()}
                kept.pop("policy", None)  # names the customer's own contract
                value = sorted(kept.items())
            text = str(value)
            for pk, name in names.items():
                text = text.replace(f"INC-{pk:06d}", name).replace(f"/incidents/{pk}/", name)
                text = text.replace(f"incident:{pk}:", f"{name}:").replace(f"incidents:{pk}:", f"{name}:")
                text = text.replace(f"escalation:{pk}:", f"{name}:")
                text = text.replace(f"closing:{pk}:", f"closing of {name}:")
            for pk, place in alerts.items():
                text = text.replace(f":alert:{pk}", f":alert {place}").replace(f":recovery:{pk}", f":good {place}")
            return text.replace(customer.name, "").replace(customer.short_name, "")

        return {
            "incidents": [
                [anonymous(value) for value in row]
                for row in rows(Incident, customer, "title", "description", "severity", "category", "source", "state",
                                "assignee_id", "storm_asset__name", "detected_at", "opened_at", "clock_started_at",
                                "changed_at", "next_due_at", "version")
            ],
            "terms": [policy["severity"] for (policy,) in rows(Incident, customer, "policy")],
            "assets": sorted(
                (places[incident], name)
                for incident, name in rows(IncidentAsset, customer, "incident_id", "asset__name")
            ),
            "alerts": sorted(
                (places[row[0]], *map(str, row[1:]))
                for row in rows(IncidentAlert, customer, "incident_id", "asset__name", "alert_key", "title", "severity",
                                "occurred_at", "recovered_at")
            ),
            "clocks": sorted(
                (places[row[0]], *map(str, row[1:]))
                for row in rows(Clock, customer, "incident_id", "kind", "round", "started_at", "target_minutes",
                                "calendar_version_id", "due_at", "stopped_at", "warned_at", "breached_at",
                                "elapsed_seconds", "is_provisional")
            ),
            "steps": sorted(
                (places[row[0]], *map(str, row[1:]))
                for row in rows(EscalationStep, customer, "incident_id", "run", "round", "number", "who", "media",
                                "due_at", "state", "cancelled_because")
            ),
            "pauses": sorted(
                (places[row[0]], *map(str, row[1:]))
                for row in rows(Pause, customer, "incident_id", "reason", "started_at", "ended_at")
            ),
            "timeline": [
                [
                    (kind, anonymous(at), body, anonymous(data), internal)
                    for _, kind, at, body, data, internal in sorted(
                        rows(TimelineEntry, customer, "pk", "kind", "at", "body", "data", "is_internal",
                             incident_id=incident)
                    )
                ]
                for incident in places
            ],
            "timers": sorted(
                (anonymous(key), str(due_at), task)
                for key, due_at, task in rows(Timer, customer, "key", "due_at", "task")
            ),
            "deliveries": sorted(
                tuple(map(anonymous, row))
                for row in rows(Delivery, customer, "key", "medium", "user_id", "topic", "severity", "priority",
                                "subject", "text", "url", "state")
            ),
            "audit": sorted(
                (action, anonymous(name), anonymous(detail))
                for action, name, detail in rows(AuditEntry, customer, "action", "object_name", "detail")
                if action.startswith("incident.")
            ),
        }  # fmt: skip


def ids(model: type[Model], customer: Customer) -> list[int]:
    return [pk for (pk,) in rows(model, customer, "pk")]


def rows(model: type[Model], customer: Customer, *fields: str, **also: object) -> list[tuple[Any, ...]]:
    return list(model._default_manager.filter(customer=customer, **also).order_by("pk").values_list(*fields))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_alarms_together_leave_what_alarms_one_by_one_leave(worlds: tuple[Customer, Customer], scenario: str) -> None:
    single, many = worlds
    one_by_one(single, SCENARIOS[scenario])
    together(many, SCENARIOS[scenario])
    expected, found = everything(single), everything(many)
    for what, left in expected.items():
        assert found[what] == left, what


def test_each_alarm_is_answered_with_its_incident(worlds: tuple[Customer, Customer]) -> None:
    jia, _ = worlds
    with scope.platform("test"):
        oldest = ids(Incident, jia)[0]
    found = together(jia, [(0, HIGH, "a"), (1, HIGH, "b"), (0, WARNING, "c"), (3, HIGH, "known")])
    assert found[0].pk == found[2].pk != found[1].pk
    assert found[3].pk == oldest


def test_the_audit_chain_holds_over_a_burst(worlds: tuple[Customer, Customer]) -> None:
    jia, _ = worlds
    together(jia, [(number % 6, Severity(1 + number % 4), f"k{number}") for number in range(40)])
    with scope.platform("test"):
        assert list(audit.verify(jia.pk)) == []


def _statements(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as seen:
        work()
    return len(seen)


@pytest.mark.parametrize("severities", [(HIGH,), (WARNING, HIGH)])
def test_statements_do_not_grow_with_the_alarms(jia: Customer, severities: tuple[Severity, ...]) -> None:
    for number in range(63):
        make_asset(jia, f"host-{number}")
    with scope.customer(jia):
        policies.calendar_for(policies.brought_along()[WARNING], jia)  # read once by each process
    counts = []
    for low, high in ((0, 3), (3, 63)):
        events = [(number, severity, f"{number} {severity}") for severity in severities for number in range(low, high)]
        wanted = alarms(jia, events)
        with scope.customer(jia):
            counts.append(_statements(partial(services.open_from_alerts, customer=jia, alarms=wanted, now=NOW)))
    assert counts[0] == counts[1] < 80


def test_statements_do_not_grow_with_the_recoveries(jia: Customer) -> None:
    for number in range(42):
        make_asset(jia, f"host-{number}")
    opened = together(jia, [(number, HIGH, f"k{number}") for number in range(42)])
    recoveries = [Recovery(one.pk, f"k{number}", "good", NOW + MINUTE) for number, one in enumerate(opened)]
    with scope.customer(jia):
        counts = [
            _statements(partial(services.record_recoveries, customer=jia, recoveries=some, now=NOW + MINUTE))
            for some in (recoveries[:2], recoveries[2:])
        ]
        assert not IncidentAlert.objects.filter(recovered_at=None).exists()
    assert counts[0] == counts[1]


def test_recoveries_together_leave_what_they_leave_one_by_one(worlds: tuple[Customer, Customer]) -> None:
    events = [(0, HIGH, "a"), (0, WARNING, "b"), (1, HIGH, "c")]
    for customer in worlds:
        found = together(customer, events)
        wanted = [Recovery(one.pk, key, "good", NOW + MINUTE) for one, (_, _, key) in zip(found, events, strict=True)]
        wanted.append(wanted[0])
        with scope.customer(customer):
            if customer is worlds[0]:
                for each in wanted:
                    services.record_recovery(
                        incident_id=each.incident_id,
                        alert_key=each.alert_key,
                        text=each.text,
                        occurred_at=each.occurred_at,
                        now=NOW + MINUTE,
                    )
            else:
                services.record_recoveries(customer=customer, recoveries=wanted, now=NOW + MINUTE)
    assert everything(worlds[0]) == everything(worlds[1])
