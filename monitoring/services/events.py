"""Recording what happened: once per key, with an alert where it is severe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import Customer, Severity
from assets.models import Asset, CloudAccount
from monitoring.models import Event
from notify import live


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
) -> Event | None:
    """Write down an event; None when it is known already. With a severity it opens an alert on its asset too.

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
    live.publish(customer_id=customer.pk, topic="events", object_id=event.pk)
    return event
