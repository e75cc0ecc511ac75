"""Opening and closing alerts, each together with its incident, in the transaction that judged the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import translation

from accounts import bulk
from accounts.models import Customer, Severity
from assets.models import Asset
from incidents import services as incidents
from monitoring import registry, storage, wording
from monitoring.evaluate import Transitions
from monitoring.extra_rules import EXTRA_RULES
from monitoring.models import Alert, Series
from monitoring.plan import Effective, Plan
from monitoring.rules import RULES, Condition, Form
from monitoring.services import flaps, holding, storms
from notify import live

Ending = Alert.Ending
SAMPLES_KEPT: Final = 20
GOOD_AGAIN: Final = (Ending.RECOVERED, Ending.DATA_BACK)
"""Endings that a figure has shown. All others end an alert without anything being said to have recovered."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An alert about to open, in words already."""

    key: str
    asset: Asset
    rule_id: str
    severity: Severity
    title: str
    text: str
    first_breach_at: datetime
    opened_at: datetime
    series_id: int | None = None
    labels: str = ""
    value: float | None = None
    condition: Mapping[str, object] = field(default_factory=dict)
    samples: Sequence[tuple[int, float]] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    """Of events: the title by language ("zh", "en"), for readers."""


@dataclass(frozen=True, slots=True)
class Move:
    """One transition: the first bad data point, the one that decided, and its value. Unix milliseconds."""

    first_ts: int
    ts: int
    value: float


@dataclass(frozen=True, slots=True)
class Closing:
    """An open alert about to end."""

    key: str
    ended_at: datetime
    ending: str
    value: float | None = None
    effective: Effective | None = None


def apply(*, customer_id: int, plan: Plan, moved: Transitions, now: datetime) -> None:
    """Carry out transitions in the order of their data points."""
    customer = Customer.objects.get(pk=customer_id)
    firsts = {int(plan.first[binding]) for binding in moved.binding.tolist()}
    series = Series.objects.select_related("asset").in_bulk(firsts)
    with translation.override(customer.language):
        samples = _samples(plan, moved, series)
        openings: dict[str, Opening] = {}
        closings: dict[str, Closing] = {}
        for at in moved.ts.argsort(kind="stable").tolist():
            one = series[int(plan.first[moved.binding[at]])]
            effective = plan.effective[int(moved.binding[at])]
            key = open_key(effective.rule.id, one)
            move = Move(int(moved.first_ts[at]), int(moved.ts[at]), float(moved.value[at]))
            if moved.opens[at]:
                if key in closings:
                    close(customer=customer, closings=closings.values(), now=now)
                    closings.clear()
                openings[key] = _opening(one, effective, move, samples[one.pk])
            else:
                if key in openings:
                    open_all(customer=customer, openings=openings.values(), now=now)
                    openings.clear()
                closings[key] = Closing(key, moment(move.ts), _ending(effective), move.value, effective)
        open_all(customer=customer, openings=openings.values(), now=now)
        close(customer=customer, closings=closings.values(), now=now)


def open_key(rule_id: str, series: Series) -> str:
    """What is unique among open alerts: the rule, the asset, and which of its parts."""
    return f"{rule_id}/{series.asset_id}/{series.labels}"


def open_all(*, customer: Customer, openings: Iterable[Opening], now: datetime) -> list[Alert]:
    """Open alerts that are not open yet, each with its incident (of many at once: right after, `storms`).

    The customer's ledger must be held.

    The worst comes first: a storm's incident gets its severity and clocks once instead of rising step by step.
    """
    wanted = {opening.key: opening for opening in sorted(openings, key=lambda one: one.severity)}
    if not wanted:
        return []
    known = Alert.objects.open().filter(open_key__in=wanted).select_related("asset")
    again = [(alert, wanted.pop(alert.open_key).opened_at) for alert in known]
    flaps.went_bad(customer=customer, moves=again, now=now)
    alerts = Alert.objects.bulk_create(_alert(customer, opening, now) for opening in wanted.values())
    flaps.watch_new(alerts, now)
    loud = holding.hold_new(customer=customer, alerts=alerts, now=now)
    if len(loud) > storms.AT_ONCE:
        storms.tell_later(customer.pk)
    else:
        holding.tell(customer=customer, alerts=loud, now=now)
    bulk.update(
        [alert for alert in alerts if alert.held or alert.flapping_since], ["held", "cause", "flapping_since", "text"]
    )
    holding.follow_new(customer=customer, alerts=alerts, now=now)
    _tell_pages(alerts)
    return alerts


