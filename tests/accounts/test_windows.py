"""Windows of quiet: half open, every week, across midnight and across changes of the clock."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from accounts.windows import (
    Once,
    Weekly,
    Window,
    WindowError,
    as_json,
    from_json,
    is_active,
    last_end,
    next_change,
    upcoming,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
SATURDAY_NIGHT = Weekly(frozenset({5}), time(22), time(6), SHANGHAI)


def china(day: int, hour: int, minute: int = 0) -> datetime:
    """In March 2026, whose first day is a Sunday."""
    return datetime(2026, 3, day, hour, minute, tzinfo=SHANGHAI)


def berlin(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN)


ONCE = Once(china(2, 10), china(2, 12))


@pytest.mark.parametrize(
    ("at", "quiet"),
    [
        (china(2, 9, 59), False),
        (china(2, 10), True),
        (china(2, 11, 59), True),
        (china(2, 12), False),
    ],
)
def test_one_window_begins_at_its_start_and_is_over_at_its_end(at: datetime, quiet: bool) -> None:
    assert is_active([ONCE], at) is quiet


@pytest.mark.parametrize(
    ("at", "quiet"),
    [
        (china(7, 21, 59), False),
        (china(7, 22), True),
        (china(8, 5, 59), True),
        (china(8, 6), False),
        (china(8, 22), False),
        (china(14, 23), True),
    ],
)
def test_a_weekly_window_goes_on_past_midnight(at: datetime, quiet: bool) -> None:
    assert is_active([SATURDAY_NIGHT], at) is quiet


def test_a_day_is_from_midnight_to_midnight() -> None:
    sunday = Weekly(frozenset({6}), time(0), time(0), SHANGHAI)
    assert upcoming([sunday], china(7, 12), 1) == [(china(8, 0), china(9, 0))]


def test_the_next_change_is_the_start_then_the_end_then_next_week() -> None:
    assert next_change([SATURDAY_NIGHT], china(3, 0)) == china(7, 22)
    assert next_change([SATURDAY_NIGHT], china(7, 22)) == china(8, 6)
    assert next_change([SATURDAY_NIGHT], china(8, 6)) == china(14, 22)
    assert next_change([ONCE], china(2, 12)) is None


def test_windows_that_touch_or_overlap_are_one_stretch() -> None:
    windows: list[Window] = [ONCE, Once(china(2, 12), china(2, 13)), Once(china(2, 12, 30), china(2, 14))]
    assert upcoming(windows, china(1, 0), 5) == [(china(2, 10), china(2, 14))]
    assert next_change(windows, china(2, 11)) == china(2, 14)


def test_a_window_follows_the_wall_clock_when_it_is_put_forward() -> None:
    night = Weekly(frozenset({6}), time(1), time(4), BERLIN)
    ((start, end),) = upcoming([night], berlin(3, 28, 12), 1)
    assert (start, end) == (datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC))
    assert end - start == timedelta(hours=2)


def test_a_window_follows_the_wall_clock_when_it_is_put_back() -> None:
    night = Weekly(frozenset({6}), time(1), time(4), BERLIN)
    ((start, end),) = upcoming([night], berlin(10, 24, 12), 1)
    assert end - start == timedelta(hours=4)


def test_a_start_that_the_clock_skips_is_when_it_has_jumped() -> None:
    night = Weekly(frozenset({6}), time(2, 30), time(5), BERLIN)
    ((start, _),) = upcoming([night], berlin(3, 28, 12), 1)
    assert start.astimezone(BERLIN).time() == time(3, 30)


def test_a_weekly_window_has_a_first_and_a_last_day() -> None:
    limited = Weekly(frozenset({5}), time(22), time(6), SHANGHAI, date(2026, 3, 14), date(2026, 3, 21))
    assert upcoming([limited], china(1, 0), 9)[0] == (china(14, 22), china(15, 6))
    assert last_end([limited]) == china(22, 6)
    assert next_change([limited], china(22, 6)) is None


def test_a_window_every_week_for_ever_has_no_end() -> None:
    assert last_end([ONCE, SATURDAY_NIGHT]) is None
    assert last_end([ONCE]) == china(2, 12)


def test_windows_come_back_from_json_as_they_were() -> None:
    limited = Weekly(frozenset({0, 5}), time(22, 15), time(6), SHANGHAI, date(2026, 3, 14), date(2026, 3, 21))
    windows: list[Window] = [ONCE, SATURDAY_NIGHT, limited]
    assert from_json([as_json(each) for each in windows], "Asia/Shanghai") == windows


@pytest.mark.parametrize("end", [china(2, 10), china(2, 9)])
def test_a_window_that_ends_before_it_begins_is_refused(end: datetime) -> None:
    with pytest.raises(WindowError):
        Once(china(2, 10), end)


@pytest.mark.parametrize("days", [frozenset[int](), frozenset({7})])
def test_a_weekly_window_names_days_of_the_week(days: frozenset[int]) -> None:
    with pytest.raises(WindowError):
        Weekly(days, time(1), time(2), SHANGHAI)
