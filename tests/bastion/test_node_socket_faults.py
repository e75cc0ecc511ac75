"""The portal's end of a node's WebSocket, and of a terminal's: what is slow or fails there holds up nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from channels.layers import get_channel_layer

from accounts import scope
from accounts.models import User
from assets.models import Asset
from bastion.consumers import UNKNOWN_NODE, NodeConsumer
from bastion.gateway import wire
from bastion.gateway.contract import NewTerms, Tunnel
from bastion.models import Node
from bastion.services import authorising, dialling, granting, living, streams
from bastion.services.granting import Wanted
from bastion.services.switching import Switch
from bastion.terminal_consumer import FAILED, TerminalConsumer
from tests.bastion.conftest import CONNECT, SSH, wish_for
from tests.conftest import NOW

BEAT = '{"kind": "beat", "sessions": [], "load": {}}'


class Told:
    """A consumer whose closing is noted."""

    def __init__(self, consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumer, self.code, self.closed = consumer, 0, asyncio.Event()
        monkeypatch.setattr(consumer, "close", self.close)

    async def close(self, code: int) -> None:
        self.code = code
        self.closed.set()


@pytest.fixture
async def socket(monkeypatch: pytest.MonkeyPatch) -> Told:
    consumer: Any = NodeConsumer()
    consumer.node, consumer.channel_layer, consumer.channel_name = Node(pk=7), get_channel_layer(), "here"
    consumer.switch = Switch(consumer.channel_layer, "here", consumer.send)
    return Told(consumer, monkeypatch)


async def test_a_slow_heartbeat_holds_up_nothing_and_there_is_one_at_a_time(
    socket: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go, count = threading.Event(), []

    def slow(_said: object) -> bool:
        count.append(1)
        return may_go.wait(10)

    monkeypatch.setattr(socket.consumer, "_beat", slow)
    for _ in range(3):
        await asyncio.wait_for(socket.consumer.receive(text_data=BEAT), 2)
        await asyncio.sleep(0.05)
    assert len(count) == 1
    may_go.set()
    await asyncio.wait_for(socket.consumer._beating, 5)
    await socket.consumer.receive(text_data=BEAT)
    await asyncio.wait_for(socket.consumer._beating, 5)
    assert (len(count), socket.code) == (2, 0)


async def test_a_heartbeat_that_fails_is_logged_and_one_that_is_refused_closes(
    socket: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_said: object) -> bool:
        raise RuntimeError("the database went away")

    monkeypatch.setattr(socket.consumer, "_beat", fail)
    await socket.consumer.receive(text_data=BEAT)
    await socket.consumer._beating
    assert "heartbeat failed" in caplog.text
    assert socket.code == 0
    monkeypatch.setattr(socket.consumer, "_beat", lambda _said: False)
    await socket.consumer.receive(text_data=BEAT)
    await socket.consumer._beating
    assert socket.code == UNKNOWN_NODE


def test_with_its_first_heartbeat_a_node_hears_the_terms_of_its_sessions(
    db: None, web: Asset, node: Node, root: User, chen: User, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    heard: list[tuple[str, Any]] = []

    async def group_send(group: str, message: dict[str, Any]) -> None:
        heard.append((group, message))

    monkeypatch.setattr(get_channel_layer(), "group_send", group_send)
    with scope.platform("test"):
        granting.grant(person=chen, to=web, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)
        made = authorising.authorise(person=chen, wish=wish_for(web), node=node, now=NOW)
        other = Node.objects.create(
            name="elsewhere", state=Node.State.ENROLLED, public_key="o", enrolled_at=NOW, created_at=NOW
        )
    monkeypatch.setattr("bastion.consumers.timezone.now", lambda: NOW)
    for one, count in ((other, 0), (node, 1)):
        consumer: Any = NodeConsumer()
        consumer.node = one
        with django_capture_on_commit_callbacks(execute=True):
            assert consumer._beat({"sessions": [], "load": {}})
            assert consumer._beat({"sessions": [], "load": {}})
        said = [(group, wire.order_from(one["said"])) for group, one in heard if one["type"] == "node.said"]
        assert len(said) == count
    [(group, order)] = said
    assert group == living.group_of(node.pk)
    assert isinstance(order, NewTerms)
    assert order.access.session_id == str(made.uid)


async def test_a_terminals_task_that_fails_closes_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    consumer: Any = TerminalConsumer()
    consumer._tasks = set()
    told = Told(consumer, monkeypatch)

    async def fail() -> None:
        raise RuntimeError("storage went away")

    consumer._spawn(fail())
    await asyncio.wait_for(told.closed.wait(), 5)
    assert told.code == FAILED
    assert "storage went away" in caplog.text


async def test_whoever_gives_up_opening_a_stream_tells_the_node() -> None:
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(living.group_of(4711), channel)
    opening = asyncio.ensure_future(streams._Line(4711).open(Tunnel("10.0.0.1", 22)))
    asked = await asyncio.wait_for(layer.receive(channel), 10)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with asyncio.timeout(10):
        while (told := await layer.receive(channel))["do"] == "open":
            pass
    assert (told["do"], told["stream"]) == ("close", asked["stream"])


def test_what_fails_within_a_connection_is_not_said_of_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def opened(**_said: object) -> Iterator[str]:
        yield "a socket"

    monkeypatch.setattr(streams, "open_socket", opened)
    refusal = streams._silent()
    with pytest.raises(type(refusal)) as own, dialling._dial(Node(), Tunnel("10.0.0.1", 22), NOW):
        raise refusal
    assert own.value is refusal
