"""The promises of the statement of work that the platform can see, and what became of each in a month. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from changes.catalogue import Words

DATA: Final = Path(__file__).parent / "data" / "promises.json"


@dataclass(frozen=True, slots=True)
class Promise:
    """`path` leads to the rows behind the numbers; `is_internal`: they are no page of the customer's."""

    code: str
    group: str
    requirements: tuple[str, ...]
    clause: Words
    words: Words
    path: str
    is_internal: bool

    def evidence(self, customer_id: int, month: str) -> str:
        return self.path.format(customer=customer_id, month=month)


class Verdict(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    NOT_ASKED = "not_asked"
    """Nothing fell due."""
    UNKNOWN = "unknown"
    """It cannot be seen, or all that fell due is still open."""


@dataclass(frozen=True, slots=True)
class Count:
    """How often it was owed in a month; None: nobody knows. `open`: not judged yet. Of what takes its time and is over:
    how many seconds it took."""

    owed: int | None = 0
    broken: int = 0
    open: int = 0
    mean_s: float | None = None
    longest_s: float | None = None

    @property
    def kept(self) -> int | None:
        return None if self.owed is None else self.owed - self.broken - self.open

    @property
    def verdict(self) -> Verdict:
        """What was broken is broken, whatever else is not known."""
        if self.broken:
            return Verdict.BROKEN
        if self.owed is None:
            return Verdict.UNKNOWN
        if self.owed == 0:
            return Verdict.NOT_ASKED
        return Verdict.UNKNOWN if self.owed == self.open else Verdict.KEPT


NOTHING: Final = Count()
UNSEEN: Final = Count(None)


def together(counts: Iterable[Count]) -> Count:
    """Of one promise that is counted in several places. A place that nobody sees leaves the whole unknown."""
    found = list(counts)
    owed = [count.owed for count in found if count.owed is not None]
    return Count(
        sum(owed) if len(owed) == len(found) else None,
        sum(count.broken for count in found),
        sum(count.open for count in found),
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """How many promises had which state."""

    kept: int = 0
    broken: int = 0
    not_asked: int = 0
    unknown: int = 0

    @property
    def share(self) -> float | None:
        """Kept of those judged, in per cent."""
        judged = self.kept + self.broken
        return 100.0 * self.kept / judged if judged else None


def tally(counts: Iterable[Count]) -> Tally:
    verdicts = [count.verdict for count in counts]
    return Tally(*(verdicts.count(verdict) for verdict in Verdict))


@cache
def groups() -> dict[str, Words]:
    """By code, in the order of the page."""
    return {said["code"]: Words(said["en"], said["zh"]) for said in json.loads(DATA.read_text("utf-8"))["groups"]}


@cache
def catalogue() -> tuple[Promise, ...]:
    """In the order of the page. Raises KeyError or ValueError on data that cannot be used."""
    found = tuple(
        Promise(
            code=said["code"],
            group=said["group"],
            requirements=tuple(said["requirements"]),
            clause=Words(said["clause"]["en"], said["clause"]["zh"]),
            words=Words(said["en"], said["zh"]),
            path=said["path"],
            is_internal=said.get("internal", False),
        )
        for said in json.loads(DATA.read_text("utf-8"))["promises"]
    )
    if len({one.code for one in found}) != len(found) or not {one.group for one in found} <= groups().keys():
        raise ValueError(f"{DATA.name}: a code stands twice, or a group is not known")
    return found
