"""The arithmetic of reports, over rollups, spans and counts. Pure: what goes in and comes out is said in its types.

A mean of means is weighted by how many points each holds. Time without data is left out of every mean and share, and
told as what it is: `coverage`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64] | NDArray[np.int32]
Span = tuple[datetime, datetime | None]
DAY_MS: Final = 86_400_000
ENOUGH: Final = 0.9
"""Of a stretch of time that must have data before its figure stands without a remark."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A series over a stretch of time; None where it has no point. `coverage`: the share of steps with data."""

    mean: float | None
    p95: float | None
    low: float | None
    high: float | None
    last: float | None
    coverage: float


NOTHING: Final = Summary(None, None, None, None, None, 0.0)


def summary(mean: Floats, low: Floats, high: Floats, count: Floats | Ints, *, steps: int) -> Summary:
    """Of a series kept in steps, oldest first; `steps` is how many the stretch has. p95: of the steps' means."""
    if not len(mean):
        return NOTHING
    return Summary(
        mean=float(np.average(mean, weights=count)),
        p95=percentile(mean, 95),
        low=float(low.min()),
        high=float(high.max()),
        last=float(mean[-1]),
        coverage=min(len(mean) / steps, 1.0) if steps else 0.0,
    )


def percentile(values: Sequence[float] | Floats, share: float) -> float | None:
    """The least value that is not below `share` per cent of them (nearest rank); None without values."""
    if not len(values):
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return float(ordered[max(math.ceil(share / 100 * len(ordered)) - 1, 0)])


def availability(bad: Floats, count: Floats | Ints) -> float | None:
    """In per cent, of a series that is 1 when it was bad and 0 when not, kept in steps; None without data."""
    total = float(np.sum(count)) if len(bad) else 0.0
    return None if total == 0 else 100.0 * (1.0 - float(np.sum(bad * count)) / total)


def bad_share(mean: Floats, high: Floats) -> Floats:
    """Which part of each step's points of a result code was not 0, from the step's mean and its highest code. Exact
    unless a step holds different codes; then it is too small."""
    return np.divide(mean, high, out=np.zeros_like(mean), where=high > 0)


def by_day(ts: Ints, values: Floats, weights: Floats | Ints, edges: Sequence[int]) -> list[float | None]:
    """The weighted mean of each stretch between two edges, half open; None where there is nothing. `ts` ascending;
    times and edges in Unix milliseconds, one more edge than there are days."""
    return [
        float(np.average(values[low:high], weights=weights[low:high])) if high > low else None
        for low, high in _cuts(ts, edges)
    ]


def percentile_by_day(ts: Ints, values: Floats, edges: Sequence[int], share: float) -> list[float | None]:
    """The percentile of each stretch between two edges, as `by_day` cuts them."""
    return [percentile(values[low:high], share) for low, high in _cuts(ts, edges)]


def _cuts(ts: Ints, edges: Sequence[int]) -> Iterable[tuple[int, int]]:
    return pairwise(np.searchsorted(ts, np.asarray(edges, dtype=np.int64)).tolist())


def added(parts: Sequence[tuple[Ints, Floats]]) -> tuple[Ints, Floats]:
    """Several series in steps (begin, value) as one: the sum at every step that any of them has."""
    if not parts:
        return np.empty(0, np.int64), np.empty(0)
    ts, places = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    total = np.bincount(places, weights=np.concatenate([part[1] for part in parts]), minlength=len(ts))
    return ts, total.astype(np.float64)


