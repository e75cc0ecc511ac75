"""A portal in memory: people, resources and grants as a test sets them, and everything that a node told it."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from bastion.gateway.contract import (
    Access,
    Action,
    Ambiguous,
    Client,
    CommandRule,
    Fact,
    Hop,
    Language,
    Limits,
    Order,
    Person,
    Piece,
    Refused,
    Resource,
    Unreachable,
    Wish,
    WorkNeeded,
)

EVERYTHING = frozenset(Action)
USUAL_LIMITS = Limits(idle_s=60, total_s=600)


@dataclass
class Entry:
    """Somebody who may sign in."""

    person: Person
    keys: set[str] = field(default_factory=set)
    password: str = ""
    code: str = ""
    needs_both: bool = False


@dataclass(frozen=True)
class Grant:
    resource: Resource
    hops: tuple[Hop, ...]
    actions: frozenset[Action] = EVERYTHING
    limits: Limits = USUAL_LIMITS
    rules: tuple[CommandRule, ...] = ()
    forwards: tuple[str, ...] = ()
    needs_work: bool = False
    copies_most: int = 0
    waits_for: str = ""


def resource(number: int, name: str, **said: object) -> Resource:
    usual: dict[str, object] = {
        "address": f"10.0.0.{number}",
        "group": "Web",
        "customer": "jia",
        "accounts": ("trops",),
    }
    return Resource(number, name, **{**usual, **said})  # type: ignore[arg-type]


def _is_called(one: Resource, name: str) -> bool:
    """By number (#12), by name, by address, as the portal takes it."""
    if name.startswith("#"):
        return name == f"#{one.id}"
    return name.lower() in {one.name.lower(), one.address}


class MemoryPortal:
    """Satisfies `Portal`."""

    def __init__(self) -> None:
        self.people: dict[str, Entry] = {}
        self.grants: list[Grant] = []
        self.tickets: dict[str, tuple[str, str]] = {}
        self.offers = [("INC-000123", "Disk full"), ("CHG-000007", "New kernel")]
        self.is_away = False
        self.gate: asyncio.Event | None = None
        self.reviewer: Callable[[str], bool | None] = lambda text: None
        self.wishes: list[Wish] = []
        self.facts: list[Fact] = []
        self.pieces: list[Piece] = []
        self.shown: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self.reviews: list[tuple[int, str]] = []
        self._orders: dict[str, asyncio.Queue[Order]] = defaultdict(asyncio.Queue)
        self._numbers = itertools.count(1)

    def enter(self, login: str, *, language: Language = Language.EN, **said: object) -> Entry:
        number = len(self.people) + 1
        entry = Entry(Person(number, login, language, f"token-{number}"), **said)  # type: ignore[arg-type]
        self.people[login] = entry
        return entry

    # --- what nodes ask ---------------------------------------------------------------------------------------------

    async def is_known_key(self, login: str, public_key: str, client: Client) -> bool:
        self._answers()
        return login in self.people and public_key in self.people[login].keys

    async def sign_in_by_key(self, login: str, public_key: str, client: Client, code: str = "") -> Person:
        if not await self.is_known_key(login, public_key, client):
            raise Refused("unknown", "No.")
        if self.people[login].needs_both and code != self.people[login].code:
            raise Refused("unknown" if code else "code_needed", "No.")
        return self.people[login].person

    async def sign_in_by_password(self, login: str, password: str, code: str, client: Client) -> Person:
        self._answers()
        entry = self.people.get(login)
        if entry is None or entry.needs_both or not entry.password or (entry.password, entry.code) != (password, code):
            raise Refused("unknown", "No.")
        return entry.person

    async def sign_in_by_ticket(self, ticket: str, client: Client) -> tuple[Person, Wish]:
        self._answers()
        if ticket not in self.tickets:
            raise Refused("ticket", "This ticket is used up.")
        login, name = self.tickets.pop(ticket)
        person = self.people[login].person
        return person, Wish(person, client, front="ssh", resource=name)  # type: ignore[arg-type]

    async def resources(self, person: Person, query: str, limit: int) -> Sequence[Resource]:
        self._answers()
        places = {one: f"{one.name}\n{one.address}\n{one.group}".lower() for one in (g.resource for g in self.grants)}
        return [one for one, place in places.items() if all(word in place for word in query.lower().split())][:limit]

    async def authorise(self, wish: Wish) -> Access:
        if self.gate is not None:
            await self.gate.wait()
        self._answers()
        self.wishes.append(wish)
        found = [grant for grant in self.grants if _is_called(grant.resource, wish.resource)]
        if not found:
            raise Refused("unknown_resource", f"You may not reach {wish.resource}.")
        if len(found) > 1:
            raise Ambiguous("Which one?", [grant.resource for grant in found])
        grant = found[0]
        if grant.needs_work and not wish.work:
            raise WorkNeeded("What do you work on?", self.offers)
        return Access(
            session_id=f"s-{next(self._numbers)}",
            customer_id=1,
            resource=grant.resource,
            hops=() if grant.waits_for else grant.hops,
            waits_for=grant.waits_for,
            actions=grant.actions,
            limits=grant.limits,
            rules=grant.rules,
            forwards=grant.forwards,
            copies_most=grant.copies_most,
            work=wish.work,
        )

    async def orders(self, session_id: str) -> AsyncIterator[Order]:
        while True:
            self._answers()
            try:
                order = await asyncio.wait_for(self._orders[session_id].get(), 0.1)
            except TimeoutError:
                continue
            yield order

    async def review(self, session_id: str, command: int, text: str, timeout_s: float) -> bool:
        self.reviews.append((command, text))
        answer = self.reviewer(text)
        if answer is None:
            await asyncio.sleep(timeout_s)
        return bool(answer)

    async def hops(self, person: Person, session_id: str) -> tuple[Hop, ...]:
        self._answers()
        return self.grants[0].hops

    def _answers(self) -> None:
        if self.is_away:
            raise Unreachable

    # --- what nodes tell --------------------------------------------------------------------------------------------

    def tell(self, fact: Fact) -> None:
        self.facts.append(fact)

    def deliver(self, piece: Piece) -> None:
        self.pieces.append(piece)

    def show(self, session_id: str, watcher: str, offset: int, rows: bytes, skips: bool) -> bool:
        if rows:
            self.shown[watcher].append((offset, rows))
        return True

    # --- what tests ask ---------------------------------------------------------------------------------------------

    def order(self, order: Order, session_id: str = "") -> None:
        self._orders[session_id or self.facts[-1].session_id].put_nowait(order)

    def told(self, kind: str, session_id: str = "") -> list[dict[str, object]]:
        return [one.data for one in self.facts if one.kind == kind and session_id in {"", one.session_id}]

    async def until(self, kind: str, count: int = 1, within_s: float = 5.0) -> list[dict[str, object]]:
        """Those facts, once there are so many."""
        for _ in range(round(within_s / 0.01)):
            if len(found := self.told(kind)) >= count:
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"no {kind} within {within_s} s, but {[one.kind for one in self.facts]}")

    def change(self, name: str, **changes: object) -> None:
        self.grants = [
            replace(grant, **changes) if grant.resource.name == name else grant  # type: ignore[arg-type]
            for grant in self.grants
        ]

    def check_facts(self) -> None:
        """Numbers without holes, exactly one `ended` for each session, as its last fact."""
        sessions = defaultdict(list)
        for fact in self.facts:
            sessions[fact.session_id].append(fact)
        for facts in sessions.values():
            assert [fact.number for fact in facts] == list(range(1, len(facts) + 1))
            assert [fact.kind == "ended" for fact in facts] == [False] * (len(facts) - 1) + [True]
