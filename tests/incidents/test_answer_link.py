"""Acknowledging from a message: a look changes nothing, a press acts as whoever the link came to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import Assignment, AuditEntry, Customer, RosterShift, User
from accounts.services import roster
from incidents import services
from incidents.models import Incident
from notify import links
from notify.models import Delivery
from tests.conftest import ClientFor
from tests.incidents.conftest import raise_incident
from tests.notify.conftest import make_channel


@pytest.fixture
def on_duty(jia: Customer, chen: User) -> User:
    now = timezone.now()
    with scope.platform("test"):
        roster.add_shift(
            duty=RosterShift.Duty.FIRST,
            user=chen,
            starts_at=now - timedelta(days=1),
            ends_at=now + timedelta(days=9),
            customer=None,
            actor=None,
            now=now,
        )
    return chen


@pytest.fixture
def incident(jia: Customer, alice: User, on_duty: User) -> Incident:
    make_channel(jia, "email", {}, recipients=["ops@example.com"])
    return raise_incident(alice, customer=jia, now=timezone.now())


def link_of(incident: Incident, **which: object) -> str:
    with scope.platform("test"):
        found = Delivery.objects.filter(about=f"incident:{incident.pk}", asks="acknowledge", **which)
        return f"/{links.path_of(found.order_by('-pk')[0])}"


def state_of(incident: Incident) -> tuple[str, str]:
    with scope.platform("test"):
        found = Incident.objects.select_related("acknowledged_by").get(pk=incident.pk)
        return found.state, found.acknowledged_by.name if found.acknowledged_by else ""


def test_a_look_changes_nothing_and_a_press_takes_the_incident(incident: Incident, chen: User) -> None:
    outside, link = Client(), link_of(incident, user=chen)
    for _ in range(3):  # the previews that chats make of links
        page = outside.get(link)
        assert page.status_code == 200
    assert "Chen" in page.content.decode()
    assert state_of(incident) == ("open", "")
    assert outside.post(link).status_code == 200
    assert state_of(incident) == ("acknowledged", "Chen")
    with scope.platform("test"):
        entry = AuditEntry.objects.filter(action="incident.answer").get()
        assert entry.actor == chen
        assert entry.detail["address"] == "127.0.0.1"
        assert incident.timeline.get(kind="acknowledged").data == {"via": "link"}


def test_once_somebody_took_it_every_link_to_it_has_ended(incident: Incident, chen: User, lin: User) -> None:
    with scope.platform("test"):
        services.acknowledge(incident=incident, actor=lin, now=timezone.now())
    answer = Client().post(link_of(incident, user=chen))
    assert answer.status_code == 410
    assert "Lin" in answer.content.decode()
    assert state_of(incident) == ("acknowledged", "Lin")


def test_a_link_of_before_does_not_take_what_was_reopened(incident: Incident, alice: User, chen: User) -> None:
    now, link = timezone.now(), link_of(incident, user=chen)
    with scope.platform("test"):
        services.resolve(incident=incident, resolution="restarted", cause="system", actor=chen, now=now)
        services.reopen(incident=incident, reason="still so", actor=alice, now=now)
    assert state_of(incident)[0] == "open"
    assert Client().post(link).status_code == 410
    assert state_of(incident)[0] == "open"


def test_a_day_later_the_link_does_nothing(incident: Incident, chen: User) -> None:
    link = link_of(incident, user=chen)
    with scope.platform("test"):
        Delivery.objects.filter(user=chen).update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
        Incident.objects.filter(pk=incident.pk).update(acknowledged_at=None)
    assert Client().post(link).status_code == 410
    assert state_of(incident)[0] == "open"


def test_the_link_of_a_group_asks_who_is_there(
    incident: Incident, alice: User, chen: User, client_for: ClientFor
) -> None:
    link = link_of(incident, channel__isnull=False)
    assert "/accounts/login/?next=" in Client().get(link).content.decode()
    answer = Client().post(link)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/?next=/a/") or "next=%2Fa%2F" in answer["Location"]
    assert client_for(alice).post(link).status_code == 302  # the customer's people are in the group, too
    assert state_of(incident)[0] == "open"
    assert client_for(chen).post(link).status_code == 200
    assert state_of(incident) == ("acknowledged", "Chen")


def test_whoever_lost_the_customer_or_the_access_takes_nothing(incident: Incident, chen: User) -> None:
    link = link_of(incident, user=chen)
    with scope.platform("test"):
        Assignment.objects.filter(user=chen).delete()
    assert Client().post(link).status_code == 404
    with scope.platform("test"):
        Assignment.objects.create(customer=incident.customer, user=chen, assigned_at=timezone.now())
        User.objects.filter(pk=chen.pk).update(is_active=False)
    assert Client().post(link).status_code == 404
    assert state_of(incident)[0] == "open"


def test_a_forged_link_leads_nowhere_and_guessing_is_held_up(incident: Incident, chen: User) -> None:
    link = link_of(incident, user=chen)
    number, _, mark = link.removeprefix("/a/").partition("-")
    outside = Client()
    for forged in (f"/a/{number}-{'A' * 20}/", f"/a/zzz-{mark}", "/a/x/", f"/a/{number}-/", f"/a/{'9' * 60}-x/"):
        assert outside.post(forged).status_code == 404
    assert state_of(incident)[0] == "open"
    assert 429 in {outside.get("/a/x-y/").status_code for _ in range(20)}


def test_a_message_that_asks_nothing_has_no_link(incident: Incident, alice: User) -> None:
    with scope.platform("test"):
        told = Delivery.objects.filter(user=alice).first() or Delivery.objects.exclude(asks="acknowledge").first()
    assert told is None or links.path_of(told) == ""
