"""The web terminal: a browser's WebSocket, the portal, the node program, a real sshd; browsers that mean no good."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import aiohttp
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from accounts import scope
from accounts.models import Assignment, AuditEntry, Role, User
from assets.models import Asset, Credential
from bastion.gateway.contract import Action
from bastion.gateway.ssh.server import host_keys
from bastion.models import BastionSession, FileTransfer, Node, SessionCommand, SessionFact, SessionShare
from bastion.services import enrolling, granting, living
from bastion.services.granting import Wanted
from tests.bastion.browsers import Browser, browser
from tests.bastion.conftest import SSH
from tests.bastion.targets import needs_terminal
from tests.bastion.test_node_program import Program, target, until, web  # noqa: F401 - fixtures
from tests.conftest import NOW, ClientFor, make_person
from tests.portal import portal  # noqa: F401 - a fixture

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

EVERYTHING = frozenset(Action) - {Action.FORWARD}
WORK = "look at the disk"


class Patient(Program):
    """On a machine that has much to do, a program takes its time to begin."""

    def start(self) -> None:
        command = self.command("run", "--host", "127.0.0.1")
        self.process = subprocess.Popen(command, cwd=settings.BASE_DIR, env={"PATH": os.environ["PATH"]})
        until(self.listens, 90)

    def listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def program(portal: str, tmp_path: Path, keys: Path, db: None) -> Iterator[Program]:  # noqa: F811 - the fixture
    """An enrolled node; its host keys are made once, since an RSA key takes a while."""
    made = Patient(tmp_path, portal)
    made.state.mkdir()
    host_keys(keys)
    for path in keys.iterdir():
        shutil.copy(path, made.state)
    with scope.platform("test"):
        _node, token = enrolling.announce(name="one", customer=None, actor=None, now=timezone.now())
    done = made.enrol(token)
    assert done.returncode == 0, done.stderr
    made.start()
    yield made
    made.stop()


class Place:
    """A portal with a node and a server; people connect to it by `at`."""

    def __init__(self, url: str, web: Asset, client_for: ClientFor) -> None:  # noqa: F811 - not the fixture
        self.url, self.web, self._client_for = url, web, client_for

    def cookies(self, person: User) -> dict[str, str]:
        return {settings.SESSION_COOKIE_NAME: self._client_for(person).cookies[settings.SESSION_COOKIE_NAME].value}

    def connect(self, cookies: dict[str, str], **said: object):  # type: ignore[no-untyped-def]
        hello: dict[str, object] = {"do": "connect", "asset": self.web.pk, "account": "", "work": WORK}
        return browser(self.url, cookies, **{**hello, "cols": 100, "rows": 30, **said})  # type: ignore[arg-type]


@pytest.fixture
def place(portal: str, program: Program, web: Asset, client_for: ClientFor) -> Place:  # noqa: F811 - fixtures
    def is_connected() -> bool:
        with scope.platform("test"):
            return bool(Node.objects.get().load)

    until(is_connected)
    return Place(portal, web, client_for)


def grant(person: User, web: Asset, root: User, actions: frozenset[Action] = EVERYTHING) -> None:  # noqa: F811
    with scope.platform("test"):
        granting.grant(person=person, to=web, wanted=Wanted(actions, SSH), actor=root, now=timezone.now())


@pytest.fixture
def chens(place: Place, chen: User, web: Asset, root: User) -> dict[str, str]:  # noqa: F811 - fixtures
    grant(chen, web, root)
    return place.cookies(chen)


async def ready(one: Browser) -> None:
    """A shell whose prompt is known, without echo of what it is made of."""
    await one.event("open")
    await one.type("exec env HISTFILE= PS1='ready''> ' bash --norc --noprofile\r")
    await one.until(b"ready> ")
    await one.type("bind 'set enable-bracketed-paste off'\r")
    await one.until(b"\rready> " if b"\rready> " in one.shown else b"ready> ")


def row() -> BastionSession:
    with scope.platform("test"):
        return BastionSession.objects.joined().latest("allowed_at")


async def later(is_so: Callable[[], bool], seconds: float = 20) -> None:
    await sync_to_async(until, thread_sensitive=False)(is_so, seconds)


# --- the way ---------------------------------------------------------------------------------------------------------


@needs_terminal
async def test_what_is_typed_runs_is_shown_and_recorded(place: Place, chens: dict[str, str]) -> None:
    async with place.connect(chens) as one:
        opened = await one.event("open")
        assert opened["is_owner"]
        assert "paste" in opened["actions"]
        await ready(one)
        await one.type("echo $((6*7)); stty size\r")
        await one.until(b"42\r\n30 100")
        await one.tell(do="resize", cols=120, rows=40)
        await one.type("stty size\r")
        await one.until(b"40 120")
        await one.type("exit 3\r")
        ended = await one.event("end")
        assert (ended["reason"], ended["status"]) == ("exit", 3)
        assert await one.closed() is not None
    await later(lambda: row().state == "ended")
    found = await sync_to_async(row)()
    assert (found.front, found.ending, found.exit_status, found.reason) == ("web", "exit", 3, WORK)

    def commands() -> list[str]:
        with scope.platform("test"):
            return list(SessionCommand.objects.order_by("number").values_list("text", flat=True))

    assert "echo $((6*7)); stty size" in await sync_to_async(commands)()


@needs_terminal
async def test_a_lost_browser_comes_back_to_what_runs(place: Place, chens: dict[str, str]) -> None:
    async with place.connect(chens) as one:
        await ready(one)
        await one.type("kept=here; echo before\r")
        await one.until(b"\nbefore\r\n")
        uid = (await one.event("open"))["session"]
        one.socket._response.close()  # the network is gone, without a word
    async with browser(place.url, chens, do="return", session=uid) as again:
        assert (await again.event("open"))["session"] == uid
        await again.until(b"before")
        await again.type("echo still $kept\r")
        await again.until(b"\nstill here\r\n")
        await again.tell(do="bye")
        assert (await again.event("end"))["reason"] == "client"
    async with browser(place.url, chens, do="return", session=uid) as gone:
        assert (await gone.heard("refused"))["code"] == "no_session"


@needs_terminal
async def test_a_flood_waits_for_the_browser_and_loses_nothing(place: Place, chens: dict[str, str]) -> None:
    async with place.connect(chens) as one:
        await ready(one)
        one.is_drawing = False
        await one.type("seq 1 400000; echo 'do''ne'\r")
        await asyncio.sleep(3)
        stopped_at = len(one.shown)
        assert stopped_at < 1_500_000
        await asyncio.sleep(1)
        assert len(one.shown) == stopped_at
        one.is_drawing = True
        await one.draw()
        text = await one.until(b"done\r\n", 60)
    lines = [line for line in text.split(b"\r\n") if line.isdigit()]
    assert lines == [b"%d" % number for number in range(1, 400001)]


@needs_terminal
async def test_an_administrator_locks_speaks_and_disconnects(place: Place, chens: dict[str, str], root: User) -> None:
    async with place.connect(chens) as one:
        await ready(one)

        def order(act: Callable[[], None]) -> None:
            with scope.platform("test"):
                act()

        now = timezone.now()
        await sync_to_async(order)(lambda: living.lock(session=row(), is_locked=True, actor=root, now=now))
        await one.until("锁定".encode())
        await one.type("echo $((6*7))\r")
        await sync_to_async(order)(lambda: living.say(session=row(), words="Stop there", actor=root, now=now))
        assert b"42" not in await one.until(b"Stop there")
        await asyncio.sleep(1.2)
        assert (await one.event("state"))["locked"]
        await sync_to_async(order)(lambda: living.disconnect(session=row(), words="Enough", actor=root, now=now))
        began = time.monotonic()
        ended = await one.event("end")
        assert time.monotonic() - began < 2
        assert (ended["reason"], ended["words"]) == ("killed", "Enough")


@needs_terminal
async def test_pasting_needs_its_right(place: Place, bob: User, web: Asset, root: User) -> None:  # noqa: F811
    await sync_to_async(grant)(bob, web, root, frozenset({Action.CONNECT}))
    cookies = await sync_to_async(place.cookies)(bob)

    def give() -> None:
        with scope.platform("test"):
            Credential.objects.filter(asset=web).update(purpose="customer")

    await sync_to_async(give)()
    async with place.connect(cookies, work="") as one:
        await ready(one)
        await one.type("\x1b[200~echo $((6*7))\x1b[201~\r")
        assert b"42" not in await one.until("粘贴权限".encode())
        await asyncio.sleep(1.2)
        await one.type("\x03")
        await one.type("\x1b[2")
        await one.type("00~echo $((6*7))\r")
        await one.type("x" * 200)
        await asyncio.sleep(1.2)
        await one.type("\x03")
        await asyncio.sleep(0.5)  # what is typed before a shell has dealt with Ctrl-C is thrown away by the terminal
        await one.type("echo $((6*8))\r")
        assert b"42\r\n" not in await one.until(b"48\r\n")


# --- files -----------------------------------------------------------------------------------------------------------


def text(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


@needs_terminal
async def test_files_go_up_and_down_and_are_told(place: Place, chens: dict[str, str], tmp_path: Path) -> None:
    data = bytes(range(256)) * 128 * 40
    async with place.connect(chens) as one:
        uid = (await one.event("open"))["session"]
        async with browser(place.url, chens, do="files", session=uid) as files:
            await files.heard("opened")
            assert (await files.packet(b"\x01" + struct.pack(">I", 3)))[0] == 2
            path = str(tmp_path / "up.bin")
            opened = await files.packet(b"\x03" + struct.pack(">I", 1) + text(path) + struct.pack(">II", 0x1A, 0))
            assert opened[0] == 102, opened
            handle = opened[9:]
            for number, at in enumerate(range(0, len(data), 32768), 10):
                part = struct.pack(">I", number) + text(handle) + struct.pack(">Q", at) + text(data[at : at + 32768])
                answer = await files.packet(b"\x06" + part)
                assert answer[0] == 101
                assert answer[5:9] == b"\0\0\0\0"
            assert (await files.packet(b"\x04" + struct.pack(">I", 2) + text(handle)))[0] == 101
            assert (tmp_path / "up.bin").read_bytes() == data
            gone = await files.packet(b"\x0d" + struct.pack(">I", 3) + text(path))
            assert gone[5:9] == b"\0\0\0\0"

    def told() -> list[tuple[str, int, str, str]]:
        with scope.platform("test"):
            rows = FileTransfer.objects.exclude(direction="remove")
            return [(one.direction, one.size, one.sha256, one.result) for one in rows]

    await later(lambda: bool(told()))
    assert await sync_to_async(told)() == [("up", len(data), hashlib.sha256(data).hexdigest(), "done")]

    def removed() -> bool:
        with scope.platform("test"):
            return SessionFact.objects.filter(kind="file", data__action="remove").exists()

    await later(removed)


@needs_terminal
async def test_files_need_their_right(place: Place, chen: User, web: Asset, root: User, tmp_path: Path) -> None:  # noqa: F811
    may = frozenset({Action.CONNECT, Action.DOWNLOAD})
    await sync_to_async(grant)(chen, web, root, may)
    cookies = await sync_to_async(place.cookies)(chen)
    async with place.connect(cookies) as one:
        uid = (await one.event("open"))["session"]
        async with browser(place.url, cookies, do="files", session=uid) as files:
            await files.heard("opened")
            await files.packet(b"\x01" + struct.pack(">I", 3))
            path = str(tmp_path / "no.bin")
            refused = await files.packet(b"\x03" + struct.pack(">I", 1) + text(path) + struct.pack(">II", 0x1A, 0))
            assert (refused[0], refused[5:9]) == (101, b"\0\0\0\x03")
    assert not (tmp_path / "no.bin").exists()


# --- guests ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def dora(place: Place, jia: object, web: Asset, root: User) -> User:  # noqa: F811 - fixtures
    person = make_person("dora", Role.ENGINEER)
    with scope.platform("test"):
        Assignment.objects.create(customer=web.customer, user=person, assigned_at=NOW)
    return person


@needs_terminal
async def test_an_invited_colleague_looks_on_types_and_is_sent_away(
    place: Place,
    chens: dict[str, str],
    dora: User,
    web: Asset,  # noqa: F811 - the fixture
    root: User,
) -> None:
    doras = await sync_to_async(place.cookies)(dora)
    async with place.connect(chens) as one:
        await ready(one)
        uid = (await one.event("open"))["session"]
        await one.say(do="share", session=uid, email=dora.email, may_type=True)
        assert (await one.heard("share_refused"))["code"] == "no_guest"
        await sync_to_async(grant)(dora, web, root, frozenset({Action.CONNECT}))
        await one.say(do="share", session=uid, email=dora.email.upper(), may_type=True)
        [share] = (await one.heard("shares"))["shares"]
        async with browser(place.url, doras, do="guest", share=share["share"]) as guest:
            assert not (await guest.event("open"))["is_owner"]
            await one.until(b"Dora")
            await guest.type("echo typed $((6*7))\r")
            await one.until(b"typed 42\r\n")
            await guest.until(b"typed 42\r\n")
            assert (await one.event("guests"))["guests"] == [{"name": "Dora", "may_type": True}]
            await guest.tell(do="bye")
            await one.type("echo on\r")
            await one.until(b"\non\r\n")
            await one.say(do="unshare", session=uid, share=share["share"])
            assert await guest.closed(10) is not None
        async with browser(place.url, doras, do="guest", share=share["share"]) as refused:
            assert (await refused.heard("refused"))["code"] == "no_share"
        await one.tell(do="bye")

    def audited() -> set[str]:
        with scope.platform("test"):
            return set(
                AuditEntry.objects.filter(action__startswith="bastion.session.").values_list("action", flat=True)
            )

    assert {"bastion.session.share", "bastion.session.join", "bastion.session.unshare"} <= await sync_to_async(
        audited
    )()


@needs_terminal
async def test_a_guest_who_may_look_on_types_nothing(place: Place, chens: dict[str, str], alice: User) -> None:
    hers = await sync_to_async(place.cookies)(alice)
    async with place.connect(chens) as one:
        await ready(one)
        uid = (await one.event("open"))["session"]
        await one.say(do="share", session=uid, email=alice.email, may_type=False)
        [share] = (await one.heard("shares"))["shares"]
        async with browser(place.url, hers, do="guest", share=share["share"]) as guest:
            await guest.event("open")
            await guest.type("echo $((6*7))\r")
            await guest.tell(do="resize", cols=10, rows=10)
            await asyncio.sleep(0.5)
            await one.type("stty size\r")
            assert b"42\r\n" not in await one.until(b"30 100")
            await guest.until(b"30 100")


# --- who means no good -----------------------------------------------------------------------------------------------


async def test_foreign_pages_and_strangers_get_no_socket(place: Place, chens: dict[str, str]) -> None:
    tries: list[tuple[dict[str, str], str | None]] = [(chens, origin) for origin in ("", "http://evil.example", "null")]
    for cookies, origin in tries:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with browser(place.url, cookies, origin=origin):
                raise AssertionError("it was let in")
    for cookies in ({}, {settings.SESSION_COOKIE_NAME: "x" * 32}):
        async with browser(place.url, cookies) as one:
            assert await one.closed() == 4401
            assert (one.said, one.shown) == ([], b"")


async def test_another_customers_people_reach_nothing(
    place: Place, chens: dict[str, str], eve: User, chen: User
) -> None:
    theirs = await sync_to_async(place.cookies)(eve)
    async with place.connect(chens) as one:
        uid = (await one.event("open"))["session"]
        await one.say(do="share", session=uid, email=eve.email, may_type=False)
        assert (await one.heard("share_refused"))["code"] == "no_guest"

        def force() -> int:
            with scope.platform("test"):
                session = row()
                share = SessionShare.objects.create(
                    customer=session.customer, session=session, guest=chen, invited_by=chen, invited_at=timezone.now()
                )
                return share.pk

        share = await sync_to_async(force)()
        for hello, code in (
            ({"do": "connect", "asset": place.web.pk, "work": WORK}, "unknown_resource"),
            ({"do": "return", "session": uid}, "no_session"),
            ({"do": "files", "session": uid}, "no_session"),
            ({"do": "guest", "share": share}, "no_share"),
        ):
            async with browser(place.url, theirs, **hello) as other:
                assert (await other.heard("refused"))["code"] == code


async def test_a_no_comes_with_its_reason(place: Place, chens: dict[str, str]) -> None:
    for said, code in (
        ({"work": ""}, "work_needed"),
        ({"account": "no-such-account"}, "unknown_account"),
        ({"asset": 0}, "unknown_resource"),
    ):
        async with place.connect(chens, **said) as one:
            refused = await one.heard("refused")
            assert refused["code"] == code
            assert refused["words"]


async def test_what_is_too_long_or_unknown_ends_it(place: Place, chens: dict[str, str]) -> None:
    for said in (bytes(70_000), "x" * 5000, '{"do": "fly"}', "[]", '{"do": "drawn", "bytes": -1}' * 2):
        async with browser(place.url, chens) as one:
            if isinstance(said, bytes):
                await one.socket.send_bytes(said)
            else:
                await one.socket.send_str(said)
            assert await one.closed() in (4400, 4413)


async def test_bad_messages_end_the_stream_and_no_more(place: Place, chens: dict[str, str]) -> None:
    async with place.connect(chens) as one:
        uid = (await one.event("open"))["session"]
        await one.socket.send_bytes(b"x" + struct.pack(">I", 5) + b"hello")
        await one.closed()
    async with browser(place.url, chens, do="return", session=uid) as again:
        await again.event("open")


@needs_terminal
async def test_who_signs_out_is_out(place: Place, chen: User, chens: dict[str, str], client_for: ClientFor) -> None:
    async with place.connect(chens) as one:
        await one.event("open")

        def sign_out() -> None:
            store = import_module(settings.SESSION_ENGINE).SessionStore
            store(chens[settings.SESSION_COOKIE_NAME]).delete()

        await sync_to_async(sign_out)()
        assert await one.closed() == 4401
    await later(lambda: row().state == "ended")
