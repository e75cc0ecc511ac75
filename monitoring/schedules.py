"""When a rule holds: minutes of the week, or the business calendar. Pure: moments in, yes or no out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from accounts.calendars import Calendar

DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes of a calendar, or with `outside` all others. Intervals are half open: at 18:00 the day is over."""

    id: int
    name: str
    calendar: Calendar
    outside: bool = False
    _edges: dict[date, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    def is_active(self, ts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the rule holds at each of these moments (Unix milliseconds)."""
        if not len(ts):
            return np.zeros(0, dtype=np.bool_)
        first, last = int(ts.min()) // DAY_MS - 1, int(ts.max()) // DAY_MS + 1  # a local day may begin the day before
        edges = [edge for day in range(first, last + 1) for edge in self._of(EPOCH + timedelta(days=day))]
        inside = np.searchsorted(np.array(edges, dtype=np.int64), ts, side="right") % 2 == 1
        return np.asarray(inside != self.outside)

    def active_at(self, moment: datetime) -> bool:
        return bool(self.is_active(np.array([round(moment.timestamp() * 1000)], dtype=np.int64))[0])

    def _of(self, day: date) -> tuple[int, ...]:
        """Where the intervals of one local day begin and end, in turn."""
        if day not in self._edges:
            moments = [moment for interval in self.calendar.intervals(day) for moment in interval]
            self._edges[day] = tuple(_ms(moment) for moment in moments)
        return self._edges[day]


def _ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
