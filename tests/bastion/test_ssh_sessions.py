"""The life of a session: its limits, the portal's orders, its recording, and that it always ends with one word."""

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from bastion.gateway.contract import Action, Client, End, Fact, Front, Limits, Lock, NewTerms, Say, Watch, Wish
from bastion.gateway.recording import reader
from bastion.gateway.recording.writer import RecordingFailed
from bastion.gateway.session import Node, Opening, Recording, Session
from bastion.gateway.ssh.own import run
from bastion.gateway.ssh.pressure import Valve
from bastion.gateway.ssh.relay import Ask, Exit, Relay, Terminal
from bastion.gateway.ssh.target import Links
from tests.bastion.memory_portal import EVERYTHING
from tests.bastion.targets import (
    NO_TERMINALS,
    Bench,
    Fake,
    KeyTarget,
    bench,
    fake_target,
    gives_terminals,
    needs_terminal,
)

PROMPT = "ready> "


class Shell:
    """A shell in a terminal, with a prompt of its own."""

    def __init__(self, process: asyncssh.SSHClientProcess[str]) -> None:
        self.process = process

    @classmethod
    async def open(cls, conn: asyncssh.SSHClientConnection) -> "Shell":
        if not gives_terminals():
            pytest.skip(NO_TERMINALS)
        shell = cls(await conn.create_process(term_type="xterm", term_size=(80, 24)))
        await shell.says("exec env HISTFILE= PS1='ready''> ' bash --norc --noprofile\n", PROMPT)
        await shell.says("bind 'set enable-bracketed-paste off'\n", "\r" + PROMPT)
        return shell

    async def says(self, typed: str, until: str) -> str:
        self.process.stdin.write(typed)
        return await self.until(until)

    async def until(self, text: str) -> str:
        return await asyncio.wait_for(self.process.stdout.readuntil(text), 5)

    async def rest(self) -> str:
        return await asyncio.wait_for(self.process.stdout.read(), 5)


async def test_what_is_typed_and_shown_is_recorded(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        await shell.says("echo $((6*7))\n", "42\r\n")
        shell.process.change_terminal_size(100, 40)
        await shell.says("exit 3\n", "exit")
        assert (await shell.process.wait()).exit_status == 3
    [ended] = await b.portal.until("ended")
    assert (ended["reason"], ended["exit"]) == ("exit", 3)
    assert [told["text"] for told in b.portal.told("command")][2:] == ["echo $((6*7))", "exit 3"]
    rows = list(reader.rows(tmp_path / "recordings" / "s-1"))
    assert "42\r\n" in "".join(row.text for row in rows if row.code == "o")
    assert "echo $((6*7))" in "".join(row.text for row in rows if row.code == "i")
    assert "100x40" in [row.text for row in rows if row.code == "r"]
    assert b.portal.pieces


async def test_the_portal_ends_a_session_within_a_second(b: Bench) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        shell.process.stdin.write("yes\n")
        await shell.until("y\r\ny\r\n")
        began = time.monotonic()
        b.portal.order(End("killed", by=7))
        await asyncio.wait_for(shell.process.wait_closed(), 3)
        assert time.monotonic() - began < 1
    [ended] = b.portal.told("ended")
    assert (ended["reason"], ended["by"]) == ("killed", 7)


async def test_whoever_is_ended_reads_why(b: Bench) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        b.portal.order(End("killed", "Maintenance\x1b[2J begins."))
        assert "Maintenance[2J begins." in await shell.rest()


async def test_one_who_does_not_read_is_ended_as_fast(b: Bench) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        shell.process.channel.pause_reading()
        shell.process.stdin.write("yes\n")
        await asyncio.sleep(0.5)
        b.portal.order(End("killed"))
        began = time.monotonic()
        await b.portal.until("ended", within_s=1)
        assert time.monotonic() - began < 1


async def test_a_lock_stops_what_is_typed_and_a_message_is_shown(b: Bench) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        b.portal.order(Lock(True))
        await shell.until("locked")
        shell.process.stdin.write("echo $((6*7))\n")
        b.portal.order(Say("Wait a moment", by="lin"))
        assert "42" not in await shell.until("lin: Wait a moment")
        b.portal.order(Lock(False))
        await shell.until("unlocked")
        await shell.says("echo $((6*7))\n", "42\r\n")


def now_has(b: Bench, **changes: object) -> None:
    """New terms for the session that runs."""
    [visit] = b.gateway.visits
    [session] = visit.sessions
    b.portal.order(NewTerms(replace(session.access, **changes)))  # type: ignore[arg-type]


async def test_new_terms_hold_at_once(b: Bench) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        now_has(b, actions=EVERYTHING - {Action.CONNECT})
        assert "revoked" in await shell.rest()
    assert b.portal.told("ended")[0]["reason"] == "revoked"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (lambda: Limits(idle_s=0.4, total_s=60), "idle"),
        (lambda: Limits(idle_s=60, total_s=0.1), "total"),
        (lambda: Limits(idle_s=60, total_s=60, ends_at=time.time() + 1.6, warn_s=1), "window"),
    ],
)
async def test_a_session_ends_by_its_limits(b: Bench, limits: Callable[[], Limits], reason: str) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        now_has(b, limits=limits())
        shown = await shell.rest()
    assert "The session ended" in shown
    assert ("The granted time ends in 1 seconds" in shown) == (reason == "window")
    assert b.portal.told("ended")[0]["reason"] == reason


