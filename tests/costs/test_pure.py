"""Settling, anomaly, forecast, waste and the way of a proposal: data in, verdict out."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costs import anomaly, forecast, settling, states, waste
from costs.anomaly import Threshold
from costs.states import State, Verb
from incidents.months import Month

DAY = timedelta(days=1)
MONDAY = date(2026, 3, 2)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# --- when a day is read -----------------------------------------------------------------------------------------------


def test_yesterday_is_whole_an_hour_after_noon_in_shanghai_and_not_before() -> None:
    day = date(2026, 2, 28)
    assert not settling.is_settled(day, at("2026-03-01T12:59:00+08:00"))
    assert settling.is_settled(day, at("2026-03-01T13:00:00+08:00"))
    assert not settling.is_settled(day, None)


def test_a_day_is_read_at_each_of_its_milestones_and_then_never_again() -> None:
    day, read_at, moments = date(2026, 2, 28), None, []
    while (due := settling.next_reading(day, read_at)) is not None:
        moments.append(f"{due:%m-%d %H}")
        read_at = due
    assert moments == ["03-01 09", "03-01 13", "03-03 13", "03-15 13", "04-15 13"]  # the 3rd is both


def test_a_past_day_is_read_once_when_all_its_milestones_are_over() -> None:
    day = date(2025, 6, 10)
    assert settling.next_reading(day, None) is not None
    assert settling.next_reading(day, at("2026-03-01T13:00:00+08:00")) is None


@pytest.mark.parametrize(
    ("month", "days", "final"),
    [("2026-02", 28, "2026-03-03T13:00+08:00"), ("2024-02", 29, "2024-03-03T13:00+08:00"),
     ("2025-12", 31, "2026-01-03T13:00+08:00"), ("2026-04", 30, "2026-05-03T13:00+08:00")],
)  # fmt: skip
def test_a_month_ends_with_its_last_day_in_shanghai_and_is_final_on_the_3rd(month: str, days: int, final: str) -> None:
    found = Month.parse(month)
    assert len(settling.days_of(found)) == days
    assert settling.final_at(found) == datetime.fromisoformat(final)
    assert settling.issued_at(found) > settling.final_at(found)


def test_today_is_that_of_shanghai() -> None:
    assert settling.today(at("2026-02-28T15:59:59+00:00")) == date(2026, 2, 28)
    assert settling.today(at("2026-02-28T16:00:00+00:00")) == date(2026, 3, 1)


@given(st.dates(date(2000, 1, 1), date(2090, 12, 31)))
def test_whatever_the_day_its_last_reading_is_after_its_month_was_closed(day: date) -> None:
    found = settling.milestones(day)
    assert list(found) == sorted(found)
    assert settling.is_final(day, found[-1])
    assert settling.is_settled(day, found[1])


# --- anomaly ----------------------------------------------------------------------------------------------------------


def weeks(*amounts: float, day: date = MONDAY) -> dict[date, float]:
    """The day itself first, then the same weekday a week before, and so on."""
    return {day - timedelta(weeks=week): amount for week, amount in enumerate(amounts)}


def test_a_jump_above_the_weekdays_habit_is_an_anomaly() -> None:
    verdict = anomaly.judge(weeks(300, 100, 104, 98, 101, 99), MONDAY, Threshold())
    assert verdict.is_anomaly
    assert verdict.usual is not None
    assert verdict.usual.middle == 100


def test_a_weekday_is_compared_with_itself_and_not_with_the_weekend() -> None:
    known = weeks(300, 300, 305, 298, 301) | weeks(60, 62, 58, 60, 61, day=MONDAY - DAY)
    assert not anomaly.judge(known, MONDAY, Threshold()).is_anomaly


def test_one_burst_in_the_past_neither_hides_the_next_nor_is_it_usual() -> None:
    verdict = anomaly.judge(weeks(300, 900, 100, 101, 99, 100, 102), MONDAY, Threshold())
    assert verdict.is_anomaly


def test_days_that_were_not_read_are_no_history_and_few_weeks_say_nothing() -> None:
    verdict = anomaly.judge(weeks(9000, 100, 100, 100), MONDAY, Threshold())
    assert verdict.usual is None
    assert not verdict.is_anomaly


def test_a_product_that_never_cost_anything_is_new_from_its_first_dear_day() -> None:
    assert anomaly.judge(weeks(80, 0, 0, 0, 0), MONDAY, Threshold()).is_anomaly
    assert not anomaly.judge(weeks(40, 0, 0, 0, 0), MONDAY, Threshold()).is_anomaly


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(Threshold(4, 30, 50), True), (Threshold(4, 200, 50), False), (Threshold(4, 30, 150), False),
     (Threshold(90, 30, 50), False)],
)  # fmt: skip
def test_all_three_thresholds_must_be_passed(threshold: Threshold, expected: bool) -> None:
    assert anomaly.judge(weeks(220, 100, 102, 98, 100, 101, 99), MONDAY, threshold).is_anomaly is expected


@given(st.lists(st.floats(0, 1e6), min_size=4, max_size=8))
def test_the_usual_itself_is_never_an_anomaly(amounts: list[float]) -> None:
    found = anomaly.usual(weeks(0, *amounts), MONDAY)
    assert found is not None
    assert not anomaly.judge(weeks(found.middle, *amounts), MONDAY, Threshold()).is_anomaly


# --- forecast ---------------------------------------------------------------------------------------------------------

MARCH = settling.days_of(Month(2026, 3))


def habit(
    first: date, count: int, *, workday: float = 100.0, weekend: float = 60.0, growth: float = 0.0
) -> dict[date, float]:
    return {
        day: (weekend if day.weekday() >= 5 else workday) * (1 + growth * at)
        for at, day in enumerate(first + DAY * at for at in range(count))
    }


def test_a_steady_habit_is_foretold_by_its_weekdays_and_the_band_holds_it() -> None:
    known = habit(date(2026, 1, 12), 60)  # to the 12th of March
    whole = sum(habit(date(2026, 3, 1), 31).values())
    found = forecast.forecast(known, MARCH)
    assert found is not None
    assert found.amount == pytest.approx(whole, rel=0.001)
    assert found.low < whole < found.high
    assert (found.days_known, found.days_ahead, found.missing) == (12, 19, 0)


def test_growth_lifts_the_level() -> None:
    known = habit(date(2026, 1, 12), 60, growth=0.01)
    flat = forecast.forecast(habit(date(2026, 1, 12), 60), MARCH)
    found = forecast.forecast(known, MARCH)
    assert found is not None
    assert flat is not None
    assert found.amount > flat.amount * 1.3


def test_a_missing_day_in_the_middle_is_foretold_and_said() -> None:
    known = habit(date(2026, 1, 12), 60)
    del known[date(2026, 3, 4)]
    found = forecast.forecast(known, MARCH)
    assert found is not None
    assert found.missing == 1
    assert found.amount == pytest.approx(sum(habit(date(2026, 3, 1), 31).values()), rel=0.001)


def test_an_order_counts_as_paid_and_is_not_repeated() -> None:
    known = habit(date(2026, 1, 12), 60)
    plain, paid = forecast.forecast(known, MARCH), forecast.forecast(known, MARCH, fixed=5000)
    assert plain is not None
    assert paid is not None
    assert paid.amount - plain.amount == pytest.approx(5000)


def test_what_is_renewed_every_month_is_foretold_beside_the_days() -> None:
    known = habit(date(2026, 1, 12), 60)
    plain, more = forecast.forecast(known, MARCH), forecast.forecast(known, MARCH, renewed=800)
    assert plain is not None
    assert more is not None
    assert more.so_far == plain.so_far
    assert more.amount - plain.amount == pytest.approx(800)
    assert more.low - plain.low == pytest.approx(800)


def test_a_whole_month_is_known_exactly_and_too_little_says_nothing() -> None:
    found = forecast.forecast(habit(date(2026, 3, 1), 31), MARCH)
    assert found is not None
    assert found.low == found.amount == found.high
    assert forecast.forecast(habit(date(2026, 3, 1), 5), MARCH) is None
    assert forecast.forecast({}, MARCH) is None


@given(st.lists(st.floats(0, 1e5), min_size=10, max_size=60), st.floats(0, 1e5))
def test_a_forecast_is_never_below_what_was_spent(amounts: list[float], fixed: float) -> None:
    known = {date(2026, 3, 15) - DAY * at: amount for at, amount in enumerate(amounts)}
    found = forecast.forecast(known, MARCH, fixed=fixed)
    assert found is None or found.so_far - 1e-6 <= found.low <= found.amount + 1e-6 <= found.high + 2e-6


# --- waste ------------------------------------------------------------------------------------------------------------


def measured(**values: tuple[float, float] | tuple[float, float, float]) -> dict[str, waste.Measured]:
    names = {"cpu": "ecs.cpu.util", "mem": "ecs.mem.util", "out": "ecs.net.out_bits_per_s"}
    return {
        names[key]: waste.Measured(names[key], found[0], found[1], found[2] if len(found) > 2 else 1.0)
        for key, found in values.items()
    }


@pytest.mark.parametrize(
    ("figures", "use"),
    [
        (measured(cpu=(1.2, 4), mem=(20, 22), out=(900, 5000)), waste.Use.IDLE),
        (measured(cpu=(1.2, 4)), waste.Use.IDLE),
        (measured(cpu=(1.2, 4), out=(2e6, 4e6)), waste.Use.OVERSIZED),  # little reckoning, much traffic: not idle
        (measured(cpu=(12, 30), mem=(25, 40)), waste.Use.OVERSIZED),
        (measured(cpu=(12, 95), mem=(25, 40)), waste.Use.USED),  # it needs its peak
        (measured(cpu=(12, 30), mem=(70, 80)), waste.Use.USED),
        (measured(cpu=(55, 90)), waste.Use.USED),
        (measured(mem=(20, 22)), waste.Use.UNKNOWN),
        (measured(cpu=(0, 0, 0.3)), waste.Use.UNKNOWN),  # silence is not zero
        ({}, waste.Use.UNKNOWN),
    ],
)
def test_a_server_is_judged_by_what_was_measured_for_long(figures: dict[str, waste.Measured], use: waste.Use) -> None:
    assert waste.judge("ecs", figures).use is use


def test_what_is_lacking_is_named_and_an_unknown_kind_is_never_judged() -> None:
    assert waste.judge("ecs", {}).lacking == ("ecs.cpu.util",)
    assert waste.judge("url", measured(cpu=(0, 0))).use is waste.Use.UNKNOWN


def test_the_percentile_is_a_value_that_was_measured() -> None:
    assert waste.percentile(list(range(1, 101))) == 95
    assert waste.percentile([7.0]) == 7.0


# --- the way of a proposal --------------------------------------------------------------------------------------------


def test_only_what_was_accepted_can_be_done() -> None:
    assert states.after("proposed", Verb.FINISH) is None
    assert states.after("accepted", Verb.FINISH) is State.DONE
    assert states.after("rejected", Verb.ACCEPT) is None
    assert states.verbs("done") == ()
    assert states.verbs("proposed") == (Verb.ACCEPT, Verb.REJECT)
