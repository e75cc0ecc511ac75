"""Roster and business calendars as pages: weeks, gaps, years, versions, and input that cannot be."""

from datetime import UTC, datetime, timedelta

import pytest
from time_machine import travel

from accounts import scope
from accounts.models import BusinessCalendar, CalendarVersion, Customer, RosterShift, User
from accounts.services import calendars
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.django_db


def shift(
    user: User, start: datetime, hours: int, duty: str = "first", customer: Customer | None = None
) -> RosterShift:
    with scope.platform("test"):
        return RosterShift.objects.create(
            duty=duty, user=user, starts_at=start, ends_at=start + timedelta(hours=hours), customer=customer
        )


def shift_form(user: User, **changes: object) -> dict[str, object]:
    return {
        "duty": "first",
        "user": user.pk,
        "customer": "",
        "starts_at": "2026-03-02T09:00",
        "ends_at": "2026-03-02T21:00",
        "repeat": "once",
        "times": "1",
    } | changes


@pytest.fixture
def office(db: None) -> BusinessCalendar:
    with scope.platform("test"):
        return calendars.seed_default(years=[2025, 2026], now=NOW)


def test_the_week_shows_who_is_on_duty_and_where_nobody_is(client_for: ClientFor, chen: User) -> None:
    shift(chen, datetime(2026, 3, 2, 1, 0, tzinfo=UTC), 12)
    with travel(NOW, tick=False):
        text = client_for(chen).get("/roster/").content.decode()
    assert "Chen" in text
    assert "09:00–21:00" in text
    assert "shift-now" in text
    assert "shift gap" in text


def test_a_shift_over_midnight_stands_in_both_days(client_for: ClientFor, chen: User) -> None:
    shift(chen, datetime(2026, 3, 2, 13, 0, tzinfo=UTC), 12)
    text = client_for(chen).get("/roster/?week=2026-03-04").content.decode()
    assert "21:00–24:00" in text
    assert "00:00–09:00" in text


@pytest.mark.parametrize(
    "address", ["?week=nonsense", "?week=9999-99-99", "?customer=x", "?customer=99999", "?week=0001-01-01"]
)
def test_a_strange_week_is_harmless(client_for: ClientFor, chen: User, address: str) -> None:
    assert client_for(chen).get(f"/roster/{address}").status_code == 200


def test_shifts_of_customers_whom_one_does_not_see_are_not_shown(
    client_for: ClientFor, lin: User, yi: Customer, alice: User
) -> None:
    shift(lin, datetime(2026, 3, 2, 1, 0, tzinfo=UTC), 12, customer=yi)
    assert client_for(alice).get("/roster/").status_code == 403
    other = User(email="wang@example.com", name="Wang", role="engineer")
    with scope.platform("test"):
        other.save()
    assert "Lin" not in client_for(other).get("/roster/?week=2026-03-02").content.decode().split("<main")[1]


def test_a_manager_fills_two_weeks_at_once(client_for: ClientFor, lin: User, chen: User) -> None:
    form = shift_form(chen, repeat="daily", times="14")
    assert client_for(lin).post("/roster/new/", form).headers["Location"] == "/roster/?week=2026-03-02"
    with scope.platform("test"):
        spans = list(RosterShift.objects.values_list("starts_at", flat=True))
    assert len(spans) == 14
    assert spans[0] == datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"ends_at": "2026-03-02T08:00"},
        {"ends_at": "2027-03-02T08:00"},
        {"starts_at": "soon"},
        {"duty": "king"},
        {"repeat": "daily", "ends_at": "2026-03-04T09:00", "times": "3"},
        {"repeat": "daily", "times": "9999"},
        {"customer": "77777"},
    ],
)
def test_a_shift_that_cannot_be_is_refused(
    client_for: ClientFor, lin: User, chen: User, changes: dict[str, object]
) -> None:
    assert client_for(lin).post("/roster/new/", shift_form(chen, **changes)).status_code == 422
    with scope.platform("test"):
        assert not RosterShift.objects.exists()


def test_a_customers_person_cannot_be_on_duty(client_for: ClientFor, lin: User, alice: User) -> None:
    assert client_for(lin).post("/roster/new/", shift_form(alice)).status_code == 422


def test_only_managers_change_the_roster(client_for: ClientFor, chen: User) -> None:
    made = shift(chen, NOW, 12)
    browser = client_for(chen)
    assert browser.get("/roster/new/").status_code == 403
    assert browser.post("/roster/new/", shift_form(chen)).status_code == 403
    assert browser.post(f"/roster/{made.pk}/remove/").status_code == 403


def test_a_shift_is_taken_out(client_for: ClientFor, lin: User, chen: User) -> None:
    made = shift(chen, NOW, 12)
    assert client_for(lin).post(f"/roster/{made.pk}/remove/").status_code == 302
    assert client_for(lin).post(f"/roster/{made.pk}/remove/").status_code == 404


