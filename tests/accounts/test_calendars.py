"""Business calendars: the facts that other desks got wrong (T5-T14), holidays from two sources, versions that keep."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import chinese_calendar
import holidays
import pytest

from accounts import scope
from accounts.calendars import ALWAYS, BadCalendar, Calendar
from accounts.errors import DomainError
from accounts.models import BusinessCalendar, CalendarDay, CalendarVersion, Customer, SlaTerm
from accounts.services import calendars, upkeep
from accounts.services.calendars import Day
from tests.conftest import NOW

SHANGHAI = ZoneInfo("Asia/Shanghai")
OFFICE = ((9 * 60, 12 * 60), (13 * 60, 18 * 60))
WHOLE = ((0, 24 * 60),)
MONDAY = date(2026, 3, 2)


def calendar(**changes: object) -> Calendar:
    facts: dict[str, object] = {"tz": SHANGHAI, "week": dict.fromkeys(range(5), OFFICE), "workday": OFFICE}
    return Calendar(**facts | changes)  # type: ignore[arg-type]  # facts of a calendar by name


def spans(working: Calendar, day: date) -> list[str]:
    found = [(start.astimezone(working.tz), end.astimezone(working.tz)) for start, end in working.intervals(day)]
    return [f"{start:%d %H:%M}-{end:%d %H:%M}" for start, end in found]


# --- one calendar, pure ---------------------------------------------------------------------------------------------


def test_lunch_is_not_working_time_t9() -> None:
    assert spans(calendar(), MONDAY) == ["02 09:00-02 12:00", "02 13:00-02 18:00"]


def test_around_the_clock_loses_no_minute_at_midnight_t5() -> None:
    moments = [moment for day in range(400) for moment in ALWAYS.intervals(MONDAY + timedelta(days=day))]
    assert all(end == start for (_, end), (start, _) in pairwise(moments))
    assert sum((end - start for start, end in moments), timedelta()) == timedelta(days=400)
    assert ALWAYS.is_always


def test_a_day_may_end_at_24_00_and_the_next_begin_at_0_00() -> None:
    evening = calendar(week={0: ((20 * 60, 24 * 60),), 1: ((0, 6 * 60),)})
    (monday,), (tuesday,) = evening.intervals(MONDAY), evening.intervals(MONDAY + timedelta(days=1))
    assert monday[1] == tuesday[0] == datetime(2026, 3, 2, 16, tzinfo=UTC)


def test_a_holiday_is_off_and_a_worked_weekend_takes_the_hours_of_a_working_day() -> None:
    sunday = date(2026, 2, 15)
    working = calendar(days={MONDAY: False, sunday: True})
    assert working.intervals(MONDAY) == []
    assert spans(working, sunday) == ["15 09:00-15 12:00", "15 13:00-15 18:00"]
    assert spans(calendar(), sunday) == []


def test_a_worked_day_that_has_hours_of_its_own_keeps_them() -> None:
    saturday = date(2026, 3, 7)
    working = calendar(week={5: ((10 * 60, 14 * 60),)}, days={saturday: True})
    assert spans(working, saturday) == ["07 10:00-07 14:00"]


def test_a_year_that_is_not_known_is_the_plain_week_and_says_so_t13() -> None:
    working = calendar(known_years=frozenset({2026}))
    unknown = date(2031, 10, 1)
    assert spans(working, unknown) == ["01 09:00-01 12:00", "01 13:00-01 18:00"]
    assert working.is_provisional(unknown)
    assert not working.is_provisional(MONDAY)
    assert not ALWAYS.is_provisional(unknown)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", date(2026, 3, 8), 24),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("UTC", date(2026, 3, 8), 24),
        ("Asia/Kathmandu", date(2026, 3, 8), 24),
    ],
)
def test_a_day_is_as_long_as_it_is_on_the_wall_of_its_place(zone: str, day: date, hours: int) -> None:
    working = Calendar(tz=ZoneInfo(zone), week=dict.fromkeys(range(7), WHOLE))
    ((start, end),) = working.intervals(day)
    assert end - start == timedelta(hours=hours)
    assert start.tzinfo == end.tzinfo == UTC
    assert working.local_day(start) == day


def test_the_local_day_is_that_of_the_place_and_not_of_the_server() -> None:
    late = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)
    assert calendar().local_day(late) == MONDAY
    assert calendar(tz=ZoneInfo("UTC")).local_day(late) == date(2026, 3, 1)


@pytest.mark.parametrize(
    "bad",
    [
        ((12 * 60, 9 * 60),),
        ((9 * 60, 9 * 60),),
        ((9 * 60, 12 * 60), (11 * 60, 18 * 60)),
        ((13 * 60, 18 * 60), (9 * 60, 12 * 60)),
        ((0, 24 * 60 + 1),),
        ((-1, 60),),
    ],
)
def test_intervals_that_overlap_run_backwards_or_leave_the_day_are_refused(bad: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(BadCalendar):
        calendar(week={0: bad})
    with pytest.raises(BadCalendar):
        calendar(workday=bad)


def test_touching_intervals_are_fine() -> None:
    assert calendar(week={0: ((0, 60), (60, 120))}).wall_clock(MONDAY) == ((0, 60), (60, 120))


# --- holidays from two sources --------------------------------------------------------------------------------------


@pytest.mark.parametrize("year", range(2018, 2027))
def test_the_days_of_a_year_are_those_of_the_state_councils_notice(year: int) -> None:
    """Every day of the year, asked of the package itself, falls on the side where our calendar puts it."""
    working = calendar(days={entry.day: entry.is_workday for entry in calendars.published_days(year)})
    day = date(year, 1, 1)
    while day.year == year:
        assert bool(working.wall_clock(day)) == chinese_calendar.is_workday(day), day
        day += timedelta(days=1)


def test_the_spring_festival_of_2026_and_its_worked_weekends() -> None:
    days = {entry.day: entry.is_workday for entry in calendars.published_days(2026)}
    assert [days.get(date(2026, 2, number)) for number in (14, 16, 17, 20, 23, 28)] == [
        True,
        False,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("year", range(2018, 2027))
def test_the_two_sources_agree_on_every_past_year(year: int) -> None:
    assert all(entry.is_approved for entry in calendars.published_days(year))


def test_each_day_says_where_it_is_known_from() -> None:
    assert all(entry.source.startswith("国务院") for entry in calendars.published_days(2026))


def test_a_day_on_which_the_sources_differ_waits_for_a_person_t6(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    second = holidays.country_holidays("CN", years=2026)
    known_to_one, known_to_other = date(2026, 10, 1), date(2026, 3, 3)
    second.pop(known_to_one)
    second[known_to_other] = "a rumour"
    monkeypatch.setattr(holidays, "country_holidays", lambda *_args, **_options: second)
    days = {entry.day: entry for entry in calendars.published_days(2026)}
    assert not days[known_to_one].is_approved
    assert not days[known_to_other].is_approved
    assert days[date(2026, 10, 2)].is_approved
    with scope.platform("test"):
        version = seeded([2026]).versions.get()
        working = calendars.load(version)
    assert working.intervals(known_to_one)
    assert working.intervals(known_to_other)


def test_a_year_without_a_notice_has_no_days_and_raises_nothing_t13() -> None:
    assert calendars.published_days(2099) == []
    assert calendars.published_days(1999) == []


# --- in the database ------------------------------------------------------------------------------------------------


def seeded(years: list[int]) -> BusinessCalendar:
    return calendars.seed_default(years=years, now=NOW)


def test_the_default_calendar_is_5_times_8_with_lunch_out_and_seeded_once(jia: Customer) -> None:
    with scope.platform("test"):
        first, again = seeded([2025, 2026, 2027]), seeded([2026])
        assert first == again
        version = first.versions.get()
        assert version.known_years == [2025, 2026]
        assert sum(end - start for start, end in calendars.load(version).wall_clock(MONDAY)) == 8 * 60
    with scope.customer(jia):
        assert calendars.current_version(jia) == version


def test_the_clock_of_a_term_runs_on_its_hours(jia: Customer) -> None:
    with scope.platform("test"):
        seeded([2026])
    with scope.customer(jia):
        found = {term.severity: calendars.for_term(term) for term in SlaTerm.objects.all()}
        assert found[1] == (ALWAYS, None)
        assert found[2] == (ALWAYS, None)
        working, version = found[3]
        assert version is not None
        assert working.version == str(version.pk)
        assert working.intervals(date(2026, 10, 1)) == []


def test_without_any_calendar_the_clock_runs_always_rather_than_never(jia: Customer) -> None:
    with scope.customer(jia):
        term = SlaTerm.objects.get(severity=3)
        assert calendars.for_term(term) == (ALWAYS, None)


def change(found: BusinessCalendar, **changes: object) -> CalendarVersion:
    latest = found.versions.order_by("-number").first()
    facts: dict[str, object] = {
        "week": [["09:00-17:00"]] * 5 + [[], []],
        "workday_hours": ["09:00-17:00"],
        "days": [] if latest is None else calendars.days_of(latest),
        "known_years": [2026],
        "reason": "test",
    }
    return calendars.add_version(calendar=found, actor=None, now=NOW, **facts | changes)  # type: ignore[arg-type]  # by name


def test_a_change_makes_a_new_version_and_the_old_one_stays_what_it_was_t12(jia: Customer) -> None:
    with scope.platform("test"):
        found = seeded([2026])
        old = found.versions.get()
        before = calendars.load(old)
        new = change(found, week=[["00:00-24:00"]] * 7)
        assert (old.number, new.number) == (1, 2)
        assert calendars.load(CalendarVersion.objects.get(pk=old.pk)) == before
        assert calendars.load(new).wall_clock(MONDAY) == WHOLE
        assert calendars.current_version(jia) == new
        assert old.days.count() == new.days.count() > 0


@pytest.mark.parametrize(
    "hours",
    [
        ["9-17"], ["09:00-9:00"], ["17:00-09:00"], ["09:00-12:00", "11:00-13:00"], ["25:00-26:00"], ["24:00-24:00"],
        ["09:00-24:30"], ["09:60-10:00"], [""], ["09:00"], ["09:00-12:00 "], ["九点-十点"],
    ],
)  # fmt: skip
def test_hours_that_cannot_be_are_refused_in_words_and_change_nothing(hours: list[str], db: None) -> None:
    with scope.platform("test"):
        found = seeded([2026])
        for changes in ({"week": [hours] + [[]] * 6}, {"workday_hours": hours}):
            with pytest.raises(DomainError) as caught:
                change(found, **changes)
            assert caught.value.code == "bad_hours"
        assert found.versions.count() == 1


def test_a_week_has_seven_days(db: None) -> None:
    with scope.platform("test"), pytest.raises(DomainError):
        change(seeded([2026]), week=[["09:00-17:00"]] * 5)


def test_a_customer_may_have_hours_of_its_own(jia: Customer, yi: Customer) -> None:
    with scope.platform("test"):
        default = seeded([2026])
        own = BusinessCalendar.objects.create(customer=jia, name="Shop", timezone="Asia/Tokyo")
        version = change(own, week=[["10:00-20:00"]] * 7, known_years=[])
        assert calendars.current_version(jia) == version
        assert calendars.current_version(yi) == default.versions.get()
        assert calendars.load(version).tz == ZoneInfo("Asia/Tokyo")
    with scope.customer(yi):
        assert not BusinessCalendar.objects.filter(pk=own.pk).exists()


def test_a_published_year_is_added_once_and_only_when_it_is_published(db: None) -> None:
    with scope.platform("test"):
        found = seeded([2025])
        assert calendars.add_published_year(calendar=found, year=2026, actor=None, now=NOW)
        assert not calendars.add_published_year(calendar=found, year=2026, actor=None, now=NOW)
        assert not calendars.add_published_year(calendar=found, year=2099, actor=None, now=NOW)
        latest = found.versions.order_by("-number").first()
        assert latest is not None
        assert latest.known_years == [2025, 2026]
        assert not calendars.load(latest).intervals(date(2025, 10, 1))
        assert not calendars.load(latest).intervals(date(2026, 10, 1))


def test_what_was_entered_by_hand_before_the_notice_came_stays(db: None) -> None:
    by_hand = Day(date(2026, 10, 1), True, "stock-taking", "by hand")
    with scope.platform("test"):
        found = seeded([2025])
        change(found, days=[by_hand], known_years=[2025])
        assert calendars.add_published_year(calendar=found, year=2026, actor=None, now=NOW)
        latest = found.versions.order_by("-number").first()
        assert latest is not None
        kept = latest.days.get(day=by_hand.day)
        assert (kept.is_workday, kept.source) == (True, "by hand")
        assert latest.days.filter(day=date(2026, 10, 2), is_workday=False).exists()


def test_housekeeping_adds_this_year_and_the_next(db: None) -> None:
    with scope.platform("test"):
        found = seeded([2024])
        upkeep.run(now=datetime(2025, 12, 31, 20, tzinfo=UTC))  # in Shanghai it is 2026 already
        latest = found.versions.order_by("-number").first()
        assert latest is not None
        assert latest.known_years == [2024, 2026]


@pytest.mark.parametrize(
    ("today", "missing"),
    [
        (date(2026, 11, 30), []),
        (date(2026, 12, 1), [2027]),
        (date(2027, 1, 1), [2027]),
        (date(2024, 6, 1), [2024]),
    ],
)
def test_a_missing_year_is_warned_about_from_december_on_t13(today: date, missing: list[int], db: None) -> None:
    with scope.platform("test"):
        seeded([2025, 2026])
        assert calendars.years_missing(today=today) == missing


def test_no_calendar_at_all_misses_everything(db: None) -> None:
    with scope.platform("test"):
        assert calendars.years_missing(today=date(2026, 12, 1)) == [2026, 2027]


def test_every_day_in_the_database_has_a_source(db: None) -> None:
    with scope.platform("test"):
        version = seeded([2026]).versions.get()
        with pytest.raises(Exception, match="calendar_day_has_a_source"):
            CalendarDay.objects.create(version=version, day=MONDAY, is_workday=False, source="")
