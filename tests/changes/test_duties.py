"""Recurring duties: the contract's set, opened once each time, reminded of, told, closed by their evidence."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Contract, Customer, User
from changes.catalogue import Words
from changes.duties import Kind, standard_set
from changes.models import DutyOccurrence, RecurringDuty
from changes.recurrence import Rhythm
from changes.services import recurring
from changes.services.recurring import Described, Shown
from notify.models import Delivery
from tests.changes.conftest import draft
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import raise_incident
from timers import services as timers
from timers.models import Timer

DAY = timedelta(days=1)
JSON = "application/json"


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def described(kind: Kind = Kind.PATCH_REVIEW, **said: object) -> Described:
    usual: dict[str, object] = {
        "words": Words("Review", "评审"),
        "rhythm": Rhythm.QUARTERLY,
        "first_due_on": date(2026, 4, 1),
        "lead_days": 10,
        "agenda": "1. Patches",
        "tells_customer": True,
    }
    return Described(kind=kind, **{**usual, **said})  # type: ignore[arg-type]


@pytest.fixture
def review(jia: Customer, chen: User) -> RecurringDuty:
    return recurring.create(customer=jia, said=described(), actor=chen, now=NOW)


def at(day: date, hour: int = 9) -> datetime:
    return timezone.make_aware(datetime.combine(day, time(hour)))


def opened(duty: RecurringDuty, *, on: date = date(2026, 3, 22)) -> DutyOccurrence:
    found = recurring.open_due(duty_id=duty.pk, now=at(on))
    assert found is not None
    return found


def ring(key: str) -> datetime:
    timer: Timer = Timer.objects.get(key=key)
    with scope.platform("test timers"):
        assert timers.fire(timer_id=timer.pk, now=timer.due_at)
    return timer.due_at


def told(occurrence: DutyOccurrence, person: User) -> int:
    return Delivery.objects.filter(about=f"duty:{occurrence.pk}", user=person, medium="inbox").count()


def test_a_contract_brings_its_set_once(jia: Customer, lin: User) -> None:
    assert recurring.follow_contracts(now=NOW) == len(standard_set())
    assert recurring.follow_contracts(now=NOW) == 0
    duties = {duty.code: duty for duty in RecurringDuty.objects.filter(customer=jia)}
    assert set(duties) == {one.code for one in standard_set()}
    assert all(duty.first_due_on >= NOW.date() for duty in duties.values())
    recurring.end(duty=duties["announcements"], actor=lin, now=NOW)
    assert recurring.follow_contracts(now=NOW) == 0, "what somebody has ended stays ended"
    assert Timer.objects.filter(key__startswith="duty:", fired_at=None).count() == len(standard_set()) - 1


def test_a_contract_that_is_over_brings_nothing(jia: Customer) -> None:
    Contract.objects.filter(customer=jia).update(starts_on=date(2024, 1, 1), ends_on=date(2024, 12, 31))
    assert recurring.follow_contracts(now=NOW) == 0


def test_an_old_contract_begins_with_what_lies_ahead(jia: Customer) -> None:
    Contract.objects.filter(customer=jia).update(starts_on=date(2025, 3, 5), ends_on=date(2027, 1, 1))
    recurring.follow_contracts(now=NOW)
    assert all(NOW.date() <= duty.first_due_on <= date(2026, 7, 1) for duty in RecurringDuty.objects.all())


@pytest.mark.parametrize("status", ["onboarding", "leaving", "left"])
def test_who_is_not_in_service_is_owed_nothing(jia: Customer, review: RecurringDuty, status: str) -> None:
    with scope.platform("test"):
        assert Customer.objects.filter(pk=jia.pk).update(status=status)
    recurring.follow_contracts(now=NOW)
    assert list(RecurringDuty.objects.all()) == [review]
    assert recurring.open_due(duty_id=review.pk, now=at(date(2026, 3, 22))) is None
    assert Timer.objects.get(key=f"duty:{review.pk}:").due_at == at(date(2026, 3, 23)), "it is asked again"


def test_duties_do_not_outlive_the_contract(jia: Customer, review: RecurringDuty) -> None:
    Contract.objects.filter(customer=jia).update(starts_on=date(2025, 1, 1), ends_on=date(2026, 3, 31))
    key = f"duty:{review.pk}:"
    assert ring(key) == at(date(2026, 3, 22))
    assert ring(key) == at(date(2026, 3, 23))
    assert not review.occurrences.exists()
    Contract.objects.filter(customer=jia).update(ends_on=date(2026, 4, 1))
    ring(key)
    assert [one.due_on for one in review.occurrences.all()] == [date(2026, 4, 1)], "prolonged, though late"


def test_what_lies_between_two_contracts_is_left_out(jia: Customer, review: RecurringDuty) -> None:
    Contract.objects.filter(customer=jia).update(starts_on=date(2026, 7, 1), ends_on=date(2026, 12, 31))
    found = recurring.open_due(duty_id=review.pk, now=at(date(2026, 6, 25)))
    assert found is not None
    assert found.due_on == date(2026, 7, 1)


def test_a_set_that_is_complete_holds_nobody_up(jia: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    recurring.follow_contracts(now=NOW)

    def held(_customer_id: int) -> None:
        raise AssertionError("the customer was held")

    monkeypatch.setattr("accounts.audit.hold", held)
    assert recurring.follow_contracts(now=NOW) == 0


def test_the_plan_asks_no_more_of_many_duties_than_of_few(
    jia: Customer, review: RecurringDuty, chen: User, client_for: ClientFor
) -> None:
    client, asked = client_for(chen), []
    opened(review)
    for _ in range(2):
        for address in ("/changes/duties/plan/", "/api/v1/recurring-duties/"):
            with CaptureQueriesContext(connection) as queries:
                text = client.get(address).content.decode()
            assert "2026-07-01" in text
            asked.append(len(queries))
        recurring.follow_contracts(now=NOW)
    assert asked[2] <= asked[0]
    assert asked[3] <= asked[1]


def test_each_occurrence_is_opened_once_by_its_timer(review: RecurringDuty, chen: User) -> None:
    assert ring(f"duty:{review.pk}:") == at(date(2026, 3, 22))
    (first,) = review.occurrences.all()
    assert (first.due_on, first.agenda) == (date(2026, 4, 1), "1. Patches")
    assert told(first, chen) == 1
    assert recurring.open_due(duty_id=review.pk, now=at(date(2026, 3, 23))) is None
    assert review.occurrences.count() == 1
    assert ring(f"duty:{review.pk}:") == at(date(2026, 6, 21))
    assert [one.due_on for one in review.occurrences.all()] == [date(2026, 4, 1), date(2026, 7, 1)]


def test_a_platform_that_slept_opens_what_it_missed_one_after_the_other(review: RecurringDuty) -> None:
    late = at(date(2026, 10, 2))
    days = []
    while (found := recurring.open_due(duty_id=review.pk, now=late)) is not None:
        days.append(found.due_on)
    assert days == [date(2026, 4, 1), date(2026, 7, 1), date(2026, 10, 1)]


def test_reminders_before_and_after_until_it_is_done(review: RecurringDuty, chen: User, lin: User) -> None:
    occurrence = opened(review)
    key = f"duty-occurrence:{occurrence.pk}:"
    assert ring(key) == at(date(2026, 3, 31))
    assert told(occurrence, lin) == 0
    assert ring(key) == at(date(2026, 4, 2))
    assert told(occurrence, lin) == 1, "what is late is told to the managers"
    assert ring(key) == at(date(2026, 4, 5))
    assert told(occurrence, chen) == 4
    assert occurrence.is_overdue(date(2026, 4, 2))
    recurring.drop(occurrence=occurrence, reason="No patch this quarter", actor=lin, now=NOW)
    assert not Timer.objects.filter(key=key, fired_at=None).exists()


@pytest.mark.usefixtures("contacts")
def test_a_patch_review_is_told_held_and_kept(review: RecurringDuty, chen: User, alice: User) -> None:
    occurrence = opened(review)
    with pytest.raises(DomainError) as refused:
        recurring.complete(occurrence=occurrence, shown=Shown(minutes="We met"), actor=chen, now=NOW)
    assert refused.value.code == "evidence_missing"
    with pytest.raises(PermissionDenied):
        recurring.tell(occurrence=occurrence, agenda="x", actor=alice, now=NOW)
    with pytest.raises(DomainError):
        recurring.tell(occurrence=occurrence, agenda=" ", actor=chen, now=NOW)
    recurring.tell(occurrence=occurrence, agenda="1. OpenSSL\nPlease bring the SOP", actor=chen, now=NOW)
    assert told(occurrence, alice) == 1
    with pytest.raises(DomainError):
        recurring.complete(occurrence=occurrence, shown=Shown(), actor=chen, now=NOW)
    with pytest.raises(PermissionDenied):
        recurring.complete(occurrence=occurrence, shown=Shown(minutes="x"), actor=alice, now=NOW)
    done = recurring.complete(occurrence=occurrence, shown=Shown(minutes="We met"), actor=chen, now=NOW)
    assert (done.minutes, done.done_by, done.is_open) == ("We met", chen, False)
    assert told(occurrence, alice) == 2
    with pytest.raises(DomainError):
        recurring.complete(occurrence=occurrence, shown=Shown(minutes="y"), actor=chen, now=NOW)
    with pytest.raises(DomainError):
        recurring.tell(occurrence=occurrence, agenda="y", actor=chen, now=NOW)


def test_a_drill_names_the_backup_and_how_long_it_took(jia: Customer, chen: User, yi: Customer, eve: User) -> None:
    duty = recurring.create(customer=jia, said=described(Kind.RESTORE_DRILL), actor=chen, now=NOW)
    occurrence = opened(duty)
    for shown in (Shown(), Shown(result="passed"), Shown(result="passed", backup="rm-bak-1"), Shown(restore_minutes=3)):
        with pytest.raises(DomainError):
            recurring.complete(occurrence=occurrence, shown=shown, actor=chen, now=NOW)
    with scope.user(chen):
        theirs = raise_incident(eve, customer=yi)
        fields = {"action": "add", "domain": "yi.example", "rr": "x", "type": "A", "value": "203.0.113.9"}
        foreign = draft(theirs, chen, operation="dns-record", fields=fields)
    whole = {"result": "passed", "backup": "rm-bak-1", "restore_minutes": 37}
    with pytest.raises(DomainError) as refused:
        recurring.complete(occurrence=occurrence, shown=Shown(**whole, change=foreign), actor=chen, now=NOW)  # type: ignore[arg-type]
    assert refused.value.code == "other_customer"
    done = recurring.complete(occurrence=occurrence, shown=Shown(**whole), actor=chen, now=NOW)  # type: ignore[arg-type]
    assert (done.result, done.backup, done.restore_minutes) == ("passed", "rm-bak-1", 37)


def test_who_may_set_up_and_end(jia: Customer, review: RecurringDuty, chen: User, alice: User, lin: User) -> None:
    with pytest.raises(PermissionDenied):
        recurring.create(customer=jia, said=described(), actor=alice, now=NOW)
    for said in (described(first_due_on=date(2026, 1, 1)), described(lead_days=91), described(words=Words(" ", "评"))):
        with pytest.raises(DomainError):
            recurring.create(customer=jia, said=said, actor=chen, now=NOW)
    for person in (chen, alice):
        with pytest.raises(PermissionDenied):
            recurring.end(duty=review, actor=person, now=NOW)
    recurring.end(duty=review, actor=lin, now=NOW)
    assert recurring.open_due(duty_id=review.pk, now=at(date(2026, 3, 30))) is None


def test_pages(
    jia: Customer,
    review: RecurringDuty,
    chen: User,
    lin: User,
    alice: User,
    vera: User,
    eve: User,
    client_for: ClientFor,
) -> None:
    engineer = client_for(chen)
    assert "还没有" in client_for(eve).get("/changes/duties/").content.decode()
    occurrence = opened(review)
    page = f"/changes/duties/{occurrence.pk}/"
    assert page in engineer.get("/changes/duties/?state=overdue&kind=patch_review").content.decode()
    assert page not in engineer.get("/changes/duties/?state=done").content.decode()
    for person in (alice, vera):
        assert client_for(person).post(page, {}).status_code == 403
    assert engineer.post(page, {"minutes": "x"}).status_code == 422, "nobody was told"
    assert engineer.post(f"{page}tell/", {"agenda": ""}).status_code == 422
    assert engineer.post(f"{page}tell/", {"agenda": "<b>议程</b>"}).status_code == 302
    shown = client_for(vera).get(page).content.decode()
    assert "&lt;b&gt;议程" in shown
    assert "<b>议程" not in shown
    assert 'type="file"' not in shown, "a reader sees no form"
    for wrong in ({"minutes": ""}, {"minutes": "x", "change": "CHG-999999"}, {"minutes": "x", "link": "javascript:1"}):
        assert engineer.post(page, wrong).status_code == 422, wrong
    file = SimpleUploadedFile("minutes.txt", b"We met.", content_type="text/plain")
    assert engineer.post(page, {"minutes": "开过会", "file": file}).status_code == 302
    (kept,) = occurrence.files.all()
    assert b"".join(client_for(alice).get(f"{page}files/{kept.pk}/")) == b"We met."
    assert client_for(eve).get(f"{page}files/{kept.pk}/").status_code == 404
    (row,) = csv.DictReader(io.StringIO(b"".join(engineer.get("/changes/duties/?export=csv")).decode("utf-8-sig")))
    assert "开过会" in row.values()
    for path in (page, f"{page}tell/", f"{page}drop/"):
        assert client_for(eve).get(path).status_code in (403, 404)
    assert client_for(chen).post(f"{page}drop/", {"reason": "x"}).status_code == 403
    assert client_for(lin).post(f"{page}drop/", {"reason": "x"}).status_code == 422, "it is done"


def test_the_plan_of_duties(
    jia: Customer, review: RecurringDuty, chen: User, lin: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    given = {
        "customer": jia.pk, "kind": "other", "name_zh": "年度架构评审", "name_en": "Yearly review", "rhythm": "yearly",
        "first_due_on": "2031-01-01", "lead_days": 20, "owner_role": "manager",
    }  # fmt: skip
    assert client_for(alice).post("/changes/duties/new/", given).status_code == 403
    assert client_for(chen).post("/changes/duties/new/", {**given, "first_due_on": "2020-01-01"}).status_code == 422
    assert client_for(chen).post("/changes/duties/new/", given).status_code == 302
    assert "年度架构评审" in client_for(alice).get("/changes/duties/plan/").content.decode()
    assert "年度架构评审" not in client_for(eve).get("/changes/duties/plan/").content.decode()
    assert client_for(chen).post(f"/changes/duties/plan/{review.pk}/end/").status_code == 403
    assert client_for(lin).post(f"/changes/duties/plan/{review.pk}/end/").status_code == 302
    review.refresh_from_db()
    assert review.ended_by == lin


def test_by_the_api(
    jia: Customer, review: RecurringDuty, chen: User, lin: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    engineer = client_for(chen)
    body = {
        "customer": jia.pk, "kind": "restore_drill", "name_zh": "演练", "name_en": "Drill", "rhythm": "quarterly",
        "first_due_on": "2031-01-01",
    }  # fmt: skip
    assert client_for(alice).post("/api/v1/recurring-duties/", body, JSON).status_code == 403
    made = engineer.post("/api/v1/recurring-duties/", body, JSON)
    assert (made.status_code, made.json()["next_due_on"]) == (201, "2031-01-01")
    assert engineer.post(f"/api/v1/recurring-duties/{made.json()['id']}/end/").status_code == 403
    assert client_for(lin).post(f"/api/v1/recurring-duties/{made.json()['id']}/end/").json()["next_due_on"] is None
    occurrence = opened(review)
    address = f"/api/v1/duties/{occurrence.pk}/"
    assert client_for(alice).get(address).json()["is_overdue"] is True
    assert [one["id"] for one in engineer.get("/api/v1/duties/?open=true").json()["results"]] == [occurrence.pk]
    assert client_for(alice).post(f"{address}tell/", {"agenda": "x"}, JSON).status_code == 403
    assert engineer.post(f"{address}complete/", {"minutes": "x"}, JSON).status_code == 409
    assert engineer.post(f"{address}tell/", {"agenda": "x"}, JSON).json()["told_by"]["id"] == chen.pk
    assert engineer.post(f"{address}complete/", {"minutes": "x", "change": 999_999}, JSON).status_code == 400
    assert engineer.post(f"{address}complete/", {"minutes": "x"}, JSON).json()["done_by"]["id"] == chen.pk
    assert client_for(lin).post(f"{address}drop/", {"reason": "x"}, JSON).status_code == 409
    assert engineer.get("/api/v1/duties/?open=true").json()["results"] == []
    assert client_for(eve).get(address).status_code == 404
    assert client_for(eve).get("/api/v1/recurring-duties/").json()["results"] == []


def test_duties_stand_in_the_calendar_that_programs_read(
    review: RecurringDuty, alice: User, client_for: ClientFor
) -> None:
    soon = timezone.localdate() + 5 * DAY
    DutyOccurrence.objects.create(customer=review.customer, duty=review, due_on=soon, opened_at=NOW)
    page = client_for(alice).get("/changes/calendar/").content.decode()
    address = page.split("<code>http://testserver", 1)[1].split("</code>", 1)[0]
    body = client_for(alice).get(address).content.decode()
    assert "评审" in body
    assert "duty-" in body
