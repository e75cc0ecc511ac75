"""Recording what happened: once per key, with an alert where it is severe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from accounts.models import Customer, Severity
from assets.models import Asset, CloudAccount
from monitoring.models import Alert, Event
from monitoring.services import alerts
from notify import live

Source = Event.Source
RULE_OF: Final[Mapping[str, str]] = {
    Source.CLOUD: "cloud-event",
    Source.MAINTENANCE: "maintenance",
    Source.EXPIRY: "expiry",
    Source.HOST: "host-changed",
    Source.PLATFORM: "platform",
    Source.SECURITY: "security-event",
}
"""Under which name (`monitoring.extra_rules`) an event of each source opens its alert."""


@transaction.atomic
def record(
    *,
    customer: Customer,
    key: str,
    source: str,
    kind: str,
    title_zh: str,
    title_en: str,
    occurred_at: datetime,
    now: datetime,
    asset: Asset | None = None,
    cloud_account: CloudAccount | None = None,
    severity: Severity | None = None,
    detail: Mapping[str, Any] | None = None,
    ends_at: datetime | None = None,
    text_zh: str = "",
    text_en: str = "",
    rule_id: str = "",
    opens_alert: bool = True,
) -> Event | None:
    """Write down an event; None when it is known already. With a severity it opens an alert on its asset too.

    The alert stays open until `close`, under the name of its source unless `rule_id` names it better. What is told
    long after it happened is written down without one (`opens_alert`).

    Two workers that tell the same event at once write it once: the second waits for the first and finds it there.
    """
    event, is_new = Event.objects.get_or_create(
        customer=customer,
        key=key[:300],
        defaults={
            "asset": asset,
            "cloud_account": cloud_account,
            "source": source,
            "kind": kind,
            "severity": severity,
            "title_zh": title_zh[:300],
            "title_en": title_en[:300],
            "detail": dict(detail or {}),
            "occurred_at": occurred_at,
            "ends_at": ends_at,
            "recorded_at": now,
        },
    )
    if not is_new:
        return None
    if opens_alert:
        text = text_zh if customer.language.startswith("zh") else text_en
        _open_alert(event, text, rule_id=rule_id, now=now)
    show(event)
    return event


def _open_alert(event: Event, text: str, *, now: datetime, rule_id: str = "") -> None:
    if event.asset is None or event.level is None:
        return
    title = event.title_zh if event.customer.language.startswith("zh") else event.title_en
    alerts.open_event(
        customer=event.customer,
        asset=event.asset,
        rule_id=rule_id or RULE_OF[event.source],
        severity=event.level,
        title=title,
        text=text or title,
        titles={"zh": event.title_zh, "en": event.title_en},
        key=event.key,
        occurred_at=min(event.occurred_at, now),
        now=now,
    )


@transaction.atomic
def open_again(*, event: Event, text: str, now: datetime) -> None:
    """What was over is not, says whoever told of it: it is open again, with an alert of its own."""
    event = Event.objects.select_for_update(of=("self",)).select_related("customer", "asset").get(pk=event.pk)
    event.ends_at = None
    event.save(update_fields=["ends_at"])
    _open_alert(event, text, now=now)
    show(event)


@transaction.atomic
def close(
    *,
    event: Event,
    at: datetime,
    now: datetime,
    cancelled: bool = False,
    ending: str = Alert.Ending.PASSED,
    text: str = "",
) -> None:
    """The event is over, or called off: its alert ends, and what was drawn as ahead is drawn no longer.

    `text` says how it ended, in the customer's language.
    """
    event = Event.objects.select_for_update(of=("self",)).select_related("customer").get(pk=event.pk)
    if cancelled and event.cancelled_at is None:
        event.cancelled_at = at
    elif event.ends_at is None:
        event.ends_at = max(at, event.occurred_at)
    event.save(update_fields=["cancelled_at", "ends_at"])
    if event.severity is not None and event.asset_id is not None:
        alerts.close_event(customer=event.customer, key=event.key, now=now, ending=ending, text=text)
    show(event)


def show(event: Event) -> None:
    """Tell open pages that an event changed."""
    live.publish(customer_id=event.customer_id, topic="events", object_id=event.pk)
