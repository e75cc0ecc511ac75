"""SFTP from a browser: its packets over a stream, read and judged as those of any SFTP client."""

import asyncio
import contextlib
from typing import Final

from bastion.gateway.session import Session
from bastion.gateway.ssh.pressure import Valve
from bastion.gateway.ssh.relay import Exit
from bastion.gateway.ssh.sftp import Sftp, open_sftp
from bastion.gateway.ssh.target import Links, TargetFailed
from bastion.gateway.streams import Stream, StreamClosed

FULL: Final = 256 * 1024


class Files:
    """Satisfies `relay.Screen`."""

    def __init__(self, session: Session, stream: Stream) -> None:
        self._session, self._stream = session, stream
        self._waiting, self._news = bytearray(), asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._valve: Valve | None = None
        self._is_done = False
        self._words = ""

    async def run(self) -> None:
        """Until the browser or the target has gone."""
        links, session = Links(), self._session
        writing, is_linked = asyncio.ensure_future(self._write()), False
        try:
            await session.let_in()
            link = await links.get(session, session.access.hops)
            is_linked = True
            sftp = await open_sftp(session, self, link)
            if not session.is_over:
                reading = session.spawn(self._read(sftp))
                await asyncio.wait({reading, asyncio.ensure_future(session.over.wait())}, return_when="FIRST_COMPLETED")
        except TargetFailed as failure:
            session.refused("target", failure.code)
            session.end("lost")
            await self._stream.close(failure.code, failure.words)
        finally:
            session.end("client")
            try:
                if is_linked:
                    with contextlib.suppress(StreamClosed, TimeoutError):
                        await asyncio.wait_for(writing, 5)
            finally:
                writing.cancel()
                links.cut()
        await self._stream.close("over" if self._words else "", self._words)

    async def _read(self, sftp: Sftp) -> None:
        with contextlib.suppress(StreamClosed):
            while data := await self._stream.read():
                await self._stream.until(self._may_read)
                sftp.input(data)

    async def _write(self) -> None:
        while self._waiting or not self._is_done:
            if not self._waiting:
                self._news.clear()
                await self._news.wait()
            data = bytes(self._waiting[:FULL])
            del self._waiting[:FULL]
            await self._stream.write(data)
            if self._valve is not None and len(self._waiting) < FULL // 2:
                self._valve.turn("screen", is_held=False)

    # --- as a screen ------------------------------------------------------------------------------------------------

    def output(self, data: bytes) -> None:
        self._waiting += data
        self._news.set()

    def error(self, data: bytes) -> None:
        """What is said to the person; it ends up beside the list."""
        self._words = data.decode("utf-8", "replace").strip()[:300]

    def eof(self) -> None:
        """`done` comes after it."""

    def hold_input(self, is_held: bool) -> None:
        (self._may_read.clear if is_held else self._may_read.set)()

    def mind(self, valve: Valve) -> None:
        self._valve = valve
        if len(self._waiting) > FULL:
            valve.turn("screen", is_held=True)

    def done(self, how: Exit) -> None:
        self._is_done = True
        self._may_read.set()
        self._news.set()
