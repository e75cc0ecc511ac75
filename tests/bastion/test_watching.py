"""Looking on: nothing twice, nothing left out, however fast is written and however slowly is read; by right alone."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from hypothesis import given
from hypothesis import strategies as st

from accounts import scope
from accounts.models import AuditEntry, User
from assets.models import Asset
from bastion import watch_consumer
from bastion.following import Follower, Gap
from bastion.gateway import watching as node_side
from bastion.gateway import wire
from bastion.gateway.contract import Say, Watch
from bastion.gateway.limits import Room
from bastion.gateway.recording import chain, reader
from bastion.gateway.recording.writer import Recorder
from bastion.gateway.watching import Source, Watchers
from bastion.models import BastionSession, Node, RecordingPolicy
from bastion.services import living, watching
from tests.bastion import kept
from tests.bastion.recordings import KEY, Clock, header
from tests.conftest import NOW, ClientFor

# --- putting together -----------------------------------------------------------------------------------------------


@given(
    lines=st.lists(st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=20),
    seed=st.integers(),
)
def test_whatever_the_cuts_and_however_often_it_comes_each_row_comes_once(lines: list[bytes], seed: int) -> None:
    plain, rand = b"".join(lines), random.Random(seed)
    follower, got, at = Follower(0), b"", 0
    while follower.offset < len(plain):
        start = rand.randint(max(0, at - 6), min(len(plain), at + 3))
        part = plain[start : start + rand.randint(1, 9)]
        try:
            got += follower.take(start, part)
        except Gap:
            assert start > at
        at = follower.offset
    assert got == plain


# --- on the node ----------------------------------------------------------------------------------------------------


class Bench:
    """A recording that grows, and one who looks on with as much room as a test gives them."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory, Clock()
        self.got: list[tuple[int, bytes, bool]] = []
        self.has_room: Callable[[], bool] = lambda: True
        self.tasks: set[asyncio.Task[None]] = set()
        self.watchers = Watchers(self.show, self.spawn, lambda: Source(self.tape, directory))
        self.tape = Recorder.open(directory, header(), KEY, on_rows=self.watchers.rows, clock=self.clock)

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        return task

    def show(self, _watcher: str, offset: int, rows: bytes, skips: bool) -> bool:
        if not self.has_room():
            return False
        self.got.append((offset, rows, skips))
        return True

    def give_to_the_portal(self, upto: int) -> None:
        """The bytes of these pieces leave the machine."""
        for number in range(1, upto + 1):
            (self.directory / chain.piece_name(number)).unlink(missing_ok=True)

    @property
    def plain(self) -> bytes:
        return b"".join(reader.plain_from(self.directory, 0))

    async def settle(self) -> None:
        for _ in range(400):
            await asyncio.sleep(0.005)
            if all(task.done() for task in self.tasks):
                return


@pytest.fixture
async def growing(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "r")
    yield made
    for task in made.tasks:
        task.cancel()


def joined(parts: list[tuple[int, bytes, bool]], start: int = 0) -> bytes:
    follower = Follower(start)
    return b"".join(follower.take(offset, rows) for offset, rows, _ in parts)


async def test_a_watcher_of_a_fast_writer_misses_nothing_and_gets_nothing_twice(growing: Bench) -> None:
    for number in range(200):
        growing.tape.output(b"before %d\r\n" % number)
    growing.watchers.on("w", 0)
    for number in range(3000):
        growing.tape.output(b"line %d %s\r\n" % (number, b"x" * (number % 300)))
        growing.clock.now += 0.01
        if number % 7 == 0:
            await asyncio.sleep(0)
    await growing.settle()
    assert joined(growing.got) == growing.plain
    places = [offset for offset, rows, _ in growing.got if rows]
    assert places == sorted(set(places))