async def test_use_keeps_a_session_awake(b: Bench) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        now_has(b, limits=Limits(idle_s=1.2, total_s=60))
        for _ in range(3):
            await asyncio.sleep(0.6)
            await shell.says("\n", PROMPT)
        assert not b.portal.told("ended")


async def test_a_client_that_vanishes_leaves_no_ghost(b: Bench) -> None:
    conn = await b.connect()
    await Shell.open(conn)
    conn.abort()
    [ended] = await b.portal.until("ended")
    assert ended["reason"] == "client"
    await asyncio.sleep(0)
    assert not b.gateway.visits


async def test_a_channel_that_asks_for_nothing_has_an_end_too(b: Bench) -> None:
    async with b.connect() as conn:
        channel = asyncssh.SSHClientChannel(conn, conn._loop, "strict", None, "strict", 1000, 1000)
        await channel._open(b"session")
        await asyncio.sleep(0.1)
        assert b.portal.told("ended") == []
    [ended] = await b.portal.until("ended")
    assert ended["reason"] == "client"


async def test_the_node_ends_what_runs_when_it_stops(b: Bench) -> None:
    async with b.connect() as conn:
        await Shell.open(conn)
        await b.gateway.close()
        [ended] = await b.portal.until("ended")
        assert ended["reason"] == "node"


async def test_a_portal_away_for_too_long_ends_what_runs(tmp_path: Path, target: KeyTarget, keys: Path) -> None:
    async with bench(tmp_path, [target.hop()], keys=keys, change=lambda node: replace(node, grace_s=0.4)) as b:
        async with b.connect() as conn:
            shell = await Shell.open(conn)
            b.portal.is_away = True
            await asyncio.sleep(0.2)
            await shell.says("echo $((6*7))\n", "42\r\n")
            assert "portal" in await shell.rest()
        assert b.portal.told("ended")[0]["reason"] == "grace"


