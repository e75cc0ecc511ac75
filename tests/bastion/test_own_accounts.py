"""Name and password of the person's own: only where a grant says so, asked for each time, and kept nowhere."""

# ruff: noqa: F811 - fixtures that are imported

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import connection

from accounts import scope
from accounts.models import User
from assets.models import Asset, Credential, SshAccess
from bastion.access import FULL, OWN, Protocol, Terms, decide
from bastion.gateway import wire
from bastion.gateway.contract import Access, Account, Hop, Person, Resource, WebFiles
from bastion.models import BastionSession, Grant, RecordingPiece
from bastion.services import authorising, granting, keeping
from bastion.services.granting import Wanted
from tests.bastion.conftest import CONNECT, SSH
from tests.bastion.targets import KeyTarget, bench, fake_target, needs_terminal
from tests.bastion.test_node_api import Speaker, fact, key, signed_in, speaker, tell, want, web  # noqa: F401 - fixtures
from tests.bastion.test_web_hub import HERE, Office
from tests.bastion.test_web_hub import Seat as Browser
from tests.bastion.test_web_terminal import Place, later, place, program, row  # noqa: F401 - fixtures
from tests.conftest import NOW, ClientFor
from tests.portal import portal  # noqa: F401 - a fixture

SECRET = "hunter2-and-nothing-else"


def may(account: str, *grants: Terms) -> bool:
    return decide(grants, protocol=Protocol.SSH, account=account, at=NOW).is_allowed


def test_only_a_grant_that_names_it_allows_it() -> None:
    any_known, named = Terms(CONNECT, SSH), Terms(CONNECT, SSH, frozenset({"trops"}))
    only_own = Terms(CONNECT, SSH, frozenset({OWN}), allows_own=True)
    both = Terms(CONNECT, SSH, frozenset({"trops", OWN}), allows_own=True)
    for account in (OWN, f"{OWN}:root"):
        assert [may(account, one) for one in (only_own, both, FULL)] == [True, True, True]
        assert [may(account, one) for one in (any_known, named)] == [False, False]
    assert [may("trops", one) for one in (any_known, named, only_own, both, FULL)] == [True, True, False, True, True]


def give(person: User, asset: Asset, root: User, *accounts: str) -> Grant:
    with scope.platform("test"):
        wanted = Wanted(CONNECT, SSH, accounts=accounts)
        return granting.grant(person=person, to=asset, wanted=wanted, actor=root, now=NOW)


@pytest.mark.django_db
def test_a_node_is_given_no_secret_and_tells_the_name(
    speaker: Speaker,
    web: Asset,
    chen: User,
    root: User,
    key: str,
) -> None:
    grant = give(chen, web, root, "trops", OWN)
    person = signed_in(speaker, chen, key)
    [listed] = speaker.ask("resources", wire.ForResources(person.token), list[Resource])
    assert listed.accounts == ("trops", OWN)
    access = speaker.ask("access", want(person, "web-01", account=OWN), Access)
    assert (access.hops[0].account, access.hops[0].account.is_own) == (Account(""), True)
    named = speaker.ask("access", want(person, "web-01", account=f"{OWN}:deploy"), Access)
    assert named.hops[0].account == Account("deploy")
    assert speaker.ask("access", want(person, "web-01"), Access).hops[0].account.name == "trops", "the usual one stays"
    tell(speaker, fact(access.session_id, 1, "account", name="deploy"), fact(access.session_id, 2, "account", name="x"))
    with scope.platform("test"):
        session = BastionSession.objects.joined().get(uid=access.session_id)
        assert session.account == f"{OWN}:deploy"
        assert authorising.still_allowed([session], now=NOW)[session].is_allowed
        granting.end(grant=grant, actor=root, now=NOW)
        assert not authorising.still_allowed([session], now=NOW)[session].is_allowed


@pytest.mark.django_db
def test_without_the_word_it_is_no_account(
    speaker: Speaker,
    web: Asset,
    chen: User,
    root: User,
    key: str,
) -> None:
    give(chen, web, root)
    person = signed_in(speaker, chen, key)
    for account in (OWN, f"{OWN}:root"):
        assert speaker.refused("access", want(person, "web-01", account=account)).code == "unknown_account"


@pytest.mark.django_db
def test_a_server_without_known_accounts_is_offered(
    speaker: Speaker,
    web: Asset,
    chen: User,
    root: User,
    key: str,
    client_for: ClientFor,
) -> None:
    with scope.platform("test"):
        Credential.objects.filter(asset=web).update(secret_set_at=None)
    give(chen, web, root, OWN)
    person = signed_in(speaker, chen, key)
    [listed] = speaker.ask("resources", wire.ForResources(person.token), list[Resource])
    assert listed.accounts == (OWN,)
    assert speaker.ask("access", want(person, "web-01"), Access).hops[0].account.is_own
    about = client_for(chen).get(f"/bastion/terminal/resources/{web.pk}/").json()
    assert about["accounts"] == [OWN]
    page = client_for(chen).get(f"/bastion/connect/{web.pk}/").content.decode()
    assert OWN in page
    assert 'id="ticket"' not in page


# --- at a browser ---------------------------------------------------------------------------------------------------


