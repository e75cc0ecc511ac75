"""Working out when disks will be full, and what is usual at an hour of the week. Advice only: no alert comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import scope
from accounts.models import Customer
from monitoring import baseline, storage
from monitoring.forecast import Forecast, to_full
from monitoring.models import Outlook, Series
from monitoring.wording import labels_shown
from notify import live

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
    live.publish(customer_id=customer.pk, topic="outlooks", object_id=customer.pk)
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


DRAWN: Final = timedelta(days=90)
MIRRORED: Final[Mapping[str, str]] = {"host.fs.free_pct": "host.fs.used_pct"}
"""What is foretold of the first is drawn upside down on the graph of the second: both are shares of one whole."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The trend of a curve up to where it is full: from one point to another (Unix milliseconds), and in words."""

    series_id: int
    since: int
    level: float
    full: int
    limit: float
    text: str
    label: str

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.series_id,
            "from": self.since,
            "level": self.level,
            "to": self.full,
            "limit": self.limit,
            "text": self.text,
            "label": self.label,
        }


def ahead(*, series: Sequence[Series], until: datetime) -> list[Ahead]:
    """What is foretold of curves of one asset that are drawn up to `until`, the soonest first; nothing on graphs of
    times that are past."""
    drawn = {(one.metric, one.labels): one for one in series}
    metrics = {metric for metric, _labels in drawn} & {*LIMITS, *MIRRORED.values()}
    if not metrics:
        return []
    rows = Outlook.objects.filling(until + DRAWN).filter(series__asset=series[0].asset_id, made_at__lte=until)
    found = []
    for row in rows.filter(full_at__gt=until).select_related("series"):
        mirrored = MIRRORED.get(row.series.metric)
        one = drawn.get((row.series.metric, row.series.labels))
        twin = drawn.get((mirrored, row.series.labels)) if mirrored else None
        if one is not None:
            found.append(_ahead(row, one, row.level, row.limit, until))
        elif twin is not None:
            found.append(_ahead(row, twin, 100.0 - row.level, 100.0 - row.limit, until))
    return found


def _ahead(row: Outlook, drawn: Series, level: float, limit: float, until: datetime) -> Ahead:
    assert row.full_at is not None  # noqa: S101 - `filling` finds only such
    day = date_format(timezone.localtime(row.full_at), "SHORT_DATE_FORMAT")
    days = round(row.days_left(until) or 0.0)
    text = ngettext(
        "%(what)s: expected to be full on %(day)s, in %(days)s day",
        "%(what)s: expected to be full on %(day)s, in %(days)s days",
        days,
    ) % {"what": labels_shown(drawn.labels) or drawn.name, "day": day, "days": days}
    if row.earliest_at is not None and row.latest_at is not None:
        first, last = (
            date_format(timezone.localtime(at), "SHORT_DATE_FORMAT") for at in (row.earliest_at, row.latest_at)
        )
        if first != last:
            text += _(" (between %(first)s and %(last)s)") % {"first": first, "last": last}
    label = _("full %(day)s") % {"day": timezone.localtime(row.full_at).strftime("%m-%d")}
    return Ahead(drawn.pk, _ms(row.made_at), level, _ms(row.full_at), limit, text, label)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


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
