"""Working out when disks will be full, and what is usual at an hour of the week. Advice only: no alert comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from accounts import scope
from accounts.models import Customer
from monitoring import baseline, storage
from monitoring.forecast import Forecast, to_full
from monitoring.models import Outlook, Series

LIMITS: Final[Mapping[str, float]] = {
    "host.fs.free_pct": 0.0,
    "host.fs.inode_free_pct": 0.0,
    "ecs.disk.util": 100.0,
    "ecs.inode.util": 100.0,
    "rds.disk.util": 100.0,
    "mongodb_cloud.disk.util": 100.0,
    "es_cloud.node.disk.util": 100.0,
}
"""What fills, and the value at which it is full."""
LOOK_BACK: Final = timedelta(days=14)
WEEKS: Final = timedelta(weeks=5)
AT_ONCE: Final = 200
ZONE: Final = ZoneInfo("Asia/Shanghai")
HOUR_S: Final = 3600
FIELDS: Final = ("level", "limit", "per_day", "full_at", "earliest_at", "latest_at", "confidence", "made_at")


def run(*, now: datetime) -> int:
    """Every customer, each in its own scope; returns how many outlooks were worked out."""
    with scope.platform("whose disks are looked at"):
        customers = list(Customer.objects.exclude(status=Customer.Status.LEFT))
    made = 0
    for customer in customers:
        with scope.customer(customer):
            made += refresh(customer=customer, now=now)
    return made


def refresh(*, customer: Customer, now: datetime) -> int:
    """Work out all outlooks of a customer anew, inside its scope. Series that are gone lose theirs."""
    series = list(Series.objects.filter(metric__in=LIMITS, asset__retired_at=None).order_by("pk"))
    rows: list[Outlook] = []
    for low in range(0, len(series), AT_ONCE):
        part = series[low : low + AT_ONCE]
        steps = storage.rollup(series_ids=[one.pk for one in part], start=now - LOOK_BACK, end=now, step_s=HOUR_S)
        for one in part:
            found = steps.get(one.pk)
            forecast = None if found is None else to_full(found.ts, found.mean, limit=LIMITS[one.metric])
            if forecast is not None:
                rows.append(_row(customer, one, forecast, now))
    Outlook.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["series"], update_fields=FIELDS, batch_size=1000
    )
    Outlook.objects.filter(customer=customer).exclude(made_at=now).delete()
    return len(rows)


def _row(customer: Customer, series: Series, forecast: Forecast, now: datetime) -> Outlook:
    return Outlook(
        customer=customer,
        series=series,
        level=forecast.now,
        limit=LIMITS[series.metric],
        per_day=forecast.per_day,
        full_at=_moment(forecast.full),
        earliest_at=_moment(forecast.earliest),
        latest_at=_moment(forecast.latest),
        confidence=forecast.confidence.value,
        made_at=now,
    )


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, tz=UTC)


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual hour by hour: Unix milliseconds and the edges of the band; hours of which nothing is known are
    left out. `unusual` are the hours whose mean lies outside."""

    ts: list[int]
    low: list[float]
    high: list[float]
    unusual: list[int]


def usual(*, series: Series, start: datetime, end: datetime) -> Usual:
    """What is usual of a series in a span, learned from the five weeks before it."""
    known = storage.rollup(series_ids=[series.pk], start=start - WEEKS, end=start, step_s=HOUR_S).get(series.pk)
    there = storage.rollup(series_ids=[series.pk], start=start, end=end, step_s=HOUR_S).get(series.pk)
    if known is None:
        return Usual([], [], [], [])
    learned = baseline.learn(known.ts, known.mean, ZONE)
    first = int(start.timestamp()) // HOUR_S * HOUR_S
    hours = np.arange(first, int(end.timestamp()) + 1, HOUR_S, dtype=np.int64) * 1000
    low, high = learned.band(hours)
    seen = np.isfinite(low)
    odd = there.ts[learned.unusual(there.ts, there.mean)].tolist() if there is not None else []
    return Usual(hours[seen].tolist(), low[seen].tolist(), high[seen].tolist(), odd)
