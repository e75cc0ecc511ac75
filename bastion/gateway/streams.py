"""Byte streams over a connection that carries many of them: each in order, each with credit of its own.

Whoever receives grants credit; whoever sends spends it. A reader that is slow holds up its own stream and no other, and
neither side keeps more than `WINDOW` of a stream. The portal opens a stream for a purpose (`contract.Purpose`), a node
has a handler for each kind of purpose.

On the wire, bytes are a binary message (the stream's 16 bytes and what it carries), all else is JSON.
"""

import asyncio
import json
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from bastion.gateway.contract import Purpose, Refused

log = logging.getLogger(__name__)
P = TypeVar("P", bound=Purpose)

WINDOW: Final = 256 * 1024
OVERHEAD: Final = 4 * 1024
"""What a frame costs besides its bytes, so that even single bytes are at most 64 frames on their way."""
LONGEST: Final = 32 * 1024
"""Bytes of a frame."""
MOST: Final = 512
"""Streams of one node."""
ID_BYTES: Final = 16
MARK: Final = 0x80
"""Set in the first byte of each id: no other binary message begins so."""
DATA, OPENED, CREDIT, END, CLOSE = "data", "opened", "credit", "end", "close"
LONGEST_REASON: Final = 300


class StreamClosed(Exception):
    """`reason` is a word: lost, flow, failed, gone, a refusal's code, or what the other side said."""

    def __init__(self, reason: str, words: str = "") -> None:
        super().__init__(reason)
        self.reason, self.words = reason, words


@dataclass(frozen=True)
class Frame:
    """`do`: data, opened and credit (with `credit`), end (no more data comes), close (`reason`: what is not well)."""

    stream: str
    do: str
    data: bytes = b""
    credit: int = 0
    reason: str = ""
    words: str = ""

    @property
    def cost(self) -> int:
        return len(self.data) + OVERHEAD


Send = Callable[[Frame], Awaitable[None]]


def new_id() -> str:
    raw = bytearray(secrets.token_bytes(ID_BYTES))
    raw[0] |= MARK
    return raw.hex()


def is_data(message: bytes) -> bool:
    """Whether a binary message is a stream's."""
    return len(message) > ID_BYTES and message[0] & MARK != 0


def from_bytes(message: bytes) -> Frame:
    return Frame(message[:ID_BYTES].hex(), DATA, message[ID_BYTES:])


def to_bytes(frame: Frame) -> bytes:
    return bytes.fromhex(frame.stream) + frame.data


def to_json(frame: Frame) -> dict[str, object]:
    said: dict[str, object] = {"kind": "stream", "stream": frame.stream, "do": frame.do}
    if frame.credit:
        said["credit"] = frame.credit
    if frame.reason:
        said |= {"reason": frame.reason, "words": frame.words[:LONGEST_REASON]}
    return said


def from_json(said: Mapping[str, object]) -> Frame | None:
    """None for what is no frame."""
    stream, do, credit = said.get("stream"), said.get("do"), said.get("credit", 0)
    if not isinstance(stream, str) or do not in {OPENED, CREDIT, END, CLOSE} or not isinstance(credit, int):
        return None
    reason, words = (str(said.get(key, ""))[:LONGEST_REASON] for key in ("reason", "words"))
    return Frame(stream, str(do), credit=max(0, min(credit, WINDOW)), reason=reason, words=words)


