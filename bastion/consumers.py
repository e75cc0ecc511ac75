"""The WebSocket that a node opens: its heartbeats come up, orders go down."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import timezone

from accounts import scope
from bastion.gateway import streams, wire
from bastion.models import Node
from bastion.models.nodes import SILENT_AFTER
from bastion.services import living, watching
from bastion.services.recognising import node_of
from bastion.services.switching import Switch

UNKNOWN_NODE = 4401
TOO_LONG: Final = 4413
PATH = "/ws/node/"
WATCHER: Final = re.compile(r"[0-9a-f]{32}")
MOST_ROWS: Final = 1024 * 1024
log = logging.getLogger(__name__)


class NodeConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """Opened by an enrolled node with a signed request; closed when it is revoked."""

    node: Node | None = None
    switch: Switch
    _heard_at = 0.0
    _beating: asyncio.Task[None] | None = None
    _has_beaten = False

    async def connect(self) -> None:
        headers = {name.decode().title(): value.decode("latin-1") for name, value in self.scope["headers"]}
        self.node = await database_sync_to_async(_node_of)(headers)
        if self.node is None:
            await self.close(code=UNKNOWN_NODE)
            return
        self._heard_at = time.monotonic()
        self.switch = Switch(self.channel_layer, self.channel_name, self.send)
        await self.channel_layer.group_add(living.group_of(self.node.pk), self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if self._beating is not None:
            self._beating.cancel()
        if self.node is not None:
            await self.channel_layer.group_discard(living.group_of(self.node.pk), self.channel_name)
            await self.switch.gone()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if bytes_data is not None:
            if not streams.is_data(bytes_data):
                await self._frame(bytes_data)
            elif len(bytes_data) > streams.LONGEST + streams.ID_BYTES:
                await self.close(code=TOO_LONG)
            else:
                await self.switch.from_node(streams.from_bytes(bytes_data))
            return
        said = streams.parse(text_data or "{}")
        if said.get("kind") == "stream" and (frame := streams.from_json(said)) is not None:
            await self.switch.from_node(frame)
        elif said.get("kind") == "beat":
            await self.switch.sweep()
            if self._beating is None or self._beating.done():
                self._beating = asyncio.create_task(self._take_beat(said))

    async def _take_beat(self, said: Mapping[str, Any]) -> None:
        """Beside what else the node says, which never waits for the database."""
        try:
            if await database_sync_to_async(self._beat)(said):
                self._heard_at = time.monotonic()
            else:
                await self.close(code=UNKNOWN_NODE)
        except Exception:
            log.exception("node %s: a heartbeat failed", self.node and self.node.pk)

    async def node_stream(self, event: dict[str, Any]) -> None:
        if event["do"] != "open" or await self._is_alive():
            await self.switch.from_portal(event)

    async def node_over(self, _event: dict[str, Any]) -> None:
        """It was revoked, or enrols anew."""
        await self.close(code=UNKNOWN_NODE)

    async def _is_alive(self) -> bool:
        """Whoever says no more that they are there, as an enrolled node does, is given nothing more to do."""
        if time.monotonic() - self._heard_at < SILENT_AFTER.total_seconds():
            return True
        await self.close(code=UNKNOWN_NODE)
        return False

    async def _frame(self, frame: bytes) -> None:
        try:
            kind, head, data = wire.frame_of(frame)
            if kind == "Rows":
                await self._rows(wire.decode(wire.Rows, head), data)
        except wire.Malformed as problem:
            log.warning("node %s: a frame that cannot be read: %s", self.node and self.node.pk, problem)

    async def _rows(self, head: wire.Rows, data: bytes) -> None:
        """For somebody who looks on, in whichever process they are; they check that it is of their session's node."""
        if self.node is None or not WATCHER.fullmatch(head.watcher) or len(data) > MOST_ROWS:
            return
        said = {"type": "watch.rows", "node": self.node.pk, "rows": data, **vars(head)}
        await self.channel_layer.group_send(watching.group_of(head.watcher), said)

    async def node_said(self, event: dict[str, Any]) -> None:
        if await self._is_alive():
            await self.send(text_data=json.dumps(event["said"]))

    def _beat(self, said: Mapping[str, Any]) -> bool:
        """False: the node is no longer enrolled."""
        assert self.node is not None  # noqa: S101 - nobody else is let in
        with scope.platform("a node's heartbeat"):
            node = Node.objects.filter(pk=self.node.pk, state=Node.State.ENROLLED).first()
            if node is None or node.public_key != self.node.public_key:
                return False
            sessions, load = said.get("sessions"), said.get("load")
            now = timezone.now()
            living.beat(
                node=node,
                sessions=[str(one) for one in sessions] if isinstance(sessions, list) else [],
                load=load if isinstance(load, dict) else {},
                now=now,
            )
            if not self._has_beaten:  # what changed while it was away never reached it
                living.ask_again(now=now, node_id=node.pk, renews=True)
                self._has_beaten = True
            return True


def _node_of(headers: dict[str, str]) -> Node | None:
    with scope.platform("a node connects"):
        return node_of(headers, method="GET", path=PATH, body=b"")
