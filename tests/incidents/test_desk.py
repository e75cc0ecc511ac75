"""The service desk's number leads to whoever is on duty (R131)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts import scope
from accounts.models import Customer, RosterShift, User
from accounts.services import roster, tokens
from incidents.models import DeskForward
from incidents.services import desk
from tests.conftest import NOW, ClientFor

Duty = RosterShift.Duty


def shift(user: User, duty: str, *, customer: Customer | None = None, start: datetime = NOW) -> None:
    with scope.platform("test"):
        ends = start + timedelta(days=7)
        roster.add_shift(duty=duty, user=user, starts_at=start, ends_at=ends, customer=customer, actor=None, now=NOW)


def ask(client: Client, **query: str | int) -> Any:
    return client.get("/api/v1/service-desk/", query)


def test_the_exchange_is_told_the_number_of_any_instant(
    jia: Customer, chen: User, lin: User, client_for: ClientFor
) -> None:
    shift(chen, Duty.FIRST)
    shift(lin, Duty.MANAGER, start=NOW - timedelta(days=7))
    browser = client_for(lin)
    first = ask(browser, at="2026-03-02T10:00:00+08:00").json()
    assert (first["number"], first["name"], first["duty"]) == ("13800000000", "Chen", "first")
    before = ask(browser, at="2026-03-01T10:00:00+08:00").json()
    assert (before["name"], before["duty"]) == ("Lin", "manager")
    assert ask(browser, at="2020-01-01T00:00:00Z").status_code == 404
    assert ask(browser, at="yesterday").status_code == 400


def test_a_shift_for_the_customer_goes_first(
    jia: Customer, chen: User, lin: User, root: User, client_for: ClientFor
) -> None:
    shift(chen, Duty.FIRST)
    shift(lin, Duty.FIRST, customer=jia)
    browser = client_for(root)
    at = "2026-03-02T10:00:00+08:00"
    assert ask(browser, at=at).json()["name"] == "Chen"
    assert ask(browser, at=at, customer=jia.pk).json()["name"] == "Lin"
    assert ask(browser, at=at, customer=999).status_code == 404
    assert ask(browser, at=at, customer="x").status_code == 404


def test_who_has_no_number_is_passed_over(chen: User, lin: User, jia: Customer) -> None:
    with scope.platform("test"):
        User.objects.filter(pk=chen.pk).update(phone="ask the desk")
    shift(chen, Duty.FIRST)
    shift(lin, Duty.SECOND)
    assert desk.answering(at=NOW).user == lin


def test_customers_do_not_ask_and_nobody_without_a_token(alice: User, chen: User, client_for: ClientFor) -> None:
    assert ask(client_for(alice)).status_code == 403
    assert ask(Client()).status_code in (401, 403)
    assert client_for(alice).get("/service-desk/").status_code == 403


def test_every_change_is_logged_once_and_never_changed(
    jia: Customer, chen: User, lin: User, client_for: ClientFor
) -> None:
    assert desk.note_change(now=NOW)
    shift(chen, Duty.FIRST)
    assert desk.note_change(now=NOW + timedelta(minutes=1))
    assert not desk.note_change(now=NOW + timedelta(minutes=2))
    with scope.platform("test"):
        User.objects.filter(pk=chen.pk).update(phone="13900000009")
    assert desk.note_change(now=NOW + timedelta(minutes=3))
    with scope.platform("test"):
        assert list(DeskForward.objects.values_list("number", flat=True)) == ["13900000009", "13800000000", ""]
    page = client_for(lin).get("/service-desk/").content.decode()
    assert "13900000009" in page


@pytest.mark.parametrize("scope_", ["read"])
def test_a_read_only_token_is_enough(jia: Customer, chen: User, lin: User, scope_: str) -> None:
    shift(chen, Duty.FIRST)
    with scope.platform("test"):
        _token, key = tokens.issue(actor=lin, name="PBX", scope=scope_, valid_for=timedelta(days=365), now=NOW)
    answer = Client().get(
        "/api/v1/service-desk/", {"at": "2026-03-02T10:00:00+08:00"}, headers={"authorization": f"Bearer {key}"}
    )
    assert answer.json()["number"] == "13800000000"
