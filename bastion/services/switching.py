"""Between the WebSocket of a node and whoever opened streams to it, in this process or another: by the channel layer.

Each direction is numbered: what the layer loses is noticed, and ends the stream. Both sides say every few seconds that
they are there, since the layer tells nobody that a process has died.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bastion.gateway import streams
from bastion.gateway.streams import CLOSE, DATA, OPENED, Frame

ALIVE_EVERY_S: Final = 5.0
DEAD_AFTER_S: Final = 16.0
TYPE: Final = "node.stream"


@dataclass
class Numbers:
    """What was sent and what came, counted."""

    sent: int = 0
    came: int = 0

    def next(self) -> int:
        self.sent += 1
        return self.sent

    def fits(self, number: object) -> bool:
        self.came += 1
        return number == self.came


@dataclass
class _Opener:
    reply: str
    numbers: Numbers = field(default_factory=Numbers)
    heard_at: float = field(default_factory=time.monotonic)
    is_open: bool = False


class Switch:
    """The side of the node's WebSocket. Called by its consumer alone, one call after the other."""

    def __init__(self, layer: Any, channel: str, send: Callable[..., Awaitable[None]]) -> None:
        self._layer, self._channel, self._send = layer, channel, send
        self._openers: dict[str, _Opener] = {}

    async def from_portal(self, event: Mapping[str, Any]) -> None:
        stream_id, do = event["stream"], event["do"]
        if do == "open":
            if stream_id not in self._openers and len(self._openers) < streams.MOST:
                self._openers[stream_id] = _Opener(event["reply"])
                await self._send(text_data=json.dumps(event["said"]))
            return
        opener = self._openers.get(stream_id)
        if opener is None:
            return
        opener.heard_at = time.monotonic()
        if do == "alive":
            await self._layer.send(opener.reply, {"type": TYPE, "do": "alive"})
        elif not opener.numbers.fits(event["n"]):
            await self._drop(stream_id, "lost")
        else:
            frame = frame_of(event)
            if frame.do == CLOSE:
                del self._openers[stream_id]
            await self._to_node(frame)

    async def from_node(self, frame: Frame) -> None:
        opener = self._openers.get(frame.stream)
        if opener is None:
            return
        if frame.do == OPENED:
            opener.is_open = True
        elif frame.do == CLOSE:
            del self._openers[frame.stream]
        await self._layer.send(opener.reply, event_of(frame, opener.numbers, peer=self._channel))

    async def sweep(self) -> None:
        """Streams whose opener is silent are nobody's."""
        before = time.monotonic() - DEAD_AFTER_S
        for stream_id, opener in list(self._openers.items()):
            if opener.heard_at < before:
                await self._drop(stream_id, "portal_gone")

    async def gone(self) -> None:
        """The node's connection is over. A stream that was not opened yet may be by the node's next connection."""
        openers, self._openers = self._openers, {}
        for stream_id, opener in openers.items():
            if opener.is_open:
                closing = Frame(stream_id, CLOSE, reason="node_gone")
                await self._layer.send(opener.reply, event_of(closing, opener.numbers, peer=self._channel))

    async def _drop(self, stream_id: str, reason: str) -> None:
        opener = self._openers.pop(stream_id)
        closing = Frame(stream_id, CLOSE, reason=reason)
        await self._to_node(closing)
        await self._layer.send(opener.reply, event_of(closing, opener.numbers, peer=self._channel))

    async def _to_node(self, frame: Frame) -> None:
        if frame.do == DATA:
            await self._send(bytes_data=streams.to_bytes(frame))
        else:
            await self._send(text_data=json.dumps(streams.to_json(frame)))


def event_of(frame: Frame, numbers: Numbers, *, peer: str = "") -> dict[str, object]:
    """A frame as a message of the channel layer."""
    event: dict[str, object] = {"type": TYPE, "n": numbers.next(), "stream": frame.stream, "do": frame.do, "peer": peer}
    if frame.do == DATA:
        event["data"] = frame.data
    else:
        event |= {"credit": frame.credit, "reason": frame.reason, "words": frame.words}
    return event


def frame_of(event: Mapping[str, Any]) -> Frame:
    return Frame(
        event["stream"],
        event["do"],
        event.get("data", b""),
        event.get("credit", 0),
        event.get("reason", ""),
        event.get("words", ""),
    )
