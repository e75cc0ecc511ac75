"""When something that comes again is due. Pure."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from enum import StrEnum
from typing import Final


class Rhythm(StrEnum):
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    HALF_YEARLY = "half_yearly"
    YEARLY = "yearly"


MONTHS: Final = {Rhythm.MONTHLY: 1, Rhythm.QUARTERLY: 3, Rhythm.HALF_YEARLY: 6, Rhythm.YEARLY: 12}


def due(first: date, rhythm: Rhythm, number: int) -> date:
    """The day of the occurrence with this number; 0 is the first. A 31st becomes the last day of a shorter month."""
    if rhythm is Rhythm.WEEKLY:
        return first + timedelta(weeks=number)
    month = first.month - 1 + MONTHS[rhythm] * number
    year, month = first.year + month // 12, month % 12 + 1
    return date(year, month, min(first.day, monthrange(year, month)[1]))


def following(first: date, rhythm: Rhythm, after: date) -> date:
    """The first day later than `after` on which it is due."""
    number = 0
    while due(first, rhythm, number) <= after:
        number += 1
    return due(first, rhythm, number)


def first_day(start: date, rhythm: Rhythm, *, month: int, day: int) -> date:
    """The first time for a contract that begins on `start`: on this day, so many months after its first month."""
    if rhythm is Rhythm.WEEKLY:
        return start + timedelta(days=7)
    return due(start.replace(day=day), Rhythm.MONTHLY, month)