class Failing:
    """A tape that writes only so often."""

    offset = 0

    def __init__(self, left: int) -> None:
        self.left = left

    def _write(self, *_: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise RecordingFailed("disk full")

    output = error = input = resize = mark = tick = close = _write

    def at_s(self) -> float:
        return 0.0


@needs_terminal
@pytest.mark.parametrize("left", [0, 1, 3])
async def test_a_recording_that_fails_ends_the_session(
    tmp_path: Path, target: KeyTarget, keys: Path, left: int
) -> None:
    def fails(node: Node) -> Node:
        return replace(node, record=lambda *_: Recording(Failing(left), tmp_path, None))

    async with bench(tmp_path, [target.hop()], keys=keys, change=fails) as b:
        async with b.connect() as conn:
            process = await conn.create_process(term_type="xterm")
            process.stdin.write("echo 1\necho 2\n")
            assert "recording cannot be written" in await asyncio.wait_for(process.stdout.read(), 5)
        assert b.portal.told("ended")[0]["reason"] == "recording"


async def test_without_a_recording_nothing_reaches_the_target(tmp_path: Path, target: KeyTarget, keys: Path) -> None:
    def refuses(opening: Opening, on_rows: object) -> Recording:
        raise RecordingFailed("disk full")

    async with bench(tmp_path, [target.hop()], keys=keys, change=lambda node: replace(node, record=refuses)) as b:
        ran = await b.run(f"touch {tmp_path}/done")
        assert "recording cannot be written" in ran.err
        assert not (tmp_path / "done").exists()


@needs_terminal
async def test_a_fact_that_cannot_be_kept_ends_the_session(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = b.portal.tell

    def full(fact: Fact) -> None:
        if fact.kind == "command":
            raise OSError(errno.ENOSPC, "No space left on device")
        tell(fact)

    monkeypatch.setattr(b.portal, "tell", full)
    async with b.connect() as conn:
        process = await conn.create_process(term_type="xterm")
        process.stdin.write("echo 1\n")
        assert "recording cannot be written" in await asyncio.wait_for(process.stdout.read(), 5)
    assert b.portal.told("ended")[0]["reason"] == "recording"


class Broken:
    def show(self, words: str) -> None:
        """Nobody reads it."""

    def lock(self, is_locked: bool) -> None:
        """It passes nothing on."""

    def terms_changed(self) -> None:
        """It holds nothing open."""

    def cut(self, exit_status: int | None) -> None:
        raise RuntimeError("broken")


@pytest.mark.parametrize("is_full", [True, False])
async def test_nothing_keeps_a_session_from_its_end(b: Bench, monkeypatch: pytest.MonkeyPatch, is_full: bool) -> None:
    def full(fact: Fact) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    person, client = b.portal.people["chen"].person, Client("192.0.2.1", 1)
    session = Session(b.node, await b.portal.authorise(Wish(person, client, Front.SSH, "web-01")), person, client)
    if is_full:
        monkeypatch.setattr(b.portal, "tell", full)
    session.attach(Broken())
    session.end("killed")
    assert session.is_over
    assert session.over.is_set()
    assert [told["reason"] for told in b.portal.told("ended")] == ([] if is_full else ["killed"])


async def test_a_session_that_ends_while_it_connects_leaves_no_recording(tmp_path: Path, keys: Path) -> None:
    has_asked, may_answer = asyncio.Event(), asyncio.Event()

    class Slow(Fake):
        async def validate_password(self, username: str, password: str) -> bool:  # type: ignore[override]
            has_asked.set()
            await may_answer.wait()
            return True

    async with fake_target(server_factory=Slow) as hop, bench(tmp_path, [hop], keys=keys) as b, b.connect() as conn:
        process = await conn.create_process("anything")
        await asyncio.wait_for(has_asked.wait(), 5)
        b.portal.order(End("killed"), "s-1")
        await b.portal.until("ended")
        may_answer.set()
        await asyncio.wait_for(process.wait_closed(), 5)
        await asyncio.sleep(0.1)
        assert not (tmp_path / "recordings").exists()


async def test_one_who_looks_on_gets_all_of_it_once(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        b.portal.order(Watch("lin", True, 0))
        await shell.says("seq 1 500\n", "\n500\r\n")
        b.portal.order(Watch("late", True, 0))
        await shell.says("seq 1 500\n", "\n500\r\n")
        await asyncio.sleep(0.3)
        b.portal.order(Watch("lin", False))
        await asyncio.sleep(0.3)
        seen = len(b.portal.shown["lin"])
        await shell.says("echo $((6*7))\n", "42\r\n")
        assert len(b.portal.shown["lin"]) == seen
    await b.portal.until("ended")
    plain = b"".join(reader.plain_from(tmp_path / "recordings" / "s-1", 0))
    for watcher in ("lin", "late"):
        text = b""
        for offset, rows in b.portal.shown[watcher]:
            assert offset == len(text)
            text += rows
        assert plain.startswith(text)
    assert len(b"".join(rows for _, rows in b.portal.shown["late"])) > len(plain) - 2000


class Web:
    """A screen that is no SSH channel, as a web terminal will be one."""

    def __init__(self) -> None:
        self.shown, self.exit = bytearray(), asyncio.get_running_loop().create_future()

    def output(self, data: bytes) -> None:
        self.shown += data

    error = output

    def eof(self) -> None:
        """Nothing more is shown."""

    def hold_input(self, is_held: bool) -> None:
        """It types little."""

    def mind(self, valve: Valve) -> None:
        """It keeps up."""

    def done(self, how: Exit) -> None:
        self.exit.set_result(how)


@needs_terminal
async def test_another_front_attaches_to_a_session(b: Bench) -> None:
    person, client = b.portal.people["chen"].person, Client("192.0.2.1", 1)
    access = await b.portal.authorise(Wish(person, client, Front.WEB, "web-01"))
    session, web, links = Session(b.node, access, person, client), Web(), Links()
    relay = Relay(session, web, Ask("shell", terminal=Terminal("xterm", 80, 24)))
    running = asyncio.ensure_future(run(relay, links, None))
    relay.input(b"echo $((6*7)); exit 4\n")
    assert (await asyncio.wait_for(web.exit, 10)).status == 4
    await running
    assert b"42\r\n" in web.shown
    links.cut()


class Parts(Web):
    """A screen that remembers in which parts it was shown something."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[str, bytes]] = []

    def output(self, data: bytes) -> None:
        self.parts.append(("output", data))

    def error(self, data: bytes) -> None:
        self.parts.append(("error", data))

    def eof(self) -> None:
        self.parts.append(("eof", b""))


@pytest.fixture
async def flooded(b: Bench) -> Relay:
    """A relay without target, to be told what came from it."""
    person = b.portal.people["chen"].person
    access = await b.portal.authorise(Wish(person, Client("192.0.2.1", 1), Front.WEB, "web-01"))
    session = Session(b.node, access, person, Client("192.0.2.1", 1))
    assert session.record(Opening(access, person))
    return Relay(session, Parts(), Ask("shell", terminal=Terminal("xterm", 80, 24)))


def recorded(b: Bench, code: str = "o") -> str:
    return "".join(row.text for row in reader.rows(b.place / "recordings" / "s-1") if row.code == code)


async def test_a_flood_is_recorded_and_shown_in_large_parts(b: Bench, flooded: Relay) -> None:
    said = [b"%07d " % number * 128 for number in range(200)]
    for part in said:
        flooded.data_received(part, None)
    flooded.eof_received()
    *parts, last = flooded.screen.parts  # type: ignore[attr-defined]
    assert last == ("eof", b"")
    assert b"".join(data for _, data in parts) == b"".join(said)
    assert len(parts) <= 4
    flooded.session.end("exit")
    assert recorded(b) == b"".join(said).decode()


async def test_output_and_errors_stay_in_their_order(flooded: Relay) -> None:
    for data, kind in ((b"a", None), (b"b", None), (b"c", 1), (b"d", 1), (b"e", None)):
        flooded.data_received(data, kind)
    flooded.eof_received()
    assert flooded.screen.parts == [  # type: ignore[attr-defined]
        ("output", b"ab"),
        ("error", b"cd"),
        ("output", b"e"),
        ("eof", b""),
    ]


async def test_what_has_come_is_recorded_before_the_end(b: Bench, flooded: Relay) -> None:
    flooded.session.attach(flooded)
    flooded.data_received(b"the last words", None)
    flooded.session.end("killed")
    assert recorded(b) == "the last words"
    assert ("output", b"the last words") in flooded.screen.parts  # type: ignore[attr-defined]


async def test_what_cannot_be_passed_on_ends_the_session(flooded: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(data: bytes) -> None:
        raise ValueError(data)

    monkeypatch.setattr(flooded.screen, "output", breaks)
    flooded.data_received(b"x", None)
    await asyncio.wait_for(flooded.session.over.wait(), 2)
    assert flooded.session.reason == "node"


async def test_a_warning_that_is_due_at_the_start_is_said(b: Bench) -> None:
    b.portal.change("web-01", limits=Limits(idle_s=60, total_s=60, ends_at=time.time() + 50, warn_s=300))
    async with b.connect() as conn:
        process = await conn.create_process(term_type="xterm")
        await asyncio.wait_for(process.stdout.readuntil("The granted time ends in"), 5)
