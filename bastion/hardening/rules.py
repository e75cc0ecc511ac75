"""Rules of security groups as they are judged, whatever cloud they come from. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

HIGHEST: Final = 65_535
RANGE: Final = re.compile(r"(-?\d{1,5})/(-?\d{1,5})")


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in, as the cloud lists it. `source`: a network, or what else is named; `protocol` in small letters."""

    group: str
    protocol: str
    ports: str
    source: str
    is_accepting: bool
    priority: int

    def covers(self, port: int) -> bool:
        if self.protocol == "all":
            return True
        found = RANGE.fullmatch(self.ports)
        if self.protocol != "tcp" or found is None:
            return False
        first, last = int(found[1]), int(found[2])
        return (first, last) == (-1, -1) or first <= port <= last <= HIGHEST

    def __str__(self) -> str:
        what = "accept" if self.is_accepting else "drop"
        return f"{self.group} {self.priority} {what} {self.protocol} {self.ports} {self.source}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The rules of a server's security groups; `problem` when they could not be read. Without either: no cloud's."""

    rules: tuple[Rule, ...] = ()
    problem: str = ""
    is_of_cloud: bool = True
