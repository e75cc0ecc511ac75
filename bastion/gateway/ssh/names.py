"""What the user name of an SSH login says: who, to where, with which account. Pure.

Read from the right, since a person's login may be an e-mail address while accounts and resources hold neither `@` nor
`#`, but for the mark of a resource's number (`chen##8`, `chen@trops@#8`):

    name     = ticket | target | target "~" work | person
    target   = person "#" resource | person "@" account "@" resource
    person   = word | word "@" word
    resource = word | "#" number
    work     = "INC-" or "CHG-" and digits
    ticket   = "ticket-" and at least 22 of A-Z a-z 0-9 _ -

So one `@` alone belongs to an e-mail address (a person, who gets the menu); two or three end in account and resource.
"""

import re
from dataclasses import dataclass, replace

TICKET = re.compile(r"ticket-[A-Za-z0-9_-]{22,200}")
WORD = re.compile(r"[^\s@#\x00-\x1f\x7f]{1,200}")
NUMBER = re.compile(r"#[0-9]{1,15}")
WORKING = re.compile(r"(.+)~((?:INC|CHG)-[0-9]{1,12})", re.DOTALL | re.IGNORECASE)
NUMBERED = re.compile(r"(.*[^@#][@#])#([0-9]{1,15})", re.DOTALL)


class BadName(ValueError):
    """No name of this grammar."""


@dataclass(frozen=True)
class Ticket:
    value: str


@dataclass(frozen=True)
class Login:
    """Without resource: the menu. An account only ever with a resource, and so the number of what one works on."""

    person: str
    resource: str = ""
    account: str = ""
    work: str = ""

    def __post_init__(self) -> None:
        parts = self.person.split("@")
        is_good = len(parts) <= 2 and all(WORD.fullmatch(part) for part in parts) and not _is_ticket(self.person)
        resource = self.resource if NUMBER.fullmatch(self.resource) is None else self.resource[1:]
        for part in (resource, self.account):
            is_good = is_good and (not part or WORD.fullmatch(part) is not None)
        if not is_good or ((self.account or self.work) and not self.resource):
            raise BadName(self.person)

    def __str__(self) -> str:
        work = f"~{self.work}" if self.work else ""
        if self.account:
            return f"{self.person}@{self.account}@{self.resource}{work}"
        return f"{self.person}#{self.resource}{work}" if self.resource else self.person


def parse(name: str) -> Login | Ticket:
    """Raises BadName."""
    if _is_ticket(name):
        return Ticket(name)
    if (working := WORKING.fullmatch(name)) is not None:
        login = parse(working[1])
        if not isinstance(login, Login) or login.work:
            raise BadName(name)
        return replace(login, work=working[2].upper())
    if (numbered := NUMBERED.fullmatch(name)) is not None:
        login = parse(numbered[1] + numbered[2])
        if not isinstance(login, Login) or not login.resource:
            raise BadName(name)
        return replace(login, resource=f"#{login.resource}")
    person, mark, resource = name.rpartition("#")
    if mark:
        if not resource:
            raise BadName(name)
        return Login(person, resource)
    parts = name.split("@")
    if len(parts) <= 2:
        return Login(name)
    person, account, resource = "@".join(parts[:-2]), parts[-2], parts[-1]
    if not account or not resource:
        raise BadName(name)
    return Login(person, resource, account)


def _is_ticket(name: str) -> bool:
    return TICKET.fullmatch(name) is not None
