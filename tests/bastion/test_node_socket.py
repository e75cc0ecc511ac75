"""The WebSocket of a node: shut when its key is worth nothing, given nothing when it is silent, closed on nonsense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from django.utils import timezone

from accounts import scope
from accounts.models import User
from bastion import consumers
from bastion.gateway import streams, wire
from bastion.models import Node
from bastion.services import enrolling, living
from tests.bastion.test_node_api import Speaker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def speaker(transactional_db: None) -> Speaker:
    made = Speaker()
    with scope.platform("test"):
        _node, token = enrolling.announce(name="one", customer=None, actor=None, now=timezone.now())
    assert made.enrol(token) == 200
    return made


def with_socket(speaker: Speaker, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """What `work` finds with the node's open connection."""
    said = wire.sign(
        speaker.key, node=speaker.number, method="GET", path=consumers.PATH, body=b"", now=time.time()
    )  # fmt: skip
    headers = [(name.lower().encode(), value.encode()) for name, value in said.items()]

    async def run() -> Any:
        make: Any = ApplicationCommunicator
        request = {"type": "websocket", "path": consumers.PATH, "query_string": b"", "headers": headers}
        socket = make(import_module("rdmp.asgi").application, request)
        await socket.send_input({"type": "websocket.connect"})
        assert (await socket.receive_output(timeout=10))["type"] == "websocket.accept"
        try:
            return await work(socket)
        finally:
            await socket.send_input({"type": "websocket.disconnect", "code": 1000})
            await socket.wait(5)

    return async_to_sync(run)()


async def order(speaker: Speaker) -> None:
    layer: Any = get_channel_layer()
    await layer.group_send(living.group_of(speaker.number), {"type": "node.said", "said": {"kind": "order"}})


@pytest.mark.parametrize("how", ["revoke", "ask_again"])
def test_it_is_shut_when_its_key_is_worth_nothing_any_more(speaker: Speaker, root: User, how: str) -> None:
    def end() -> None:
        with scope.platform("test"):
            getattr(enrolling, how)(node=Node.objects.get(pk=speaker.number), actor=root, now=timezone.now())

    async def work(socket: Any) -> Any:
        await sync_to_async(end)()
        return await socket.receive_output(timeout=10)

    assert with_socket(speaker, work)["code"] == consumers.UNKNOWN_NODE


def test_one_that_is_silent_is_given_nothing_to_do(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(socket: Any) -> Any:
        await order(speaker)
        return await socket.receive_output(timeout=10)

    assert with_socket(speaker, work)["text"] == '{"kind": "order"}'
    monkeypatch.setattr(consumers, "SILENT_AFTER", timedelta(0))
    assert with_socket(speaker, work)["code"] == consumers.UNKNOWN_NODE

    async def opening(socket: Any) -> Any:
        event = {"type": "node.stream", "stream": streams.new_id(), "do": "open", "reply": "x", "said": {}}
        layer: Any = get_channel_layer()
        await layer.group_send(living.group_of(speaker.number), event)
        return await socket.receive_output(timeout=10)

    assert with_socket(speaker, opening)["code"] == consumers.UNKNOWN_NODE


@pytest.mark.parametrize("more", [0, 1])
def test_a_frame_longer_than_agreed_closes_it(speaker: Speaker, more: int) -> None:
    data = bytes.fromhex(streams.new_id()) + bytes(streams.LONGEST + more)

    async def work(socket: Any) -> Any:
        await socket.send_input({"type": "websocket.receive", "bytes": data})
        await asyncio.sleep(0.2)
        await order(speaker)
        return await socket.receive_output(timeout=10)

    assert with_socket(speaker, work).get("code") == (consumers.TOO_LONG if more else None)
