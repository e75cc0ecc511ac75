"""A grant may want that somebody lets each session in: the person waits, and no secret leaves before the yes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset, Credential, SshAccess
from assets.services import credentials
from assets.services.credentials import Entry
from bastion import access
from bastion.access import Protocol, Terms
from bastion.gateway import wire
from bastion.gateway.contract import Access, Client, End, Front, Judged, Lock
from bastion.models import BastionSession, CommandReview, Grant, Node
from bastion.services import granting, groups, letting_in, reviewing
from bastion.services.granting import Wanted
from notify.models import Delivery
from tests.bastion.conftest import CONNECT, SSH
from tests.bastion.targets import Bench, needs_terminal
from tests.conftest import NOW, ClientFor

HERE = Client("192.0.2.7", 50022, "OpenSSH_9.2")
A_WHILE = timedelta(seconds=10)


# --- who has to be asked ----------------------------------------------------------------------------------------------


def decided(*grants: Terms) -> bool:
    return access.decide(grants, protocol=Protocol.SSH, account="trops", at=NOW).needs_consent


def test_one_grant_without_the_wish_is_enough_to_go_straight_in() -> None:
    asks, free = Terms(CONNECT, SSH, needs_consent=True), Terms(CONNECT, SSH)
    assert decided(asks)
    assert decided(asks, replace(free, until=NOW), replace(free, actions=frozenset()))
    assert not decided(asks, free)
    assert not decided(access.FULL, asks)


# --- the portal -------------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(web: Asset, chen: User, root: User, bob: User, jia: Customer) -> Asset:
    """Chen may in when somebody lets him; bob administers the group."""
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
        wanted = Wanted(CONNECT, SSH, needs_consent=True)
        granting.grant(person=chen, to=web, wanted=wanted, actor=root, now=NOW)
        SshAccess.objects.create(
            customer=jia,
            asset=web,
            host="10.0.0.1",
            port=22,
            host_key="ssh-ed25519 AAAA",
            fingerprint="x",
            pinned_at=NOW,
        )
        Credential.objects.filter(asset=web).delete()
        entry = Entry("host", "trops", "operations", "s3cret-of-the-server")
        credentials.add(where=web, entry=entry, actor=None, now=NOW)
    return web


def knock(person: User, node: Node, asset: Asset, client: Client = HERE) -> Access:
    said = wire.ForAccess("", client, Front.SSH, f"#{asset.pk}", "trops", "look at the disk")
    with scope.user(person):
        return letting_in.let_in(person, node=node, said=said, now=NOW)


def way(person: User, node: Node, session_id: str) -> tuple[object, ...]:
    with scope.user(person):
        return letting_in.way_of(person, node=node, session_id=session_id, now=NOW)


def ask(node: Node, session_id: str) -> CommandReview:
    with scope.platform("test"):
        return reviewing.ask(node=node, said=wire.ForReview(session_id, 0, "made up by a node", 300.0), now=NOW)


def answer(review: CommandReview, actor: User, *, is_allowed: bool) -> None:
    with scope.platform("test"):
        reviewing.answer(review=review, is_allowed=is_allowed, words="", actor=actor, now=NOW + A_WHILE)


def no_way(person: User, node: Node, session_id: str) -> str:
    with pytest.raises(DomainError) as refusal:
        way(person, node, session_id)
    return refusal.value.code


def test_the_way_is_told_once_somebody_has_let_the_session_in(
    asking: Asset, node: Node, chen: User, bob: User, root: User
) -> None:
    found = knock(chen, node, asking)
    assert (found.hops, found.waits_for) == ((), "Bob")
    assert no_way(chen, node, found.session_id) == "no_consent"
    review = ask(node, found.session_id)
    assert (review.text, review.is_login) == ("look at the disk", True)
    with scope.platform("test"):
        heard = Delivery.objects.filter(about=f"bastion.review:{review.pk}", medium="inbox")
        assert set(heard.values_list("user__name", flat=True)) == {"Bob"}
    assert no_way(chen, node, found.session_id) == "no_consent"
    answer(review, bob, is_allowed=True)
    [hop] = way(chen, node, found.session_id)
    assert hop.account.password == "s3cret-of-the-server"  # type: ignore[attr-defined]
    with scope.platform("test"):
        trail = AuditEntry.objects.filter(action__startswith="bastion.consent").order_by("pk")
        assert [(one.action, one.actor_id) for one in trail] == [
            ("bastion.consent", chen.pk),
            ("bastion.consent.allowed", bob.pk),
        ]
        other = Node.objects.create(
            name="two", state="enrolled", public_key="k2", created_by=root, created_at=NOW, enrolled_at=NOW
        )
    assert no_way(chen, other, found.session_id) == "no_consent", "another node"
    assert no_way(root, node, found.session_id) == "no_consent", "another person"
    assert no_way(chen, node, "nonsense") == "no_consent"


def test_a_no_is_a_no_and_silence_is_one_too(asking: Asset, node: Node, chen: User, bob: User) -> None:
    refused, silent = knock(chen, node, asking), knock(chen, node, asking)
    answer(ask(node, refused.session_id), bob, is_allowed=False)
    ask(node, silent.session_id)
    with scope.platform("test"):
        reviewing.settle_late(now=NOW + timedelta(minutes=6))
        assert CommandReview.objects.filter(state="lapsed").count() == 1
    for one in (refused, silent):
        assert no_way(chen, node, one.session_id) == "no_consent"


def test_what_begins_beside_a_session_that_was_let_in_waits_no_more(
    asking: Asset, node: Node, chen: User, bob: User
) -> None:
    first = knock(chen, node, asking)
    assert knock(chen, node, asking).waits_for == "Bob", "the first one waits itself"
    answer(ask(node, first.session_id), bob, is_allowed=True)
    assert knock(chen, node, asking).hops != ()
    assert knock(chen, node, asking, replace(HERE, address="192.0.2.8")).waits_for == "Bob", "from elsewhere"
    with scope.platform("test"):
        BastionSession.objects.update(state="ended", ended_at=NOW, ending="exit")
    assert knock(chen, node, asking).waits_for == "Bob", "the next time"


def test_a_yes_is_worth_nothing_once_the_grant_is_gone(
    asking: Asset, node: Node, chen: User, bob: User, root: User
) -> None:
    found = knock(chen, node, asking)
    answer(ask(node, found.session_id), bob, is_allowed=True)
    with scope.platform("test"):
        granting.end(grant=Grant.objects.get(), actor=root, now=NOW)
    assert no_way(chen, node, found.session_id) == "ended"


def test_administrators_go_straight_in_and_nobody_lets_themselves(
    asking: Asset, node: Node, root: User, chen: User, eve: User
) -> None:
    assert knock(root, node, asking).hops != ()
    review = ask(node, knock(chen, node, asking).session_id)
    with scope.platform("test"):
        assert not reviewing.may_answer(chen, review)
        assert not reviewing.may_answer(eve, review)


def test_who_decides_sees_it_on_the_page(
    asking: Asset, node: Node, chen: User, bob: User, eve: User, client_for: ClientFor
) -> None:
    found = knock(chen, node, asking)
    with scope.platform("test"):
        now = timezone.now()
        review = reviewing.ask(node=node, said=wire.ForReview(found.session_id, 0, "", 300.0), now=now)
    client = client_for(bob)
    client.cookies["django_language"] = "en"
    page = client.get("/bastion/reviews/").content.decode()
    assert "wants to be let in" in page
    assert "look at the disk" in page
    assert "192.0.2.7" in page
    one = client.get(f"/bastion/reviews/{review.pk}/").content.decode()
    assert "Let in" in one
    assert client_for(eve).get(f"/bastion/reviews/{review.pk}/").status_code == 404
    assert client_for(eve).post(f"/bastion/reviews/{review.pk}/answer/", {"answer": "yes"}).status_code == 404
    assert client_for(chen).post(f"/bastion/reviews/{review.pk}/answer/", {"answer": "yes"}).status_code == 403
    assert client.post(f"/bastion/reviews/{review.pk}/answer/", {"answer": "yes"}).status_code == 302
    assert way(chen, node, found.session_id)


# --- at a node --------------------------------------------------------------------------------------------------------


async def test_a_command_waits_outside_until_somebody_lets_it_in(b: Bench) -> None:
    b.portal.change("web-01", waits_for="Alice")
    b.portal.reviewer = lambda text: True
    done = await b.run("echo", "in")
    assert (done.status, done.out) == (0, b"in\n")
    assert "Waiting for Alice to let you in" in done.err
    assert b.portal.reviews == [(0, "")]


async def test_whoever_is_refused_never_reaches_the_target(b: Bench) -> None:
    b.portal.change("web-01", waits_for="Alice")
    b.portal.reviewer = lambda text: False
    done = await b.run("echo", "in")
    assert (done.status, done.out) == (255, b"")
    assert "Nobody let you in" in done.err
    [ended] = await b.portal.until("ended")
    assert ended["reason"] == "refused"
    assert not b.portal.told("opened")


@pytest.mark.parametrize("how", [pytest.param("yes", marks=needs_terminal), "no", "killed", "gone"])
async def test_a_terminal_waits_and_hears_the_answer(b: Bench, how: str) -> None:
    b.portal.change("web-01", waits_for="Alice")
    async with b.connect() as conn, conn.create_process(term_type="xterm", encoding="utf-8") as process:
        await asyncio.wait_for(process.stdout.readuntil("Waiting for Alice to let you in"), 5)
        process.stdin.write("echo typed-$((6*7))\n")
        order: dict[str, Judged | End] = {
            "yes": Judged(0, True, "Alice"),
            "no": Judged(0, False, "Alice", "Not today."),
            "killed": End("killed", "Maintenance"),
        }
        if how == "gone":
            conn.abort()
        else:
            b.portal.order(order[how], "s-1")
        if how == "yes":
            await asyncio.wait_for(process.stdout.readuntil("typed-42"), 10)
            process.stdin.write("exit\n")
        await b.portal.until("ended")
    [ended] = await b.portal.until("ended")
    assert ended["reason"] == {"yes": "exit", "no": "refused", "killed": "killed", "gone": "client"}[how]
    assert bool(b.portal.told("opened")) == (how == "yes")


async def test_files_and_forwards_wait_as_well(b: Bench) -> None:
    b.portal.change("web-01", waits_for="Alice", forwards=("*:*",))
    b.portal.reviewer = lambda text: False
    async with b.connect() as conn:
        with pytest.raises((asyncssh.Error, asyncssh.SFTPError)):
            await asyncio.wait_for(conn.start_sftp_client(), 10)
        with pytest.raises(asyncssh.ChannelOpenError):
            await asyncio.wait_for(conn.open_connection("192.0.2.1", 80), 10)
    assert [one["reason"] for one in b.portal.told("ended")] == ["refused", "refused"]
    assert not b.portal.told("host_key")


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("cat", b"echo 1\n"),
        ("bash -s", b"echo 1\n"),
        ("scp -t {0}", b"C0644 0 new\n"),
        ("scp -f /etc/hostname", b"\0"),
    ],
)
async def test_what_is_let_in_while_it_is_locked_begins_when_it_is_unlocked(
    b: Bench, tmp_path: Path, command: str, given: bytes
) -> None:
    b.portal.change("web-01", waits_for="Alice")
    async with b.connect() as conn:
        process = await conn.create_process(command.format(tmp_path), encoding=None)
        process.stdin.write(given)
        for _ in range(200):
            if b.portal.reviews:
                break
            await asyncio.sleep(0.01)
        [visit] = b.gateway.visits
        [session] = visit.sessions
        session.obey(Lock(True))
        session.obey(Judged(0, True, "Alice"))
        await b.portal.until("opened")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.stdout.read(1), 0.5)
        assert session.sent == 0
        session.obey(Lock(False))
        assert await asyncio.wait_for(process.stdout.read(1), 5)


async def test_whoever_waits_for_a_yes_can_leave(b: Bench) -> None:
    b.portal.change("web-01", waits_for="Alice")
    async with b.connect() as conn, conn.create_process(term_type="xterm", encoding="utf-8") as process:
        await asyncio.wait_for(process.stdout.readuntil("Waiting for Alice to let you in"), 5)
        process.stdin.write("typed ahead")
        await asyncio.sleep(0.2)
        process.stdin.write("\x03")
        await asyncio.wait_for(process.wait_closed(), 3)
    assert b.portal.told("ended")[0]["reason"] == "client"
