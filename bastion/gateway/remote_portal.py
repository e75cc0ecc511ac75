"""The portal as a node reaches it: signed requests over HTTP, one WebSocket that it opens itself, and two spools.

Nothing is listened on for the portal's sake: a node works behind any router that lets it out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway import streams, wire
from bastion.gateway.contract import (
    Access,
    Ambiguous,
    Client,
    Fact,
    Hop,
    Order,
    Person,
    Piece,
    Refused,
    Resource,
    Unreachable,
    Wish,
    WorkNeeded,
)
from bastion.gateway.copies import CopySpool
from bastion.gateway.limits import Room
from bastion.gateway.spool import FactSpool, PieceSpool

T = TypeVar("T")
log = logging.getLogger(__name__)

ANSWER_S: Final = 10.0
UPLOAD_S: Final = 120.0
BEAT_S: Final = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
MOST_SHOWN, MOST_SHOWN_EACH = 2 * 1024 * 1024, 512 * 1024
"""Bytes on their way to those who look on, all of them and each: what is more waits on disk."""
ERRAND_ANSWERS: Final = "/bastion/node/errand-answers/"
TOLD_AT_MOST_AFTER_S: Final = 0.05
"""Facts that come close together go up in one request."""


class RemotePortal:
    """Satisfies `contract.Portal`. `run` must be running for anything to be told and for orders to come."""

    def __init__(self, url: str, node: int, key: Ed25519PrivateKey, state: Path) -> None:
        self._url, self._node, self._key = url.rstrip("/"), node, key
        self._facts, self._pieces = FactSpool(state / "facts"), PieceSpool(state / "pieces")
        self.copies = CopySpool(state / "copies")
        self._something = asyncio.Event()
        self._orders: dict[str, asyncio.Queue[Order]] = defaultdict(asyncio.Queue)
        self._followed: set[str] = set()
        self._showing = Room(MOST_SHOWN, MOST_SHOWN_EACH)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._connected = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None
        self.streams = streams.Streams()
        self.emptied = asyncio.Event()
        """Nothing waits to be told."""
        self.load: Callable[[], dict[str, object]] = dict
        self._something.set()

    def end_interrupted(self) -> None:
        """Tell the end of what ran when this program was last killed. Before any session begins."""
        for session_id, last in self._facts.interrupted().items():
            self.tell(Fact(session_id, last + 1, time.time(), "ended", {"reason": "node"}))

    @property
    def waiting(self) -> int:
        """Facts, pieces and parts of copies that the portal does not have yet."""
        return len(self._facts) + len(self._pieces) + len(self.copies)

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    async def run(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession(trust_env=True) as self._http, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_facts())
            tasks.create_task(self._send_pieces())
            tasks.create_task(self._send_copies())
            tasks.create_task(self._keep_connected())

    # --- questions --------------------------------------------------------------------------------------------------

    async def is_known_key(self, login: str, public_key: str, client: Client) -> bool:
        return await self._ask("known-key", wire.ByKey(login, public_key, client), bool)

    async def sign_in_by_key(self, login: str, public_key: str, client: Client, code: str = "") -> Person:
        return await self._ask("by-key", wire.ByKey(login, public_key, client, code), Person)

    async def sign_in_by_password(self, login: str, password: str, code: str, client: Client) -> Person:
        return await self._ask("by-password", wire.ByPassword(login, password, code, client), Person)

    async def sign_in_by_ticket(self, ticket: str, client: Client) -> tuple[Person, Wish]:
        came = await self._ask("by-ticket", wire.ByTicket(ticket, client), wire.Ticketed)
        said = came.wish
        return came.person, Wish(came.person, client, said.front, said.resource, said.account, said.work)

    async def resources(self, person: Person, query: str, limit: int) -> Sequence[Resource]:
        return await self._ask("resources", wire.ForResources(person.token, query, limit), list[Resource])

    async def authorise(self, wish: Wish) -> Access:
        said = wire.ForAccess(wish.person.token, wish.client, wish.front, wish.resource, wish.account, wish.work)
        return await self._ask("access", said, Access)

    async def errand(self, kind: str, version: str) -> wire.Errands:
        return await self._ask("errands", wire.ForErrand(kind, version), wire.Errands)

    async def answer_errand(self, kind: str, number: int, body: bytes) -> int:
        """The number up to which answers of this kind are taken."""
        said = wire.frame(wire.ErrandAnswer(kind, number), body)
        return self._understood("errand-answers", int, *await self._post(ERRAND_ANSWERS, said, UPLOAD_S))

    async def _ask(self, what: str, question: object, kind: type[T]) -> T:
        """Raises Refused and Unreachable."""
        answer = await self._post(f"/bastion/node/{what}/", wire.encode(question), ANSWER_S)
        return self._understood(what, kind, *answer)

    @staticmethod
    def _understood(what: str, kind: type[T], status: int, body: bytes) -> T:
        try:
            if status == 200:
                return wire.decode(kind, body)
            no = wire.decode(wire.No, body)
        except wire.Malformed:
            raise Unreachable(f"{what}: answer {status}") from None
        if status >= 500:  # it is not well: nothing is wrong with the question
            raise Unreachable(f"{what}: {no.code}")
        if no.code == "ambiguous":
            raise Ambiguous(no.words, no.choices)
        if no.code == "work_needed":
            raise WorkNeeded(no.words, no.offers)
        raise Refused(no.code, no.words)

    async def _post(self, path: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        if self._http is None:
            raise Unreachable("not running")
        headers = wire.sign(self._key, node=self._node, method="POST", path=path, body=body, now=time.time())
        try:
            async with asyncio.timeout(timeout_s):
                async with self._http.post(
                    self._url + path, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Unreachable(type(problem).__name__) from None

    # --- what is told -----------------------------------------------------------------------------------------------

    def tell(self, fact: Fact) -> None:
        self._facts.add(fact)
        self.emptied.clear()
        self._something.set()

    def deliver(self, piece: Piece) -> None:
        self._pieces.add(piece)
        self.emptied.clear()

    async def _send_facts(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            await self._something.wait()
            await asyncio.sleep(TOLD_AT_MOST_AFTER_S)
            facts = self._facts.next()
            if not facts:
                self._something.clear()
                self._note_emptied()
                continue
            try:
                status, body = await self._post("/bastion/node/tell/", wire.encode(wire.Facts(tuple(facts))), UPLOAD_S)
                if status != 200:
                    raise Unreachable(f"tell: answer {status}")
                self._take(facts, wire.decode(wire.Taken, body).upto)
            except (Unreachable, wire.Malformed) as problem:
                log.warning("facts wait: %s", problem)
                wait = await pause(wait)
                continue
            wait = FIRST_WAIT_S

    def _take(self, told: Sequence[Fact], upto: dict[str, int]) -> None:
        """Forget what the portal has. Raises Unreachable when that is nothing of it."""
        before = len(self._facts)
        for session_id in {fact.session_id for fact in told} - upto.keys():
            log.warning("the portal knows no session %s", session_id)
            self._facts.forget(session_id)
        self._facts.taken(upto)
        if len(self._facts) == before:
            raise Unreachable("none of them was taken")

    async def _send_pieces(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            piece = self._pieces.next()
            if piece is None:
                self._note_emptied()
                await asyncio.sleep(FIRST_WAIT_S)
                continue
            try:
                data = await asyncio.to_thread(Path(piece.path).read_bytes)
            except OSError as problem:
                log.error("piece %s of %s cannot be read: %s", piece.number, piece.session_id, problem)
                self._pieces.put_last(piece)
                wait = await pause(wait)
                continue
            try:
                status, answer = await self._post("/bastion/node/piece/", wire.with_link(piece.link, data), UPLOAD_S)
                if status >= 500:  # it has no room, or is not well: nothing is wrong with the piece
                    raise Unreachable(f"piece: answer {status}")
            except Unreachable as problem:
                log.warning("a piece waits: %s", problem)
                wait = await pause(wait)
                continue
            wait = wait if status != 200 else FIRST_WAIT_S
            if status == 200:
                self._pieces.taken(piece)
            else:
                log.error("piece %s of %s is refused: %s", piece.number, piece.session_id, answer[:200])
                self._pieces.put_last(piece)
                wait = await pause(wait)

    async def _send_copies(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            part = self.copies.next()
            if part is None:
                self._note_emptied()
                await asyncio.sleep(FIRST_WAIT_S)
                continue
            said = {"session": part.session_id, "copy": part.copy, "part": part.number}
            try:
                data = await asyncio.to_thread(part.path.read_bytes)
                status, answer = await self._post("/bastion/node/copy/", wire.with_link(said, data), UPLOAD_S)
                if status >= 500:
                    raise Unreachable(f"copy: answer {status}")
            except Unreachable as problem:
                log.warning("a copy waits: %s", problem)
                wait = await pause(wait)
                continue
            except OSError as problem:
                log.error("a copy of %s cannot be read: %s", part.session_id, problem)
                self.copies.taken(part)
                continue
            wait = FIRST_WAIT_S
            if status != 200:
                log.error("a copy of %s is refused: %s", part.session_id, answer[:200])
            self.copies.taken(part)

    def _note_emptied(self) -> None:
        if not self.waiting:
            self.emptied.set()

    # --- the WebSocket ----------------------------------------------------------------------------------------------

    async def orders(self, session_id: str) -> AsyncIterator[Order]:
        """Raises Unreachable as soon as there is no connection."""
        self._followed.add(session_id)
        queue = self._orders[session_id]
        try:
            while True:
                if not self.is_connected:
                    raise Unreachable("no connection")
                try:
                    yield await asyncio.wait_for(queue.get(), 0.5)
                except TimeoutError:
                    continue
        finally:
            self._followed.discard(session_id)
            self._orders.pop(session_id, None)

    async def review(self, session_id: str, command: int, text: str, timeout_s: float) -> bool:
        await self._ask("review", wire.ForReview(session_id, command, text, timeout_s), bool)
        await asyncio.sleep(timeout_s)  # the answer comes as an order, `Judged`
        return False

    async def hops(self, person: Person, session_id: str) -> tuple[Hop, ...]:
        return await self._ask("hops", wire.ForHops(person.token, session_id), tuple[Hop, ...])

    def show(self, session_id: str, watcher: str, offset: int, rows: bytes, skips: bool) -> bool:
        socket = self._socket
        if socket is None or not self._showing.enter(watcher, len(rows)):
            return False
        frame = wire.frame(wire.Rows(session_id, watcher, offset, skips), rows)
        sending = asyncio.ensure_future(socket.send_bytes(frame))
        sending.add_done_callback(lambda sent: self._shown(sent, watcher, len(rows)))
        return True

    def _shown(self, sent: asyncio.Future[None], watcher: str, size: int) -> None:
        self._showing.leave(watcher, size)
        if not sent.cancelled() and sent.exception() is not None:
            log.info("rows for somebody who looks on are lost with the connection")

    async def _keep_connected(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            try:
                await self._converse()
                wait = FIRST_WAIT_S
            except (aiohttp.ClientError, OSError, TimeoutError) as problem:
                log.warning("no connection to the portal: %s", type(problem).__name__)
            finally:
                self._socket = None
                self._connected.clear()
                self.streams.lost()
            wait = await pause(wait)

    async def _converse(self) -> None:
        assert self._http is not None  # noqa: S101 - `run` has opened it
        path = "/ws/node/"
        headers = wire.sign(self._key, node=self._node, method="GET", path=path, body=b"", now=time.time())
        url = "ws" + self._url.removeprefix("http") + path
        async with self._http.ws_connect(url, headers=headers, heartbeat=BEAT_S, max_msg_size=1 << 20) as socket:
            self._socket = socket
            self._connected.set()
            self.streams.connected(_sender(socket))
            beating = asyncio.ensure_future(self._beat(socket))
            try:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self._hear(streams.parse(message.data))
                    elif message.type is aiohttp.WSMsgType.BINARY and streams.is_data(message.data):
                        self.streams.take(streams.from_bytes(message.data))
            finally:
                beating.cancel()
                self._forget_unknown()

    def _forget_unknown(self) -> None:
        """Orders for sessions that are not here, or not any more."""
        for unknown in self._orders.keys() - self._followed:
            del self._orders[unknown]

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            said = {
                "kind": "beat",
                "sessions": sorted(self._followed),
                "load": {**self.load(), "spooled": self.waiting},
            }
            await socket.send_str(json.dumps(said))
            await asyncio.sleep(BEAT_S)

    def _hear(self, said: Mapping[str, object]) -> None:
        if said.get("kind") == "stream":
            self.streams.hear(said)
        elif said.get("kind") == "order":
            try:
                order = wire.order_from(said)
            except wire.Malformed as problem:
                log.error("an order that cannot be read: %s", problem)
                return
            self._orders[str(said.get("session"))].put_nowait(order)


def _sender(socket: aiohttp.ClientWebSocketResponse) -> streams.Send:
    async def send(frame: streams.Frame) -> None:
        try:
            if frame.do == streams.DATA:
                await socket.send_bytes(streams.to_bytes(frame))
            else:
                await socket.send_str(json.dumps(streams.to_json(frame)))
        except (aiohttp.ClientError, OSError, RuntimeError):
            raise streams.StreamClosed("portal_gone") from None

    return send


async def pause(wait_s: float) -> float:
    """Sleep about so long; the next wait is longer."""
    await asyncio.sleep(wait_s * random.uniform(0.75, 1.25))  # noqa: S311 - to spread nodes, not to be secret
    return min(wait_s * 2, LONGEST_WAIT_S)


async def enrol(url: str, said: wire.Enrol) -> int:
    """Bring the token and the public key; the node's number. Raises Refused and Unreachable."""
    address = f"{url.rstrip('/')}/bastion/node/enrol/"
    try:
        async with (
            asyncio.timeout(ANSWER_S),
            aiohttp.ClientSession(trust_env=True) as http,
            http.post(address, data=wire.encode(said)) as answer,
        ):
            body = await answer.read()
            if answer.status == 200:
                return wire.decode(wire.Enrolled, body).node
            no = wire.decode(wire.No, body)
    except (aiohttp.ClientError, TimeoutError, OSError, wire.Malformed) as problem:
        raise Unreachable(type(problem).__name__) from None
    raise Refused(no.code, no.words)