class Shop(asyncssh.SSHServer):
    """Lets in `deploy` with the password."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("deploy", SECRET)


async def greet(process: asyncssh.SSHServerProcess[bytes]) -> None:
    process.stdout.write(f"welcome {process.get_extra_info('username')}\r\n".encode())
    await process.stdin.read(1)
    process.exit(0)


@pytest.fixture
async def hop() -> AsyncIterator[Hop]:
    async with fake_target(server_factory=Shop, process_factory=greet) as made:
        yield replace(made, account=Account(""))


@pytest.fixture
async def office(tmp_path: Path, hop: Hop, keys: Path) -> AsyncIterator[Office]:
    async with bench(tmp_path, [hop], keys=keys) as b:
        made = Office(b)
        yield made
        await made.close()


def holding(place: Path) -> list[Path]:
    """The files with the password in them."""
    return [path for path in place.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def asked(one: Browser) -> int:
    return sum(event["event"] == "own" for event in one.events)


async def say(one: Browser, **said: object) -> None:
    from bastion.gateway.web import messages  # noqa: PLC0415 - the name is a module here alone

    await one.here.write(messages.event(do="own", **said))


async def test_it_is_asked_in_the_page_tried_again_and_not_recorded(office: Office) -> None:
    owner = office.open()
    await owner.until(lambda: asked(owner) == 1)
    assert owner.event("own")["account"] == ""
    await say(owner, name="deploy", password="wrong-" + SECRET)
    await owner.until(lambda: asked(owner) == 2)
    assert "deploy" in str(owner.events[-1]["words"])
    await say(owner, name=" deploy ", password=SECRET)
    await owner.sees(b"welcome deploy")
    assert [one["account"] for one in owner.events if one["event"] == "state"][-1] == "deploy"
    await owner.type("x")
    [told] = await office.b.portal.until("account")
    assert told == {"name": "deploy"}
    await office.b.portal.until("ended")
    assert holding(office.b.place) == []
    assert SECRET not in str(office.b.portal.facts)


@pytest.mark.parametrize(
    "said", [{}, {"name": "deploy"}, {"name": " ", "password": "x"}, {"name": None, "password": None}, {"name": 7}]
)
async def test_who_does_not_say_is_gone(office: Office, said: dict[str, object]) -> None:
    owner = office.open()
    await owner.until(lambda: asked(owner) == 1)
    await say(owner, **said)
    [ended] = await office.b.portal.until("ended")
    assert ended["reason"] == "client"


async def test_three_wrong_ones_end_it(office: Office) -> None:
    owner = office.open()
    for number in range(1, 4):
        await owner.until(lambda number=number: asked(owner) == number)  # type: ignore[misc]
        await say(owner, name="deploy", password="wrong")
    [ended] = await office.b.portal.until("ended")
    assert ended["reason"] == "lost"
    assert [one["code"] for one in office.b.portal.told("refused")] == ["credentials"] * 3


async def test_whoever_comes_back_is_asked_and_a_guest_is_not(office: Office) -> None:
    owner = office.open()
    await owner.until(lambda: asked(owner) == 1)
    guest = office.guest("s-1", may_type=True)
    guest.listen()
    await guest.until(lambda: bool(guest.events))
    await say(guest, name="deploy", password=SECRET)
    again = office.back(office.person, "s-1")
    await again.until(lambda: asked(again) == 1)
    assert asked(guest) == 0
    assert b"welcome" not in again.shown
    await say(again, name="deploy", password=SECRET)
    await again.sees(b"welcome deploy")
    await again.type("x")
    await office.b.portal.until("ended")


async def test_an_end_meanwhile_ends_the_question(office: Office) -> None:
    owner = office.open()
    await owner.until(lambda: asked(owner) == 1)
    office.desk.close()
    await owner.until(lambda: any(one["event"] == "end" for one in owner.events))
    await asyncio.sleep(0)
    assert [one["reason"] for one in await office.b.portal.until("ended")] == ["node"]


async def test_files_beside_it_are_refused(office: Office) -> None:
    person: Person = office.person
    with pytest.raises(Exception, match="own_needed"):
        await office.desk.files(WebFiles(person, HERE, "web-01", OWN, ""), Browser().node)


async def test_what_a_grant_gives_is_asked_for_nothing(tmp_path: Path, target: KeyTarget, keys: Path) -> None:
    async with bench(tmp_path, [target.hop()], keys=keys) as b:
        office = Office(b)
        owner = office.open()
        await owner.until(lambda: bool(owner.shown))
        assert asked(owner) == 0
        await office.close()


# --- the whole way ----------------------------------------------------------------------------------------------------


def everything_stored() -> str:
    """Every table, as text."""
    with scope.platform("test"), connection.cursor() as cursor:
        found = []
        for model in apps.get_models():
            cursor.execute(f'SELECT t::text FROM "{model._meta.db_table}" t')
            found += [text for (text,) in cursor.fetchall()]
    return "\n".join(found)


def recorded() -> bytes:
    with scope.platform("test"):
        return b"".join(keeping.plain(piece) for piece in RecordingPiece.objects.select_related("session"))


@needs_terminal
@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
async def test_a_password_goes_through_the_portal_and_stays_nowhere(
    place: Place,
    hop: Hop,
    chen: User,
    root: User,
    tmp_path: Path,
) -> None:
    def prepare() -> dict[str, str]:
        with scope.platform("test"):
            SshAccess.objects.filter(asset=place.web).update(port=hop.port, host="127.0.0.1", host_key=hop.host_keys[0])
        give(chen, place.web, root, OWN)
        return place.cookies(chen)

    cookies = await sync_to_async(prepare)()
    async with place.connect(cookies, account=OWN) as one:
        await one.event("own")
        await one.tell(do="own", name="deploy", password=SECRET)
        await one.until(b"welcome deploy")
        await later(lambda: row().account == f"{OWN}:deploy")
        await one.type("x")
        await one.event("end")
    await later(lambda: row().state == "ended" and b"welcome deploy" in recorded())
    stored, shown = await sync_to_async(everything_stored)(), await sync_to_async(recorded)()
    assert f"{OWN}:deploy" in stored
    assert SECRET not in stored
    assert SECRET.encode() not in shown
    assert holding(tmp_path) == []
