"""Keeps the calls of an account within the month's free million: what was used, what is to be expected, and by how
much periods must stretch. Pure.

Free of charge are 1,000,000 calls a month and account over DescribeMetricLast, -List, -Data and -Top together (CMS
documentation, "API quota"). The SOW's 35 metrics alone, asked every minute, would be 1.3 million.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

FREE_CALLS: Final = 1_000_000
PLANNED_SHARE: Final = 0.9
"""Of the free calls, what is planned with: the customer's own tools use the same quota."""
WARN_SHARE: Final = 0.8
STOP_SHARE: Final = 0.99
LONGEST_STRETCH: Final = 12.0
STEP: Final = 0.25
BEIJING: Final = timezone(timedelta(hours=8))
"""Where the quota's months begin."""
COUNTED: Final = frozenset({"DescribeMetricLast", "DescribeMetricList", "DescribeMetricData", "DescribeMetricTop"})
USUAL_PERIOD_S: Final = 120
BASE_PERIODS_S: Final[Mapping[str, int]] = {
    "acs_rds_dashboard": 300,
    "acs_oss_dashboard": 300,
    "acs_cdn": 300,
    "rds_performance": 300,
}
"""How often a namespace is read when nothing must be saved: its figures come no oftener."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Where an account stands in its month. `demand` is calls a day with nothing stretched, `natural` what the
    month would come to with them, `forecast` what it comes to with periods stretched."""

    used: int
    demand: float
    forecast: int
    stretch: float
    limit: int
    is_spent: bool
    natural: int

    @property
    def warns(self) -> bool:
        """With nothing stretched the month would come near the limit: somebody should know."""
        return self.natural >= self.limit * WARN_SHARE


def month_of(now: datetime) -> str:
    return f"{now.astimezone(BEIJING):%Y-%m}"


def days_left(now: datetime) -> float:
    """Until the month ends in Beijing, with fractions."""
    local = now.astimezone(BEIJING)
    length = calendar.monthrange(local.year, local.month)[1]
    end = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=length)
    return max((end - local) / timedelta(days=1), 1 / 1440)


def next_month(now: datetime) -> datetime:
    return now + timedelta(days=days_left(now))


def plan(*, used: int, demand: float, now: datetime, limit: int = FREE_CALLS) -> Budget:
    """How much to stretch so that the month ends within the planned share, and what that comes to."""
    left = days_left(now)
    room = limit * PLANNED_SHARE - used
    is_spent = used >= limit * STOP_SHARE
    wanted = demand * left
    if wanted <= room:
        stretch = 1.0
    elif room <= 0:
        stretch = LONGEST_STRETCH
    else:
        stretch = min(LONGEST_STRETCH, math.ceil(wanted / room / STEP) * STEP)
    forecast = used if is_spent else round(used + wanted / stretch)
    return Budget(used, demand, forecast, stretch, limit, is_spent, round(used + wanted))


def period_s(namespace: str, stretch: float) -> int:
    """The period of a namespace under a stretch; what is outside the quota keeps its own."""
    base = BASE_PERIODS_S.get(namespace, USUAL_PERIOD_S)
    return base if namespace == "rds_performance" else round(base * stretch)


def calls_a_day(namespace: str, calls_per_run: float) -> float:
    """What a namespace would use in a day with nothing stretched."""
    return calls_per_run * 86_400 / BASE_PERIODS_S.get(namespace, USUAL_PERIOD_S)