def coarser(
    ts: Ints, values: Floats, weights: Floats | Ints, step_ms: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Steps as longer ones: where each begins, and its weighted mean. `ts` ascending, Unix milliseconds."""
    begins, places = np.unique(ts.astype(np.int64) // step_ms * step_ms, return_inverse=True)
    total = np.bincount(places, weights=weights, minlength=len(begins))
    return begins, np.bincount(places, weights=values * weights, minlength=len(begins)) / total


def restarts(started: Floats, slack: float = 30.0) -> int:
    """How often a moment of starting (Unix seconds), seen in the order of time, moved on; by more than the `slack`
    that a clock is put right."""
    return int(np.count_nonzero(np.diff(started) > slack))


def growth(counter: Floats) -> float | None:
    """By how much a counter grew, seen in the order of time; it may begin again at zero. None with fewer than two."""
    if len(counter) < 2:
        return None
    step = np.diff(counter)
    return float(np.where(step < 0, counter[1:], step).sum())


def commonest(codes: Floats | Ints) -> int | None:
    """What was said most, of several the least; None of nothing."""
    if not len(codes):
        return None
    values, counts = np.unique(codes, return_counts=True)
    return int(values[counts.argmax()])


def days_left(value: float, seen: int, at: int) -> float:
    """What is left at a moment of the days that were left when it was looked at; both in Unix milliseconds."""
    return value - (at - seen) / DAY_MS


def down(spans: Iterable[Span], start: datetime, end: datetime) -> timedelta:
    """How long of start..end at least one of the spans lasted; one without an end goes on."""
    clipped = sorted((max(begin, start), min(stop or end, end)) for begin, stop in spans)
    total, reached = timedelta(0), start
    for begin, stop in clipped:
        if stop > max(begin, reached):
            total += stop - max(begin, reached)
            reached = stop
    return total


def standing(spans: Iterable[Span], at: datetime) -> int:
    """How many of the spans had begun before the moment and not ended before it; one without an end goes on."""
    return sum(begin < at and (stop is None or stop >= at) for begin, stop in spans)


def within(moments: Iterable[datetime | None], start: datetime, end: datetime) -> int:
    """How many of the moments that are known lie in start..end, half open."""
    return sum(moment is not None and start <= moment < end for moment in moments)


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None when none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def share(part: float, whole: float) -> float | None:
    """In per cent; None of nothing."""
    return None if whole == 0 else 100.0 * part / whole


@dataclass(frozen=True, slots=True)
class Score:
    """Health of a month, 0 to 100: the weighted mean of what is known, None where that is too little. `parts`: name to
    value, None unknown."""

    value: float | None
    parts: Mapping[str, float | None]

    @property
    def known(self) -> list[str]:
        """The sides that it rests on."""
        return [name for name, value in self.parts.items() if value is not None]


WEIGHTS: Final[Mapping[str, int]] = {
    "availability": 30,
    "service_levels": 25,
    "alerts": 15,
    "hardening": 15,
    "care": 15,
}
"""How much each side of health counts. What is not known leaves the others their weight among themselves."""
LEAST_KNOWN: Final = 50
"""Weight, of a hundred, that must be known for a score: one side alone says nothing of a month."""
DOWN_COSTS: Final = 20.0
"""Points of a hundred for each per cent of time that the worst business was not available."""


def score(parts: Mapping[str, float | None]) -> Score:
    """Each part 0 to 100 or None."""
    known = {name: value for name, value in parts.items() if value is not None}
    weight = sum(WEIGHTS[name] for name in known)
    if weight < LEAST_KNOWN:
        return Score(None, parts)
    return Score(sum(WEIGHTS[name] * min(max(value, 0.0), 100.0) for name, value in known.items()) / weight, parts)


def availability_score(available: float | None) -> float | None:
    """99.9 % available leaves 98 points of 100, 95 % none."""
    return None if available is None else max(100.0 - DOWN_COSTS * (100.0 - available), 0.0)


def alerts_score(severe: int, resources: int) -> float | None:
    """Disaster and High alerts against how much there is to watch: none is 100, one for each resource is 0."""
    return None if resources == 0 else max(100.0 * (1.0 - severe / resources), 0.0)


def days_between(start: datetime, end: datetime) -> int:
    return max(math.ceil((end - start).total_seconds() / 86_400), 1)
