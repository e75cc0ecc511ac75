"""Clock arithmetic: the fourteen bugs that other products shipped (T1..T14), and the inverse as a property."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.calendars import ALWAYS, Calendar
from incidents import sla
from incidents.sla import Pause

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
NINE_TO_SIX = ((9 * 60, 12 * 60), (13 * 60, 18 * 60))

# 2026: Spring Festival holidays with two working weekends, National Day, as the State Council published them.
HOLIDAYS = {date(2026, 2, day): False for day in range(15, 24)} | {date(2026, 10, day): False for day in range(1, 8)}
MAKE_UP_DAYS = {date(2026, 2, 14): True, date(2026, 2, 28): True, date(2026, 9, 20): True, date(2026, 10, 10): True}

BUSINESS = Calendar(
    tz=SHANGHAI,
    week=dict.fromkeys(range(5), NINE_TO_SIX),
    days=HOLIDAYS | MAKE_UP_DAYS,
    workday=NINE_TO_SIX,
    known_years=frozenset({2025, 2026}),
    version="cn-2026",
)
NIGHT_SHIFT = Calendar(tz=NEW_YORK, week=dict.fromkeys(range(7), ((0, 6 * 60), (22 * 60, 24 * 60))), version="night")
TO_MIDNIGHT = Calendar(
    tz=SHANGHAI,
    week={0: ((0, 6 * 60), (22 * 60, 24 * 60)), 4: ((20 * 60, 24 * 60),), 5: ((0, 24 * 60),)},
    days={date(2026, 12, 31): True, date(2027, 1, 1): False},
    workday=((23 * 60, 24 * 60),),
    known_years=frozenset({2026}),
    version="midnight",
)
NEVER = Calendar(tz=SHANGHAI, week={}, version="none")

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    """A moment written as the wall clock of Shanghai shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


# --- T1..T14 ---------------------------------------------------------------------------------------------------------


def test_t1_a_weekend_of_waiting_adds_no_working_time_to_the_deadline() -> None:
    friday, monday = at("2026-11-20T16:00"), at("2026-11-23T10:00")
    pauses = [Pause(at("2026-11-20T17:00"), at("2026-11-23T09:30"))]
    due = sla.add(friday, 4 * HOUR, BUSINESS, pauses)
    # one hour on Friday, and the lunch hour on Monday does not count
    assert due == at("2026-11-23T13:30")
    assert sla.elapsed(friday, monday, BUSINESS, pauses) == HOUR + 30 * MINUTE


def test_t2_another_target_keeps_the_pauses_of_the_incident() -> None:
    start = at("2026-11-20T10:00")
    pauses = [Pause(at("2026-11-20T10:05"), at("2026-11-20T11:05"))]
    assert sla.add(start, 15 * MINUTE, ALWAYS, pauses) == at("2026-11-20T11:15")
    assert sla.add(start, 2 * HOUR, ALWAYS, pauses) == at("2026-11-20T13:00")


def test_t3_a_warning_that_crosses_a_day_falls_into_working_hours_not_on_midnight() -> None:
    start = at("2026-11-19T17:00")
    assert sla.add(start, 6 * HOUR, BUSINESS) == at("2026-11-20T15:00")
    assert sla.share_of(start, 6 * HOUR, 2 / 3, BUSINESS) == at("2026-11-20T12:00")
    assert sla.share_of(start, 6 * HOUR, 0.5, BUSINESS) == at("2026-11-20T11:00")


def test_t4_the_zone_of_the_caller_changes_nothing_and_naive_moments_are_refused() -> None:
    as_utc = at("2026-11-20T10:00")
    as_new_york = as_utc.astimezone(ZoneInfo("America/New_York"))
    assert sla.add(as_utc, HOUR, BUSINESS) == sla.add(as_new_york, HOUR, BUSINESS) == at("2026-11-20T11:00")
    with pytest.raises(ValueError, match="aware"):
        sla.add(datetime(2026, 11, 20, 10), HOUR, BUSINESS)  # noqa: DTZ001 - the naive moment is the point
    with pytest.raises(ValueError, match="aware"):
        sla.elapsed(as_utc, datetime(2026, 11, 20, 10), BUSINESS)  # noqa: DTZ001


