"""The live channel of a browser: hints about the customers in its person's reach, for as long as that reach holds."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from accounts import scope, websockets
from notify import live

logger = logging.getLogger(__name__)
REACH_CHANGED = 4403
CANNOT_CHECK = 1011
CHECK_EVERY_S = 3.0  # how long a socket may outlive a sign-out or a withdrawn assignment
HEARTBEAT_EVERY_S = 20.0


class LiveConsumer(AsyncWebsocketConsumer):
    """Sends `{"topic", "id"}`, and `{"topic": "ping"}` when nothing else was said. Takes no orders.

    `accounts.websockets.SignedInOnly` has checked origin and session and put the scope around us. The reach is fixed at
    connect and asked for again every few seconds; when it differs the socket closes, and the page that comes back
    gets what it may see then.
    """

    groups_joined: list[str]
    check_every_s = CHECK_EVERY_S
    heartbeat_every_s = HEARTBEAT_EVERY_S

    async def connect(self) -> None:
        self.groups_joined = []
        self.watch: asyncio.Task[None] | None = None
        self.reach = scope.required().customer_ids
        person = self.scope["user"]
        for group in [live.group_of_person(person.pk), *self._customer_groups()]:
            await self.channel_layer.group_add(group, self.channel_name)
            self.groups_joined.append(group)
        await self.accept()
        self.watch = asyncio.create_task(self._watch())

    def _customer_groups(self) -> list[str]:
        if self.reach is None:
            return [live.EVERYTHING]
        return [live.group_of_customer(customer_id) for customer_id in sorted(self.reach)]

    async def disconnect(self, code: int) -> None:
        if self.watch is not None:
            self.watch.cancel()
        for group in self.groups_joined:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Whatever a browser says is only a sign of life."""

    async def live_event(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"topic": event["topic"], "id": event["id"]}))

    async def _watch(self) -> None:
        """Heartbeat and the question whether this person may still listen."""
        since_beat = 0.0
        code: int | None = None
        try:
            while code is None:
                await asyncio.sleep(self.check_every_s)
                code = await self._objection()
                since_beat += self.check_every_s
                if code is None and since_beat >= self.heartbeat_every_s:
                    since_beat = 0.0
                    await self.send(text_data=json.dumps({"topic": "ping", "id": 0}))
        except Exception as problem:  # noqa: BLE001 - a socket that cannot be checked any more is closed, whatever it was
            logger.warning("a live socket is closed: %s", type(problem).__name__)
            code = CANNOT_CHECK
        await self.close(code=code)

    async def _objection(self) -> int | None:
        """The code to close with, or None while session and reach are what they were."""
        found = await websockets.still_there(self.scope)
        if found is None:
            return websockets.NOT_SIGNED_IN
        return None if found[1].customer_ids == self.reach else REACH_CHANGED
