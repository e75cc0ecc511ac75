"""Where browsers come in at a node: new sessions, returns to those that run, guests, and files."""

import asyncio
import logging
from typing import Final

from bastion.gateway.contract import (
    Access,
    Action,
    Front,
    Person,
    Refused,
    Unreachable,
    WebFiles,
    WebGuest,
    WebReturn,
    WebTerminal,
    Wish,
)
from bastion.gateway.session import Node, Session
from bastion.gateway.ssh import own
from bastion.gateway.ssh.relay import Ask, Terminal
from bastion.gateway.ssh.target import Links
from bastion.gateway.streams import Stream, Streams
from bastion.gateway.web.files import Files
from bastion.gateway.web.hub import LEAST, MOST_COLS, MOST_GUESTS, MOST_ROWS, Hub, WebRelay
from bastion.gateway.words import say

log = logging.getLogger(__name__)
TERM: Final = "xterm-256color"
ENVIRONMENT: Final = {"LC_CTYPE": "C.UTF-8"}
"""A browser speaks UTF-8; which language the target speaks is its own affair."""
MOST_SESSIONS: Final = 500


class Desk:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._hubs: dict[str, Hub] = {}
        self._sessions: set[Session] = set()
        self._tasks: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def serve(self, streams: Streams) -> None:
        streams.serve(WebTerminal, self.terminal)
        streams.serve(WebReturn, self.back)
        streams.serve(WebGuest, self.guest)
        streams.serve(WebFiles, self.files)

    def close(self) -> None:
        """The node stops."""
        for session in list(self._sessions):
            session.end("node", session.say("end_node"))

    async def terminal(self, asked: WebTerminal, stream: Stream) -> None:
        session = await self._admit(asked, may_ask=True)
        size = max(LEAST, min(asked.cols, MOST_COLS)), max(LEAST, min(asked.rows, MOST_ROWS))
        hub = Hub(session, size, self._forget)
        self._hubs[session.access.session_id] = hub
        relay = WebRelay(session, hub, Ask("shell", terminal=Terminal(TERM, *size), env=ENVIRONMENT))
        links = Links()
        running = asyncio.ensure_future(own.run(relay, links, hub.own_account))
        self._tasks.add(running)

        def ran(task: "asyncio.Future[None]") -> None:
            self._tasks.discard(task)
            links.cut()
            self._forget(hub)
            if not task.cancelled() and (failure := task.exception()) is not None:
                log.error("session %s failed", session.access.session_id, exc_info=failure)
                session.end("node", session.say("end_node"))

        running.add_done_callback(ran)
        await self._accept(stream, session)
        await hub.sit(stream, asked.person)

    async def back(self, asked: WebReturn, stream: Stream) -> None:
        hub = self._running(asked.session_id, asked.person)
        if hub.session.person.id != asked.person.id:
            raise Refused("no_session", say(asked.person.language, "no_session"))
        await stream.accept()
        await hub.sit(stream, asked.person)

    async def guest(self, asked: WebGuest, stream: Stream) -> None:
        hub = self._running(asked.session_id, asked.person)
        if not hub.session.access.may(Action.SHARE) or hub.guests >= MOST_GUESTS:
            raise Refused("no_share", say(asked.person.language, "no_session"))
        await stream.accept()
        await hub.sit(stream, asked.person, is_owner=False, may_type=asked.may_type, actions=asked.actions)

    async def files(self, asked: WebFiles, stream: Stream) -> None:
        session = await self._admit(asked)
        try:
            await self._accept(stream, session)
            await Files(session, stream).run()
        finally:
            session.end("client")
            self._sessions.discard(session)

    async def _accept(self, stream: Stream, session: Session) -> None:
        try:
            await stream.accept()
        except BaseException:
            session.end("client")
            raise

    async def _admit(self, asked: WebTerminal | WebFiles, *, may_ask: bool = False) -> Session:
        """`may_ask`: name and password of the person's own are asked for; they are kept for nothing beside."""
        person, client = asked.person, asked.client
        if len(self._sessions) >= MOST_SESSIONS:
            raise Refused("too_many", "")
        self._node.check_room(person.language)
        try:
            wish = Wish(person, client, Front.WEB, asked.resource, asked.account, asked.work)
            access = await self._node.portal.authorise(wish)
        except Unreachable:
            raise Refused("unreachable_portal", say(person.language, "unreachable_portal")) from None
        session = Session(self._node, access, person, client)
        self._sessions.add(session)
        refusal = _refusal(access, person, may_ask=may_ask)
        if refusal is not None:
            session.refused("connect", refusal.code)
            session.end("revoked")
            self._sessions.discard(session)
            raise refusal
        return session

    def _running(self, session_id: str, person: Person) -> Hub:
        hub = self._hubs.get(session_id)
        if hub is None or hub.session.is_over:
            raise Refused("no_session", say(person.language, "no_session"))
        return hub

    def _forget(self, hub: Hub) -> None:
        self._hubs.pop(hub.session.access.session_id, None)
        self._sessions.discard(hub.session)


def _refusal(access: Access, person: Person, *, may_ask: bool) -> Refused | None:
    if not access.may(Action.CONNECT):
        return Refused("no_connect", say(person.language, "end_revoked"))
    if not may_ask and any(hop.account.is_own for hop in access.hops):
        return Refused("own_needed", say(person.language, "own_needed"))
    return None
