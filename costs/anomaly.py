"""Whether a day cost more than the same weekday usually does. Pure.

Robust: the middle of up to eight weeks and the middle distance from it (median, MAD), so that one burst in the past
neither hides the next nor raises an alarm for what is normal. Only days that were read count; a day without a bill is
unknown and never zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Final

WEEKS: Final = 8
FEWEST: Final = 4
"""Of the same weekday: with fewer nothing is said."""
MAD_TO_SIGMA: Final = 1.4826
"""By which a MAD is a standard deviation of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above the usual by all three: so many deviations, so many percent, so many yuan."""

    deviations: float = 4.0
    percent: float = 30.0
    amount: float = 50.0


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual on a weekday, by so many weeks."""

    middle: float
    spread: float
    weeks: int

    def limit(self, threshold: Threshold) -> float:
        return self.middle + max(
            threshold.deviations * self.spread, self.middle * threshold.percent / 100, threshold.amount
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """`usual` None: too little was read to say anything."""

    amount: float
    usual: Usual | None
    is_anomaly: bool


def usual(known: Mapping[date, float], day: date) -> Usual | None:
    """The usual amount of the weekday of `day`, by the weeks before it that are known."""
    before = [day - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
    values = [known[one] for one in before if one in known]
    if len(values) < FEWEST:
        return None
    middle = median(values)
    return Usual(middle, MAD_TO_SIGMA * median(abs(value - middle) for value in values), len(values))


def judge(known: Mapping[date, float], day: date, threshold: Threshold) -> Verdict:
    """`known` holds the amounts of days that were read, zero where a day had no charge; `day` is one of them."""
    found, amount = usual(known, day), known[day]
    return Verdict(amount, found, found is not None and amount > found.limit(threshold))
