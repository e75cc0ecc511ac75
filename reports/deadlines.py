"""Until when a report is owed: the end of the n-th working day after the one on which it was asked for. Pure."""

from datetime import datetime, timedelta
from typing import Final

from accounts.calendars import Calendar

FARTHEST: Final = 400
"""Days that are looked at; a calendar without a working day in so many counts every day."""


def due(asked_at: datetime, workdays: int, calendar: Calendar) -> datetime:
    """The end of the last working interval of the n-th working day that follows."""
    return _nth(asked_at, workdays, calendar)[1]


def last_morning(asked_at: datetime, workdays: int, calendar: Calendar) -> datetime:
    """When the last of those days begins: time to remind."""
    return _nth(asked_at, workdays, calendar)[0]


def _nth(asked_at: datetime, workdays: int, calendar: Calendar) -> tuple[datetime, datetime]:
    day, left = calendar.local_day(asked_at), max(workdays, 1)
    for _ in range(FARTHEST):
        day += timedelta(days=1)
        if hours := calendar.intervals(day):
            left -= 1
            if left == 0:
                return hours[0][0], hours[-1][1]
    end = asked_at + timedelta(days=max(workdays, 1))
    return end - timedelta(hours=9), end