def test_t5_around_the_clock_loses_no_minute_at_midnight() -> None:
    by_days = Calendar(
        tz=SHANGHAI, week=dict.fromkeys(range(7), ((0, 24 * 60),)), days={date(2000, 1, 1): True}, version="x"
    )
    assert not by_days.is_always
    for calendar in (ALWAYS, by_days):
        assert sla.elapsed(at("2026-11-01T00:00"), at("2026-12-01T00:00"), calendar) == timedelta(days=30)
        assert sla.add(at("2026-11-01T23:59"), 2 * MINUTE, calendar) == at("2026-11-02T00:01")


def test_t6_a_false_holiday_is_undone_by_one_entry() -> None:
    wrong = Calendar(BUSINESS.tz, BUSINESS.week, {date(2026, 11, 20): False}, NINE_TO_SIX, BUSINESS.known_years, "1")
    right = Calendar(BUSINESS.tz, BUSINESS.week, {}, NINE_TO_SIX, BUSINESS.known_years, "2")
    start = at("2026-11-20T10:00")
    assert sla.add(start, HOUR, wrong) == at("2026-11-23T10:00")
    assert sla.add(start, HOUR, right) == at("2026-11-20T11:00")


def test_t7_reminders_wait_for_the_calendar_and_breaches_do_not() -> None:
    midnight = at("2026-11-21T00:00")
    assert sla.next_open(midnight, BUSINESS) == at("2026-11-23T09:00")
    assert sla.next_open(midnight, ALWAYS) == midnight
    assert sla.add(at("2026-11-20T23:45"), 15 * MINUTE, ALWAYS) == midnight


def test_t8_what_starts_out_of_hours_gets_its_whole_time() -> None:
    assert sla.add(at("2026-11-21T11:00"), 2 * HOUR, BUSINESS) == at("2026-11-23T11:00")
    assert sla.add(at("2026-11-20T18:00"), MINUTE, BUSINESS) == at("2026-11-23T09:01")
    assert sla.elapsed(at("2026-11-21T11:00"), at("2026-11-22T11:00"), BUSINESS) == timedelta()


def test_t9_lunch_is_a_gap_between_intervals_not_a_holiday() -> None:
    assert sla.add(at("2026-11-20T11:30"), HOUR, BUSINESS) == at("2026-11-20T13:30")
    assert sla.elapsed(at("2026-11-20T11:30"), at("2026-11-20T13:30"), BUSINESS) == HOUR
    assert sla.add(at("2026-11-20T09:00"), 8 * HOUR, BUSINESS) == at("2026-11-20T18:00")


def test_t10_follow_up_timers_count_on_the_same_calendar() -> None:
    resolved = at("2026-09-30T15:00")
    assert sla.add(resolved, 16 * HOUR, BUSINESS) == at("2026-10-09T15:00")


def test_t10_a_number_of_working_days_ends_with_the_last_of_them() -> None:
    """Q5: two working days end with the second day, and the day on which it began is not counted."""
    assert sla.end_of_working_day(at("2026-11-20T09:30"), 2, BUSINESS) == at("2026-11-24T18:00")
    assert sla.end_of_working_day(at("2026-11-21T12:00"), 1, BUSINESS) == at("2026-11-23T18:00")
    # over Spring Festival: Saturday the 14th is worked, then nobody works until the 24th
    assert sla.end_of_working_day(at("2026-02-13T17:59"), 2, BUSINESS) == at("2026-02-24T18:00")
    assert sla.end_of_working_day(at("2026-11-20T09:30"), 1, NIGHT_SHIFT) == at("2026-11-21T00:00", NEW_YORK)
    assert sla.end_of_working_day(at("2026-11-20T09:30"), 1, ALWAYS) == at("2026-11-22T00:00")
    with pytest.raises(sla.NeverDueError):
        sla.end_of_working_day(at("2026-11-20T09:30"), 1, NEVER)
    with pytest.raises(ValueError, match="at least one"):
        sla.end_of_working_day(at("2026-11-20T09:30"), 0, BUSINESS)


