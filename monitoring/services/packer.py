"""Moves closed hours from raw rows into packed ones, makes the steps of closed days, and forgets what is past keeping.

Each portion is one transaction that takes raw rows away and puts packed ones in their place: whoever dies in the middle
has moved nothing. A portion belongs to whoever holds the customer's advisory lock; a second worker leaves that
customer alone. Taking in batches goes on meanwhile: it only adds raw rows, and points that come late for a packed hour
are simply found there at the next round and merged. No account is kept of what has been packed, so none can be wrong.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from accounts import scope
from accounts.models import Customer
from monitoring import archive
from monitoring.models import CloudUse, Event, Newest, Retention, SlowStatement

log = logging.getLogger(__name__)

GRACE: Final = timedelta(minutes=10)
"""An hour is closed this long after its end: most of what comes late has come by then."""
ASSETS_AT_ONCE: Final = 40
HOURS_AT_ONCE: Final = timedelta(hours=6)
DAYS_AT_ONCE: Final = 20
ROWS_AT_ONCE: Final = 20_000
LONGEST_LADDER: Final = timedelta(days=366)
"""No rung is further from its end (`assets.expiry`)."""
LONGEST: Final = timedelta(seconds=120)
"""A round ends after this long; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What a round has done."""

    points: int = 0
    hours: int = 0
    days: int = 0

    def __add__(self, other: Packed) -> Packed:
        return Packed(self.points + other.points, self.hours + other.hours, self.days + other.days)


def run(*, now: datetime, until: datetime | None = None) -> Packed:
    """Pack what is closed, customer by customer."""
    with scope.platform("whose history is packed"):
        customer_ids = list(Customer.objects.order_by("pk").values_list("pk", flat=True))
    done = Packed()
    for customer_id in customer_ids:
        if until is not None and datetime.now(UTC) > until:
            log.warning("packing goes on in the next round: customers from %s on wait", customer_id)
            break
        with scope.customer(customer_id):
            done += pack_customer(customer_id=customer_id, now=now, until=until)
    return done


def pack_customer(*, customer_id: int, now: datetime, until: datetime | None = None) -> Packed:
    """Pack one customer's closed hours and days, inside its scope."""
    closed = (now - GRACE).replace(minute=0, second=0, microsecond=0)
    assets = list(Newest.objects.filter(customer_id=customer_id).order_by("pk").values_list("pk", flat=True))
    done = Packed()
    while portion := _portion(customer_id, assets, closed):
        done += portion
        if until is not None and datetime.now(UTC) > until:
            return done
    while portion := _close_days(customer_id, closed):
        done += portion
        if until is not None and datetime.now(UTC) > until:
            return done
    return done


@transaction.atomic
def _portion(customer_id: int, assets: list[int], closed: datetime) -> Packed | None:
    """Pack some hours of some assets; None when there are none left, or somebody else is at it."""
    if not archive.claim(customer_id):
        return None
    with archive.as_packer():
        while assets:
            found = archive.waiting(customer_id, assets[:ASSETS_AT_ONCE], closed)
            if found:
                break
            del assets[:ASSETS_AT_ONCE]
        else:
            return None
        oldest = min(at for _, at in found).replace(minute=0, second=0, microsecond=0)
        before = min(closed, oldest + HOURS_AT_ONCE)
        hours = archive.take_raw(customer_id, [asset_id for asset_id, _ in found], before)
        points = archive.add(customer_id, hours)
    return Packed(points=points, hours=len(hours))


@transaction.atomic
def _close_days(customer_id: int, closed: datetime) -> Packed | None:
    if not archive.claim(customer_id):
        return None
    with archive.as_packer():
        days = archive.open_days(customer_id, closed, DAYS_AT_ONCE)
        if not days:
            return None
        archive.close_days(customer_id, days)
    return Packed(days=len(days))


def forget(*, now: datetime) -> int:
    """Delete what is past the time each customer keeps; returns how many rows."""
    with scope.platform("who keeps how much"):
        kept = {row.customer_id: row for row in Retention.objects.all()}
        customer_ids = list(Customer.objects.order_by("pk").values_list("pk", flat=True))
    gone = 0
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for customer_id in customer_ids:
        row = kept.get(customer_id)
        points_days = row.points_days if row else settings.POINTS_DAYS
        steps_days = row.steps_days if row else settings.STEPS_DAYS
        with scope.customer(customer_id), transaction.atomic():
            if not archive.claim(customer_id):
                continue
            assets = list(Newest.objects.filter(customer_id=customer_id).values_list("pk", flat=True))
            with archive.as_packer():
                gone += archive.forget(
                    customer_id,
                    assets,
                    points_before=midnight - timedelta(days=points_days),
                    steps_before=midnight - timedelta(days=steps_days),
                )
            gone += _forget_rows(midnight - timedelta(days=steps_days))
    if gone:
        log.info("%s rows past keeping were deleted", gone)
    return gone


def _forget_rows(before: datetime) -> int:
    """Events, counts of calls and slow statements from before, of the customer in scope; not what lasts into the time
    that is kept, nor the notices by which it is known that an end was told of."""
    old = Event.objects.filter(occurred_at__lt=before).exclude(ends_at__gte=before)
    old = old.exclude(source=Event.Source.EXPIRY, occurred_at__gte=before - LONGEST_LADDER)
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE])
    events, _of = Event.objects.filter(pk__in=ids).delete()
    uses, _of = CloudUse.objects.filter(day__lt=before.date()).delete()
    statements, _of = SlowStatement.objects.filter(day__lt=before.date()).delete()
    return events + uses + statements
