"""When something will be full: a robust line through hourly means. Advice only; it opens no alert. Pure.

The line is Theil's and Sen's: the median of the slopes between all pairs of points, which a third of wild points does
not move; its interval is that of Kendall's statistic (P. K. Sen, 1968). What lies before the last clean-up (a drop far
beyond the usual scatter) says nothing of the future and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
LEAST_POINTS: Final = 24
MOST_POINTS: Final = 400
"""Pairs grow with the square."""
HORIZON_DAYS: Final = 365
CLEANUP: Final = 0.25
"""A fall by this share of the whole range between two points in a row is a clean-up."""


class Confidence(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Forecast:
    """`per_day` in the figure's own unit; moments are Unix milliseconds. `full` is None when it does not fill."""

    per_day: float
    now: float
    full: int | None
    earliest: int | None
    latest: int | None
    confidence: Confidence
    points: int

    def days_left(self, at_ms: int) -> float | None:
        return None if self.full is None else max(0.0, (self.full - at_ms) / DAY_MS)


def to_full(ts: Ints, value: Floats, *, limit: float) -> Forecast | None:
    """When `value` reaches `limit`, above or below; None when there is too little to say (a day of hourly points).

    `ts` ascending, Unix milliseconds. Points that are no number are left out.
    """
    seen = np.isfinite(value)
    ts, value = ts[seen], value[seen]
    if len(ts) < LEAST_POINTS:
        return None
    ts, value = _since_cleanup(ts, value, rises=bool(limit >= np.median(value)))
    if len(ts) < LEAST_POINTS:
        return None
    if len(ts) > MOST_POINTS:
        keep = np.linspace(0, len(ts) - 1, MOST_POINTS).round().astype(np.int64)
        ts, value = ts[keep], value[keep]
    days = (ts - ts[-1]) / DAY_MS
    slope, low, high = _slope(days, value)
    level = float(np.median(value - slope * days))
    left = limit - level
    if (left <= 0) is bool(limit >= np.median(value)) or left == 0:
        return Forecast(slope, level, int(ts[-1]), int(ts[-1]), int(ts[-1]), Confidence.HIGH, len(ts))
    reached = [_reach(left, each, int(ts[-1])) for each in (slope, low, high)]
    full = reached[0]
    spread = sorted(each for each in reached if each is not None)
    surest = None not in reached
    confidence = _confidence(full, spread, int(ts[-1]), surest=surest, span=float(-days[0]))
    return Forecast(
        per_day=slope,
        now=level,
        full=full,
        earliest=spread[0] if full is not None else None,
        latest=spread[-1] if full is not None and surest else None,
        confidence=confidence,
        points=len(ts),
    )


def _since_cleanup(ts: Ints, value: Floats, *, rises: bool) -> tuple[Ints, Floats]:
    if len(value) < 2:
        return ts, value
    step = np.diff(value) if rises else -np.diff(value)
    span = float(value.max() - value.min())
    usual = float(np.median(np.abs(step)))
    falls = np.flatnonzero((step < -CLEANUP * span) & (step < -10 * usual)) if span > 0 else np.empty(0, np.int64)
    # a single wild point falls and comes back: not a clean-up
    kept = [at for at in falls.tolist() if _stays_down(value if rises else -value, at)]
    first = kept[-1] + 1 if kept else 0
    return ts[first:], value[first:]


def _stays_down(value: Floats, at: int) -> bool:
    before, after = value[max(0, at - 5) : at + 1], value[at + 1 : at + 7]
    return bool(np.median(after) < np.median(before) and value[at + 1] < before.min())


def _slope(days: Floats, value: Floats) -> tuple[float, float, float]:
    """The median slope per day, and the ends of its 90 % interval."""
    first, second = np.triu_indices(len(days), 1)
    gap = days[second] - days[first]
    apart = gap > 0
    slopes = np.sort((value[second] - value[first])[apart] / gap[apart])
    count = len(days)
    reach = 1.645 * np.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = int(max(0, np.floor((len(slopes) - reach) / 2)))
    high = int(min(len(slopes) - 1, np.ceil((len(slopes) + reach) / 2)))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])


def _reach(left: float, per_day: float, since: int) -> int | None:
    if per_day == 0 or left / per_day < 0:
        return None
    days = left / per_day
    return since + round(days * DAY_MS) if days <= HORIZON_DAYS else None


def _confidence(full: int | None, spread: list[int], since: int, *, surest: bool, span: float) -> Confidence:
    """High: the interval is within a third of the time left, over a week or more of figures."""
    if full is None or not surest:
        return Confidence.LOW
    width = (spread[-1] - spread[0]) / max(1, full - since)
    if width <= 1 / 3 and span >= 7:
        return Confidence.HIGH
    return Confidence.MEDIUM if width <= 1 and span >= 2 else Confidence.LOW
