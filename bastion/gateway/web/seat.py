"""One browser before a session: its stream, what waits to be shown there, and what it may do."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from bastion.gateway.contract import Action, Person
from bastion.gateway.streams import Stream, StreamClosed
from bastion.gateway.web import messages
from bastion.gateway.web.messages import EVENT, INPUT, BadMessage, Messages

FULL: Final = 256 * 1024
"""More than this waits: the owner's target is held, a guest's screen is redrawn once there is room."""
FLUSH_S: Final = 5.0


class Seat:
    """`is_owner`: whose session it is. `redraw` gives what draws the screen from nothing. `actions`: a guest's own."""

    def __init__(
        self,
        stream: Stream,
        person: Person,
        *,
        is_owner: bool,
        may_type: bool,
        redraw: Callable[[], bytes],
        actions: frozenset[Action] = frozenset(),
    ) -> None:
        self.stream, self.person, self.is_owner, self.may_type = stream, person, is_owner, may_type
        self.actions = actions
        self._redraw = redraw
        self._waiting: deque[bytes] = deque()
        self.unsent = 0
        self._is_behind = self._is_closing = False
        self._news = asyncio.Event()
        self.on_room: Callable[[], None] = lambda: None

    @property
    def is_full(self) -> bool:
        return self.unsent > FULL

    def show(self, data: bytes) -> None:
        """Bytes for the screen. A guest who is far behind gets the screen as it is, once there is room."""
        if self._is_behind:
            return
        if self.is_full and not self.is_owner:
            self._is_behind = True
            return
        self._put(messages.output(data))

    def tell(self, **said: object) -> None:
        self._put(messages.event(**said))

    def draw(self) -> None:
        self._put(messages.output(self._redraw()))

    def leave(self) -> None:
        """What waits is still sent, then the stream is closed."""
        self._is_closing = True
        self._news.set()

    def _put(self, data: bytes) -> None:
        self._waiting.append(data)
        self.unsent += len(data)
        self._news.set()

    async def write(self) -> None:
        """Until the browser has gone, or `leave` and all is sent."""
        while True:
            while self._waiting:
                data = b"".join(self._waiting)
                self._waiting.clear()
                for start in range(0, len(data), FULL):
                    part = data[start : start + FULL]
                    await self.stream.write(part)
                    self.unsent -= len(part)
                    self.on_room()
                if self._is_behind:
                    self._is_behind = False
                    self.draw()
            if self._is_closing:
                await self.stream.close()
                return
            self._news.clear()
            await self._news.wait()

    async def read(
        self, on_input: Callable[["Seat", bytes], None], on_event: Callable[["Seat", dict[str, object]], None],
        may_read: asyncio.Event,
    ) -> None:  # fmt: skip
        """Until the browser has gone. Raises StreamClosed."""
        cut = Messages()
        try:
            while data := await self.stream.read():
                for kind, payload in cut.feed(data):
                    if kind == INPUT:
                        await self.stream.until(may_read)
                        on_input(self, payload)
                    elif kind == EVENT:
                        on_event(self, dict(messages.said(payload)))
        except BadMessage:
            await self.stream.close("bad_message")
            raise StreamClosed("bad_message") from None
