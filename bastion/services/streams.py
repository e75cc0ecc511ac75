"""Opening byte streams to nodes from any process: for a coroutine as a `Stream`, for a thread as a socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from channels.layers import get_channel_layer
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from accounts.errors import DomainError
from assets.models import Asset
from bastion.gateway.contract import Purpose
from bastion.gateway.streams import LONGEST, Frame, Stream, StreamClosed, new_id, open_said
from bastion.models import Node
from bastion.services import authorising, living
from bastion.services.switching import ALIVE_EVERY_S, DEAD_AFTER_S, TYPE, Numbers, event_of, frame_of

ANSWER_S: Final = 20.0
ASK_EVERY_S: Final = 1.0
FLUSH_S: Final = 2.0


def node_for(asset: Asset, *, now: datetime) -> Node:
    """One of its customer before the platform's own, which reaches nothing that stands behind a node. Raises
    DomainError("node_silent")."""
    rows = Node.objects.filter(state=Node.State.ENROLLED, is_draining=False).exclude(seen_at=None)
    behind = authorising.behind_nodes([asset])
    served = [node for node in rows if authorising.serves(node, asset, behind) and not node.is_silent(now)]
    if not served:
        raise _silent()
    return min(served, key=lambda node: (node.customer_id is None, node.pk))


async def open_stream(*, node: Node, purpose: Purpose, now: datetime) -> Stream:
    """Close it when you are done. Raises DomainError("node_silent"), and StreamClosed with what the node says to it."""
    if node.state != Node.State.ENROLLED or node.is_silent(now):
        raise _silent()
    line = _Line(node.pk)
    await line.open(purpose)
    if line.stream.is_over:
        raise StreamClosed(line.stream.reason or "gone", line.stream.words)
    return line.stream


@contextlib.contextmanager
def open_socket(*, node: Node, purpose: Purpose, now: datetime) -> Iterator[socket.socket]:
    """A stream as a connected, blocking socket, for code that runs in a thread. Raises as `open_stream` does."""
    loop = _Loop.running()
    stream = asyncio.run_coroutine_threadsafe(open_stream(node=node, purpose=purpose, now=now), loop).result()
    inner, outer = socket.socketpair()
    inner.setblocking(False)
    joining = asyncio.run_coroutine_threadsafe(_join(stream, inner), loop)
    try:
        yield outer
    finally:
        outer.close()
        try:
            joining.result(FLUSH_S)
        except (CancelledError, TimeoutError):
            joining.cancel()


def _silent() -> DomainError:
    return DomainError(_("No node that reaches it answers at the moment."), code="node_silent")


class _Line:
    """The end of a stream in this process: a channel of the layer, and somebody who listens to it."""

    def __init__(self, node_id: int) -> None:
        self._layer: Any = get_channel_layer()
        self._node_id, self._numbers, self._sending = node_id, Numbers(), asyncio.Lock()
        self._channel = self._peer = ""
        self._heard_at = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self.stream = Stream(new_id(), self._send, self._over)

    async def open(self, purpose: Purpose) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                self._channel = await self._layer.new_channel()
                self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._watch())]
                asking = {"type": TYPE, "stream": self.stream.id, "do": "open", "reply": self._channel}
                await self._ask({**asking, "said": open_said(self.stream.id, purpose)})
        except (RedisError, OSError):
            await self.stream.close("gone")
            raise _silent() from None
        except BaseException:
            await self.stream.close("gone")
            raise

    async def _ask(self, event: dict[str, object]) -> None:
        """Again and again: the node may be on its way back. It opens a stream once."""
        while not self.stream.opened.is_set():
            await self._layer.group_send(living.group_of(self._node_id), event)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stream.opened.wait(), ASK_EVERY_S)

    async def _send(self, frame: Frame) -> None:
        async with self._sending:
            event = event_of(frame, self._numbers)
            try:
                if self._peer:
                    await self._layer.send(self._peer, event)
                else:
                    await self._layer.group_send(living.group_of(self._node_id), event)
            except (RedisError, OSError):
                raise StreamClosed("lost") from None

    async def _listen(self) -> None:
        """Until cancelled: that is how the layer learns that a channel is no longer listened to."""
        while True:
            event = await self._layer.receive(self._channel)
            self._heard_at = time.monotonic()
            if event["do"] == "alive":
                continue
            if self._peer not in ("", event["peer"]):
                continue
            self._peer = event["peer"]
            if self._numbers.fits(event["n"]):
                self.stream.take(frame_of(event))
            else:
                self.stream.fail("lost")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_EVERY_S)
            if time.monotonic() - self._heard_at > DEAD_AFTER_S and self._peer:
                self.stream.lose("lost")
            elif self._peer:
                with contextlib.suppress(RedisError, OSError):
                    await self._layer.send(self._peer, {"type": TYPE, "stream": self.stream.id, "do": "alive"})

    def _over(self, _stream: Stream) -> None:
        for task in self._tasks:
            asyncio.get_running_loop().call_soon(task.cancel)


async def _join(stream: Stream, inner: socket.socket) -> None:
    """Until both directions have ended, or one of them has failed."""
    there, back = (asyncio.ensure_future(work) for work in (_to_node(stream, inner), _from_node(stream, inner)))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        await stream.close()
        inner.close()


async def _to_node(stream: Stream, inner: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(inner, LONGEST):
        await stream.write(data)
    await stream.end()


async def _from_node(stream: Stream, inner: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await stream.read():
        await loop.sock_sendall(inner, data)
    inner.shutdown(socket.SHUT_WR)


@dataclass
class _Loop:
    """A thread that runs coroutines for threads that cannot: one of each process, started by the first who needs it."""

    pid: int = 0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @classmethod
    def running(cls) -> asyncio.AbstractEventLoop:
        with _starting:
            if not _loops or _loops[-1].pid != os.getpid():
                started = cls(os.getpid())
                threading.Thread(target=started.loop.run_forever, name="streams", daemon=True).start()
                _loops[:] = [started]
            return _loops[-1].loop


_starting = threading.Lock()
_loops: list[_Loop] = []