async def test_who_cannot_take_it_is_shown_the_rest_from_disk(growing: Bench) -> None:
    room = random.Random(7)
    growing.has_room = lambda: room.random() < 0.3
    growing.watchers.on("w", 0)
    for number in range(500):
        growing.tape.output(b"line %d\r\n" % number)
        await asyncio.sleep(0.001)
    growing.has_room = lambda: True
    await growing.settle()
    assert joined(growing.got) == growing.plain


async def test_who_is_far_behind_goes_on_with_the_newest_screen(growing: Bench) -> None:
    growing.has_room = lambda: False
    growing.watchers.on("w", 0)
    await asyncio.sleep(0)
    for _ in range(80):
        growing.tape.output(b"y" * 60_000)
        growing.clock.now += 1.1
    assert growing.tape.offset > node_side.MOST_BEHIND
    growing.has_room = lambda: True
    await growing.settle()
    first, rows, skips = growing.got[0]
    assert skips
    assert first > 0
    assert b'"k"' in rows[:64]
    assert sum(len(rows) for _, rows, _ in growing.got) < node_side.MOST_BEHIND
    assert joined(growing.got, first) == growing.plain[first:]


async def test_pieces_that_the_portal_has_do_not_end_the_session(growing: Bench) -> None:
    for number in range(5):
        growing.tape.output(b"piece %d\r\n" % number)
        growing.clock.now += 11
        growing.tape.tick()
    growing.give_to_the_portal(5)
    growing.watchers.on("w", 0)
    await growing.settle()
    assert [task.exception() for task in growing.tasks] == [None]
    assert growing.got == [(growing.tape.offset, b"", False)]  # where the portal's own ends
    growing.tape.output(b"and on\r\n")
    assert b"and on" in growing.got[-1][1]


async def test_of_a_long_recording_only_the_newest_links_are_read(
    growing: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        growing.tape.output(b"piece %d\r\n" % number)
        growing.clock.now += 11
        growing.tape.tick()
    read, count = chain.read, []

    def counted(data: bytes) -> chain.Signed:
        count.append(data)
        return read(data)

    monkeypatch.setattr(chain, "read", counted)
    assert list(reader.parts_from(growing.directory, growing.tape.offset)) == []
    assert reader.newest_screen(growing.directory) > 0
    assert len(count) < 6


async def test_a_fault_ends_the_look_and_not_the_session(growing: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_said: object) -> None:
        raise OSError("the disk went away")

    with monkeypatch.context() as patched:
        patched.setattr(reader, "parts_from", fail)
        growing.watchers.on("w", 0)
        await growing.settle()
    assert [task.exception() for task in growing.tasks] == [None]
    growing.tape.output(b"on and on\r\n")
    assert growing.got == []
    growing.watchers.on("w", 0)  # the next word of the same one begins anew
    await growing.settle()
    assert joined(growing.got) == growing.plain


async def test_a_recording_that_has_not_begun_is_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "r")
    there: list[Source] = []
    watchers = Watchers(bench.show, bench.spawn, lambda: there[0] if there else None)
    watchers.on("w", 0)
    await asyncio.sleep(0.1)
    assert bench.got == []
    bench.tape.output(b"at last\r\n")
    there.append(Source(bench.tape, bench.directory))
    await bench.settle()
    assert joined(bench.got) == bench.plain


async def test_nobody_is_shown_anything_after_a_minute_without_a_word(
    growing: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_side, "LEASE_S", 0.05)
    growing.watchers.on("w", 0)
    await growing.settle()
    growing.watchers.on("w", 0)
    growing.tape.output(b"seen\r\n")
    await asyncio.sleep(0.1)
    before = len(growing.got)
    growing.tape.output(b"not seen\r\n")
    assert len(growing.got) == before


async def test_whoever_leaves_is_shown_nothing_more(growing: Bench) -> None:
    growing.watchers.on("w", 0)
    await growing.settle()
    growing.watchers.off("w")
    before = len(growing.got)
    growing.tape.output(b"later\r\n")
    assert len(growing.got) == before