def close(*, customer: Customer, closings: Iterable[Closing], now: datetime) -> list[Alert]:
    """End open alerts and write it on their incidents. Those that are not open change nothing.

    One that comes and goes too often stays open as flapping instead, until it has been quiet.
    """
    wanted = {closing.key: closing for closing in closings}
    if not wanted:
        return []
    alerts = list(Alert.objects.open().filter(open_key__in=wanted).select_related("asset"))
    mended = [(alert, wanted[alert.open_key].ended_at) for alert in alerts if _mends(alert, wanted[alert.open_key])]
    kept = flaps.went_good(customer=customer, moves=mended, now=now)
    return end(customer=customer, alerts=[alert for alert in alerts if alert.pk not in kept], closings=wanted, now=now)


def end(*, customer: Customer, alerts: Sequence[Alert], closings: Mapping[str, Closing], now: datetime) -> list[Alert]:
    """End these open alerts for good. `closings` by open key."""
    untold = [alert for alert in alerts if alert.incident_id is None and not alert.held and not alert.is_calm]
    holding.tell(customer=customer, alerts=untold, now=now)
    for alert in alerts:
        closing = closings[alert.open_key]
        alert.recovered_at = max(closing.ended_at, alert.opened_at)
        alert.recovered_value = closing.value
        alert.ending = closing.ending
        alert.stale_since = None
    bulk.update(alerts, ["recovered_at", "recovered_value", "ending", "stale_since"])
    holding.end_holds(alerts, now)
    recoveries = [
        incidents.Recovery(
            alert.incident_id,
            alert.key,
            _closing_text(closings[alert.open_key], alert.recovered_at - alert.opened_at),
            alert.recovered_at,
            how="" if alert.ending in GOOD_AGAIN else str(Ending(alert.ending).label),
        )
        for alert in alerts
        if alert.incident_id is not None and alert.recovered_at is not None
    ]
    incidents.record_recoveries(customer=customer, recoveries=recoveries, now=now)
    holding.causes_ended(customer=customer, alerts=alerts, now=now)
    _tell_pages(alerts)
    return list(alerts)


def _mends(alert: Alert, closing: Closing) -> bool:
    """Whether the figures say that it is good, rather than that it is gone or no longer looked at."""
    return not alert.is_event and closing.ending in (Ending.RECOVERED, Ending.PASSED, Ending.DATA_BACK)


@transaction.atomic
def open_event(
    *,
    customer: Customer,
    asset: Asset,
    rule_id: str,
    severity: Severity,
    title: str,
    text: str,
    key: str,
    occurred_at: datetime,
    now: datetime,
    titles: Mapping[str, str] | None = None,
) -> Alert:
    """Open the alert of something that happened, inside the customer's scope; one that is open under `key` stays.

    It stays open until `close_event`. `title` and `text` are in the customer's language, `titles` ("zh", "en") for
    readers in theirs. `key` names the event within the customer.
    """
    if rule_id not in EXTRA_RULES and rule_id not in RULES:
        raise ValueError(f"{rule_id} is not in monitoring.extra_rules")
    registry.hold_ledger(customer.pk)
    opening = Opening(
        key=event_key(customer.pk, key),
        asset=asset,
        rule_id=rule_id,
        severity=severity,
        title=title,
        text=text,
        first_breach_at=occurred_at,
        opened_at=occurred_at,
        titles=titles or {},
    )
    opened = open_all(customer=customer, openings=[opening], now=now)
    return opened[0] if opened else Alert.objects.open().get(open_key=opening.key)


