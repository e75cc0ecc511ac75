"""What a month will have cost at its end, with the band in which nine of ten months end. Pure.

What is known counts as it is. A day that is not known costs what its weekday usually does, moved to the level of the
last two weeks. Orders of subscriptions have no rhythm of days: they are added as they come, and foretold only as far as
whoever asks knows that they come every month.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

WEEKS: Final = 6
LEVEL_DAYS: Final = 14
FEWEST_DAYS: Final = 7
NINE_OF_TEN: Final = 1.645
LEAST_SPREAD: Final = 0.02
"""No rhythm is more exact than that share of it."""
MAD_TO_SIGMA: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Forecast:
    """`low`, `amount` and `high` at the end of the month; `missing` days were foretold although they are past."""

    so_far: float
    amount: float
    low: float
    high: float
    days_known: int
    days_ahead: int
    missing: int


def forecast(
    known: Mapping[date, float], month: Sequence[date], *, fixed: float = 0.0, renewed: float = 0.0
) -> Forecast | None:
    """`known` are settled days before and in the month, `fixed` what was paid besides, `renewed` what is still to be
    paid as in every month. None: too little is known."""
    inside = [day for day in month if day in known]
    so_far = math.fsum(known[day] for day in inside) + fixed
    open_days = [day for day in month if day not in known]
    if not open_days:
        return Forecast(so_far, so_far, so_far, so_far, len(inside), 0, 0)
    last = max(known, default=None)
    if last is None or len([day for day in known if day > last - timedelta(weeks=WEEKS)]) < FEWEST_DAYS:
        return None
    expected = {day: _expected(known, day, last) for day in open_days}
    level = _level(known, last)
    ahead = level * math.fsum(expected.values())
    errors = [known[day] - level * _expected(known, day, last) for day in known if last - timedelta(weeks=WEEKS) < day]
    spread = max(MAD_TO_SIGMA * median(map(abs, errors)), LEAST_SPREAD * ahead / len(open_days))
    # Half of an error is of its own day and evens out; half is the level's, and stays.
    count = len(open_days)
    width = NINE_OF_TEN * spread * math.sqrt((count + count * count / LEVEL_DAYS) / 2)
    amount = so_far + ahead + renewed
    missing = sum(day < last for day in open_days)
    return Forecast(so_far, amount, max(so_far, amount - width), amount + width, len(inside), count, missing)


def _expected(known: Mapping[date, float], day: date, last: date) -> float:
    """The middle of the same weekday in the last weeks that are known; of all days where none is."""
    newest = last - timedelta(days=(last - day).days % 7)
    same = [newest - timedelta(weeks=week) for week in range(WEEKS)]
    values = [known[one] for one in same if one in known]
    return median(values) if values else median(known.values())


def _level(known: Mapping[date, float], last: date) -> float:
    """How the last two weeks compare with what their weekdays usually are."""
    recent = [day for day in known if last - timedelta(days=LEVEL_DAYS) < day <= last]
    ratios = [known[day] / usual for day in recent if (usual := _expected(known, day, last)) > 0]
    return median(ratios) if ratios else 1.0


def change(now: float, before: float) -> float | None:
    """By how many percent; None where there was nothing before."""
    return (now - before) / before * 100 if before else None
