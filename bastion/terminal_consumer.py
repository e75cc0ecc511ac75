"""The WebSocket of a web terminal: between a browser and the stream that leads to the node.

Bytes pass as they are. Both directions have credit: the browser says what it has drawn, and is told what has gone.
Nothing here waits within `receive`, so that a full direction never holds up the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import websockets
from accounts.errors import DomainError
from accounts.language import language_of
from accounts.models import User
from bastion.gateway import streams as wire
from bastion.gateway.contract import Action, Client, Purpose
from bastion.gateway.streams import Stream, StreamClosed
from bastion.models import Node
from bastion.services import seats, streams, web_terminal
from bastion.services.web_terminal import Wanted

UNDRAWN: Final = 512 * 1024
"""Bytes that a browser has been sent and not drawn."""
UNSENT: Final = 256 * 1024
"""Bytes that a browser may send before it hears that they have gone."""
LONGEST: Final = 64 * 1024
LONGEST_TEXT: Final = 4096
HELLO_S: Final = 15.0
CHECK_EVERY_S: Final = 3.0
CHECK_GUEST_EVERY_S: Final = 1.0
"""No order ends what a guest sees, as it ends the session of whoever loses a right."""
TOO_MUCH: Final = 4413
BAD: Final = 4400
FAILED: Final = 1011
MOST: Final = 2**31
MOST_ASKED: Final = 8
"""Questions about guests that wait for an answer."""
log = logging.getLogger(__name__)


class TerminalConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """`accounts.websockets.SignedInOnly` has checked origin and session and put the scope around us."""

    person: User

    async def connect(self) -> None:
        self.person = self.scope["user"]
        self.stream: Stream | None = None
        self._seat: str | None = None
        self.share_id: int | None = None
        self._guest_actions: frozenset[Action] = frozenset()
        self._undrawn, self._drawn = 0, asyncio.Event()
        self._waiting: deque[bytes] = deque()
        self._unsent, self._news = 0, asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_said_hello = False
        self._asked, self._answering = 0, asyncio.Lock()
        await self.accept()
        self._seat = await seats.take(self.person.pk)
        if self._seat is None:
            with translation.override(self._language):
                words = _("You have as many terminals open as one can: close some of them first.")
                await self._refuse("too_many", words)
            return
        self._spawn(self._expect_hello())

    @property
    def _language(self) -> str:
        """Of the page that is open here."""
        return language_of(self.scope.get("cookies", {}), self.person)

    async def disconnect(self, code: int) -> None:
        for task in self._tasks:
            task.cancel()
        if self.stream is not None:
            await self.stream.close("browser_gone")
        if self._seat is not None:
            await seats.leave(self._seat)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if bytes_data is not None:
            self._unsent += len(bytes_data)
            if self._unsent > UNSENT or len(bytes_data) > LONGEST or self.stream is None:
                await self.close(code=TOO_MUCH)
                return
            self._waiting.append(bytes_data)
            self._news.set()
            return
        if len(text_data or "") > LONGEST_TEXT:
            await self.close(code=TOO_MUCH)
            return
        said = wire.parse(text_data or "")
        do = said.get("do")
        if do == "drawn":
            self._undrawn = max(0, self._undrawn - _whole(said.get("bytes")))
            self._drawn.set()
        elif do in ("share", "unshare", "shares") and self.stream is not None:
            self._asked += 1
            if self._asked > MOST_ASKED:
                await self.close(code=TOO_MUCH)
            else:
                self._spawn(self._answer(said))
        elif do in ("connect", "return", "guest", "files") and not self._has_said_hello and self._seat is not None:
            self._has_said_hello = True
            self._spawn(self._open(said))
        elif do == "alive":
            await self._say(do="alive")
        else:
            await self.close(code=BAD)

    # --- opening ----------------------------------------------------------------------------------------------------

    async def _expect_hello(self) -> None:
        await asyncio.sleep(HELLO_S)
        if not self._has_said_hello:
            await self.close(code=BAD)

    async def _open(self, said: Mapping[str, object]) -> None:
        try:
            with translation.override(self._language):
                node, purpose = await database_sync_to_async(self._purpose)(said)
                self.stream = await streams.open_stream(node=node, purpose=purpose, now=timezone.now())
        except DomainError as refusal:
            await self._refuse(refusal.code, str(refusal.message))
            return
        except StreamClosed as closed:
            await self._refuse(closed.reason, closed.words)
            return
        await self._say(do="opened")
        self._spawn(self._to_browser(self.stream))
        self._spawn(self._to_node(self.stream))
        self._spawn(self._check(self.stream))

    def _purpose(self, said: Mapping[str, object]) -> tuple[Node, Purpose]:
        now, do = timezone.now(), said["do"]
        if do == "return":
            return web_terminal.to_return(self.person, session_id=str(said.get("session", "")))
        if do == "guest":
            self.share_id = _whole(said.get("share"))
            node, purpose = web_terminal.to_visit(self.person, share_id=self.share_id, now=now)
            self._guest_actions = purpose.actions
            return node, purpose
        if do == "files":
            session_id = str(said.get("session", ""))
            return web_terminal.to_see_files(self.person, session_id=session_id, client=self._client())
        return web_terminal.to_connect(self.person, wanted=_wanted(said), client=self._client(), now=now)

    def _client(self) -> Client:
        address, port = (self.scope.get("client") or ("", 0))[:2]
        agent = next((value for name, value in self.scope["headers"] if name == b"user-agent"), b"")
        return Client(address or "127.0.0.1", port or 0, agent.decode("latin-1")[:120])

    async def _refuse(self, code: str, words: str) -> None:
        await self._say(do="refused", code=code, words=words)
        await self.close()

    # --- bytes ------------------------------------------------------------------------------------------------------

    async def _to_browser(self, stream: Stream) -> None:
        code = words = ""
        try:
            while data := await stream.read():
                while self._undrawn > UNDRAWN:
                    self._drawn.clear()
                    await self._drawn.wait()
                self._undrawn += len(data)
                await self.send(bytes_data=data)
        except StreamClosed as closed:
            code, words = closed.reason, closed.words
        if self.stream is None:
            return  # `_check` says why
        await self._say(do="over", code=code, words=words)
        await self.close()

    async def _to_node(self, stream: Stream) -> None:
        with contextlib.suppress(StreamClosed):
            while True:
                while self._waiting:
                    data = self._waiting.popleft()
                    await stream.write(data)
                    self._unsent -= len(data)
                    await self._say(do="sent", bytes=len(data))
                self._news.clear()
                await self._news.wait()

    async def _check(self, stream: Stream) -> None:
        """Whether this person may still be here: signed in, and invited where they are a guest."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S if self.share_id is None else CHECK_GUEST_EVERY_S)
            if self._seat is not None:
                await seats.keep(self._seat)
            found = await websockets.still_there(self.scope)
            if found is None:
                await self._leave(stream, "signed_out")
                await self.close(code=websockets.NOT_SIGNED_IN)
                return
            self.person = found[0]
            if self.share_id is not None and not await database_sync_to_async(self._is_invited)(self.share_id):
                await self._leave(stream, "uninvited")
                await self._refuse("uninvited", "")
                return

    async def _leave(self, stream: Stream, reason: str) -> None:
        self.stream = None
        await stream.close(reason)

    def _is_invited(self, share_id: int) -> bool:
        """And may do no less than when they came: the node has heard of that alone."""
        now = timezone.now()
        try:
            share = web_terminal.invitation(self.person, share_id=share_id, now=now)
        except DomainError:
            return False
        return web_terminal.guest_actions(self.person, share.session, now=now) >= self._guest_actions

    # --- sharing ----------------------------------------------------------------------------------------------------

    async def _answer(self, said: Mapping[str, object]) -> None:
        async with self._answering:
            try:
                await self._say(do="shares", shares=await database_sync_to_async(self._share)(said))
            except DomainError as refusal:
                await self._say(do="share_refused", code=refusal.code, words=str(refusal.message))
            finally:
                self._asked -= 1

    def _share(self, said: Mapping[str, object]) -> list[dict[str, object]]:
        now = timezone.now()
        with translation.override(self._language):
            session = web_terminal.own_session(self.person, session_id=str(said.get("session", "")))
            if said["do"] == "share":
                email, may_type = str(said.get("email", ""))[:254], said.get("may_type") is True
                web_terminal.share(session=session, email=email, may_type=may_type, actor=self.person, now=now)
            elif said["do"] == "unshare":
                for one in web_terminal.shares(session):
                    if one.pk == _whole(said.get("share")):
                        web_terminal.unshare(share=one, actor=self.person, now=now)
            return [
                {"share": one.pk, "name": one.guest.name, "may_type": one.may_type, "joined": one.joined_at is not None}
                for one in web_terminal.shares(session)
            ]

    # --- small things -----------------------------------------------------------------------------------------------

    async def _say(self, **said: object) -> None:
        await self.send(text_data=json.dumps(said))

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("a web terminal has failed", exc_info=failure)
            closing = asyncio.ensure_future(self._give_up())
            self._tasks.add(closing)
            closing.add_done_callback(self._tasks.discard)

    async def _give_up(self) -> None:
        with contextlib.suppress(Exception):  # the browser may have gone
            await self.close(code=FAILED)


def _wanted(said: Mapping[str, object]) -> Wanted:
    return Wanted(
        asset_id=_whole(said.get("asset")),
        account=str(said.get("account", ""))[:128],
        work=str(said.get("work", ""))[: web_terminal.LONGEST_WORK],
        cols=_whole(said.get("cols")) or 80,
        rows=_whole(said.get("rows")) or 24,
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST else 0