@transaction.atomic
def close_event(*, customer: Customer, key: str, now: datetime, ending: str = Ending.PASSED) -> Alert | None:
    """End the alert of an event; None when none is open."""
    registry.hold_ledger(customer.pk)
    closing = Closing(event_key(customer.pk, key), now, ending)
    return next(iter(close(customer=customer, closings=[closing], now=now)), None)


def event_key(customer_id: int, key: str) -> str:
    return f"event/{customer_id}/{key}"


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def describe(effective: Effective) -> dict[str, object]:
    """The rule as it held, for the record and for the line on the graph."""
    return {
        "conditions": [_condition(each) for each in effective.conditions],
        "recovery": [_condition(each) for each in effective.recovery],
        "times": effective.times,
        "period_s": effective.period_s,
        **({"channels": list(effective.channels)} if effective.channels else {}),
    }


def _condition(condition: Condition) -> dict[str, object]:
    return {
        "subject": condition.subject,
        "comparator": condition.comparator.value,
        "threshold": condition.threshold,
        "unit": condition.unit,
        "limit": condition.limit if condition.form is Form.VALUE else None,
    }


def _opening(series: Series, effective: Effective, move: Move, column: storage.Column) -> Opening:
    rule, asset = effective.rule, series.asset
    run = (column.ts >= move.first_ts) & (column.ts <= move.ts)
    samples = list(zip(column.ts[run].tolist(), column.value[run].tolist(), strict=True))
    return Opening(
        key=open_key(rule.id, series),
        asset=asset,
        rule_id=rule.id,
        severity=Severity[effective.severity.upper()],
        title=wording.title(asset=asset.name, rule=rule, labels=series.labels),
        text=wording.opened_text(move.value, effective),
        first_breach_at=moment(move.first_ts),
        opened_at=moment(move.ts),
        series_id=series.pk,
        labels=series.labels,
        value=move.value,
        condition=describe(effective),
        samples=samples[-SAMPLES_KEPT:],
    )


def _samples(plan: Plan, moved: Transitions, series: Mapping[int, Series]) -> Mapping[int, storage.Column]:
    """The stored points of every series that opens an alert, around the run that opened it."""
    spans: dict[int, storage.Span] = {}
    for at in moved.opens.nonzero()[0].tolist():
        one = series[int(plan.first[moved.binding[at]])]
        first, last = int(moved.first_ts[at]), int(moved.ts[at])
        known = spans.get(one.pk)
        if known is not None:
            first, last = min(known.first, first), max(known.last, last)
        spans[one.pk] = storage.Span(one.asset_id, one.pk, first, last)
    return storage.read_spans(list(spans.values())) if spans else {}


def _alert(customer: Customer, opening: Opening, now: datetime) -> Alert:
    return Alert(
        customer=customer,
        asset=opening.asset,
        series_id=opening.series_id,
        rule_id=opening.rule_id,
        labels=opening.labels,
        open_key=opening.key,
        severity=opening.severity,
        title=opening.title[:300],
        text=opening.text,
        titles=dict(opening.titles),
        value=opening.value,
        condition=dict(opening.condition),
        samples=list(opening.samples),
        first_breach_at=opening.first_breach_at,
        opened_at=opening.opened_at,
        detected_at=now,
    )


def _ending(effective: Effective) -> str:
    return Ending.RECOVERED if effective.recovery else Ending.PASSED


def _closing_text(closing: Closing, lasted: timedelta) -> str:
    text = wording.recovered_text(closing.value, closing.effective, lasted)
    if closing.ending == Ending.RECOVERED:
        return text
    return f"{Ending(closing.ending).label}. {text}"


def _tell_pages(alerts: Sequence[Alert]) -> None:
    """One hint for the whole batch: pages ask for their list again, whatever changed."""
    if alerts:
        live.publish(customer_id=alerts[-1].customer_id, topic="alerts", object_id=alerts[-1].pk)