def test_t11_a_calendar_is_wall_clock_minutes_whatever_the_zone_of_the_editor() -> None:
    spring_forward = date(2026, 3, 8)
    assert NIGHT_SHIFT.wall_clock(spring_forward) == ((0, 360), (22 * 60, 24 * 60))
    # the night on which an hour is missing has five hours of work before six o'clock
    night = sla.elapsed(
        datetime.combine(spring_forward, time(0), NEW_YORK),
        datetime.combine(spring_forward, time(6), NEW_YORK),
        NIGHT_SHIFT,
    )
    assert night == 5 * HOUR


def test_t12_an_incident_that_keeps_its_version_is_not_rewritten_by_an_edit() -> None:
    start = at("2026-11-20T10:00")
    edited = Calendar(BUSINESS.tz, {0: ((600, 660),)}, {}, (), BUSINESS.known_years, "cn-2026-b")
    assert sla.add(start, HOUR, edited) != sla.add(start, HOUR, BUSINESS)
    assert (BUSINESS.version, edited.version) == ("cn-2026", "cn-2026-b")
    assert sla.add(start, HOUR, BUSINESS) == at("2026-11-20T11:00")


def test_t13_a_year_without_data_is_monday_to_friday_and_says_so() -> None:
    start = at("2027-02-05T17:00")
    assert sla.add(start, 2 * HOUR, BUSINESS) == at("2027-02-08T10:00")
    assert sla.is_provisional(start, start, BUSINESS)
    assert sla.is_provisional(at("2026-12-31T17:00"), at("2027-01-04T10:00"), BUSINESS)
    assert not sla.is_provisional(at("2026-12-30T17:00"), at("2026-12-31T10:00"), BUSINESS)
    assert not sla.is_provisional(start, start, ALWAYS)


def test_t14_a_pause_that_begins_in_a_holiday_stops_the_clock_when_work_begins() -> None:
    start = at("2026-09-30T17:00")
    pauses = [Pause(at("2026-10-03T12:00"), at("2026-10-08T11:00"))]
    assert sla.add(start, 2 * HOUR, BUSINESS, pauses) == at("2026-10-08T12:00")
    assert sla.elapsed(start, at("2026-10-08T12:00"), BUSINESS, pauses) == 2 * HOUR
    assert sla.paused(start, at("2026-10-08T12:00"), BUSINESS, pauses) == 2 * HOUR


# --- more of the calendar --------------------------------------------------------------------------------------------


def test_a_make_up_saturday_works_like_a_weekday() -> None:
    assert sla.add(at("2026-02-13T17:30"), HOUR, BUSINESS) == at("2026-02-14T09:30")
    # and the week of the festival that follows it does not
    assert sla.add(at("2026-02-14T17:30"), HOUR, BUSINESS) == at("2026-02-24T09:30")


def test_a_deadline_at_closing_time_is_today_not_tomorrow_morning() -> None:
    assert sla.add(at("2026-11-20T17:00"), HOUR, BUSINESS) == at("2026-11-20T18:00")


def test_an_endless_pause_is_never_due_and_costs_no_time() -> None:
    start = at("2026-11-20T10:00")
    waiting = [Pause(at("2026-11-20T10:10"), None)]
    for calendar in (ALWAYS, BUSINESS):
        with pytest.raises(sla.NeverDueError):
            sla.add(start, 15 * MINUTE, calendar, waiting)
        assert sla.add(start, 10 * MINUTE, calendar, waiting) == at("2026-11-20T10:10")
        assert sla.elapsed(start, at("2026-12-20T10:00"), calendar, waiting) == 10 * MINUTE


