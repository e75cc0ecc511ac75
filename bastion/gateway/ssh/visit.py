"""One connection of a person to the bastion: who it is, where to, and the sessions that it holds."""

from dataclasses import dataclass, field, replace

from bastion.gateway.contract import Access, Action, Client, Language, Person, Refused, Wish
from bastion.gateway.session import Node, Session
from bastion.gateway.ssh.target import Links
from bastion.gateway.words import say


@dataclass(eq=False)
class Visit:
    """`wish` is None for somebody who gets the menu. `work`: what the portal last accepted that they work on."""

    node: Node
    client: Client
    person: Person
    wish: Wish | None
    links: Links = field(default_factory=Links)
    sessions: set[Session] = field(default_factory=set)
    is_gone: bool = False
    work: str = ""

    @property
    def language(self) -> Language:
        return self.person.language

    def say(self, key: str, **parts: object) -> str:
        return say(self.language, key, **parts)

    async def admit(self, wish: Wish | None = None, *, work: str = "") -> Session:
        """Ask the portal. Raises Refused (of whatever kind) and Unreachable."""
        wish = wish or self.wish
        if wish is None:
            raise Refused("no_target", self.say("no_target"))
        if work:
            wish = replace(wish, work=work)
        self.node.check_room(self.language)
        access = await self.node.portal.authorise(wish)
        self.work = wish.work or self.work
        return self._begin(access)

    def _begin(self, access: Access) -> Session:
        session = Session(self.node, access, self.person, self.client)
        self.sessions.add(session)
        if self.is_gone:
            session.end("client")
        if not access.may(Action.CONNECT):
            session.end("revoked")
            raise Refused("no_connect", self.say("end_revoked"))
        return session

    def forget(self, session: Session) -> None:
        self.sessions.discard(session)

    def leave(self) -> None:
        """The person's connection is gone."""
        self.is_gone = True
        for session in list(self.sessions):
            session.end("client")
        self.links.cut()
