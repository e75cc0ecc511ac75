"""When something that comes again is due."""

from __future__ import annotations

from datetime import date

import pytest

from changes.duties import NEEDS, Evidence, Kind, Need, lacks, standard_set
from changes.recurrence import Rhythm, due, first_day, following


@pytest.mark.parametrize(
    ("first", "rhythm", "number", "day"),
    [
        (date(2026, 1, 31), Rhythm.MONTHLY, 1, date(2026, 2, 28)),
        (date(2026, 1, 31), Rhythm.MONTHLY, 2, date(2026, 3, 31)),
        (date(2024, 2, 29), Rhythm.YEARLY, 1, date(2025, 2, 28)),
        (date(2024, 2, 29), Rhythm.YEARLY, 4, date(2028, 2, 29)),
        (date(2026, 11, 20), Rhythm.QUARTERLY, 1, date(2027, 2, 20)),
        (date(2026, 8, 31), Rhythm.HALF_YEARLY, 1, date(2027, 2, 28)),
        (date(2026, 12, 28), Rhythm.WEEKLY, 1, date(2027, 1, 4)),
    ],
)
def test_days_at_the_end_of_months(first: date, rhythm: Rhythm, number: int, day: date) -> None:
    assert due(first, rhythm, number) == day


@pytest.mark.parametrize("rhythm", Rhythm)
@pytest.mark.parametrize("first", [date(2024, 2, 29), date(2026, 1, 31), date(2026, 3, 30), date(2026, 12, 1)])
def test_the_following_day_is_the_next_number(first: date, rhythm: Rhythm) -> None:
    for number in range(40):
        assert following(first, rhythm, due(first, rhythm, number)) == due(first, rhythm, number + 1)


def test_the_first_day_of_a_contract() -> None:
    assert first_day(date(2026, 12, 15), Rhythm.QUARTERLY, month=2, day=20) == date(2027, 2, 20)
    assert first_day(date(2026, 12, 15), Rhythm.WEEKLY, month=0, day=1) == date(2026, 12, 22)


def test_each_kind_wants_its_own_evidence() -> None:
    assert lacks(Kind.PATCH_REVIEW, Evidence(minutes="x")) == (Need.TOLD,)
    assert lacks(Kind.PATCH_REVIEW, Evidence(minutes=" ", was_told=True)) == (Need.MINUTES,)
    drill = Evidence(result="passed", backup="s-1")
    assert lacks(Kind.RESTORE_DRILL, drill) == (Need.RESTORE_TIME,)
    assert lacks(Kind.RESTORE_DRILL, Evidence(result="failed", backup="s-1")) == (), "a failure is a result"
    assert lacks(Kind.MONTHLY_REPORT, Evidence(minutes="x")) == (Need.DOCUMENT,)
    for kind in Kind:
        assert set(lacks(kind, Evidence())) == set(NEEDS[kind])


def test_the_contracts_set_has_each_kind() -> None:
    assert {one.kind for one in standard_set()} == set(Kind) - {Kind.OTHER}
    assert next(one for one in standard_set() if one.kind is Kind.PATCH_REVIEW).rhythm is Rhythm.QUARTERLY
