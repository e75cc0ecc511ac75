"""Deadlines on working days, filled parts, and the drawing of the line of time."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.calendars import ALWAYS, Calendar
from reports import chart, deadlines, parts
from reports.parts import Part

SHANGHAI = ZoneInfo("Asia/Shanghai")
OFFICE = Calendar(
    tz=SHANGHAI,
    week=dict.fromkeys(range(5), ((540, 720), (780, 1080))),
    days={date(2026, 3, 4): False, date(2026, 3, 7): True},
    workday=((540, 720), (780, 1080)),
    known_years=frozenset({2026}),
)
MONDAY = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(("days", "due"), [(1, 3), (2, 5), (3, 6), (4, 7), (5, 9)])
def test_holidays_do_not_count_and_working_weekends_do(days: int, due: int) -> None:
    assert deadlines.due(MONDAY, days, OFFICE) == datetime(2026, 3, due, 10, 0, tzinfo=UTC)
    assert deadlines.last_morning(MONDAY, days, OFFICE) == datetime(2026, 3, due, 1, 0, tzinfo=UTC)


def test_a_calendar_that_never_rests_and_one_that_never_works_both_have_an_end() -> None:
    assert deadlines.due(MONDAY, 3, ALWAYS) == datetime(2026, 3, 5, 16, 0, tzinfo=UTC)
    never = Calendar(tz=SHANGHAI, week={})
    assert deadlines.due(MONDAY, 3, never) == MONDAY + timedelta(days=3)


@pytest.mark.parametrize(
    ("text", "filled"),
    [("", False), ("  \n", False), ("## Heading", False), ("- \n***", False), ("x", True), ("因", True)],
)
def test_marks_and_headings_alone_fill_no_part(text: str, filled: bool) -> None:
    assert parts.is_filled(text) is filled


def test_missing_parts_come_in_the_order_of_the_contract() -> None:
    assert parts.missing({Part.SYSTEM: "x", Part.ADVICE: ""}) == [Part.FAULT, Part.ANALYSIS, Part.PROCESS, Part.ADVICE]


@given(
    st.lists(st.tuples(st.integers(-10_000, 100_000), st.text("09:告警 x", max_size=18)), max_size=40),
    st.integers(0, 500_000),
)
def test_whatever_happened_is_drawn_within_the_paper(events: list[tuple[int, str]], seconds: int) -> None:
    happened = [chart.Event(MONDAY + timedelta(seconds=second), label, "bad") for second, label in events]
    drawn = chart.draw(happened, (MONDAY, MONDAY + timedelta(seconds=seconds)), SHANGHAI)
    assert 0 <= drawn.outage_x <= drawn.outage_x + drawn.outage_width <= drawn.width + 1
    assert all(0 <= mark.x <= drawn.width and mark.y < drawn.height for mark in drawn.marks)
    assert len(drawn.ticks) <= chart.MOST_TICKS + 1
    assert len(drawn.marks) <= chart.MOST_EVENTS


def test_labels_at_the_same_moment_stand_below_one_another() -> None:
    drawn = chart.draw([chart.Event(MONDAY, f"10:0{n} 告警", "bad") for n in range(4)], (MONDAY, MONDAY), SHANGHAI)
    assert len({mark.y for mark in drawn.marks}) == 4


def test_a_later_needle_does_not_run_through_an_earlier_label() -> None:
    happened = [chart.Event(MONDAY + timedelta(minutes=minute), "14:30 开启", "bad") for minute in (0, 1, 60)]
    first, second, _last = chart.draw(happened, (MONDAY, MONDAY + timedelta(minutes=60)), SHANGHAI).marks
    assert first.x < second.x < first.text_x + 20
    assert second.y < first.y