def test_room_is_bounded_for_each_and_for_all() -> None:
    room = Room(most=10, most_each=6)
    assert room.enter("a", 100)  # the first always fits
    assert not room.enter("b", 1)
    room.leave("a", 100)
    assert room.enter("a", 4)
    assert not room.enter("a", 4)
    assert room.enter("b", 6)
    assert not room.enter("c", 1)
    room.leave("a", 4)
    room.leave("b", 6)
    assert room.enter("c", 9)


def test_a_frame_is_read_as_it_was_written() -> None:
    head = wire.Rows("s", "w", 7, skips=True)
    kind, said, data = wire.frame_of(wire.frame(head, b"\x00rows"))
    assert (kind, wire.decode(wire.Rows, said), data) == ("Rows", head, b"\x00rows")
    for broken in (b"", b"\x00\x00\x00\xff{}", b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x04null"):
        with pytest.raises(wire.Malformed):
            wire.frame_of(broken)


# --- in the portal --------------------------------------------------------------------------------------------------


@pytest.fixture
def session(transactional_db: None, node: Node, web: Asset, root: User) -> BastionSession:
    return kept.begin(node, web, root)


class Socket:
    """A browser that looks on, and the node at the other end."""

    def __init__(self, session: BastionSession, cookies: str) -> None:
        self.session = session
        self.path = f"/ws/bastion/sessions/{session.pk}/watch/"
        self.cookies = cookies
        self.rows, self.said, self.code = b"", list[dict[str, Any]](), 0

    async def open(self) -> None:
        application = import_module("rdmp.asgi").application
        headers = [(b"origin", b"http://testserver"), (b"host", b"testserver"), (b"cookie", self.cookies.encode())]
        make: Any = ApplicationCommunicator
        self.layer: Any = get_channel_layer()
        self.orders = await self.layer.new_channel()
        await self.layer.group_add(living.group_of(self.session.node_id), self.orders)
        self.socket = make(
            application, {"type": "websocket", "path": self.path, "query_string": b"", "headers": headers}
        )
        await self.socket.send_input({"type": "websocket.connect"})
        first = await self.socket.receive_output(timeout=10)
        self.code = first.get("code", 0) if first["type"] == "websocket.close" else 0

    async def refused(self) -> None:
        """Closed with a code at once, and nothing else was sent."""
        said = await self.socket.receive_output(timeout=10)
        assert said["type"] == "websocket.close", said
        self.code = said["code"]
        assert await self.socket.receive_nothing()

    async def close(self) -> None:
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.socket.wait(5)

    async def order(self) -> Any:
        """What the node is ordered next."""
        event = await asyncio.wait_for(self.layer.receive(self.orders), 10)
        return wire.order_from(event["said"])

    async def from_node(self, watcher: str, offset: int, rows: bytes, **changes: Any) -> None:
        said = {
            "type": "watch.rows", "node": self.session.node_id, "session": str(self.session.uid), "watcher": watcher,
            "offset": offset, "skips": False, "rows": rows, **changes,
        }  # fmt: skip
        await self.layer.group_send(watching.group_of(watcher), said)

    async def read(self, until: bytes = b"", *, kind: str = "", seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not (until and until in self.rows) and not (kind and any(one["kind"] == kind for one in self.said)):
                event = await self.socket.receive_output(timeout=seconds)
                if event["type"] == "websocket.close":
                    self.code = event["code"]
                    return
                text = event["text"]
                if text.startswith("{"):
                    self.said.append(json.loads(text))
                else:
                    self.rows += text.encode()


Looking = Callable[[User, Callable[[Socket], Awaitable[None]]], Socket]


@pytest.fixture
def looking(session: BastionSession, client_for: ClientFor) -> Looking:
    def look(person: User, work: Callable[[Socket], Awaitable[None]]) -> Socket:
        cookies = "; ".join(f"{name}={one.value}" for name, one in client_for(person).cookies.items())
        socket = Socket(session, cookies)

        async def run() -> None:
            await socket.open()
            try:
                await work(socket)
            finally:
                await socket.close()

        async_to_sync(run)()
        return socket

    return look


def shelf(session: BastionSession, place: Path) -> bytes:
    """What was recorded, as one text."""
    return b"".join(reader.plain_from(place / str(session.uid), 0))


def test_history_and_live_meet_without_gap_or_duplicate(
    session: BastionSession, looking: Looking, alice: User, tmp_path: Path
) -> None:
    """The first pieces have arrived; the next leaves the node while somebody comes; the rest is told live."""
    clock = Clock()
    directory = tmp_path / str(session.uid)
    recorder = Recorder.open(directory, header(str(session.uid)), KEY, clock=clock)
    for number in range(6):
        recorder.output(b"piece %d\r\n" % number)
        clock.now += 11
    recorder.close()
    whole = shelf(session, tmp_path)
    links = [chain.read((directory / chain.link_name(number)).read_bytes()).link for number in range(1, 7)]
    later = {number: (directory / chain.link_name(number)).read_bytes() for number in (4, 5, 6)}
    for number in later:
        (directory / chain.link_name(number)).rename(directory / f"later-{number}")
    kept.deliver(session, directory)

    def arrive(number: int) -> None:
        (directory / f"later-{number}").rename(directory / chain.link_name(number))
        kept.deliver(session, directory)

    async def work(socket: Socket) -> None:
        say, watch = await socket.order(), await socket.order()
        assert isinstance(say, Say)
        assert isinstance(watch, Watch)
        assert watch.offset == links[3].offset
        await socket.from_node(watch.watcher, links[2].offset, whole[links[2].offset : links[3].offset])  # known
        await sync_to_async(arrive)(4)
        fifth = links[4].offset
        await socket.from_node(watch.watcher, fifth, whole[fifth : fifth + 10])  # cut in the middle of a row
        await socket.from_node(watch.watcher, fifth + 10, whole[fifth + 10 : links[5].offset])
        await socket.from_node("0" * 32, links[5].offset, b"a row of somebody else's\n")
        await socket.from_node(watch.watcher, links[5].offset, b"forged\n", node=session.node_id + 1)
        await socket.from_node(watch.watcher, links[5].offset, b"forged\n", session="another")
        await socket.from_node(watch.watcher, links[5].offset, whole[links[5].offset :])
        await socket.read(b"piece 5")

    socket = looking(alice, work)
    assert socket.rows == whole[links[2].offset :][: len(socket.rows)]
    assert socket.rows.count(b"piece 4") == whole.count(b"piece 4")
    assert b"forged" not in socket.rows
    assert socket.said[0] == {"kind": "begin"}


def test_what_was_left_out_is_said(session: BastionSession, looking: Looking, alice: User) -> None:
    async def work(socket: Socket) -> None:
        await socket.order()
        watch = await socket.order()
        await socket.from_node(watch.watcher, 5000, b'[1.0, "k", "80x24 x"]\n', skips=True)
        await socket.read(b'"k"')

    assert {"kind": "skipped", "bytes": 5000} in looking(alice, work).said


def test_a_browser_that_does_not_read_is_started_anew_with_the_newest_screen(
    session: BastionSession, looking: Looking, alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_consumer, "MOST_WAITING", 2000)
    send, reads = watch_consumer.WatchConsumer.send, asyncio.Event()

    async def when_read(self: watch_consumer.WatchConsumer, text_data: str) -> None:
        await reads.wait()
        await send(self, text_data=text_data)

    monkeypatch.setattr(watch_consumer.WatchConsumer, "send", when_read)
    kept.record(session, tmp_path, kept.lines("a\r\n", "the newest screen\r\n"))

    async def work(socket: Socket) -> None:
        await socket.order()
        watch = await socket.order()
        row = b'[9.0, "o", "%s"]\n' % (b"z" * 900)
        offset = watch.offset
        for _ in range(40):
            await socket.from_node(watch.watcher, offset, row)
            offset += len(row)
        await asyncio.sleep(0.5)
        reads.set()
        ended, begun = await socket.order(), await socket.order()
        assert (ended.watcher, ended.is_on) == (watch.watcher, False)
        assert begun.is_on
        assert begun.watcher != watch.watcher
        await socket.from_node(begun.watcher, begun.offset, b'[9.5, "o", "and on"]\n')
        await socket.read(b"and on")

    socket = looking(alice, work)
    assert [one["kind"] for one in socket.said].count("begin") == 2
    assert b"the newest screen" in socket.rows
    assert len(socket.rows) < 40 * 900


@pytest.mark.parametrize(("who", "code"), [("bob", 4404), ("eve", 4404), ("chen", 4404), ("vera", 4404)])
def test_strangers_are_not_let_in_and_learn_nothing(
    session: BastionSession, looking: Looking, request: pytest.FixtureRequest, who: str, code: int
) -> None:
    async def work(socket: Socket) -> None:
        await socket.refused()

    assert looking(request.getfixturevalue(who), work).code == code
    with scope.platform("test"):
        assert not AuditEntry.objects.filter(action="bastion.session.watch").exists()


def test_nobody_signed_in_is_not_let_in(session: BastionSession) -> None:
    socket = Socket(session, "")

    async def run() -> None:
        await socket.open()
        await socket.refused()
        await socket.close()

    async_to_sync(run)()
    assert socket.code == 4401


def test_it_is_written_down_and_said_once(session: BastionSession, looking: Looking, alice: User, root: User) -> None:
    async def first(socket: Socket) -> None:
        said = await socket.order()
        assert isinstance(said, Say)
        assert said.by == alice.name
        assert isinstance(await socket.order(), Watch)

    async def again(socket: Socket) -> None:
        assert isinstance(await socket.order(), Watch)

    looking(alice, first)
    looking(alice, again)
    looking(root, again)  # one's own session needs no announcement
    with scope.platform("test"):
        acts = AuditEntry.objects.filter(action="bastion.session.watch").order_by("sequence")
        assert [entry.actor_id for entry in acts] == [alice.pk, alice.pk, root.pk]


def test_where_the_rule_says_so_nothing_is_said(
    session: BastionSession, looking: Looking, alice: User, root: User
) -> None:
    with scope.platform("test"):
        RecordingPolicy.objects.create(
            customer=session.customer, keep_days=365, tells_watched=False, changed_by=root, changed_at=NOW
        )

    async def work(socket: Socket) -> None:
        assert isinstance(await socket.order(), Watch)

    looking(alice, work)


@pytest.mark.parametrize(("what", "code"), [("right", 4403), ("session", 4410), ("sign-out", 4401)])
def test_what_ends_meanwhile_ends_the_look(
    session: BastionSession,
    looking: Looking,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    code: int,
) -> None:
    monkeypatch.setattr(watch_consumer.WatchConsumer, "check_every_s", 0.1)

    def change() -> None:
        with scope.platform("test"):
            if what == "right":
                User.objects.filter(pk=alice.pk).update(role="customer_member")
            elif what == "session":
                BastionSession.objects.filter(pk=session.pk).update(state="ended", ended_at=NOW, ending="exit")
            else:
                User.objects.filter(pk=alice.pk).update(is_active=False)

    async def work(socket: Socket) -> None:
        await sync_to_async(change)()
        await socket.read(kind="never", seconds=5)

    assert looking(alice, work).code == code


def test_a_session_that_is_over_says_so(session: BastionSession, looking: Looking, alice: User) -> None:
    kept.end(session)

    async def work(socket: Socket) -> None:
        await socket.refused()

    assert looking(alice, work).code == 4410
