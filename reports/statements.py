"""SQL statements as a report may show them: values taken out, days put together. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

LONGEST: Final = 300
VALUES: Final = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|\b0x[0-9a-fA-F]+\b|(?<![\w.`])\d+(?:\.\d+)?\b"""
)
SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Slow:
    """A statement that was slow, of one database of one instance: times in seconds."""

    instance: str
    database: str
    key: str
    text: str
    count: int
    total_s: float
    longest_s: float
    rows_examined: int

    @property
    def mean_s(self) -> float | None:
        return self.total_s / self.count if self.count else None


def masked(text: str) -> str:
    """In one line, with a question mark for every value: what is a customer's data stays where it is."""
    line = SPACE.sub(" ", VALUES.sub("?", text)).strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def together(found: Iterable[Slow]) -> list[Slow]:
    """Each statement once, however many days it was listed for; what took longest altogether first."""
    sums: dict[tuple[str, str, str], Slow] = {}
    for one in found:
        key = (one.instance, one.database, one.key)
        known = sums.get(key)
        sums[key] = one if known is None else replace(
            known, count=known.count + one.count, total_s=known.total_s + one.total_s,
            longest_s=max(known.longest_s, one.longest_s), rows_examined=known.rows_examined + one.rows_examined,
        )  # fmt: skip
    return sorted(sums.values(), key=lambda one: (-one.total_s, one.instance, one.key))
