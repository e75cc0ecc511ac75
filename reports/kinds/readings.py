"""What the parts over monitoring share: the series of assets over the time in which each asset was there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from assets.models import Asset
from monitoring.collectors import parse_labels
from monitoring.models import Series
from monitoring.packing import Rollup
from reports import figures
from reports.blocks import Cell, Chart, Column, Curve, Remark, Source, Table
from reports.kinds.asking import MOST_ROWS, STEP_S, Asked

AT_ONCE: Final = 200
"""Series whose steps are in memory at a time: a month of one is a third of a megabyte."""
NAMED: Final = 5
"""Names that a sentence lists before it counts the others."""
STEP_MS: Final = STEP_S * 1000


@dataclass(frozen=True)
class Reading:
    """One series while its asset was there: `steps` is how many steps of five minutes that was."""

    series: Series
    rollup: Rollup
    steps: int

    @property
    def metric(self) -> str:
        return self.series.metric

    @cached_property
    def labels(self) -> Mapping[str, str]:
        return parse_labels(self.series.labels)

    @cached_property
    def summary(self) -> figures.Summary:
        kept = self.rollup
        return figures.summary(kept.mean, kept.low, kept.high, kept.count, steps=self.steps)

    @property
    def availability(self) -> float | None:
        """Of a result code: how many of its rounds were good, in per cent."""
        return figures.availability(figures.bad_share(self.rollup.mean, self.rollup.high), self.rollup.count)


def stay(asked: Asked, asset: Asset) -> tuple[datetime, datetime]:
    """The part of the stretch in which an asset was there; ends before it begins when it was not."""
    return max(asked.start, asset.created_at), min(asked.until, asset.retired_at or asked.until)


def steps_of(asked: Asked, asset: Asset) -> tuple[int, int]:
    """Where an asset's first step begins and its last one ends, Unix milliseconds."""
    start, end = (round(moment.timestamp() * 1000) for moment in stay(asked, asset))
    return start // STEP_MS * STEP_MS, -(-end // STEP_MS) * STEP_MS


def readings(
    asked: Asked, assets: Sequence[Asset], metrics: Collection[str]
) -> Iterator[tuple[Asset, Sequence[Reading]]]:
    """Every asset with its series of these metrics, also one that has none. Some at a time: a month is much."""
    known = asked.series(metrics)
    for some in _portions(assets, known):
        found = asked.steps([one for asset in some for one in known.get(asset.pk, ())])
        for asset in some:
            first, last = steps_of(asked, asset)
            count = max((last - first) // STEP_MS, 0)
            mine = known.get(asset.pk, ())
            yield asset, [Reading(one, _within(found[one.pk], first, last), count) for one in mine]


def _portions(assets: Sequence[Asset], known: Mapping[int, Sequence[Series]]) -> Iterator[Sequence[Asset]]:
    some: list[Asset] = []
    size = 0
    for asset in assets:
        count = len(known.get(asset.pk, ()))
        if some and size + count > AT_ONCE:
            yield some
            some, size = [], 0
        some.append(asset)
        size += count
    if some:
        yield some


def _within(rollup: Rollup, first: int, last: int) -> Rollup:
    low, high = np.searchsorted(rollup.ts, [first, max(first, last)])
    names = ("ts", "low", "high", "mean", "count")
    return Rollup(**{name: getattr(rollup, name)[low:high] for name in names})


# --- days ---


def edges(asked: Asked) -> list[int]:
    """Where the days of the stretch begin, and where the last one ends: Unix milliseconds."""
    return [round(moment.timestamp() * 1000) for moment in (*asked.days(), asked.end)]


def daily(asked: Asked, rollup: Rollup) -> list[float | None]:
    """The mean of every day of the stretch, Shanghai time."""
    return figures.by_day(rollup.ts, rollup.mean, rollup.count, edges(asked))


def day_chart(asked: Asked, key: str, title: str, curves: Sequence[Curve], source: Source, **more: object) -> Chart:
    """Curves with a value for each day."""
    labels = tuple(f"{day:%m-%d}" for day in asked.days())
    return Chart(key, title, labels, tuple(curves), source, **more)  # type: ignore[arg-type]  # options of Chart


def table(  # noqa: PLR0917 - what a table is made of
    key: str, title: str, columns: tuple[Column, ...], rows: Sequence[tuple[Cell, ...]], source: Source, empty: str
) -> Table:
    """As many rows as fit, with how many did not."""
    left_out = max(len(rows) - MOST_ROWS, 0)
    return Table(key, title, columns, tuple(rows[:MOST_ROWS]), source, left_out=left_out, empty=empty)


def enough_of(seen: Mapping[str, Sequence[figures.Summary]]) -> list[str]:
    """The names of those figures of which every one is known over enough of the time: only they can be praised."""
    return [name for name, found in seen.items() if found and all(map(is_covered, found))]


def is_covered(one: figures.Summary) -> bool:
    return one.coverage >= figures.ENOUGH


# --- words ---


def listed(asked: Asked, name: str) -> str:
    """A list of the portal, of this customer alone."""
    return f"{reverse(name)}?customer={asked.customer.pk}"


def is_chinese() -> bool:
    return (get_language() or "zh").startswith("zh")


def names_of(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    first = (_(", ")).join(names[:NAMED])
    more = len(names) - NAMED
    if more <= 0:
        return first
    return ngettext("%(names)s and %(count)d more", "%(names)s and %(count)d more", more) % {
        "names": first,
        "count": more,
    }


def iso(at: datetime | None) -> str | None:
    return None if at is None else timezone.localtime(at).isoformat()


def missing(names: Sequence[str]) -> list[Remark]:
    """Which of them have no data at all."""
    if not names:
        return []
    text = _("No data of the whole time: %(names)s. Nothing is said of them below.") % {"names": names_of(names)}
    return [Remark(text, is_warning=True)]


def patchy(found: Mapping[str, float]) -> list[Remark]:
    """Which of them, by name and coverage, have data for too little of the time."""
    short = [name for name, coverage in found.items() if 0 < coverage < figures.ENOUGH]
    if not short:
        return []
    text = _("Less than %(share)d %% of the time has data: %(names)s. Their figures speak of that time alone.")
    return [Remark(text % {"share": round(figures.ENOUGH * 100), "names": names_of(short)}, is_warning=True)]
