"""When the bill of a day is read, and when a month stands, on the wall clock of China. Pure.

Alibaba Cloud reckons a day until noon of the next one, corrects it in the days after, and closes a month at noon of the
3rd of the next (DescribeInstanceBill). So each day is read several times, ever more seldom.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Final

from incidents.months import ZONE, Month

EARLY: Final = time(9)
"""What is reckoned by then is shown as provisional."""
SETTLED: Final = time(13)
"""An hour after the noon that Alibaba Cloud names."""
CORRECTED_AFTER: Final = timedelta(days=3)
FINAL_DAY: Final = 3
ISSUED_DAY: Final = 4
CHECKED_DAY: Final = 15
"""Of the next month and of the one after it: does the bill still say what was issued?"""


def milestones(day: date) -> tuple[datetime, ...]:
    """The moments after which the bill of a day is worth reading again, in order."""
    following = day + timedelta(days=1)
    month = Month.of(day)
    found = (
        _at(following, EARLY),
        _at(following, SETTLED),
        _at(day + CORRECTED_AFTER, SETTLED),
        final_at(month),
        _at(date(month.shifted(1).year, month.shifted(1).month, CHECKED_DAY), SETTLED),
        _at(date(month.shifted(2).year, month.shifted(2).month, CHECKED_DAY), SETTLED),
    )
    return tuple(sorted(found))


def next_reading(day: date, read_at: datetime | None) -> datetime | None:
    """When a day is due, given its last reading; None: never again."""
    return next((at for at in milestones(day) if read_at is None or at > read_at), None)


def is_settled(day: date, read_at: datetime | None) -> bool:
    """The figures of the day were whole when they were read; before, they may only grow."""
    return read_at is not None and read_at >= _at(day + timedelta(days=1), SETTLED)


def is_final(day: date, read_at: datetime | None) -> bool:
    """The day was read after its month was closed by Alibaba Cloud."""
    return read_at is not None and read_at >= final_at(Month.of(day))


def final_at(month: Month) -> datetime:
    """When the bill of a month is closed."""
    following = month.shifted(1)
    return _at(date(following.year, following.month, FINAL_DAY), SETTLED)


def issued_at(month: Month) -> datetime:
    """From when on a month is issued, if all of it was read."""
    following = month.shifted(1)
    return _at(date(following.year, following.month, ISSUED_DAY), EARLY)


def days_of(month: Month) -> tuple[date, ...]:
    return tuple(days_between(*ends(month)))


def first_day(month: Month) -> date:
    return date(month.year, month.month, 1)


def ends(month: Month) -> tuple[date, date]:
    """The first day of a month, and the first of the next."""
    return first_day(month), first_day(month.shifted(1))


def days_between(first: date, end: date) -> Iterator[date]:
    """Every day from `first` to the one before `end`."""
    return (first + timedelta(days=at) for at in range((end - first).days))


def today(now: datetime) -> date:
    return now.astimezone(ZONE).date()


def _at(day: date, hour: time) -> datetime:
    return datetime.combine(day, hour, tzinfo=ZONE)
