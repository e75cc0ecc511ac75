"""What `data/collect.sh` and `data/logins.sh` print, taken apart, and made harmless for a page. Pure.

The other side may be anybody's: whatever arrives is text that is cut, never an instruction and never an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DENIED: Final = 77
ABSENT: Final = 78
CUT: Final = -1
"""A section that began and never ended."""
LONGEST_EVIDENCE: Final = 4000
MOST_SECTIONS: Final = 60
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\N{ZERO WIDTH SPACE}-\N{RIGHT-TO-LEFT MARK}\N{LINE SEPARATOR}-"
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{LEFT-TO-RIGHT ISOLATE}-\N{POP DIRECTIONAL ISOLATE}\N{ZERO WIDTH NO-BREAK SPACE}]"
)
"""Controls and what turns the order of characters round: a terminal or a reader would not see what is there."""


@dataclass(frozen=True, slots=True)
class Section:
    """`code` is the exit status of what was run, or CUT."""

    text: str
    code: int

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.split("\n") if line.strip()]

    @property
    def is_whole(self) -> bool:
        return self.code == 0


MISSING: Final = Section("", CUT)


def sections(text: str) -> dict[str, Section]:
    """By name; of two with one name the first counts, since only the first was asked for."""
    found: dict[str, Section] = {}
    name, body = "", list[str]()
    for line in text.split("\n"):
        if line.startswith("#begin "):
            if name:
                found.setdefault(name, Section("\n".join(body), CUT))
            name, body = line.removeprefix("#begin ").strip()[:40], []
        elif line.startswith("#end ") and name:
            ended, _blank, code = line.removeprefix("#end ").strip().rpartition(" ")
            if ended == name:
                found.setdefault(name, Section("\n".join(body), _status(code)))
                name = ""
        elif name and line.startswith(" "):
            body.append(line[1:].rstrip("\r"))
        if len(found) >= MOST_SECTIONS:
            return found
    if name:
        found.setdefault(name, Section("\n".join(body), CUT))
    return found


def parts(section: Section) -> dict[str, list[str]]:
    """The lines under each `@mark` of a section; what comes before the first one stands under the empty name."""
    found: dict[str, list[str]] = {"": []}
    here = ""
    for line in section.lines:
        if line.startswith("@"):
            here = line[1:].strip()
            found.setdefault(here, [])
        else:
            found[here].append(line)
    return found


def harmless(text: str, limit: int = LONGEST_EVIDENCE) -> str:
    """Text that shows on any page or terminal as what it is, cut to `limit` characters."""
    shown = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n")).strip("\n")
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def section_of(said: Mapping[str, Section], name: str) -> Section:
    return said.get(name, MISSING)


def _status(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else CUT
