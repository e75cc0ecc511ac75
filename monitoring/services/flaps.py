"""Alerts that come and go: kept open as one, told once and then ever less often, ended when it has been quiet.

The customer's ledger must be held by whoever calls `went_bad`, `went_good` and `watch_new`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import bulk
from accounts.models import Customer
from incidents import services as incidents
from monitoring.flapping import Policy, is_flapping, quiet_at, reminder_at
from monitoring.models import Alert
from monitoring.services import holding
from timers import services as timers

KEPT: Final = 200
"""Changes kept on an alert; older ones say nothing new."""
Moves = Sequence[tuple[Alert, datetime]]


def policy(changes: int | None = None, window_s: int | None = None) -> Policy:
    """The platform's limits, but for those that are given."""
    return Policy(
        changes=changes or settings.FLAP_CHANGES,
        window=timedelta(seconds=window_s or settings.FLAP_WINDOW_S),
        quiet=timedelta(seconds=settings.FLAP_QUIET_S),
    )


def policy_of(alert: Alert) -> Policy:
    """The limits of the rule as it held when the alert opened."""
    return policy(alert.condition.get("flap_changes"), alert.condition.get("flap_window_s"))


def watch_new(alerts: Sequence[Alert], now: datetime) -> None:
    """Mark those of the alerts just made that have come and gone too often lately. Not saved."""
    changes = _changes(alerts)
    for alert in alerts:
        if alert.open_key in changes and is_flapping(
            [*changes[alert.open_key], alert.opened_at], alert.opened_at, policy_of(alert)
        ):
            alert.flapping_since = alert.opened_at
            alert.text = "\n\n".join([alert.text, _text(alert, len(changes[alert.open_key]) + 1)])
            _arm(alert, now)


def went_good(*, customer: Customer, moves: Moves, now: datetime) -> set[int]:
    """Alerts whose figures are good again; returns the ids of those that stay open because they flap."""
    changes = _changes([alert for alert, _ in moves if alert.flapping_since is None])
    began: list[tuple[Alert, int]] = []
    kept = []
    for alert, at in moves:
        if alert.is_calm:
            kept.append(alert)
            continue
        if alert.flapping_since is None:
            known = [*changes.get(alert.open_key, ()), alert.opened_at, at]
            if not is_flapping(known, at, policy_of(alert)):
                continue
            alert.flapping_since = at
            began.append((alert, len(known)))
            _arm(alert, now)
        alert.is_calm = True
        _note(alert, at, is_bad=False)
        kept.append(alert)
    _save(kept)
    _say_began(customer, began, now)
    return {alert.pk for alert in kept}


def went_bad(*, customer: Customer, moves: Moves, now: datetime) -> None:
    """Open alerts whose figures are bad again: of those that flap it is noted, of others it is nothing new."""
    known = [(alert, at) for alert, at in moves if alert.flapping_since is not None and alert.is_calm]
    for alert, at in known:
        alert.is_calm = False
        _note(alert, at, is_bad=True)
    _save([alert for alert, _ in known])
    untold = [alert for alert, _ in known if not alert.held]
    holding.tell(customer=customer, alerts=untold, now=now)


def _changes(alerts: Collection[Alert]) -> dict[str, list[datetime]]:
    """When alerts like these opened and ended lately, without themselves, by open key."""
    if not alerts:
        return {}
    since = min(alert.opened_at - policy_of(alert).window for alert in alerts)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT open_key, opened_at, recovered_at FROM monitoring_alert WHERE customer_id = ANY(%s)"
            " AND opened_at > %s AND recovered_at IS NOT NULL AND open_key = ANY(%s)",
            [list({alert.customer_id for alert in alerts}), since, bulk.array([alert.open_key for alert in alerts])],
        )
        rows = cursor.fetchall()
    found: dict[str, list[datetime]] = {}
    for key, opened_at, recovered_at in rows:
        found.setdefault(key, []).extend(at for at in (opened_at, recovered_at) if at is not None)
    return found


def last_change(alert: Alert) -> datetime:
    if not alert.flaps:
        return alert.flapping_since or alert.opened_at
    return datetime.fromtimestamp(alert.flaps[-1][0] / 1000, tz=UTC)


def next_look(alert: Alert) -> datetime:
    """When it may be over, or is to be said again."""
    begun = alert.flapping_since or alert.opened_at
    return min(quiet_at(last_change(alert), policy_of(alert)), reminder_at(begun, alert.reminders, policy_of(alert)))


def arm(alert: Alert, due_at: datetime) -> None:
    timers.set(
        key=f"alert-flap:{alert.pk}",
        due_at=due_at,
        task="monitoring.look_at_flapping",
        args={"alert_id": alert.pk},
        customer=alert.customer_id,
    )


def remind(customer: Customer, alert: Alert, text: str, now: datetime, *, flaps: bool) -> None:
    """Say it on the alert's incident, unless it is held back or somebody has it in hand."""
    if alert.incident_id is not None and not alert.held and not alert.is_acknowledged:
        reminder = incidents.Reminder(alert.incident_id, alert.key, text, flaps=flaps)
        incidents.remind(customer=customer, reminders=[reminder], now=now)


def _arm(alert: Alert, now: datetime) -> None:
    arm(alert, max(now, next_look(alert)))


def _note(alert: Alert, at: datetime, *, is_bad: bool) -> None:
    alert.flaps = [*alert.flaps, [round(at.timestamp() * 1000), is_bad]][-KEPT:]


def _save(alerts: Sequence[Alert]) -> None:
    bulk.update(alerts, ["flapping_since", "is_calm", "flaps"])


def _text(alert: Alert, count: int) -> str:
    minutes = round(policy_of(alert).window.total_seconds() / 60)
    said = ngettext(
        "It came and went: %(count)s change within %(minutes)s minutes. It is told ever less often until it is quiet.",
        "It came and went: %(count)s changes within %(minutes)s minutes. It is told ever less often until it is quiet.",
        count,
    )
    return said % {"count": count, "minutes": minutes}


def _say_began(customer: Customer, began: Sequence[tuple[Alert, int]], now: datetime) -> None:
    if not began:
        return
    with translation.override(customer.language):
        for alert, count in began:
            remind(customer, alert, _text(alert, count), now, flaps=True)


def say_still(customer: Customer, alert: Alert, now: datetime) -> None:
    """The reminder of an alert that goes on flapping."""
    with translation.override(customer.language):
        text = _("Still flapping: %(count)s changes since %(time)s.") % {
            "count": len(alert.flaps),
            "time": f"{alert.flapping_since:%m-%d %H:%M}" if alert.flapping_since else "",
        }
        remind(customer, alert, text, now, flaps=True)
