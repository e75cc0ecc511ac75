"""Windows of time: once, or every week on some days. Pure. Every window is half open: its end is outside.

Weekly windows are said on the wall clock of a time zone: "22:00 to 06:00 on Saturdays" begins on Saturday at 22:00 and
ends on Sunday at 06:00, whatever the clock did in between. A wall time that a clock change skips begins when the clock
has jumped; one that comes twice is taken the first time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAY: Final = timedelta(days=1)
LOOK_AHEAD: Final = 15
"""Days within which every weekly window comes at least twice."""


class WindowError(ValueError):
    """A window that cannot be: it ends before it begins, or no day of the week is named."""


@dataclass(frozen=True, slots=True)
class Once:
    """From `start` to `end`, both aware."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None or self.start >= self.end:
            raise WindowError("a window ends after it begins")

    def near(self, _at: datetime) -> list[tuple[datetime, datetime]]:
        return [(self.start, self.end)]


@dataclass(frozen=True, slots=True)
class Weekly:
    """On these days (0 is Monday) from `start` to `end` by the wall clock; an end not after the start is the next
    day's. `until`: the last day on which one begins."""

    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo
    since: date | None = None
    until: date | None = None

    def __post_init__(self) -> None:
        if not self.days or not self.days <= set(range(7)):
            raise WindowError("a weekly window names days of the week")

    def near(self, at: datetime) -> list[tuple[datetime, datetime]]:
        """The windows that begin from two days before until two weeks after, in order."""
        first = at.astimezone(self.zone).date() - 2 * DAY
        days = (first + DAY * number for number in range(LOOK_AHEAD + 3))
        return [self._of(day) for day in days if self._begins(day)]

    def _begins(self, day: date) -> bool:
        if day.weekday() not in self.days or (self.since is not None and day < self.since):
            return False
        return self.until is None or day <= self.until

    def _of(self, day: date) -> tuple[datetime, datetime]:
        last = day if self.end > self.start else day + DAY
        return self._moment(day, self.start), self._moment(last, self.end)

    def _moment(self, day: date, wall: time) -> datetime:
        return datetime.combine(day, wall, tzinfo=self.zone).astimezone(UTC)


Window = Once | Weekly


def is_active(windows: Iterable[Window], at: datetime) -> bool:
    return any(start <= at < end for window in windows for start, end in window.near(at))


def overlaps(windows: Iterable[Window], start: datetime, end: datetime) -> bool:
    """Whether any of them has a moment in common with this span, which lasts a week at most."""
    return any(begins < end and ends > start for window in windows for begins, ends in window.near(start))


def next_change(windows: Iterable[Window], at: datetime) -> datetime | None:
    """The next moment after `at` at which quiet begins or ends. Windows that touch or overlap are one stretch."""
    for start, end in _stretches(windows, at):
        if at < start:
            return start
        if at < end:
            return end
    return None


def upcoming(windows: Iterable[Window], at: datetime, count: int) -> list[tuple[datetime, datetime]]:
    """The stretches of quiet that are not over at `at`, in order."""
    return [(start, end) for start, end in _stretches(windows, at) if end > at][:count]


def last_end(windows: Sequence[Window]) -> datetime | None:
    """When all of it is over; None when it comes back every week for ever."""
    ends = []
    for window in windows:
        if isinstance(window, Once):
            ends.append(window.end)
        elif window.until is None:
            return None
        else:
            around = datetime.combine(window.until, time(), tzinfo=window.zone)
            ends += [end for _, end in window.near(around - 7 * DAY)]
    return max(ends, default=None)


def _stretches(windows: Iterable[Window], at: datetime) -> list[tuple[datetime, datetime]]:
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(span for window in windows for span in window.near(at)):
        if end <= start:
            continue  # a clock change swallowed it
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def from_json(rows: Sequence[Mapping[str, object]], zone: str) -> list[Window]:
    """As stored: {"from": "2026-03-02T02:00:00+00:00", "to": …} or {"days": [5, 6], "from": "22:00", "to": "06:00"}."""
    return [_read(row, ZoneInfo(zone)) for row in rows]


def _read(row: Mapping[str, object], zone: ZoneInfo) -> Window:
    start, end = str(row["from"]), str(row["to"])
    days = row.get("days")
    if not isinstance(days, list):
        return Once(datetime.fromisoformat(start), datetime.fromisoformat(end))
    since, until = row.get("since"), row.get("until")
    return Weekly(
        frozenset(int(day) for day in days),
        time.fromisoformat(start),
        time.fromisoformat(end),
        zone,
        date.fromisoformat(str(since)) if since else None,
        date.fromisoformat(str(until)) if until else None,
    )


def as_json(window: Window) -> dict[str, object]:
    if isinstance(window, Once):
        return {"from": window.start.isoformat(), "to": window.end.isoformat()}
    row: dict[str, object] = {
        "days": sorted(window.days), "from": f"{window.start:%H:%M}", "to": f"{window.end:%H:%M}",
    }  # fmt: skip
    if window.since is not None:
        row["since"] = window.since.isoformat()
    if window.until is not None:
        row["until"] = window.until.isoformat()
    return row
