"""The ladder before an end: each rung once, in the customer's own days, honest when late."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from assets.expiry import EXPIRED, RUNGS, Clock, Notice, checked_rungs, days_left, notice

SHANGHAI = Clock(ZoneInfo("Asia/Shanghai"))
END = datetime(2026, 6, 30, 16, 0, tzinfo=UTC)  # midnight in Shanghai, as Alibaba Cloud ends subscriptions


def at(days: float, hour: int = 10) -> datetime:
    """So many days before the last day of the subscription, at an hour of Shanghai."""
    return datetime(2026, 7, 1, hour, 0, tzinfo=ZoneInfo("Asia/Shanghai")) - timedelta(days=days)


def due(days: float, told: tuple[int, ...] = (), hour: int = 10) -> Notice | None:
    return notice(ends_at=END, now=at(days, hour), clock=SHANGHAI, told=told)


@pytest.mark.parametrize(("days", "rung"), [(30, 30), (15, 15), (7, 7), (3, 3), (1, 1)])
def test_each_rung_is_told_on_its_day(days: int, rung: int) -> None:
    found = due(days, tuple(each for each in RUNGS if each > rung))
    assert found is not None
    assert (found.rung, found.days_left, found.is_late) == (rung, days, False)


def test_nothing_is_told_above_the_ladder() -> None:
    assert due(31) is None


@pytest.mark.parametrize("rung", RUNGS)
def test_a_rung_is_told_once(rung: int) -> None:
    assert due(rung, (rung,)) is None


def test_a_whole_life_tells_every_rung_exactly_once() -> None:
    told: list[int] = []
    for hours in range(45 * 24, -48, -1):
        found = notice(ends_at=END, now=END - timedelta(hours=hours), clock=SHANGHAI, told=told)
        if found is not None:
            told.append(found.rung)
            assert not found.is_late
    assert told == [30, 15, 7, 3, 1, EXPIRED]


def test_after_an_outage_over_two_rungs_only_the_nearest_is_told_and_says_that_it_is_late() -> None:
    found = due(5, (30,))
    assert found is not None
    assert (found.rung, found.days_left, found.is_late) == (7, 5, True)
    assert found.due_on == date(2026, 6, 24)
    assert due(5, (30, 7)) is None, "the fifteenth is not made up for"


def test_what_was_not_known_before_is_not_called_late() -> None:
    found = notice(ends_at=END, now=at(5), clock=SHANGHAI, known_since=at(5))
    assert found is not None
    assert not found.is_late
    unknown = due(5)
    assert unknown is not None
    assert not unknown.is_late


def test_nobody_hears_of_it_before_the_hour() -> None:
    assert due(7, (30, 15), hour=8) is None
    assert due(7, (30, 15), hour=9) is not None


def test_what_ends_before_the_hour_does_not_wait_for_it() -> None:
    ends = datetime(2026, 7, 1, 8, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
    found = notice(ends_at=ends, now=at(0, hour=1), clock=SHANGHAI, told=(30, 15, 7, 3))
    assert found is not None
    assert (found.rung, found.days_left) == (1, 0)


def test_the_end_itself_is_told_at_any_hour_and_once() -> None:
    found = notice(ends_at=END, now=END + timedelta(minutes=1), clock=SHANGHAI, told=(30, 15, 7, 3, 1))
    assert found is not None
    assert (found.rung, found.days_left) == (EXPIRED, 0)
    assert notice(ends_at=END, now=END + timedelta(days=3), clock=SHANGHAI, told=(EXPIRED,)) is None


def test_days_are_counted_where_the_customer_is() -> None:
    now = datetime(2026, 6, 29, 17, 0, tzinfo=UTC)  # the 30th in Shanghai, the 29th in London
    assert days_left(END, now, ZoneInfo("Asia/Shanghai")) == 1
    assert days_left(END, now, ZoneInfo("Europe/London")) == 1
    early = datetime(2026, 6, 30, 15, 59, tzinfo=UTC)
    assert days_left(early, now, ZoneInfo("Asia/Shanghai")) == 0
    assert days_left(early, now, ZoneInfo("Europe/London")) == 1


def test_a_ladder_of_ones_own_is_put_in_order_and_checked() -> None:
    assert checked_rungs([7, 60, 7, 1]) == [60, 7, 1]
    for wrong in ([], [0], [400], [-1, 3], list(range(1, 20))):
        with pytest.raises(ValueError, match=r"\["):
            checked_rungs(wrong)


def test_other_rungs_are_kept_to() -> None:
    assert notice(ends_at=END, now=at(30), clock=SHANGHAI, rungs=[10]) is None
    found = notice(ends_at=END, now=at(10), clock=SHANGHAI, rungs=[10])
    assert found is not None
    assert found.rung == 10