def test_a_gap_brings_its_times_into_the_form(client_for: ClientFor, lin: User) -> None:
    address = "/roster/new/?duty=second&starts_at=2026-03-02T01:00:00%2B00:00&ends_at=2026-03-02T13:00:00%2B00:00"
    text = client_for(lin).get(address).content.decode()
    assert 'value="2026-03-02T09:00"' in text
    assert 'value="2026-03-02T21:00"' in text


# --- calendars -------------------------------------------------------------------------------------------------------


def test_the_year_shows_holidays_and_worked_weekends_with_their_source(
    client_for: ClientFor, chen: User, office: BusinessCalendar
) -> None:
    text = client_for(chen).get(f"/calendars/{office.pk}/?year=2026").content.decode()
    assert "day-holiday" in text
    assert "day-makeup" in text
    assert "chinesecalendar" in text


def test_a_year_that_is_not_known_says_that_it_is_provisional(
    client_for: ClientFor, chen: User, office: BusinessCalendar
) -> None:
    assert "alert-warning" in client_for(chen).get(f"/calendars/{office.pk}/?year=2031").content.decode()


def test_a_day_is_changed_in_a_new_version_and_the_old_one_stays(
    client_for: ClientFor, lin: User, office: BusinessCalendar
) -> None:
    form = {"kind": "off", "name": "公司年会", "source": "客户函 2026-3"}
    assert client_for(lin).post(f"/calendars/{office.pk}/days/2026-03-06/", form).status_code == 302
    with scope.platform("test"):
        old, new = CalendarVersion.objects.filter(calendar=office).order_by("number")
        assert not old.days.filter(day="2026-03-06").exists()
        assert new.days.get(day="2026-03-06").name == "公司年会"
        assert new.created_by == lin
    text = client_for(lin).get(f"/calendars/{office.pk}/?year=2026&version=1").content.decode()
    assert "公司年会" not in text


def test_a_special_day_goes_back_to_the_week(client_for: ClientFor, lin: User, office: BusinessCalendar) -> None:
    form = {"kind": "week", "name": "", "source": "更正"}
    client_for(lin).post(f"/calendars/{office.pk}/days/2026-01-01/", form)
    with scope.platform("test"):
        newest = CalendarVersion.objects.filter(calendar=office).order_by("-number")[0]
        assert not newest.days.filter(day="2026-01-01").exists()


def week_form(**changes: str) -> dict[str, str]:
    hours = {f"day{number}": "09:00-12:00, 13:00-18:00" for number in range(5)} | {"day5": "", "day6": ""}
    return hours | {"workday": "09:00-18:00", "reason": "冬令时"} | changes


def test_weekly_hours_take_several_intervals_and_midnight(
    client_for: ClientFor, lin: User, office: BusinessCalendar
) -> None:
    form = week_form(day5="00：00–09:00，20:00-24:00")
    assert client_for(lin).post(f"/calendars/{office.pk}/week/", form).status_code == 302
    with scope.platform("test"):
        newest = CalendarVersion.objects.filter(calendar=office).order_by("-number")[0]
    assert newest.week[5] == ["00:00-09:00", "20:00-24:00"]


@pytest.mark.parametrize("hours", ["9 to 5", "18:00-09:00", "09:00-12:00, 11:00-13:00", "25:00-26:00", "24:30-24:40"])
def test_hours_that_cannot_be_are_refused(
    client_for: ClientFor, lin: User, office: BusinessCalendar, hours: str
) -> None:
    assert client_for(lin).post(f"/calendars/{office.pk}/week/", week_form(day0=hours)).status_code == 422


def test_only_managers_change_calendars(
    client_for: ClientFor, chen: User, alice: User, office: BusinessCalendar
) -> None:
    for path in ("week/", "days/2026-03-06/"):
        assert client_for(chen).get(f"/calendars/{office.pk}/{path}").status_code == 403
    assert client_for(chen).post(f"/calendars/{office.pk}/copy/").status_code == 403
    assert client_for(alice).get("/calendars/").status_code == 403


def test_a_customer_gets_a_calendar_of_its_own_once(
    client_for: ClientFor, lin: User, eve: User, jia: Customer, office: BusinessCalendar
) -> None:
    browser = client_for(lin)
    browser.post(f"/calendars/{office.pk}/copy/", {"customer": jia.pk})
    browser.post(f"/calendars/{office.pk}/copy/", {"customer": jia.pk})
    with scope.platform("test"):
        assert BusinessCalendar.objects.filter(customer=jia).count() == 1
    assert browser.post(f"/calendars/{office.pk}/copy/", {"customer": "x"}).status_code == 404


@pytest.mark.parametrize("path", ["days/2026-13-01/", "days/x/"])
def test_a_day_that_does_not_exist_is_not_found(
    client_for: ClientFor, lin: User, office: BusinessCalendar, path: str
) -> None:
    assert client_for(lin).get(f"/calendars/{office.pk}/{path}").status_code == 404


@pytest.mark.parametrize("address", ["?year=x", "?year=0", "?year=99999", "?version=77"])
def test_a_strange_year_is_harmless(client_for: ClientFor, chen: User, office: BusinessCalendar, address: str) -> None:
    assert client_for(chen).get(f"/calendars/{office.pk}/{address}").status_code == 200