def test_a_calendar_without_work_is_never_due_and_never_hangs() -> None:
    start = at("2026-11-20T10:00")
    with pytest.raises(sla.NeverDueError):
        sla.add(start, MINUTE, NEVER)
    with pytest.raises(sla.NeverDueError):
        sla.next_open(start, NEVER)
    assert sla.elapsed(start, at("2027-11-20T10:00"), NEVER) == timedelta()


def test_overlapping_pauses_count_once() -> None:
    start = at("2026-11-20T10:00")
    pauses = [
        Pause(at("2026-11-20T10:10"), at("2026-11-20T10:30")),
        Pause(at("2026-11-20T10:00"), at("2026-11-20T10:20")),
        Pause(at("2026-11-20T10:30"), at("2026-11-20T10:40")),
    ]
    assert sla.add(start, 5 * MINUTE, ALWAYS, pauses) == at("2026-11-20T10:45")


def test_impossible_questions_are_refused() -> None:
    start = at("2026-11-20T10:00")
    with pytest.raises(ValueError, match="negative"):
        sla.add(start, -MINUTE, ALWAYS)
    with pytest.raises(ValueError, match="share"):
        sla.share_of(start, HOUR, 1.5, ALWAYS)
    with pytest.raises(ValueError, match="before it starts"):
        Pause(start, start - MINUTE)
    assert sla.elapsed(start, start - HOUR, ALWAYS) == timedelta()


# --- the inverse, as a property --------------------------------------------------------------------------------------

