"""Leasing rows of the outbox: each with the attempt that is about to be made, in the claiming transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts import bulk
from notify.models import Attempt, Delivery
from notify.states import State

LEASE = timedelta(seconds=30)  # longer than any call to a robot or webhook can take (12 s)
MAIL_LEASE = timedelta(minutes=3)
PERSONAL_LEASE = timedelta(minutes=2)  # of push: several devices, one after the other


@dataclass(frozen=True)
class Claim:
    """What one worker may do now: send this delivery and settle this attempt."""

    delivery: Delivery
    attempt: Attempt
    maybe_repeat: bool


def lease(deliveries: Iterable[Delivery], now: datetime, *, robot: str = "") -> list[Claim]:
    """Lease rows that are locked. `robot`: whose budget the attempts count against, when no channel says it."""
    rows = list(deliveries)
    if not rows:
        return []
    before = Counter[int]()
    doubtful = set()
    for delivery_id, verdict, settled_at in Attempt.objects.filter(delivery__in=rows).values_list(
        "delivery_id", "verdict", "settled_at"
    ):
        before[delivery_id] += 1
        is_lost = settled_at is None and verdict != Attempt.Verdicts.RATE
        if verdict == Attempt.Verdicts.UNCERTAIN or is_lost:
            doubtful.add(delivery_id)
    for row in rows:
        row.state = State.SENDING
        row.tries += 1
        row.lease_until = now + _lease_of(row)
    bulk.update(rows, ["state", "tries", "lease_until"])
    attempts = Attempt.objects.bulk_create(
        Attempt(
            customer_id=row.customer_id,
            delivery=row,
            channel=row.channel,
            robot=row.channel.robot if row.channel else robot,
            number=before[row.pk] + 1,
            started_at=now,
        )
        for row in rows
    )
    return [Claim(row, attempt, row.pk in doubtful) for row, attempt in zip(rows, attempts, strict=True)]


def _lease_of(row: Delivery) -> timedelta:
    if row.medium == Delivery.Medium.EMAIL:
        return MAIL_LEASE
    return LEASE if row.channel_id else PERSONAL_LEASE
