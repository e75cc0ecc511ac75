"""Changed contact data of the responders is told to the customer within two working days, and gaps before they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contact, Customer, ProviderContact, RosterShift, User
from accounts.services import profile
from incidents import tasks
from incidents.models import ResponderNotice
from incidents.services import duty_watch, responders
from notify.models import Delivery
from notify.services import delivering
from tests.conftest import NOW
from timers import services as timers
from timers.models import Timer

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KNOWN = (tasks.watch_duty.name, tasks.report_gaps.name)
"""Celery knows the tasks from here on."""


def sweep(now: datetime) -> None:
    with scope.platform("test sweep"):
        for timer_id in timers.claim(now=now):
            timers.fire(timer_id=timer_id, now=now)


def look(now: datetime = NOW) -> None:
    with scope.platform("test"):
        duty_watch.look(now=now)


def notices(customer: Customer) -> list[ResponderNotice]:
    with scope.platform("test"):
        return list(ResponderNotice.objects.filter(customer=customer).order_by("pk"))


def mails() -> list[str]:
    with scope.platform("test"):
        return [row.user.name for row in Delivery.objects.filter(medium="email").select_related("user") if row.user]


def deliver(now: datetime) -> None:
    delivering.drain(lane=0, clock=lambda: now)


@pytest.fixture
def team(jia: Customer, alice: User, chen: User) -> None:
    """chen is named to jia, and jia has told us whom to write to; everything has been told once."""
    with scope.customer(jia):
        ProviderContact.objects.create(customer=jia, kind="operations", user=chen)
        Contact.objects.create(customer=jia, kind="first_pm", user=alice, phone="13900000000", email=alice.email)
    look(NOW - 10 * DAY)
    sweep(NOW - 10 * DAY + HOUR)
    deliver(NOW - 10 * DAY + HOUR)
    look(NOW - 10 * DAY + 2 * HOUR)


def call_me(person: User, phone: str, now: datetime = NOW) -> None:
    profile.update(person=person, name=person.name, phone=phone, language="en", now=now)


def test_a_new_customer_is_told_everybody_once(team: None, jia: Customer) -> None:
    (first,) = notices(jia)
    assert first.how == "email"
    assert "Chen" in first.text
    look()
    assert len(notices(jia)) == 1


def test_a_changed_phone_opens_a_notice_that_says_what_is_new_and_what_is_gone(
    team: None, jia: Customer, chen: User
) -> None:
    call_me(chen, "13711112222")
    look()
    notice = notices(jia)[-1]
    assert notice.changed_at == NOW
    assert notice.due_at == datetime(2026, 3, 4, 10, 0, tzinfo=UTC), "Wednesday, six in the evening"
    with scope.customer(jia):
        said = responders.changes(notice.told, notice.card)
    assert any("13711112222" in line for line in said)
    assert any("13800000000" in line for line in said)
    assert "13711112222" in notice.text


def test_it_is_sent_after_an_hour_and_counts_as_given_when_a_mail_server_took_it(
    team: None, jia: Customer, chen: User
) -> None:
    before = len(mails())
    call_me(chen, "13711112222")
    look()
    sweep(NOW + HOUR - timedelta(seconds=1))
    assert len(mails()) == before
    sweep(NOW + HOUR)
    assert mails()[before:] == ["Alice"]
    look(NOW + HOUR)
    assert notices(jia)[-1].given_at is None, "it lies in the outbox"
    deliver(NOW + HOUR)
    look(NOW + 2 * HOUR)
    given = notices(jia)[-1]
    assert (given.how, given.given_at, given.is_overdue(NOW + 9 * DAY)) == ("email", NOW + HOUR, False)
    with scope.platform("test"):
        assert not Timer.objects.pending().filter(key__startswith=f"responders:{given.pk}:").exists()
        assert AuditEntry.objects.filter(action="responders.given", object_id=str(given.pk)).exists()


def test_two_changes_are_one_notice_with_the_term_of_the_first(
    team: None, jia: Customer, chen: User, lin: User
) -> None:
    call_me(chen, "13711112222")
    look()
    with scope.customer(jia):
        ProviderContact.objects.create(customer=jia, kind="manager", user=lin)
    look(NOW + HOUR / 2)
    first_told, notice = notices(jia)
    assert "Lin" in notice.text
    assert (notice.changed_at, notice.send_at) == (NOW, NOW + HOUR * 1.5)
    assert first_told.given_at is not None


def test_what_is_taken_back_before_it_was_sent_is_told_to_nobody(team: None, jia: Customer, chen: User) -> None:
    call_me(chen, "13711112222")
    look()
    call_me(chen, "13800000000", NOW + HOUR / 2)
    look(NOW + HOUR / 2)
    assert len(notices(jia)) == 1
    before = len(mails())
    sweep(NOW + 5 * DAY)
    assert len(mails()) == before


def test_the_emergency_number_is_a_responders_too(team: None, jia: Customer, settings: LazySettings) -> None:
    settings.EMERGENCY_PHONE = "0571-00000000"
    look()
    assert "0571-00000000" in notices(jia)[-1].text


def test_managers_are_warned_before_the_term_and_told_after_it(
    team: None, jia: Customer, chen: User, lin: User
) -> None:
    with scope.customer(jia):
        Contact.objects.all().delete()
    call_me(chen, "13711112222")
    look()
    due = notices(jia)[-1].due_at
    sweep(NOW + HOUR)
    assert notices(jia)[-1].sent_at is None, "nobody is named"
    sweep(due - responders.WARN_BEFORE)
    sweep(due)
    sweep(due + DAY)
    notice = notices(jia)[-1]
    assert (notice.warned_at, notice.overdue_at) == (due - responders.WARN_BEFORE, due)
    with scope.platform("test"):
        told = Delivery.objects.filter(user=lin, medium="inbox", key__startswith=f"{notice.message_key}:")
        assert [row.key.rpartition(":")[2] for row in told.order_by("pk")] == ["near", "overdue"]


def test_a_letter_is_recorded_with_its_evidence(team: None, jia: Customer, chen: User, lin: User) -> None:
    call_me(chen, "13711112222")
    look()
    notice = notices(jia)[-1]

    def give(**changes: object) -> None:
        said: dict[str, object] = {"how": "letter", "given_at": NOW + HOUR, "evidence": "EMS 1234", "actor": lin}
        with scope.customer(jia):
            responders.record_given(notice=notice, now=NOW + 2 * HOUR, **said | changes)  # type: ignore[arg-type]

    for wrong in ({"given_at": NOW + 9 * HOUR}, {"given_at": NOW - DAY}, {"evidence": " "}):
        with pytest.raises(DomainError):
            give(**wrong)
    with pytest.raises(PermissionDenied):
        give(actor=chen)
    give()
    with pytest.raises(DomainError):
        give()
    assert notices(jia)[-1].how == "letter"
    look(NOW + 3 * HOUR)
    assert len(notices(jia)) == 2


def test_other_customers_are_not_told_of_it(team: None, jia: Customer, yi: Customer, chen: User) -> None:
    look()
    before = len(notices(yi))
    call_me(chen, "13711112222")
    look(NOW + HOUR)
    assert len(notices(yi)) == before


# --- gaps ------------------------------------------------------------------------------------------------------------


def fill(person: User, *duties: str, until: datetime = NOW + 31 * DAY, customer: Customer | None = None) -> None:
    with scope.platform("test"):
        for duty in duties:
            RosterShift.objects.create(duty=duty, user=person, starts_at=NOW - DAY, ends_at=until, customer=customer)


def gap_messages(lin: User) -> list[Delivery]:
    with scope.platform("test"):
        return list(Delivery.objects.filter(user=lin, medium="inbox", key__startswith="roster-gaps:").order_by("pk"))


def test_gaps_of_the_next_thirty_days_are_told_to_managers_every_morning_that_they_are_near(
    jia: Customer, chen: User, lin: User
) -> None:
    fill(chen, "first", "manager", until=NOW + 90 * DAY)
    fill(chen, "second", until=NOW + 20 * DAY)
    look()
    with scope.platform("test"):
        timer = Timer.objects.get(key=duty_watch.GAP_KEY)
        assert timer.due_at == datetime(2026, 3, 3, 1, 0, tzinfo=UTC), "nine in the morning"
    for day in range(1, 22):
        sweep(datetime(2026, 3, 2, 1, 0, tzinfo=UTC) + day * DAY)
    told = gap_messages(lin)
    assert "03-22" in told[0].text
    assert 1 < len(told) < 10, "once for what is new, then daily when it is near; never every day for weeks"


def test_without_a_gap_nobody_is_told(jia: Customer, chen: User, lin: User) -> None:
    fill(chen, "first", "second", "manager")
    with scope.platform("test"):
        assert duty_watch.report_gaps(now=NOW) == 0
    assert gap_messages(lin) == []


def test_a_customer_with_people_of_its_own_has_no_gap_where_the_others_have(
    jia: Customer, yi: Customer, chen: User, lin: User
) -> None:
    fill(chen, "first", "second", "manager", customer=jia)
    with scope.platform("test"):
        found = duty_watch.gaps_ahead(now=NOW)
    assert {customer for customer, _gap in found} == {None}
    fill(chen, "first", "second", customer=yi)
    with scope.platform("test"):
        found = duty_watch.gaps_ahead(now=NOW)
    assert [(customer, gap.duty.value) for customer, gap in found] == [(yi, "manager")]
