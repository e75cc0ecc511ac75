"""The text menu of those who name no target: find a resource by number or by words, with an account."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bastion.gateway.contract import Portal, Resource, WorkNeeded
from bastion.gateway.ssh.console import Console, Idle, Left, fit
from bastion.gateway.ssh.visit import Visit

MOST = 500
FRAME_ROWS = 7  # Title, rule, head, footer, help, prompt and a blank.


@dataclass(frozen=True)
class Choice:
    resource: Resource
    account: str


def ordered(resources: Sequence[Resource]) -> list[Resource]:
    """Favourites, then those used last, then by group and name."""
    return sorted(resources, key=lambda one: (not one.is_favourite, -(one.used_at or 0.0), one.group, one.name))


class Menu:
    """`size` tells the terminal's (columns, rows) at the moment."""

    def __init__(self, visit: Visit, console: Console, size: Callable[[], tuple[int, int]]) -> None:
        self._visit, self._console, self._size = visit, console, size
        self._query, self._page = "", 0

    @property
    def _portal(self) -> Portal:
        return self._visit.node.portal

    async def choose(self) -> Choice | None:
        """None: the person quits. Raises Unreachable, Refused and Idle."""
        while True:
            found = ordered(await self._portal.resources(self._visit.person, self._query, MOST))
            per_page = max(1, self._size()[1] - FRAME_ROWS)
            pages = max(1, -(-len(found) // per_page))
            self._page = min(self._page, pages - 1)
            self._draw(found, per_page, pages)
            try:
                line = (await self._console.ask("> ")).strip()
            except Idle:
                raise
            except Left:
                line = "q"
            if line in {"q", "Q", "exit", "quit"}:
                self._console.write(self._visit.say("menu_bye") + "\n")
                return None
            if line in {"n", "p"}:
                self._page = max(0, self._page + (1 if line == "n" else -1))
            elif line.isdecimal():
                if not 1 <= int(line) <= len(found):
                    self._console.write(self._visit.say("menu_wrong") + "\n")
                elif (account := await self._account(found[int(line) - 1])) is not None:
                    return Choice(found[int(line) - 1], account)
            else:
                self._query, self._page = line, 0

    async def _account(self, resource: Resource) -> str | None:
        accounts = resource.accounts
        if len(accounts) <= 1:
            return accounts[0] if accounts else ""
        self._console.write("".join(f"  {number}  {name}\n" for number, name in enumerate(accounts, 1)))
        try:
            line = (await self._console.ask(self._visit.say("menu_account"))).strip()
        except Idle:
            raise
        except Left:
            return None
        if line in accounts:
            return line
        if line.isdecimal() and 1 <= int(line) <= len(accounts):
            return accounts[int(line) - 1]
        self._console.write(self._visit.say("menu_wrong") + "\n")
        return None

    def _draw(self, found: Sequence[Resource], per_page: int, pages: int) -> None:
        columns, visit = max(40, self._size()[0]), self._visit
        lines = ["", fit(visit.say("menu_title", name=visit.person.name), columns - 1).rstrip(), "─" * (columns // 2)]
        first = self._page * per_page
        for number, resource in enumerate(found[first : first + per_page], first + 1):
            lines.append(_line(number, resource, columns - 1))
        if not found:
            lines.append(visit.say("menu_none"))
        page = visit.say("menu_page", page=self._page + 1, pages=pages, count=len(found))
        if len(found) >= MOST:
            page += "  " + visit.say("menu_more", count=MOST)
        lines += [fit(page, columns - 1).rstrip(), fit(visit.say("menu_help"), columns - 1).rstrip()]
        self._console.write("\n".join(lines) + "\n")


def _line(number: int, resource: Resource, columns: int) -> str:
    """`  3 * web-01      10.0.0.7     Group       trops,www`: the name gets what the others leave."""
    address, group, accounts = 16, 14, 14
    name = max(8, columns - 7 - address - group - accounts - 3)
    mark = "*" if resource.is_favourite else "·" if resource.used_at else " "
    parts = [
        f"{number:4d} {mark}",
        fit(resource.name, name),
        fit(resource.address, address),
        fit(resource.group, group),
        fit(",".join(resource.accounts), accounts),
    ]
    return fit(" ".join(parts), columns).rstrip()


async def ask_for_work(visit: Visit, console: Console, needed: WorkNeeded) -> str:
    """A ticket that the portal offers, or what the person types. Raises Left."""
    console.write(needed.words + "\n")
    for number, (code, title) in enumerate(needed.offers, 1):
        console.write(fit(f"  {number}  {code}  {title}", 79).rstrip() + "\n")
    while True:
        line = (await console.ask(visit.say("work_ask"))).strip()
        if line.isdecimal() and 1 <= int(line) <= len(needed.offers):
            return needed.offers[int(line) - 1][0]
        if line and not line.isdecimal():
            return line
