"""What is usual at this hour of the week: median and scatter of the weeks before. Advice only. Pure.

For every hour of the week (local time) the median of that hour's means and the median absolute deviation from it. An
hour of the week that was seen too seldom borrows the same hour of all days. A value is unusual when it lies further
from the median than `WIDTH` robust standard deviations and further than a floor that keeps flat lines from shouting.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HOUR_MS: Final = 3_600_000
WEEK_HOURS: Final = 168
LEAST_WEEKS: Final = 3
LEAST_DAYS: Final = 7
"""Of the same hour of all days, when the hour of the week was seen less than `LEAST_WEEKS` times."""
WIDTH: Final = 4.0
SIGMA: Final = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
FLOOR: Final = 0.05
"""Of the median's size: what differs by less is never unusual."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """By hour of the week, Monday 00:00 first; NaN where nothing is known."""

    middle: Floats
    scatter: Floats
    zone: ZoneInfo

    @property
    def is_known(self) -> bool:
        return bool(np.isfinite(self.middle).any())

    def band(self, ts: Ints) -> tuple[Floats, Floats]:
        """What is usual at these moments (Unix milliseconds): lowest and highest."""
        hour = hours_of_week(ts, self.zone)
        middle, reach = self.middle[hour], self._reach(hour)
        return middle - reach, middle + reach

    def unusual(self, ts: Ints, value: Floats) -> Bools:
        low, high = self.band(ts)
        return np.asarray((value < low) | (value > high))

    def _reach(self, hour: Ints) -> Floats:
        return np.maximum(WIDTH * SIGMA * self.scatter[hour], FLOOR * np.abs(self.middle[hour]))


def learn(ts: Ints, value: Floats, zone: ZoneInfo) -> Baseline:
    """From hourly means, in any order; what is no number is left out."""
    seen = np.isfinite(value)
    hour, value = hours_of_week(ts[seen], zone), value[seen]
    middle, scatter = np.full(WEEK_HOURS, np.nan), np.full(WEEK_HOURS, np.nan)
    for slot in range(WEEK_HOURS):
        there = value[hour == slot]
        if len(there) < LEAST_WEEKS:
            there = value[hour % 24 == slot % 24]
            if len(there) < LEAST_DAYS:
                continue
        middle[slot] = np.median(there)
        scatter[slot] = np.median(np.abs(there - middle[slot]))
    return Baseline(middle, scatter, zone)


def hours_of_week(ts: Ints, zone: ZoneInfo) -> Ints:
    """0 is Monday 00:00 to 01:00 on the wall clock of the zone."""
    local = ts + _offsets(ts, zone)
    hours = local // HOUR_MS
    return np.asarray((hours + 3 * 24) % WEEK_HOURS)  # 1 January 1970 was a Thursday


def _offsets(ts: Ints, zone: ZoneInfo) -> Ints:
    """Milliseconds to add for local time; looked up once per day, as clocks change on few of them."""
    if not len(ts):
        return np.zeros(0, np.int64)
    hours, at = np.unique(ts // HOUR_MS, return_inverse=True)
    days, day_at = np.unique(hours // 24, return_inverse=True)
    first = np.array([_offset(int(day) * 24, zone) for day in days], dtype=np.int64)
    last = np.array([_offset(int(day) * 24 + 24, zone) for day in days], dtype=np.int64)
    same = first == last
    found = first[day_at].copy()
    for row in np.flatnonzero(~same[day_at]).tolist():
        found[row] = _offset(int(hours[row]), zone)
    return found[at]


def _offset(hour: int, zone: ZoneInfo) -> int:
    from_utc = datetime.fromtimestamp(hour * 3600, tz=zone).utcoffset()
    return 0 if from_utc is None else round(from_utc.total_seconds() * 1000)