# The ends of days, and of the hour that is missing or doubled when clocks are changed, come up often.
edges = st.one_of(st.integers(0, 24 * 60), st.sampled_from([0, 120, 150, 180, 24 * 60]))
minutes_of_day = st.lists(edges, min_size=2, max_size=8, unique=True).map(
    lambda cuts: tuple(zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False))
)
calendars = st.one_of(
    st.sampled_from([ALWAYS, BUSINESS, NIGHT_SHIFT, TO_MIDNIGHT]),
    st.builds(
        Calendar,
        tz=st.sampled_from(
            [SHANGHAI, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Africa/Cairo"), ZoneInfo("UTC")]
        ),
        week=st.dictionaries(st.integers(0, 6), minutes_of_day, min_size=1),
        days=st.dictionaries(st.dates(date(2025, 12, 1), date(2027, 2, 1)), st.booleans(), max_size=20),
        workday=minutes_of_day,
        known_years=st.just(frozenset({2026})),
        version=st.just("generated"),
    ),
)
# Year ends on both sides: 2026 is known, 2025 and 2027 are not.
moments = st.datetimes(datetime(2025, 12, 20), datetime(2027, 1, 15), timezones=st.just(UTC))  # noqa: DTZ001
durations = st.timedeltas(timedelta(0), timedelta(days=4))


@st.composite
def pause_lists(draw: st.DrawFn) -> list[Pause]:
    starts = draw(st.lists(moments, max_size=5))
    return [Pause(start, start + draw(st.timedeltas(timedelta(0), timedelta(days=9)))) for start in starts]


@settings(max_examples=400)
@given(moments, durations, calendars, pause_lists())
def test_add_and_elapsed_are_inverse(
    start: datetime, duration: timedelta, calendar: Calendar, pauses: list[Pause]
) -> None:
    due = sla.add(start, duration, calendar, pauses)
    assert due >= start
    assert sla.elapsed(start, due, calendar, pauses) == duration
    if duration:
        # the earliest such moment: a microsecond before, the time had not yet passed
        assert sla.elapsed(start, due - timedelta(microseconds=1), calendar, pauses) < duration


@settings(max_examples=300)
@given(moments, moments, moments, calendars, pause_lists())
def test_time_adds_up_over_any_split(
    a: datetime, b: datetime, c: datetime, calendar: Calendar, pauses: list[Pause]
) -> None:
    first, middle, last = sorted((a, b, c))
    whole = sla.elapsed(first, last, calendar, pauses)
    assert whole == sla.elapsed(first, middle, calendar, pauses) + sla.elapsed(middle, last, calendar, pauses)
    assert timedelta() <= whole <= last - first
    assert whole + sla.paused(first, last, calendar, pauses) == sla.elapsed(first, last, calendar)


@settings(max_examples=200)
@given(moments, durations, calendars, pause_lists(), st.integers(0, 100))
def test_a_share_of_the_time_is_that_share_elapsed(
    start: datetime, target: timedelta, calendar: Calendar, pauses: list[Pause], per_cent: int
) -> None:
    """T3: a warning is counted on the calendar of its deadline."""
    moment = sla.share_of(start, target, per_cent / 100, calendar, pauses)
    assert sla.elapsed(start, moment, calendar, pauses) == target * (per_cent / 100)
    assert moment <= sla.add(start, target, calendar, pauses)


@settings(max_examples=200)
@given(moments, durations, calendars, pause_lists())
def test_another_pause_never_brings_a_deadline_nearer(
    start: datetime, duration: timedelta, calendar: Calendar, pauses: list[Pause]
) -> None:
    """T2, T14: each pause moves the deadline by just the working time in it."""
    for count in range(len(pauses)):
        fewer = sla.add(start, duration, calendar, pauses[:count])
        more = sla.add(start, duration, calendar, pauses[: count + 1])
        assert more >= fewer
        assert sla.elapsed(start, more, calendar) - sla.paused(start, more, calendar, pauses[: count + 1]) == duration


@settings(max_examples=200)
@given(moments, calendars)
def test_the_next_opening_is_at_work_and_nothing_before_it_is(moment: datetime, calendar: Calendar) -> None:
    try:
        opening = sla.next_open(moment, calendar)
    except sla.NeverDueError:
        return
    assert opening >= moment
    assert sla.elapsed(moment, opening, calendar) == timedelta()
    assert sla.elapsed(opening, opening + timedelta(microseconds=1), calendar) > timedelta()


@settings(max_examples=200)
@given(moments, st.integers(1, 10), calendars)
def test_working_days_end_in_order_and_at_a_closing_time(moment: datetime, days: int, calendar: Calendar) -> None:
    try:
        end = sla.end_of_working_day(moment, days, calendar)
    except sla.NeverDueError:
        return
    assert end > moment
    assert sla.elapsed(end - timedelta(microseconds=1), end, calendar) > timedelta()
    if days > 1:
        assert sla.end_of_working_day(moment, days - 1, calendar) < end


@given(st.dates(date(2025, 12, 1), date(2027, 2, 1)), calendars)
def test_the_intervals_of_a_day_follow_each_other(day: date, calendar: Calendar) -> None:
    """Also on the days on which clocks are put forward or back."""
    intervals = calendar.intervals(day)
    moments_of_day = [moment for interval in intervals for moment in interval]
    assert moments_of_day == sorted(moments_of_day)
    assert all(opening < closing for opening, closing in intervals)
    tomorrow = calendar.intervals(day + timedelta(days=1))
    assert not intervals or not tomorrow or intervals[-1][1] <= tomorrow[0][0]


def test_a_missing_hour_counts_once() -> None:
    """New York, 8 March 2026: half past two and half past three are one moment."""
    calendar = Calendar(tz=NEW_YORK, week={6: ((120, 150), (180, 210))}, version="gap")
    day = datetime(2026, 3, 8, tzinfo=NEW_YORK)
    assert sla.elapsed(day, day + timedelta(days=1), calendar) == timedelta(minutes=30)
