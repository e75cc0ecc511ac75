"""Who may enter from where: one rule for pages, API, sockets and sign-in; nobody shuts themselves out unknowingly."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.test import Client as Browser
from django.utils import timezone

from accounts import addresses, scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, EntryRule, Role, User
from accounts.services import entering, tokens
from tests.accounts.test_signin import sign_in
from tests.conftest import NOW, PASSWORD, ClientFor, make_person
from tests.portal import Portal

HERE, THERE = "203.0.113.9", "198.51.100.1"


def keep(actor: User, **said: Any) -> EntryRule:
    usual = {"customer": None, "role": "", "person": None, "ranges": "", "needs_key_and_code": False}
    with scope.user(actor):
        return entering.keep(**{**usual, "actor": actor, "address": HERE, "now": NOW, **said})


def refusal(actor: User, **said: Any) -> str:
    with pytest.raises(DomainError) as refused:
        keep(actor, **said)
    return refused.value.code


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", []),
        ("203.0.113.0/24， 198.51.100.7\n2001:db8::/32", ["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32"]),
        ("10.0.0.0/8 10.0.0.0/8", ["10.0.0.0/8"]),
    ],
)
def test_ranges_are_read_as_people_write_them(written: str, read: list[str]) -> None:
    assert addresses.ranges(written) == read


@pytest.mark.parametrize("written", ["office", "10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0.1-10.0.0.9"])
def test_what_is_no_range_is_refused(written: str) -> None:
    with pytest.raises(addresses.BadRange):
        addresses.ranges(written)


def test_a_persons_own_rule_holds_in_place_of_their_roles(jia: Customer, yi: Customer, alice: User, bob: User) -> None:
    eric = make_person("eric", Role.CUSTOMER_MEMBER, yi)
    for person in (bob, eric):
        assert entering.may_enter(person, THERE)
    keep(alice, customer=jia, role=Role.CUSTOMER_MEMBER, ranges="203.0.113.0/24")
    assert not entering.may_enter(bob, THERE)
    for address in (HERE, f"::ffff:{HERE}"):
        assert entering.may_enter(bob, address)
    for nonsense in ("", "not an address", "2001:db8::1"):
        assert not entering.may_enter(bob, nonsense)
    assert entering.may_enter(eric, THERE), "another customer's"
    assert entering.may_enter(alice, THERE), "another role"
    keep(alice, person=bob, ranges="198.51.100.0/24")
    assert entering.may_enter(bob, THERE)
    assert not entering.may_enter(bob, HERE)
    keep(alice, person=bob)
    assert entering.may_enter(bob, "192.0.2.1")


def test_each_keeps_the_rules_of_their_own_side(
    jia: Customer, yi: Customer, alice: User, bob: User, eve: User, root: User, lin: User
) -> None:
    for actor, said in (
        (bob, {"customer": jia, "role": Role.CUSTOMER_MEMBER}),
        (lin, {"customer": jia, "role": Role.CUSTOMER_MEMBER}),
        (alice, {"customer": yi, "role": Role.CUSTOMER_MEMBER}),
        (alice, {"person": eve}),
        (alice, {"person": root}),
        (alice, {"customer": None, "role": Role.ADMIN}),
    ):
        with pytest.raises(PermissionDenied):
            keep(actor, **said)
    assert refusal(alice, customer=jia, role=Role.ADMIN) == "whom"
    assert refusal(root, role=Role.CUSTOMER_PM) == "whom"
    assert refusal(root, role="nobody") == "whom"
    assert refusal(alice, customer=jia, role=Role.CUSTOMER_MEMBER, ranges="office") == "ranges"
    rule = keep(root, customer=jia, role=Role.CUSTOMER_MEMBER, ranges=HERE)
    with scope.user(eve), pytest.raises(PermissionDenied):
        entering.remove(rule=rule, actor=eve, address=HERE, now=NOW)


def test_nobody_shuts_themselves_out(jia: Customer, alice: User, root: User) -> None:
    assert refusal(alice, customer=jia, role=Role.CUSTOMER_PM, ranges="192.0.2.0/24") == "lock_out"
    assert refusal(root, role=Role.ADMIN, ranges="192.0.2.0/24", address="") == "lock_out"
    with scope.platform("test"):
        assert not EntryRule.objects.exists()
    mine = keep(alice, person=alice, ranges=HERE)
    number = mine.pk
    keep(alice, customer=jia, role=Role.CUSTOMER_PM, ranges="192.0.2.0/24")
    with scope.user(alice), pytest.raises(DomainError) as refused:
        entering.remove(rule=mine, actor=alice, address=HERE, now=NOW)
    assert refused.value.code == "lock_out"
    with scope.platform("test"):
        assert EntryRule.objects.count() == 2
        call_command("entry_rules", remove=number)
        assert EntryRule.objects.count() == 1
        with pytest.raises(CommandError):
            call_command("entry_rules", remove=number)
        names = list(AuditEntry.objects.filter(action__startswith="entry.").values_list("action", flat=True))
    assert sorted(names) == ["entry.rule", "entry.rule", "entry.rule.remove"]


def test_pages_and_api_turn_away_whoever_comes_from_elsewhere(
    jia: Customer, alice: User, bob: User, client_for: ClientFor
) -> None:
    with scope.user(bob):
        _token, key = tokens.issue(
            actor=bob, name="script", scope="read", valid_for=timedelta(days=30), now=timezone.now()
        )
    api = {"Authorization": f"Bearer {key}", "Accept-Language": "en"}
    browser, script = client_for(bob), Browser()
    address = "/api/v1/assets/"
    assert browser.get("/assets/", REMOTE_ADDR=THERE).status_code == 200
    assert script.get(address, headers=api, REMOTE_ADDR=THERE).status_code == 200
    keep(alice, customer=jia, role=Role.CUSTOMER_MEMBER, ranges="203.0.113.0/24")
    assert browser.get("/assets/", REMOTE_ADDR=HERE).status_code == 200
    for _ in range(2):
        turned = browser.get("/assets/", REMOTE_ADDR=THERE, headers={"X-Forwarded-For": HERE})
        assert turned.status_code == 403
        assert THERE in turned.content.decode()
    refused = script.get(address, headers=api, REMOTE_ADDR=THERE)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:rdmp:address")
    assert script.get(address, headers=api, REMOTE_ADDR=HERE).status_code == 200
    assert browser.post("/accounts/logout/", REMOTE_ADDR=THERE).status_code == 302
    with scope.platform("test"):
        told = AuditEntry.objects.filter(action="entry.refused")
        assert {(one.actor_id, one.detail["door"], one.detail["address"]) for one in told} == {
            (bob.pk, "web", THERE),
            (bob.pk, "api", THERE),
        }
        assert told.count() == 2, "once in a while"


def test_the_right_password_opens_nothing_from_elsewhere(jia: Customer, alice: User, bob: User) -> None:
    keep(alice, person=bob, ranges=HERE)
    browser = Browser()
    answer = browser.post("/accounts/login/", {"login": bob.email, "password": PASSWORD}, REMOTE_ADDR=THERE)
    assert answer.status_code == 403
    assert settings.SESSION_COOKIE_NAME not in browser.cookies or "_auth_user_id" not in browser.session
    assert not sign_in(browser, bob.email)  # from 127.0.0.1, which is not named either
    assert browser.post(
        "/accounts/login/", {"login": bob.email, "password": PASSWORD}, REMOTE_ADDR=HERE
    ).status_code == 302  # fmt: skip


def test_rules_are_kept_on_their_page(
    jia: Customer, yi: Customer, alice: User, bob: User, eve: User, root: User, client_for: ClientFor
) -> None:
    client = client_for(alice)
    new = {"role": Role.CUSTOMER_MEMBER, "ranges": "203.0.113.0/24", "needs_key_and_code": "on"}
    assert client.post("/entry/new/", {**new, "ranges": "office"}).status_code == 422
    assert client.post("/entry/new/", {**new, "person": bob.pk}).status_code == 422
    assert client.post("/entry/new/", {"ranges": ""}).status_code == 422
    assert client.post("/entry/new/", {"person": eve.pk}).status_code == 422, "not hers"
    shut = client.post("/entry/new/", {"role": Role.CUSTOMER_PM, "ranges": HERE})
    assert shut.status_code == 422
    assert "127.0.0.1" in shut.content.decode()
    assert client.post("/entry/new/", new).status_code == 302
    with scope.platform("test"):
        rule = EntryRule.objects.get()
        assert (rule.customer, rule.role, rule.ranges, rule.needs_key_and_code) == (
            jia, Role.CUSTOMER_MEMBER, ["203.0.113.0/24"], True,
        )  # fmt: skip
    assert "203.0.113.0/24" in client.get("/entry/").content.decode()
    assert client.post(f"/entry/{rule.pk}/", {"ranges": "10.0.0.0/8"}).status_code == 302
    nobody = client_for(eve)
    assert nobody.get(f"/entry/{rule.pk}/").status_code == 404
    assert nobody.post(f"/entry/{rule.pk}/remove/").status_code == 404
    assert "10.0.0.0/8" not in nobody.get("/entry/").content.decode()
    with scope.platform("test"):
        EntryRule.objects.update(ranges=[])
    assert client_for(bob).get("/entry/").status_code == 403
    ours = client_for(root)
    assert ours.post("/entry/new/", {"role": Role.ENGINEER, "ranges": "10.0.0.0/8"}).status_code == 302
    assert ours.post("/entry/new/", {"customer": yi.pk, "role": Role.CUSTOMER_PM, "ranges": ""}).status_code == 302
    assert client.get("/entry/").content.decode().count("/remove/") == 1, "neither the provider's nor another's"
    assert client.post(f"/entry/{rule.pk}/remove/").status_code == 302


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_believed", [True, False])
def test_behind_a_proxy_its_word_alone_counts(
    jia: Customer, alice: User, bob: User, client_for: ClientFor, is_believed: bool
) -> None:
    """The proxy is this machine here; a web server that trusts another one takes no word of it."""
    keep(alice, customer=jia, role=Role.CUSTOMER_MEMBER, ranges="203.0.113.0/24")
    cookies = {settings.SESSION_COOKIE_NAME: client_for(bob).cookies[settings.SESSION_COOKIE_NAME].value}
    portal = Portal(FORWARDED_ALLOW_IPS="127.0.0.1" if is_believed else "192.0.2.1")
    portal.start()
    try:
        here = asyncio.run(_asked(portal.url, cookies, HERE))
        there = asyncio.run(_asked(portal.url, cookies, THERE))
    finally:
        portal.stop()
    assert here == ((200, None) if is_believed else (403, 4401))
    assert there == (403, 4401)


async def _asked(url: str, cookies: dict[str, str], address: str) -> tuple[int, int | None]:
    """A page and the live channel, as the proxy says they come from this address; the socket's code when it is shut."""
    said = {"X-Forwarded-For": address}
    async with aiohttp.ClientSession(cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.get(f"{url}/assets/", headers=said) as answer:
            status = answer.status
        async with http.ws_connect(f"{url}/ws/live/", headers={**said, "Origin": url}) as socket:
            try:
                message = await asyncio.wait_for(socket.receive(), 2)
            except TimeoutError:
                return status, None
            return status, socket.close_code if message.type is aiohttp.WSMsgType.CLOSE else None


def test_a_second_factor_page_is_no_way_around(jia: Customer, alice: User, bob: User) -> None:
    keep(alice, person=bob, ranges=HERE)
    with scope.platform("test"):
        Authenticator.objects.create(user=bob, type=Authenticator.Type.TOTP, data={"secret": ""})
    answer = Browser().post("/accounts/login/", {"login": bob.email, "password": PASSWORD}, REMOTE_ADDR=THERE)
    assert answer.status_code == 403
