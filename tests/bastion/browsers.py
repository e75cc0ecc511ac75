"""A browser's side of the web terminal without a browser: its WebSocket, credit and messages."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bastion.gateway.web import messages
from bastion.gateway.web.messages import EVENT, INPUT, OUTPUT, Messages


class Browser:
    """`shown`: what stands on the screen so far; `events` of the session; `said` by the portal beside them."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.shown, self.raw = b"", b""
        self.events: list[dict[str, Any]] = []
        self.said: list[dict[str, Any]] = []
        self.is_drawing = True
        self._cut = Messages()
        self._news = asyncio.Event()
        self.is_raw = False
        self.undrawn = 0

    async def listen(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self._take(message.data)
                self.undrawn += len(message.data)
                if self.is_drawing:
                    await self.draw()
            elif message.type is aiohttp.WSMsgType.TEXT:
                self.said.append(json.loads(message.data))
            self._news.set()
        self._news.set()

    def _take(self, data: bytes) -> None:
        if self.is_raw:
            self.raw += data
            return
        for kind, payload in self._cut.feed(data):
            if kind == OUTPUT:
                self.shown += payload
            elif kind == EVENT:
                self.events.append(json.loads(payload))

    async def draw(self) -> None:
        undrawn, self.undrawn = self.undrawn, 0
        await self.say(do="drawn", bytes=undrawn)

    async def say(self, **said: object) -> None:
        await self.socket.send_str(json.dumps(said))

    async def type(self, text: str) -> None:
        await self.socket.send_bytes(messages.message(INPUT, text.encode()))

    async def tell(self, **said: object) -> None:
        await self.socket.send_bytes(messages.event(**said))

    async def until(self, text: bytes, seconds: float = 20) -> bytes:
        """What was shown up to and with this text; the rest is left."""
        await self._wait(lambda: text in self.shown, seconds)
        end = self.shown.index(text) + len(text)
        found, self.shown = self.shown[:end], self.shown[end:]
        return found

    async def event(self, kind: str, seconds: float = 20) -> dict[str, Any]:
        await self._wait(lambda: any(one["event"] == kind for one in self.events), seconds)
        return next(one for one in reversed(self.events) if one["event"] == kind)

    async def heard(self, do: str, seconds: float = 30) -> dict[str, Any]:
        await self._wait(lambda: any(one["do"] == do for one in self.said), seconds)
        return next(one for one in reversed(self.said) if one["do"] == do)

    async def closed(self, seconds: float = 20) -> int | None:
        await self._wait(lambda: self.socket.closed, seconds)
        return self.socket.close_code

    async def take(self, count: int, seconds: float = 20) -> bytes:
        await self._wait(lambda: len(self.raw) >= count, seconds)
        found, self.raw = self.raw[:count], self.raw[count:]
        return found

    async def answer(self) -> bytes:
        """The next packet of SFTP."""
        (length,) = struct.unpack(">I", await self.take(4))
        return await self.take(length)

    async def packet(self, packet: bytes) -> bytes:
        """Send one, and its answer."""
        await self.socket.send_bytes(struct.pack(">I", len(packet)) + packet)
        return await self.answer()

    async def _wait(self, is_so: Any, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not is_so():
                assert not self.socket.closed or is_so(), (self.socket.close_code, self.said, self.events, self.shown)
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def browser(
    portal: str, cookies: dict[str, str], *, origin: str | None = None, **hello: object
) -> AsyncIterator[Browser]:
    """`hello`: what is said first; nothing without. `origin`: the portal's own unless said; "" for none."""
    headers = {"Origin": portal if origin is None else origin} if origin != "" else {}
    address = f"{portal.replace('http', 'ws', 1)}/ws/terminal/"
    async with (
        aiohttp.ClientSession(cookies=cookies) as http,
        http.ws_connect(address, headers=headers) as socket,
    ):
        made = Browser(socket)
        made.is_raw = hello.get("do") == "files"
        listening = asyncio.ensure_future(made.listen())
        try:
            if hello:
                await made.say(**hello)
            yield made
        finally:
            await socket.close()
            listening.cancel()
