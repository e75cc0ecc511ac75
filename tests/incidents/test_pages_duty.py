"""Pages of the roster: months, rotations, swaps, calendar addresses, notices; who may, and input that cannot be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from time_machine import travel

from accounts import scope
from accounts.models import Contact, Customer, ProviderContact, Role, RosterShift, Rotation, ShiftSwap, User
from incidents.models import ResponderNotice
from incidents.services import duty_watch
from notify.models import Delivery
from tests.conftest import NOW, ClientFor, make_person

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def rotation_form(*people: User, **changes: object) -> dict[str, object]:
    sent: dict[str, object] = {
        "name": "First in turn",
        "duty": "first",
        "customer": "",
        "pattern": "daily",
        "days_per_turn": "",
        "first_day": "2026-03-02",
        "last_day": "",
        "handover": "09:00",
        "slots": "",
    }
    sent |= {f"person_{at}": person.pk for at, person in enumerate(people, 1)}
    return sent | changes


@pytest.fixture
def zhou(db: None) -> User:
    return make_person("zhou", Role.ENGINEER)


@travel(NOW, tick=False)
def test_a_manager_makes_a_rotation_and_sees_it_in_the_month(
    client_for: ClientFor, lin: User, chen: User, zhou: User
) -> None:
    browser = client_for(lin)
    tried = browser.post("/roster/rotations/new/", rotation_form(chen, zhou, preview="1"))
    assert (tried.status_code, tried.content.decode().count('<th scope="row">')) == (200, 29)
    with scope.platform("test"):
        assert not Rotation.objects.exists(), "only tried"
    assert browser.post("/roster/rotations/new/", rotation_form(chen, zhou)).status_code == 302
    assert "Chen → Zhou" in browser.get("/roster/rotations/").content.decode()
    month = browser.get("/roster/?view=month&month=2026-03").content.decode()
    assert month.count("Zhou") > 12
    assert "text-danger" in month, "nobody is second responder"
    week = browser.get("/roster/?week=2026-03-02").content.decode()
    assert "ti-refresh" in week
    assert "/remove/" not in week, "what a rotation laid out is not taken out by hand"


@travel(NOW, tick=False)
def test_a_rotation_is_changed_and_ended(client_for: ClientFor, lin: User, chen: User, zhou: User) -> None:
    browser = client_for(lin)
    browser.post(
        "/roster/rotations/new/",
        rotation_form(chen, slots="08:00-20:00，20:00-08:00", pattern="custom", days_per_turn="3", rest_1=zhou.pk),
    )
    with scope.platform("test"):
        made = Rotation.objects.get()
    assert (made.slots, made.days_per_turn, made.rest_people) == (["08:00-20:00", "20:00-08:00"], 3, [zhou.pk])
    page = browser.get(f"/roster/rotations/{made.pk}/edit/").content.decode()
    assert "08:00-20:00, 20:00-08:00" in page
    assert browser.post(f"/roster/rotations/{made.pk}/edit/", rotation_form(zhou)).status_code == 302
    assert browser.post(f"/roster/rotations/{made.pk}/end/").status_code == 302
    assert browser.get(f"/roster/rotations/{made.pk}/edit/").status_code == 404
    with scope.platform("test"):
        assert not RosterShift.objects.filter(starts_at__gt=NOW).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"person_1": ""},
        {"person_1": "999999"},
        {"slots": "rubbish"},
        {"pattern": "custom"},
        {"pattern": "custom", "days_per_turn": "0"},
        {"first_day": "someday"},
        {"last_day": "2026-03-01"},
        {"duty": "king"},
        {"handover": "25:99"},
        {"customer": "777777"},
    ],
)
def test_a_rotation_that_cannot_be_is_refused(
    client_for: ClientFor, lin: User, chen: User, changes: dict[str, object]
) -> None:
    assert client_for(lin).post("/roster/rotations/new/", rotation_form(chen, **changes)).status_code == 422


def test_slots_that_overlap_are_refused_by_the_service(client_for: ClientFor, lin: User, chen: User) -> None:
    browser = client_for(lin)
    browser.post("/roster/rotations/new/", rotation_form(chen, slots="08:00-20:00,19:00-08:00"))
    with scope.platform("test"):
        assert not Rotation.objects.exists()


@pytest.mark.parametrize(
    "address",
    ["?view=month&month=nonsense", "?view=month&month=9999-12", "?view=month&month=0001-01", "?view=month&customer=x"],
)
def test_a_strange_month_is_harmless(client_for: ClientFor, chen: User, address: str) -> None:
    assert client_for(chen).get(f"/roster/{address}").status_code == 200


def test_a_month_asks_the_same_number_of_queries_however_many_shifts(
    client_for: ClientFor, lin: User, chen: User, jia: Customer
) -> None:
    browser = client_for(lin)

    def queries() -> int:
        browser.get("/roster/?view=month&month=2026-03")
        with CaptureQueriesContext(connection) as seen:
            browser.get("/roster/?view=month&month=2026-03")
        return len(seen)

    before = queries()
    with scope.platform("test"):
        for number in range(20):
            RosterShift.objects.create(
                duty="first",
                user=chen,
                starts_at=NOW + number * DAY,
                ends_at=NOW + (number + 1) * DAY,
                customer=jia if number % 2 else None,
            )
    assert queries() == before


# --- swaps -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shift(chen: User) -> RosterShift:
    with scope.platform("test"):
        return RosterShift.objects.create(duty="first", user=chen, starts_at=NOW + DAY, ends_at=NOW + 2 * DAY)


def asked(whom: User, what: RosterShift, **changes: object) -> dict[str, object]:
    return {"shift": f"{what.pk}-{what.starts_at:%Y%m%d%H%M}", "colleague": whom.pk, "note": "family"} | changes


@travel(NOW, tick=False)
def test_an_engineer_asks_and_the_colleague_takes_the_shift(
    client_for: ClientFor, chen: User, zhou: User, lin: User, shift: RosterShift
) -> None:
    assert client_for(chen).post("/roster/swaps/", asked(zhou, shift)).status_code == 302
    with scope.platform("test"):
        swap = ShiftSwap.objects.get()
        assert Delivery.objects.filter(user=zhou, key=f"swap:{swap.pk}:ask").exists()
    assert "family" in client_for(zhou).get("/roster/swaps/").content.decode()
    other = client_for(make_person("wu", Role.ENGINEER))
    assert other.post(f"/roster/swaps/{swap.pk}/answer/", {"accept": "1"}).status_code == 404
    assert client_for(zhou).post(f"/roster/swaps/{swap.pk}/answer/", {"accept": "1"}).status_code == 302
    with scope.platform("test"):
        assert RosterShift.objects.filter(user=zhou, starts_at=shift.starts_at).exists()
        assert {row.user for row in Delivery.objects.filter(key=f"swap:{swap.pk}:yes")} == {chen, lin}


@travel(NOW, tick=False)
def test_an_asker_withdraws(client_for: ClientFor, chen: User, zhou: User, shift: RosterShift) -> None:
    browser = client_for(chen)
    browser.post("/roster/swaps/", asked(zhou, shift))
    with scope.platform("test"):
        swap = ShiftSwap.objects.get()
    assert client_for(zhou).post(f"/roster/swaps/{swap.pk}/withdraw/").status_code == 403
    assert browser.post(f"/roster/swaps/{swap.pk}/withdraw/").status_code == 302
    with scope.platform("test"):
        assert ShiftSwap.objects.get().state == "withdrawn"


@travel(NOW, tick=False)
def test_a_swap_that_cannot_be_is_refused(
    client_for: ClientFor, chen: User, zhou: User, alice: User, shift: RosterShift
) -> None:
    browser = client_for(chen)
    for changes in (
        {"shift": "1-2"},
        {"colleague": chen.pk},
        {"colleague": alice.pk},
        {"starts_at": "2026-03-01T00:00"},
        {"ends_at": "x"},
    ):
        assert browser.post("/roster/swaps/", asked(zhou, shift, **changes)).status_code == 422
    assert client_for(zhou).post("/roster/swaps/", asked(chen, shift)).status_code == 422, "it is not hers"
    with scope.platform("test"):
        assert not ShiftSwap.objects.exists()


# --- calendar programs -----------------------------------------------------------------------------------------------


def test_a_calendar_program_reads_the_secret_address_until_it_is_revoked(
    client_for: ClientFor, chen: User, zhou: User, shift: RosterShift
) -> None:
    browser = client_for(chen)
    page = browser.post("/roster/calendar/", {"what": "person"}).content.decode()
    path = page.partition("http://testserver")[2].partition("<")[0]
    assert path.endswith(".ics")
    with travel(NOW, tick=False):
        answer = Client().get(path)
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer.content.count(b"BEGIN:VEVENT") == 1
    assert path not in browser.get("/roster/calendar/").content.decode(), "it is shown once"
    with scope.platform("test"):
        (feed,) = chen.roster_feeds.all()
    assert client_for(zhou).post(f"/roster/calendar/{feed.pk}/revoke/").status_code == 404
    assert browser.post(f"/roster/calendar/{feed.pk}/revoke/").status_code == 302
    assert Client().get(path).status_code == 404
    assert browser.post("/roster/calendar/", {"what": "everything"}).status_code == 404


def test_who_guesses_addresses_is_held_up(client_for: ClientFor, db: None) -> None:
    answers = {Client().get(f"/roster/calendar/guess{number}.ics").status_code for number in range(15)}
    assert answers == {404, 429}


# --- notices ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def notice(jia: Customer, alice: User, chen: User) -> ResponderNotice:
    with scope.customer(jia):
        ProviderContact.objects.create(customer=jia, kind="operations", user=chen)
        Contact.objects.create(customer=jia, kind="first_pm", user=alice, phone="13900000000", email=alice.email)
    with scope.platform("test"):
        duty_watch.look(now=NOW)
        return ResponderNotice.objects.get(customer=jia)


def test_open_notices_are_listed_and_sent_at_once(client_for: ClientFor, lin: User, notice: ResponderNotice) -> None:
    browser = client_for(lin)
    with travel(NOW + timedelta(minutes=5), tick=False):
        assert f"/roster/notices/{notice.pk}/send/" in browser.get("/roster/notices/").content.decode()
        assert "Chen" in browser.get(f"/roster/notices/{notice.pk}/").content.decode()
        assert browser.post(f"/roster/notices/{notice.pk}/send/").status_code == 302
    with scope.platform("test"):
        assert Delivery.objects.filter(key=notice.message_key, medium="email").count() == 1


def test_a_letter_is_recorded_by_a_manager(
    client_for: ClientFor, lin: User, chen: User, notice: ResponderNotice
) -> None:
    form = {"how": "letter", "given_at": "2026-03-02T10:30", "evidence": "EMS 1"}
    page = f"/roster/notices/{notice.pk}/"
    with travel(NOW + timedelta(hours=1), tick=False):
        assert client_for(chen).post(page, form).status_code == 403
        for wrong in ({"how": "email"}, {"how": "shouting"}, {"given_at": "then"}, {"evidence": ""}):
            assert client_for(lin).post(page, form | wrong).status_code == 422
        assert client_for(lin).post(page, form).status_code == 302
        assert "EMS 1" in client_for(lin).get("/roster/notices/").content.decode()
    with scope.platform("test"):
        assert ResponderNotice.objects.get(pk=notice.pk).given_by == lin


def test_customers_see_none_of_these_pages(
    client_for: ClientFor, alice: User, chen: User, notice: ResponderNotice
) -> None:
    customer, engineer = client_for(alice), client_for(chen)
    for path in (
        "/roster/rotations/",
        "/roster/swaps/",
        "/roster/calendar/",
        "/roster/notices/",
        f"/roster/notices/{notice.pk}/",
    ):
        assert customer.get(path).status_code == 403
        assert engineer.get(path).status_code == 200
    for path in ("/roster/rotations/new/", f"/roster/notices/{notice.pk}/send/"):
        assert engineer.post(path).status_code == 403
