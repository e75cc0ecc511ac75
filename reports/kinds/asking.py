"""What a part of a report is asked with: whose, of which stretch of time, and what all parts read once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise

from accounts.models import Customer
from assets.models import Asset
from incidents.months import Month
from monitoring import storage
from monitoring.models import Series
from monitoring.packing import Rollup
from reports import figures
from reports.blocks import Part

STEP_S: Final = 300
MOST_ROWS: Final = 5000
"""Rows of a table that are kept; how many of them are drawn: `blocks.Table.drawn`."""


@dataclass(frozen=True)
class Asked:
    """A stretch of time of one customer, half open, clipped to the time in which it was served. Within its scope, and
    with the report's language active. `wishes` are what the person who asked for it typed."""

    customer: Customer
    month: Month
    start: datetime
    end: datetime
    now: datetime
    wishes: Mapping[str, Any]

    @cached_property
    def assets(self) -> list[Asset]:
        """Whatever was there for a part of the time: what was retired in it counts, what came after it does not.

        Of a report about some resources, those alone.
        """
        rows = Asset.objects.filter(customer=self.customer, created_at__lt=self.end)
        if chosen := self.wishes.get("assets"):
            rows = rows.filter(pk__in=chosen)
        return list(rows.exclude(retired_at__lte=self.start).order_by("name", "pk"))

    def is_there(self, asset: Asset) -> bool:
        """Whether it was looked after at the end of the stretch."""
        return asset.retired_at is None or asset.retired_at >= self.end

    def about(self, rows: QuerySet[Any], asset: str = "asset") -> QuerySet[Any]:
        """Of a report about some resources, the rows of those alone; `asset` is the way to them."""
        chosen = self.wishes.get("assets")
        return rows.filter(**{f"{asset}__in": chosen}) if chosen else rows

    @cached_property
    def until(self) -> datetime:
        """The end of what can be known."""
        return min(self.end, self.now)

    def series(self, metrics: Collection[str]) -> dict[int, list[Series]]:
        """Series of these metrics by asset."""
        found: dict[int, list[Series]] = {}
        rows = Series.objects.filter(asset__in=[asset.pk for asset in self.assets], metric__in=metrics)
        for row in rows.order_by("asset_id", "metric", "labels"):
            found.setdefault(row.asset_id, []).append(row)
        return found

    def steps(self, series: Sequence[Series]) -> dict[int, Rollup]:
        """Steps of five minutes by series id."""
        ids = [one.pk for one in series]
        return storage.rollup(series_ids=ids, start=self.start, end=self.until, step_s=STEP_S) if ids else {}

    def days(self) -> list[datetime]:
        """The midnights (Shanghai) at which the days of the stretch begin."""
        first = timezone.localtime(self.start).replace(hour=0, minute=0, second=0, microsecond=0)
        return [first + timedelta(days=count) for count in range(figures.days_between(first, self.end))]


@dataclass(frozen=True, slots=True)
class PartOf:
    """A part of a kind: its name, what people call it, and who reads it. `is_by_hand`: people must write it."""

    name: str
    title: str | Promise
    read: Callable[[Asked], Part]
    is_by_hand: bool = False
