"""When a disk will be full: lines through noise, clean-ups and gaps; and what is usual at an hour of the week."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from monitoring import baseline
from monitoring.forecast import DAY_MS, HOUR_MS, Confidence, to_full

MONDAY = round(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
NOISE = np.random.default_rng(7)


def hours(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return MONDAY + HOUR_MS * np.arange(count, dtype=np.int64)


def test_a_disk_that_grows_one_percent_a_day_from_ninety_is_full_in_ten_days() -> None:
    ts = hours(14 * 24)
    value = 90 + (ts - ts[-1]) / DAY_MS + NOISE.normal(0, 0.2, len(ts))
    found = to_full(ts, value, limit=100)
    assert found is not None
    assert found.per_day == pytest.approx(1, abs=0.05)
    assert found.days_left(int(ts[-1])) == pytest.approx(10, abs=0.5)
    assert found.confidence is Confidence.HIGH
    assert sorted([found.earliest or 0, found.full or 0, found.latest or 0]) == [
        found.earliest,
        found.full,
        found.latest,
    ]


def test_free_space_that_falls_reaches_nothing() -> None:
    ts = hours(10 * 24)
    value = 20 - 2 * (ts - ts[-1]) / DAY_MS
    found = to_full(ts, value, limit=0)
    assert found is not None
    assert found.days_left(int(ts[-1])) == pytest.approx(10, abs=0.01)


def test_a_few_wild_points_do_not_bend_the_line() -> None:
    ts = hours(14 * 24)
    value = 50 + (ts - ts[0]) / DAY_MS
    value[[20, 90, 200]] = (99.0, 1.0, 99.0)
    found = to_full(ts, value, limit=100)
    assert found is not None
    assert found.per_day == pytest.approx(1, abs=0.02)


def test_what_was_before_a_clean_up_says_nothing() -> None:
    ts = hours(14 * 24)
    value = 40 + 4 * (ts - ts[0]) / DAY_MS
    value[9 * 24 :] -= 34
    found = to_full(ts, value, limit=100)
    assert found is not None
    assert found.points == 5 * 24
    assert found.per_day == pytest.approx(4, abs=0.05)


def test_a_flat_or_shrinking_disk_never_fills() -> None:
    ts = hours(7 * 24)
    for value in (np.full(len(ts), 60.0), 60 - (ts - ts[0]) / DAY_MS):
        found = to_full(ts, value, limit=100)
        assert found is not None
        assert (found.full, found.days_left(0)) == (None, None)


def test_a_disk_that_is_full_already_is_full_now() -> None:
    ts = hours(48)
    found = to_full(ts, np.full(len(ts), 100.0), limit=100)
    assert found is not None
    assert found.full == ts[-1]


def test_less_than_a_day_of_figures_is_too_little() -> None:
    assert to_full(hours(23), np.linspace(1, 50, 23), limit=100) is None
    assert to_full(hours(0), np.empty(0), limit=100) is None
    assert to_full(hours(48), np.full(48, np.nan), limit=100) is None


def test_mere_noise_is_said_with_low_confidence_or_not_at_all() -> None:
    ts = hours(48)
    found = to_full(ts, 50 + NOISE.normal(0, 5, len(ts)), limit=100)
    assert found is not None
    assert found.full is None or found.confidence is Confidence.LOW


# --- what is usual ---------------------------------------------------------------------------------------------------

SHANGHAI = ZoneInfo("Asia/Shanghai")


def week_of_offices(
    weeks: int,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """80 on working days from nine to six in Shanghai, else 10, with a little scatter."""
    ts = hours(weeks * 168)
    hour = baseline.hours_of_week(ts, SHANGHAI)
    busy = (hour < 5 * 24) & (hour % 24 >= 9) & (hour % 24 < 18)
    return ts, np.where(busy, 80.0, 10.0) + NOISE.normal(0, 1, len(ts))


def test_hours_are_those_of_the_wall_clock() -> None:
    assert baseline.hours_of_week(np.array([MONDAY]), SHANGHAI).tolist() == [8]
    assert baseline.hours_of_week(np.array([MONDAY]), ZoneInfo("UTC")).tolist() == [0]
    change = round(datetime(2026, 3, 29, 0, tzinfo=UTC).timestamp() * 1000)
    found = baseline.hours_of_week(change + HOUR_MS * np.arange(3), ZoneInfo("Europe/Berlin"))
    assert (found % 24).tolist() == [1, 3, 4]


def test_a_busy_night_is_unusual_and_a_busy_morning_is_not() -> None:
    known = baseline.learn(*week_of_offices(4), SHANGHAI)
    tuesday_ten = MONDAY + 28 * 7 * DAY_MS // 7 + 26 * HOUR_MS
    tuesday_three = tuesday_ten - 7 * HOUR_MS
    at = np.array([tuesday_ten, tuesday_three], dtype=np.int64)
    assert known.unusual(at, np.array([80.0, 80.0])).tolist() == [False, True]


def test_a_flat_line_has_room_before_it_is_unusual() -> None:
    ts = hours(4 * 168)
    known = baseline.learn(ts, np.full(len(ts), 50.0), SHANGHAI)
    later = np.array([MONDAY + 29 * DAY_MS], dtype=np.int64)
    assert known.unusual(later, np.array([52.0])).tolist() == [False]
    assert known.unusual(later, np.array([53.0])).tolist() == [True]


def test_what_is_not_known_is_never_unusual() -> None:
    known = baseline.learn(hours(5), np.ones(5), SHANGHAI)
    assert not known.is_known
    assert known.unusual(hours(168), np.full(168, 1e9)).sum() == 0


def test_eight_days_borrow_the_same_hour_of_all_days() -> None:
    ts = hours(8 * 24)
    known = baseline.learn(ts, np.array([10.0 + hour % 24 for hour in range(len(ts))]), ZoneInfo("UTC"))
    assert known.middle[30] == 16
