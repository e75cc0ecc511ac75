"""Rules of entry at the bastion: from where, and for whom the key must be followed by a one-time code."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import asyncssh
import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Role, User
from accounts.services import entering
from assets.models import Asset
from bastion.gateway import wire
from bastion.gateway.contract import Access, Client, Front, Person
from bastion.models import BastionSession
from bastion.services import authorising, ticketing
from tests.bastion.targets import Bench, run
from tests.bastion.test_node_api import (  # noqa: F401 - fixtures
    CLIENT,
    SECRET,
    Speaker,
    client,
    code_now,
    give,
    key,
    signed_in,
    speaker,
    web,
)
from tests.bastion.test_ssh_doors import Typing, signs_in
from tests.conftest import NOW, PASSWORD

ELSEWHERE = Client("198.51.100.77", 50022, "OpenSSH_9.2")


# --- at a node --------------------------------------------------------------------------------------------------------


@pytest.fixture
def strict(b: Bench) -> Bench:
    b.portal.people["chen"].needs_both = True
    return b


async def both(b: Bench, typing: Typing, *, keys: object = None) -> bool:
    said = {"client_keys": keys or [str(b.key)], "preferred_auth": "publickey,keyboard-interactive"}
    try:
        async with b.connect(client_factory=lambda: typing, **said) as conn:  # type: ignore[arg-type]
            return (await conn.run("echo in")).stdout == "in\n"
    except asyncssh.PermissionDenied:
        return False


async def test_after_the_key_the_code_is_asked_for_and_opens(strict: Bench) -> None:
    typing = Typing("123456")
    assert await both(strict, typing)
    assert len(typing.asked) == 1
    assert "Code" in typing.asked[0]


async def test_neither_alone_opens(strict: Bench) -> None:
    assert not await both(strict, Typing("000000"))
    assert not await both(strict, Typing(""))
    assert not await both(strict, Typing("word", "123456")), "two answers to one question"
    with pytest.raises(asyncssh.PermissionDenied):
        await strict.connect()  # the key alone
    assert not await signs_in(strict, Typing("word", "123456"))  # password and code
    stranger = [asyncssh.generate_private_key("ssh-ed25519")]
    typing = Typing("123456")
    assert not await both(strict, typing, keys=stranger)
    assert len(typing.asked) == 2, "without a key that is known, both questions are asked as ever"
    assert strict.portal.wishes == []


async def test_openssh_brings_both(strict: Bench, tmp_path: Path) -> None:
    done = await strict.run("echo", "in")  # in batch mode nobody answers
    assert (done.status, strict.portal.wishes) == (255, [])
    answers = tmp_path / "answers"
    answers.write_text("#!/bin/sh\necho 123456\n")
    answers.chmod(0o700)
    command = [word for word in strict.ssh("echo", "in") if word != "-oBatchMode=yes"]
    env = {"SSH_ASKPASS": str(answers), "SSH_ASKPASS_REQUIRE": "force"}
    done = await run(command, env=env)
    assert (done.status, done.out) == (0, b"in\n")


async def test_whoever_needs_no_code_is_not_asked(b: Bench) -> None:
    typing = Typing("no", "no")
    assert await both(b, typing)
    assert typing.tries == 0


# --- at the portal ----------------------------------------------------------------------------------------------------


@pytest.fixture
def _has_code(chen: User) -> None:
    with scope.platform("test"):
        TOTP.activate(chen, SECRET)


def rule(actor: User, **said: object) -> None:
    usual: dict[str, object] = {
        "customer": None, "role": "", "person": None, "ranges": "", "needs_key_and_code": False,
    }  # fmt: skip
    with scope.platform("test"):
        entering.keep(**{**usual, "actor": actor, "address": "127.0.0.1", "now": NOW, **said})  # type: ignore[arg-type]


@pytest.mark.usefixtures("_has_code")
def test_the_portal_wants_the_code_beside_the_key(
    speaker: Speaker,  # noqa: F811 - the fixture
    chen: User,
    root: User,
    key: str,  # noqa: F811 - the fixture
) -> None:
    rule(root, role=Role.ENGINEER, needs_key_and_code=True)

    def by_key(code: str = "") -> wire.ByKey:
        return wire.ByKey(chen.email, key, CLIENT, code)

    assert speaker.refused("by-key", by_key()).code == "code_needed"
    assert speaker.refused("by-key", by_key("000000")).code == "refused"
    used = code_now()
    assert speaker.refused("by-password", wire.ByPassword(chen.email, PASSWORD, used, CLIENT)).code == "refused"
    assert speaker.ask("by-key", by_key(used), Person).id == chen.pk
    assert speaker.refused("by-key", by_key(used)).code == "refused", "each code once"
    with scope.platform("test"):
        assert AuditEntry.objects.get(action="bastion.sign_in").detail["by"] == "key and code"


@pytest.mark.usefixtures("_has_code")
def test_wrong_codes_after_a_key_are_held_up_like_others(
    speaker: Speaker,  # noqa: F811 - the fixture
    chen: User,
    root: User,
    key: str,  # noqa: F811 - the fixture
) -> None:
    rule(root, role=Role.ENGINEER, needs_key_and_code=True)

    def by_key(code: str = "") -> wire.ByKey:
        return wire.ByKey(chen.email, key, CLIENT, code)

    codes = [speaker.refused("by-key", by_key("000000")).code for _ in range(12)]
    assert codes[0] == "refused"
    assert codes[-1] == "often"


def test_a_ticket_opens_nothing_for_whoever_needs_both(
    speaker: Speaker,  # noqa: F811 - the fixture
    web: Asset,  # noqa: F811 - the fixture
    chen: User,
    root: User,
) -> None:
    give(chen, web, root)
    make = partial(
        ticketing.make, person=chen, asset=web, account="trops", work="look at the disk", address=CLIENT.address
    )
    with scope.user(chen):
        _made, ticket = make(now=timezone.now())
    rule(root, person=chen, needs_key_and_code=True)
    assert speaker.refused("by-ticket", wire.ByTicket(ticket, CLIENT)).code == "refused"
    with scope.user(chen), pytest.raises(DomainError) as refused:
        make(now=timezone.now())
    assert refused.value.code == "key_and_code"


@pytest.mark.usefixtures("_has_code")
@pytest.mark.parametrize("by", ["key", "key and code", "password", "ticket"])
def test_nothing_opens_from_an_address_that_is_not_named(
    speaker: Speaker,  # noqa: F811 - the fixture
    web: Asset,  # noqa: F811 - the fixture
    chen: User,
    root: User,
    key: str,  # noqa: F811 - the fixture
    by: str,
) -> None:
    give(chen, web, root)
    with scope.user(chen):
        _made, ticket = ticketing.make(
            person=chen, asset=web, account="trops", work="look at the disk", address=ELSEWHERE.address,
            now=timezone.now(),
        )  # fmt: skip
    rule(root, person=chen, ranges=CLIENT.address, needs_key_and_code=by == "key and code")

    def said(one: Client) -> object:
        if by.startswith("key"):
            return wire.ByKey(chen.email, key, one, code_now() if by == "key and code" else "")
        return wire.ByTicket(ticket, one) if by == "ticket" else wire.ByPassword(chen.email, PASSWORD, code_now(), one)

    door = f"by-{by.split(maxsplit=1)[0]}"
    assert speaker.refused(door, said(ELSEWHERE)).code == "refused"
    if by != "ticket":
        assert speaker.ask(door, said(CLIENT), Person).id == chen.pk
    with scope.platform("test"):
        [told] = AuditEntry.objects.filter(action="entry.refused")
        assert (told.actor_id, told.detail) == (chen.pk, {"address": ELSEWHERE.address, "door": "bastion"})


def test_a_rule_that_is_written_ends_what_runs_and_begins_nothing_more(
    speaker: Speaker,  # noqa: F811 - the fixture
    web: Asset,  # noqa: F811 - the fixture
    chen: User,
    root: User,
    key: str,  # noqa: F811 - the fixture
) -> None:
    give(chen, web, root)
    person = signed_in(speaker, chen, key)
    said = wire.ForAccess(person.token, CLIENT, Front.SSH, "web-01", "", "look at the disk")
    assert speaker.ask("access", said, Access)
    with scope.platform("test"):
        running = BastionSession.objects.select_related("person", "asset__customer").all()
        assert [one.is_allowed for one in authorising.still_allowed(running, now=timezone.now()).values()] == [True]
    rule(root, person=chen, ranges="192.0.2.222")
    assert speaker.refused("access", said).code == "address"
    with scope.platform("test"):
        assert [one.is_allowed for one in authorising.still_allowed(running, now=timezone.now()).values()] == [False]