class Stream:
    """One end. Raises StreamClosed from `read` and `write` once it is over for any reason but a good one."""

    def __init__(self, stream_id: str, send: Send, on_over: Callable[["Stream"], None] | None = None) -> None:
        self.id, self._send, self._on_over = stream_id, send, on_over
        self._credit, self._room, self._owed = 0, WINDOW, 0
        self._got: deque[bytes] = deque()
        self._has_ended = self._has_sent_end = self.is_over = False
        self.reason = self.words = ""
        self._news, self._may_write, self.opened, self.over = (asyncio.Event() for _ in range(4))
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Future[None]] = set()

    async def accept(self) -> None:
        """The side that was asked grants the first credit. Raises StreamClosed when nobody waits any more."""
        if self.is_over:
            raise StreamClosed(self.reason or "gone", self.words)
        self.opened.set()
        await self._tell(Frame(self.id, OPENED, credit=WINDOW))

    def grant(self) -> None:
        """The question itself was the first credit of the side that asked."""
        self._credit = WINDOW

    async def read(self) -> bytes:
        """At most LONGEST bytes; b"" when the other side has ended or closed it well."""
        while not self._got:
            if self.reason:
                raise StreamClosed(self.reason, self.words)
            if self._has_ended or self.is_over:
                return b""
            self._news.clear()
            await self._news.wait()
        data = self._got.popleft()
        self._owed += len(data) + OVERHEAD
        if (self._owed >= WINDOW // 4 or not self._got) and not self.is_over:
            self._room += self._owed
            owed, self._owed = self._owed, 0
            self._later(self._tell(Frame(self.id, CREDIT, credit=owed)))
        return data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Waits for credit."""
        rest = memoryview(data)
        async with self._writing:
            while rest:
                part = rest[:LONGEST]
                await self._await_credit(len(part) + OVERHEAD)
                self._credit -= len(part) + OVERHEAD
                await self._tell(Frame(self.id, DATA, bytes(part)))
                rest = rest[len(part) :]

    async def until(self, event: asyncio.Event) -> None:
        """Wait for something that may never come about, but no longer than the stream is there."""
        if event.is_set() or self.is_over:
            return
        waiting = {asyncio.ensure_future(one.wait()) for one in (event, self.over)}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def _await_credit(self, cost: int) -> None:
        while True:
            if self.is_over or self._has_sent_end:
                raise StreamClosed(self.reason or "gone", self.words)
            if self._credit >= cost:
                return
            self._may_write.clear()
            await self._may_write.wait()

    async def end(self) -> None:
        """No more is written; the other direction goes on."""
        async with self._writing:
            if not self._has_sent_end and not self.is_over:
                self._has_sent_end = True
                await self._tell(Frame(self.id, END))

    async def close(self, reason: str = "", words: str = "") -> None:
        """Both directions are over. What was written before still arrives."""
        if self.is_over:
            return
        self._finish("", "")
        try:
            await self._send(Frame(self.id, CLOSE, reason=reason, words=words))
        except StreamClosed:
            return

    # --- from the connection ----------------------------------------------------------------------------------------

    def take(self, frame: Frame) -> None:
        if self.is_over:
            return
        if frame.do == DATA:
            self._room -= frame.cost
            if self._room < 0 or self._has_ended:
                self.fail("flow")
            else:
                self._got.append(frame.data)
        elif frame.do in {CREDIT, OPENED}:
            self._credit += frame.credit
            if self._credit > WINDOW:
                self.fail("flow")
            if frame.do == OPENED:
                self.opened.set()
            self._may_write.set()
        elif frame.do == END:
            self._has_ended = True
        elif frame.do == CLOSE:
            self._finish(frame.reason, frame.words)
        self._news.set()

    def lose(self, reason: str = "lost") -> None:
        """The connection is gone: nobody can be told."""
        if not self.is_over:
            self._finish(reason, "")

    def fail(self, reason: str) -> None:
        """End it for a fault of the other side, which is told."""
        if not self.is_over:
            self._got.clear()
            self._finish(reason, "")
            self._later(self._tell(Frame(self.id, CLOSE, reason=reason)))

    def _finish(self, reason: str, words: str) -> None:
        self.is_over, self.reason, self.words = True, reason, words
        for event in (self._news, self._may_write, self.opened, self.over):
            event.set()
        if self._on_over is not None:
            self._on_over(self)

    async def _tell(self, frame: Frame) -> None:
        try:
            await self._send(frame)
        except StreamClosed as gone:
            self.lose(gone.reason)

    def _later(self, telling: Awaitable[None]) -> None:
        task = asyncio.ensure_future(telling)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


Handler = Callable[[Any, Stream], Awaitable[None]]


class Streams:
    """A node's side: the streams of its one connection to the portal, and who serves which purpose."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[type[Purpose], Handler]] = {}
        self._streams: dict[str, Stream] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self._send: Send | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def serve(self, kind: type[P], handler: Callable[[P, Stream], Awaitable[None]]) -> None:
        """The handler accepts the stream, or raises Refused; when it returns, the stream is closed."""
        self._handlers[kind.__name__] = (kind, handler)

    def connected(self, send: Send) -> None:
        self._send = send

    def lost(self) -> None:
        self._send = None
        for stream in list(self._streams.values()):
            stream.lose("portal_gone")

    def hear(self, said: Mapping[str, object]) -> None:
        """A message of kind `stream`."""
        if said.get("do") == "open":
            self._open(said)
        elif (frame := from_json(said)) is not None:
            self.take(frame)

    def take(self, frame: Frame) -> None:
        stream = self._streams.get(frame.stream)
        if stream is not None:
            stream.take(frame)

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)

    def _open(self, said: Mapping[str, object]) -> None:
        stream_id, send = str(said.get("stream")), self._send
        if send is None or stream_id in self._streams or len(stream_id) != 2 * ID_BYTES:
            return
        stream = Stream(stream_id, send, self._forget)
        stream.grant()
        kind, handler = self._handlers.get(str(said.get("purpose")), (None, None))
        try:
            purpose = msgspec.convert(said.get("said"), type=kind) if kind is not None else None
        except msgspec.ValidationError:
            purpose = None
        if purpose is None or handler is None or len(self._streams) >= MOST:
            stream.fail("too_many" if purpose is not None else "unknown_purpose")
            return
        self._streams[stream_id] = stream
        task = asyncio.ensure_future(_handle(handler, purpose, stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _handle(handler: Handler, purpose: Purpose, stream: Stream) -> None:
    reason = words = ""
    try:
        await handler(purpose, stream)
    except Refused as refusal:
        reason, words = refusal.code, refusal.words
    except StreamClosed:
        return
    except Exception:
        log.exception("a stream for %s failed", type(purpose).__name__)
        reason = "failed"
    await stream.close(reason, words)


def open_said(stream_id: str, purpose: Purpose) -> dict[str, object]:
    """What the portal says to a node to open a stream."""
    return {
        "kind": "stream",
        "stream": stream_id,
        "do": "open",
        "purpose": type(purpose).__name__,
        "said": msgspec.to_builtins(purpose),
    }


def parse(text: str) -> Mapping[str, object]:
    """A JSON message; an empty one for what is none."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
