"""Byte streams between the portal and a node: the real programs, a real connection behind them, both killed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from assets.models import Asset, SshAccess
from bastion.gateway import streams as wire
from bastion.gateway.contract import Purpose, Refused, Tunnel
from bastion.gateway.streams import LONGEST, OVERHEAD, WINDOW, Frame, Stream, StreamClosed, Streams
from bastion.models import Node
from bastion.services import dialling, streams
from tests.bastion.targets import KeyTarget
from tests.bastion.test_node_program import Program, program, target, until, web  # noqa: F401 - fixtures
from tests.portal import portal  # noqa: F401 - a fixture

MEGABYTE = 1024 * 1024


# --- two ends without a connection between them -----------------------------------------------------------------------


class Pair:
    """Two ends; what one sends lies in a list until it is passed on."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.here = Stream("80" * 16, self._send_here)
        self.there = Stream("80" * 16, self._send_there)
        self.is_held = False

    async def _send_here(self, frame: Frame) -> None:
        self.sent.append(frame)
        if not self.is_held:
            self.there.take(frame)

    async def _send_there(self, frame: Frame) -> None:
        self.here.take(frame)


@pytest.fixture
async def pair() -> Pair:
    made = Pair()
    await made.there.accept()
    return made


async def within(work: Awaitable[object], seconds: float = 5) -> object:
    return await asyncio.wait_for(work, seconds)


async def test_nobody_sends_more_than_the_other_has_room_for(pair: Pair) -> None:
    writing = asyncio.ensure_future(pair.here.write(bytes(MEGABYTE)))
    await asyncio.sleep(0.05)
    assert not writing.done()
    assert sum(frame.cost for frame in pair.sent) <= WINDOW
    got = 0
    while got < MEGABYTE:
        got += len(await pair.there.read())
    await within(writing)


async def test_single_bytes_are_few_at_a_time_too(pair: Pair) -> None:
    async def trickle() -> None:
        for _ in range(1000):
            await pair.here.write(b"x")

    writing = asyncio.ensure_future(trickle())
    await asyncio.sleep(0.05)
    assert len(pair.sent) <= WINDOW // OVERHEAD < 100
    for _ in range(1000):
        assert await pair.there.read() == b"x"
    await within(writing)


async def test_one_who_sends_without_credit_is_cut_off(pair: Pair) -> None:
    for _ in range(20):
        pair.there.take(Frame(pair.there.id, wire.DATA, bytes(LONGEST)))
    assert pair.there.reason == "flow"
    with pytest.raises(StreamClosed, match="flow"):
        await pair.there.read()
    await asyncio.sleep(0)
    assert pair.here.reason == "flow"


async def test_half_a_stream_goes_on(pair: Pair) -> None:
    await pair.here.write(b"question")
    await pair.here.end()
    assert (await pair.there.read(), await pair.there.read()) == (b"question", b"")
    with pytest.raises(StreamClosed):
        await pair.here.write(b"more")


async def test_what_was_written_before_the_end_arrives(pair: Pair) -> None:
    await pair.here.write(b"last words")
    await pair.here.close("revoked", "No more.")
    assert await pair.there.read() == b"last words"
    with pytest.raises(StreamClosed) as closed:
        await pair.there.read()
    assert (closed.value.reason, closed.value.words) == ("revoked", "No more.")


async def test_a_writer_who_waits_hears_that_it_is_over(pair: Pair) -> None:
    writing = asyncio.ensure_future(pair.here.write(bytes(MEGABYTE)))
    await asyncio.sleep(0.01)
    pair.here.lose("lost")
    with pytest.raises(StreamClosed, match="lost"):
        await within(writing)


@pytest.mark.parametrize(
    "said",
    [
        {"do": "open", "stream": "80" * 16, "purpose": "Nonsense", "said": {}},
        {"do": "open", "stream": "80" * 16, "purpose": "Tunnel", "said": {"host": 7}},
        {"do": "open", "stream": "80" * 16, "purpose": ["Tunnel"], "said": None},
    ],
)
async def test_a_purpose_that_cannot_be_read_is_refused(said: dict[str, object]) -> None:
    sent: list[Frame] = []

    async def send(frame: Frame) -> None:
        sent.append(frame)

    async def serve(tunnel: Tunnel, stream: Stream) -> None:
        await stream.accept()

    mine = Streams()
    mine.serve(Tunnel, serve)
    mine.connected(send)
    mine.hear(said)
    await asyncio.sleep(0.01)
    assert [(frame.do, frame.reason) for frame in sent] == [("close", "unknown_purpose")]
    assert len(mine) == 0


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "[" * 100_000, '{"kind": "stream", "stream": 7, "do": "credit"}'])
def test_what_is_no_message_is_passed_over(text: str) -> None:
    assert wire.from_json(wire.parse(text)) is None


def test_ids_mark_their_messages() -> None:
    assert all(wire.is_data(bytes.fromhex(wire.new_id()) + b"x") for _ in range(100))
    assert not wire.is_data(b"\0\0\0\x20" + bytes(60))
    assert not wire.is_data(bytes.fromhex(wire.new_id()))


# --- the real programs ------------------------------------------------------------------------------------------------


real = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def stuck(connection: socket.socket) -> None:
    time.sleep(60)


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A service behind the node."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def one(connection: socket.socket) -> None:
            with connection:
                serve(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def node(program: Program) -> Node:  # noqa: F811 - the fixture
    """The enrolled node, once it is connected."""

    def is_connected() -> bool:
        with scope.platform("test"):
            return not Node.objects.get().is_silent(timezone.now())

    until(is_connected)
    with scope.platform("test"):
        return Node.objects.get()


def to(port: int) -> Tunnel:
    return Tunnel("127.0.0.1", port, is_near_allowed=True)


def opened(stack: ExitStack, node: Node, purpose: Purpose) -> socket.socket:
    found = stack.enter_context(streams.open_socket(node=node, purpose=purpose, now=timezone.now()))
    found.settimeout(60)
    return found


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


class TestOfAll:
    pytestmark = real

    def test_fifty_megabytes_come_back_as_they_went(self, node: Node) -> None:
        data = os.urandom(MEGABYTE) * 50
        with ExitStack() as stack:
            port = stack.enter_context(server(echo))
            there = opened(stack, node, to(port))

            def write() -> None:
                there.sendall(data)
                there.shutdown(socket.SHUT_WR)

            writing = threading.Thread(target=write)
            writing.start()
            back = read_all(there)
            writing.join()
        assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()

    def test_one_that_is_not_read_holds_up_no_other(self, node: Node) -> None:
        with ExitStack() as stack:
            slow = opened(stack, node, to(stack.enter_context(server(stuck))))
            slow.settimeout(2)
            sent = 0
            with pytest.raises(TimeoutError):
                while True:
                    sent += slow.send(bytes(65536))
            quick = opened(stack, node, to(stack.enter_context(server(echo))))
            data = os.urandom(2 * MEGABYTE)
            threading.Thread(target=quick.sendall, args=(data,), daemon=True).start()
            back = b""
            while len(back) < len(data):
                back += quick.recv(65536)
            assert back == data
            assert sent < 32 * MEGABYTE

    def test_a_killed_node_ends_it_here(self, node: Node, program: Program) -> None:  # noqa: F811 - the fixture
        with ExitStack() as stack:
            there = opened(stack, node, to(stack.enter_context(server(echo))))
            there.sendall(b"hello")
            assert there.recv(100) == b"hello"
            program.stop(signal.SIGKILL)
            began = time.monotonic()
            assert there.recv(100) == b""
            assert time.monotonic() - began < 20
        program.start()

    def test_an_opener_that_dies_ends_it_there(self, node: Node) -> None:
        over = threading.Event()

        def note_end(connection: socket.socket) -> None:
            read_all(connection)
            over.set()

        with server(note_end) as port:
            child = os.fork()
            if child == 0:
                streams._loops.clear()
                with streams.open_socket(node=node, purpose=to(port), now=timezone.now()) as there:
                    there.sendall(b"x")
                    time.sleep(0.5)
                    os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(child, 0)
            assert over.wait(40)

    def test_what_cannot_be_reached_is_said(self, node: Node) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        for purpose, reason in (
            (to(port), "unreachable"),
            (Tunnel("127.0.0.1", port), "forbidden_address"),
            (Tunnel("169.254.169.254", 80, is_near_allowed=True), "forbidden_address"),
            (Tunnel("no.such.host.invalid", 22), "unknown_host"),
            (to(0), "bad_address"),
            (to(70000), "bad_address"),
        ):
            with (
                pytest.raises(StreamClosed) as closed,
                streams.open_socket(node=node, purpose=purpose, now=timezone.now()),
            ):
                raise AssertionError("it was opened")
            assert closed.value.reason == reason

    def test_a_server_is_reached_by_where_it_answers(self, node: Node, web: Asset, target: KeyTarget) -> None:  # noqa: F811 - fixtures
        with scope.platform("test"):
            access = SshAccess.objects.select_related("asset").get(asset=web)
            with dialling.behind_node(access)() as there:
                there.settimeout(10)
                assert there.recv(100).startswith(b"SSH-2.0-")


@pytest.mark.django_db
def test_a_silent_node_is_not_waited_for(node_row: Node) -> None:
    with (
        pytest.raises(DomainError) as refused,
        streams.open_socket(node=node_row, purpose=to(22), now=timezone.now()),
    ):
        raise AssertionError("it was opened")
    assert refused.value.code == "node_silent"


@pytest.fixture
def node_row(db: None) -> Node:
    return Node(name="far", state=Node.State.ENROLLED, public_key="k")


async def test_a_handler_that_refuses_says_why() -> None:
    sent: list[Frame] = []

    async def send(frame: Frame) -> None:
        sent.append(frame)

    async def serve(tunnel: Tunnel, stream: Stream) -> None:
        raise Refused("no_forward", "Not here.")

    mine = Streams()
    mine.serve(Tunnel, serve)
    mine.connected(send)
    mine.hear(wire.open_said(wire.new_id(), to(22)))
    await asyncio.sleep(0.01)
    assert [(frame.do, frame.reason, frame.words) for frame in sent] == [("close", "no_forward", "Not here.")]
