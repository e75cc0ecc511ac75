"""Business calendars as pure data: which minutes of which day count (SOW table 1 "5 X 8", R57, Q1).

A calendar is a weekly pattern of half-open wall-clock intervals, and a table of days that differ from it: statutory
holidays, and the working weekends (调休) that China moves them to. No Django here; rows become a `Calendar` in
`accounts.services.calendars`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

MINUTES_PER_DAY = 24 * 60

Minutes = tuple[int, int]
"""Start and end of an interval in minutes after local midnight, end exclusive; 1440 is 24:00."""

Interval = tuple[datetime, datetime]
"""Two aware UTC moments, end exclusive."""


class BadCalendar(ValueError):
    """The intervals of a calendar overlap, run backwards or leave the day."""


@dataclass(frozen=True)
class Calendar:
    """Working time of one place, one version of it.

    `week` maps 0 (Monday) to 6 (Sunday) to the intervals of that day; a missing weekday is a day off. `days` maps a
    date to True (works although the week says otherwise) or False (off). A working weekend takes the intervals of
    `workday`. Years outside `known_years` follow the plain week and are provisional, never an error (T13).
    """

    tz: ZoneInfo
    week: Mapping[int, tuple[Minutes, ...]]
    days: Mapping[date, bool] = field(default_factory=lambda: MappingProxyType({}))
    workday: tuple[Minutes, ...] = ()
    known_years: frozenset[int] = frozenset()
    version: str = ""

    def __post_init__(self) -> None:
        for intervals in (*self.week.values(), self.workday):
            previous = 0
            for start, end in intervals:
                if not previous <= start < end <= MINUTES_PER_DAY:
                    raise BadCalendar(f"bad interval {start}-{end}")
                previous = end

    @property
    def is_always(self) -> bool:
        """True when every minute counts, so that arithmetic needs no look at single days."""
        whole = ((0, MINUTES_PER_DAY),)
        return not self.days and all(self.week.get(weekday) == whole for weekday in range(7))

    def wall_clock(self, day: date) -> tuple[Minutes, ...]:
        """The intervals of one local day, in minutes after midnight."""
        regular = self.week.get(day.weekday(), ())
        works = self.days.get(day)
        if works is None:
            return regular
        if not works:
            return ()
        return regular or self.workday

    def intervals(self, day: date) -> list[Interval]:
        """The working intervals of one local day as UTC moments, in order; empty on a day off.

        Where clocks are put forward, wall times of the missing hour fall onto those that follow: none counts twice.
        """
        found: list[Interval] = []
        for start, end in self.wall_clock(day):
            opening, closing = self._moment(day, start), self._moment(day, end)
            if found:
                opening = max(opening, found[-1][1])
            if opening < closing:
                found.append((opening, closing))
        return found

    def local_day(self, moment: datetime) -> date:
        """The date on the calendar's own wall at an aware moment."""
        return moment.astimezone(self.tz).date()

    def is_provisional(self, day: date) -> bool:
        """True when the holidays of that year are not known yet, so that the plain week is all we have."""
        return not self.is_always and day.year not in self.known_years

    def _moment(self, day: date, minutes: int) -> datetime:
        if minutes == MINUTES_PER_DAY:
            day, minutes = day + timedelta(days=1), 0
        return datetime.combine(day, time(minutes // 60, minutes % 60), self.tz).astimezone(UTC)


ALWAYS = Calendar(
    tz=ZoneInfo("Asia/Shanghai"),
    week=dict.fromkeys(range(7), ((0, MINUTES_PER_DAY),)),
    version="7x24",
)
"""The 7x24 calendar of Disaster and High, and of every response clock (R56, R58)."""
