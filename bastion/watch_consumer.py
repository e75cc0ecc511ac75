"""The WebSocket of somebody who looks on: rows of the recording as lines, and a word of ours as a JSON object.

What is kept comes first, what the node sends follows at the very byte; a slow browser is given the newest screen when
it has taken what waits for it, and never holds up anybody.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeVar

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import timezone

from accounts import scope, websockets
from bastion.following import Follower, Gap
from bastion.models import BastionSession
from bastion.services import watching

NOT_THERE: Final = 4404
MAY_NOT: Final = 4403
OVER: Final = 4410
CANNOT_CHECK: Final = 1011
CHECK_EVERY_S: Final = 1.0
SAY_AGAIN_EVERY: Final = 18
"""Checks between two words to the node that we are still there."""
MOST_WAITING: Final = 1024 * 1024
LINES_AT_ONCE: Final = 64 * 1024
LOOK_AGAIN_S: Final = 0.5
log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class WatchConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """`accounts.websockets.SignedInOnly` has checked origin and session and put the scope around us."""

    check_every_s = CHECK_EVERY_S
    session: BastionSession | None = None
    watcher = ""

    async def connect(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.waiting: list[str] = []
        self.size, self.is_behind, self.something = 0, False, asyncio.Event()
        self.lock, self.follower, self.look_again_at = asyncio.Lock(), Follower(0), 0.0
        self.reach = scope.required().customer_ids
        self.pk = self.scope["url_route"]["kwargs"]["pk"]
        self.session = await self._found()
        await self.accept()  # only then does a browser hear the code with which it is closed
        if self.session is None:
            is_over = await database_sync_to_async(watching.exists)(self.scope["user"], self.pk)
            await self.close(code=OVER if is_over else NOT_THERE)
            return
        begin = database_sync_to_async(watching.begin)
        await begin(session=self.session, person=self.scope["user"], now=timezone.now())
        self.tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._check())]
        await self._begin()

    async def disconnect(self, code: int) -> None:
        for task in getattr(self, "tasks", []):
            task.cancel()
        await self._leave()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Whatever a browser says is only a sign of life."""

    # --- what comes ---------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """From the last whole screen that is kept; a look of its own, so that nothing of an earlier one disturbs."""
        assert self.session is not None  # noqa: S101 - `connect` has found it
        await self._leave()
        async with self.lock:
            watcher = watching.name()
            await self.channel_layer.group_add(watching.group_of(watcher), self.channel_name)
            parts = await _reads(watching.first_sight)(self.session)
            self.follower = Follower(parts[0].offset if parts else 0)
            self._say({"kind": "begin"})
            for part in parts:
                self._put(self.follower.take(part.offset, part.plain))
            self.watcher = watcher
            await self._order(is_on=True)

    async def _leave(self) -> None:
        watcher, self.watcher = self.watcher, ""
        if watcher and self.session is not None:
            await self.channel_layer.group_discard(watching.group_of(watcher), self.channel_name)
            order = database_sync_to_async(watching.order)
            await order(self.session, watcher, is_on=False)

    async def _order(self, *, is_on: bool) -> None:
        order = database_sync_to_async(watching.order)
        await order(self.session, self.watcher, is_on=is_on, offset=self.follower.offset)

    async def watch_rows(self, event: dict[str, Any]) -> None:
        """From the node, by way of its own WebSocket, which says which node it is."""
        session = self.session
        if session is None or event["node"] != session.node_id or event["session"] != str(session.uid):
            return
        if event["watcher"] != self.watcher or self.is_behind:
            return
        async with self.lock:
            try:
                self._put(self.follower.take(event["offset"], event["rows"]))
            except Gap:
                await self._fill(event["offset"], event["rows"], skips=event["skips"])

    async def _fill(self, offset: int, rows: bytes, *, skips: bool) -> None:
        """The node has it no more, so it is kept here; or it was left out, since there was too much of it."""
        assert self.session is not None  # noqa: S101 - `watch_rows` has looked
        now = asyncio.get_running_loop().time()
        while self.follower.offset < offset and now >= self.look_again_at:
            before = self.follower.offset
            for part in await _reads(watching.since)(self.session, before):
                try:
                    self._put(self.follower.take(part.offset, part.plain))
                except Gap:
                    break
            if self.follower.offset == before or self.is_behind:
                break
        if self.follower.offset < offset:
            if not skips:  # its connection broke: what was on the way comes with the next piece
                self.look_again_at = max(self.look_again_at, now + LOOK_AGAIN_S)
                return
            self._say({"kind": "skipped", "bytes": self.follower.leap(offset)})
        self._put(self.follower.take(offset, rows))

    # --- what goes ----------------------------------------------------------------------------------------------------

    def _put(self, lines: bytes) -> None:
        """Rows for the browser; of the header nothing."""
        if lines.startswith(b"{"):
            lines = lines.partition(b"\n")[2]
        for start, end in _cuts(lines):
            self._add(lines[start:end].decode("utf-8", "replace"))

    def _say(self, said: dict[str, object]) -> None:
        self._add(json.dumps(said))

    def _add(self, text: str) -> None:
        if self.is_behind:
            return
        if self.size + len(text) > MOST_WAITING and self.waiting:
            self.waiting, self.size, self.is_behind = [], 0, True
        else:
            self.waiting.append(text)
            self.size += len(text)
        self.something.set()

    async def _send(self) -> None:
        while True:
            await self.something.wait()
            if self.waiting:
                text = self.waiting.pop(0)
                self.size -= len(text)
                await self.send(text_data=text)
            elif self.is_behind:
                self.is_behind = False
                await self._begin()
            else:
                self.something.clear()

    # --- whether it may go on -----------------------------------------------------------------------------------------

    async def _check(self) -> None:
        code: int | None = None
        count = 0
        try:
            while code is None:
                await asyncio.sleep(self.check_every_s)
                code, count = await self._objection(), count + 1
                if code is None and count % SAY_AGAIN_EVERY == 0 and self.watcher:
                    await self._order(is_on=True)
                    self._say({"kind": "ping"})
        except Exception as problem:  # noqa: BLE001 - what cannot be checked any more is closed, whatever it was
            log.warning("somebody who looks on is cut off: %s", type(problem).__name__)
            code = CANNOT_CHECK
        await self.close(code=code)

    async def _objection(self) -> int | None:
        """The code to close with, or None while person, reach, right and session are what they were."""
        found = await websockets.still_there(self.scope)
        if found is None:
            return websockets.NOT_SIGNED_IN
        if found[1].customer_ids != self.reach:
            return MAY_NOT
        self.scope["user"] = found[0]
        if await self._found() is not None:
            return None
        return OVER if await database_sync_to_async(watching.exists)(found[0], self.pk) else MAY_NOT

    async def _found(self) -> BastionSession | None:
        found: BastionSession | None = await database_sync_to_async(watching.watched)(self.scope["user"], self.pk)
        return found


def _reads(read: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """In a thread of its own: storage may be slow, and nobody else should wait for it."""
    reading: Callable[P, Awaitable[T]] = database_sync_to_async(read, thread_sensitive=False)
    return reading


def _cuts(lines: bytes) -> list[tuple[int, int]]:
    """Where to cut into messages of whole rows."""
    cuts, start = [], 0
    while start < len(lines):
        end = lines.find(b"\n", min(start + LINES_AT_ONCE, len(lines) - 1)) + 1 or len(lines)
        cuts.append((start, end))
        start = end
    return cuts
