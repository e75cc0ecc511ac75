"""The governor: what a month will come to, by how much periods stretch, and that the free calls are never exceeded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitoring import governor
from monitoring.governor import FREE_CALLS, LONGEST_STRETCH, plan

FIRST = datetime(2026, 5, 31, 16, 0, tzinfo=UTC)  # midnight of the first of June in Beijing
SOW_DEMAND = 30.2 * 1440
"""Calls a day of the SOW's metrics asked every minute: 1.3 million a month."""


def test_a_small_account_is_not_slowed_down() -> None:
    found = plan(used=0, demand=5000, now=FIRST)
    assert (found.stretch, found.forecast, found.warns) == (1.0, 150_000, False)


def test_the_sows_full_set_is_stretched_until_it_fits() -> None:
    found = plan(used=0, demand=SOW_DEMAND, now=FIRST)
    assert found.natural > FREE_CALLS
    assert found.stretch == 1.5
    assert found.forecast <= FREE_CALLS * governor.PLANNED_SHARE
    assert found.warns


@pytest.mark.parametrize("demand", [1_000, 20_000, 40_000, 60_000, 120_000, 300_000])
def test_no_month_exceeds_the_free_calls_whatever_the_demand(demand: int) -> None:
    """The month lived through hour by hour under the governor."""
    used, now = 0.0, FIRST
    for _hour in range(30 * 24):
        found = plan(used=round(used), demand=demand, now=now)
        used += 0 if found.is_spent else demand / found.stretch / 24
        now += timedelta(hours=1)
    assert used <= FREE_CALLS
    assert used >= min(demand * 30, FREE_CALLS * 0.7) * 0.99, "nor are calls left unused that would have been free"


def test_what_an_outside_tool_used_up_slows_us_down() -> None:
    late = FIRST + timedelta(days=20)
    assert plan(used=880_000, demand=10_000, now=late).stretch > 4
    assert plan(used=890_000, demand=50_000, now=late).stretch == LONGEST_STRETCH
    assert plan(used=990_001, demand=50_000, now=late).is_spent


def test_months_begin_in_beijing() -> None:
    before = FIRST - timedelta(seconds=1)
    assert (governor.month_of(before), governor.month_of(FIRST)) == ("2026-05", "2026-06")
    assert governor.days_left(FIRST) == 30
    assert governor.next_month(before) - before < timedelta(minutes=2)
    december = datetime(2026, 12, 31, 15, 0, tzinfo=UTC)
    assert governor.month_of(governor.next_month(december)) == "2027-01"


def test_periods_follow_the_stretch_and_performance_keys_do_not() -> None:
    assert governor.period_s("acs_ecs_dashboard", 1.0) == 120
    assert governor.period_s("acs_ecs_dashboard", 2.5) == 300
    assert governor.period_s("acs_rds_dashboard", 1.5) == 450
    assert governor.period_s("rds_performance", 6.0) == 300


def test_every_period_lies_within_two_to_five_minutes_while_nothing_must_be_saved() -> None:
    assert {governor.period_s(space, 1.0) for space in ("acs_ecs_dashboard", *governor.BASE_PERIODS_S)} <= set(
        range(120, 301)
    )
