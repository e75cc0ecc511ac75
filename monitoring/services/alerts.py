"""Opening and closing alerts, each together with its incident, in the transaction that judged the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.utils import translation

from accounts import bulk
from accounts.models import Customer, Severity
from assets.models import Asset
from incidents import services as incidents
from monitoring import registry, wording
from monitoring.evaluate import Transitions
from monitoring.extra_rules import EXTRA_RULES
from monitoring.levels import Effective
from monitoring.models import Alert
from monitoring.plan import Plan
from monitoring.rules import RULES
from monitoring.services import flaps, holding, storms
from monitoring.services.openings import Opening, Openings, moment, open_key, things_of
from notify import live

Ending = Alert.Ending
GOOD_AGAIN: Final = (Ending.RECOVERED, Ending.DATA_BACK)
"""Endings that a figure has shown. All others end an alert without anything being said to have recovered."""


@dataclass(frozen=True, slots=True)
class Closing:
    """An open alert about to end."""

    key: str
    ended_at: datetime
    ending: str
    value: float | None = None
    effective: Effective | None = None
    text: str = ""
    """How it ended where whoever ends it knows more than the figures; in the customer's language."""


def apply(*, customer_id: int, plan: Plan, moved: Transitions, is_storm: bool, now: datetime) -> None:
    """Carry out transitions in the order of their data points, in the customer's scope.

    `is_storm`: so many open in this transaction that what follows from them comes later.
    """
    customer = Customer.objects.get(pk=customer_id)
    things = things_of(plan.first[moved.binding].tolist())
    with translation.override(customer.language):
        put = Openings(plan, moved, things, is_storm=is_storm)
        openings: dict[str, Opening] = {}
        closings: dict[str, Closing] = {}
        order = moved.ts.argsort(kind="stable")
        columns = (moved.binding, moved.first_ts, moved.ts, moved.value, moved.opens)
        for binding, first_ts, ts, value, opens in zip(*(column[order].tolist() for column in columns), strict=True):
            effective, thing = plan.effective[binding], things[int(plan.first[binding])]
            key = open_key(effective.rule.id, thing.asset_id, thing.labels)
            if opens:
                if key in closings:
                    close(customer=customer, closings=closings.values(), now=now)
                    closings.clear()
                openings[key] = put.of(binding, first_ts=first_ts, ts=ts, value=value)
            else:
                if key in openings:
                    open_all(customer=customer, openings=openings.values(), is_storm=is_storm, now=now)
                    openings.clear()
                closings[key] = Closing(key, moment(ts), _ending(effective), value, effective)
        open_all(customer=customer, openings=openings.values(), is_storm=is_storm, now=now)
        close(customer=customer, closings=closings.values(), now=now)


def open_all(*, customer: Customer, openings: Iterable[Opening], now: datetime, is_storm: bool = False) -> list[Alert]:
    """Open alerts that are not open yet, each with its incident (of many at once: right after, `storms`).

    The customer's ledger must be held.

    The worst comes first: a storm's incident gets its severity and clocks once instead of rising step by step.
    """
    wanted = {opening.key: opening for opening in sorted(openings, key=lambda one: one.severity)}
    if not wanted:
        return []
    again = [(alert, wanted.pop(alert.open_key).opened_at) for alert in _open_under(list(wanted))]
    flaps.went_bad(customer=customer, moves=again, now=now)
    alerts = [_alert(customer, opening, now) for opening in wanted.values()]
    bulk.insert(alerts)
    flaps.watch_new(alerts, now)
    loud = holding.hold_new(customer=customer, alerts=alerts, now=now)
    is_storm = is_storm or len(loud) > storms.AT_ONCE
    if not is_storm:
        holding.tell(customer=customer, alerts=loud, now=now)
    if is_storm or any(alert.samples is None for alert in alerts):
        storms.tell_later(customer.pk)
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
        asset_id=asset.pk,
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
def close_event(
    *, customer: Customer, key: str, now: datetime, ending: str = Ending.PASSED, text: str = ""
) -> Alert | None:
    """End the alert of an event; None when none is open."""
    registry.hold_ledger(customer.pk)
    closing = Closing(event_key(customer.pk, key), now, ending, text=text)
    return next(iter(close(customer=customer, closings=[closing], now=now)), None)


def event_key(customer_id: int, key: str) -> str:
    return f"event/{customer_id}/{key}"


def _open_under(keys: list[str]) -> list[Alert]:
    """The open alerts with these keys. In a storm there is none, which is found out without a row per key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM monitoring_alert WHERE recovered_at IS NULL AND open_key = ANY(%s)", [bulk.array(keys)]
        )
        found = [pk for (pk,) in cursor]
    return list(Alert.objects.open().filter(pk__in=found).select_related("asset")) if found else []


_BLANK: Final = {field.attname: field.get_default() for field in Alert._meta.concrete_fields}
_FIELDS: Final = tuple(_BLANK)


def _alert(customer: Customer, opening: Opening, now: datetime) -> Alert:
    """Values in the order of the columns: by name each alert of a storm would take three times as long."""
    values = _BLANK | {
        "customer_id": customer.pk,
        "asset_id": opening.asset_id,
        "series_id": opening.series_id,
        "rule_id": opening.rule_id,
        "labels": opening.labels,
        "open_key": opening.key,
        "severity": int(opening.severity),
        "title": opening.title[:300],
        "text": opening.text,
        "titles": opening.titles or _BLANK["titles"],
        "value": opening.value,
        "condition": opening.condition,
        "samples": opening.samples,
        "first_breach_at": opening.first_breach_at,
        "opened_at": opening.opened_at,
        "detected_at": now,
    }
    return Alert.from_db(connection.alias, _FIELDS, tuple(values.values()))


def _ending(effective: Effective) -> str:
    return Ending.RECOVERED if effective.recovery else Ending.PASSED


def _closing_text(closing: Closing, lasted: timedelta) -> str:
    text = " ".join(filter(None, (closing.text, wording.recovered_text(closing.value, closing.effective, lasted))))
    if closing.ending == Ending.RECOVERED:
        return text
    return f"{Ending(closing.ending).label}. {text}"


def _tell_pages(alerts: Sequence[Alert]) -> None:
    """One hint for the whole batch: pages ask for their list again, whatever changed."""
    if alerts:
        live.publish(customer_id=alerts[-1].customer_id, topic="alerts", object_id=alerts[-1].pk)
