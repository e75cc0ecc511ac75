"""Rotations as pure data: turns by day, week and shift, holidays and worked weekends, and what cannot be."""

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.rotation import BadRotation, Rota, Slot, slots_of, turn_begins, turns, whole_day

CST = ZoneInfo("Asia/Shanghai")
MONDAY = date(2026, 3, 2)
NINE = 9 * 60
DAY = timedelta(days=1)


def rota(people: tuple[int, ...] = (1, 2, 3), **changes: object) -> Rota:
    terms: dict[str, object] = {
        "first_day": MONDAY, "last_day": None, "tz": CST, "slots": (whole_day(NINE),), "days_per_turn": 1,
        "people": people,
    }  # fmt: skip
    return Rota(**terms | changes)  # type: ignore[arg-type]  # names and types are Rota's own


def always(_day: date) -> bool:
    return True


def five_days(day: date) -> bool:
    return day.weekday() < 5


def people(one: Rota, days: int, works: object = always) -> list[int]:
    return [turn.person for turn in turns(one, MONDAY, MONDAY + (days - 1) * DAY, works)]  # type: ignore[arg-type]


def test_every_day_the_next_person_from_handover_to_handover() -> None:
    found = list(turns(rota(), MONDAY, MONDAY + 3 * DAY, always))
    assert [turn.person for turn in found] == [1, 2, 3, 1]
    assert found[0].starts_at == datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    assert all(one.ends_at == other.starts_at for one, other in itertools.pairwise(found))


def test_a_week_is_one_shift() -> None:
    found = list(turns(rota(days_per_turn=7), MONDAY, MONDAY + 20 * DAY, always))
    assert [turn.person for turn in found] == [1, 2, 3]
    assert {turn.ends_at - turn.starts_at for turn in found} == {timedelta(days=7)}


def test_three_shifts_a_day_go_round_among_the_people() -> None:
    shifts = slots_of(["08:00-16:00", "16:00-24:00", "00:00-08:00"])
    found = sorted(
        turns(rota(slots=shifts, days_per_turn=2), MONDAY, MONDAY + 3 * DAY, always), key=lambda one: one.starts_at
    )
    assert [turn.person for turn in found] == [1, 2, 3, 1, 2, 3, 2, 3, 1, 2, 3, 1]


def test_a_night_shift_belongs_to_the_day_on_which_it_begins() -> None:
    (day, night) = slots_of(["20:00-08:00", "08:00-20:00"])
    assert (day, night) == (Slot(480, 1200), Slot(1200, 1920))
    found = list(turns(rota(slots=(day, night)), MONDAY, MONDAY, always))
    assert found[1].ends_at == datetime(2026, 3, 3, 0, 0, tzinfo=UTC)


def test_days_off_have_their_own_people_and_each_group_counts_its_own_days() -> None:
    one = rota((1, 2, 3), rest_people=(8, 9))
    assert people(one, 14, five_days) == [1, 2, 3, 1, 2, 8, 9, 3, 1, 2, 3, 1, 8, 9]


def test_holidays_and_worked_weekends_move_the_groups() -> None:
    def works(day: date) -> bool:
        return {date(2026, 3, 4): False, date(2026, 3, 7): True}.get(day, five_days(day))

    assert people(rota((1, 2), rest_people=(9,)), 7, works) == [1, 2, 9, 1, 2, 1, 9]


def test_weekly_turns_stay_with_the_week_for_both_groups() -> None:
    one = rota((1, 2), rest_people=(8, 9), days_per_turn=7)
    assert people(one, 14, five_days) == [1, 8, 2, 9]


def test_nothing_before_the_first_day_nor_after_the_last() -> None:
    one = rota(last_day=MONDAY + 2 * DAY)
    assert len(list(turns(one, MONDAY - 30 * DAY, MONDAY + 30 * DAY, always))) == 3


def test_a_turn_begins_where_its_week_does() -> None:
    assert turn_begins(rota(days_per_turn=7), MONDAY + 10 * DAY) == MONDAY + 7 * DAY


@pytest.mark.parametrize(
    "text", ["", "9", "9-10", "25:00-26:00", "24:00-08:00", "08:60-09:00", "08:00–09:00", "a:b-c:d", "08:00-"]
)
def test_what_is_no_shift_is_refused(text: str) -> None:
    with pytest.raises(BadRotation):
        slots_of([text])


@pytest.mark.parametrize(
    "changes",
    [
        {"people": ()},
        {"slots": ()},
        {"days_per_turn": 0},
        {"slots": (Slot(0, 600), Slot(540, 700))},
        {"slots": (Slot(480, 1200), Slot(1200, 2000))},
    ],
)
def test_a_rotation_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadRotation):
        rota(**changes)  # type: ignore[arg-type]  # wrong on purpose


@given(
    st.integers(1, 5),
    st.integers(0, 3),
    st.integers(1, 9),
    st.integers(0, 40),
    st.integers(0, 60),
    st.lists(st.booleans(), min_size=101, max_size=101),
)
def test_every_moment_has_exactly_one_person_wherever_one_begins_to_look(
    group: int, rest: int, days: int, first: int, length: int, worked: list[bool]
) -> None:
    """The whole days of any rotation join without hole or overlap, and a later look finds the same turns."""
    one = rota(tuple(range(group)), rest_people=tuple(range(100, 100 + rest)), days_per_turn=days)

    def works(day: date) -> bool:
        return worked[(day - MONDAY).days]

    last = MONDAY + (first + length) * DAY
    found = list(turns(one, MONDAY, last, works))
    assert found[0].starts_at == datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    assert all(a.ends_at == b.starts_at for a, b in itertools.pairwise(found))
    assert found[-1].ends_at - found[0].starts_at == (first + length + 1) * DAY
    later = list(turns(one, turn_begins(one, MONDAY + first * DAY), last, works))
    assert later == found[-len(later) :]
