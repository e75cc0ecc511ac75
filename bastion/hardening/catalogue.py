"""The items of the checklist: which clause asks for each, why, how bad it is, what makes it right. Data, no Django."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from changes.catalogue import Words

DATA: Final = Path(__file__).parent / "data"
WEIGHTS: Final = {"high": 5, "medium": 3, "low": 1}


class Severity(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a change would do: a shipped script with its values, or another operation of the service catalogue."""

    script: str
    parameters: Mapping[str, str]
    operation: str
    how: Words
    undo: Words


@dataclass(frozen=True, slots=True)
class Item:
    code: str
    name: Words
    clause: str
    why: Words
    severity: Severity
    remedy: Remedy

    @property
    def weight(self) -> int:
        return WEIGHTS[self.severity]


@cache
def items() -> Mapping[str, Item]:
    """By code, in the order of the page. Raises ValueError or KeyError on data that cannot be used."""
    said = json.loads((DATA / "items.json").read_text(encoding="utf-8"))
    return {code: _item(code, one) for code, one in said.items()}


@cache
def script(name: str) -> str:
    """A script that reads a host, see `data/`."""
    return (DATA / name).read_text(encoding="utf-8")


def _item(code: str, said: Mapping[str, Any]) -> Item:
    remedy = said["remedy"]
    return Item(
        code=code,
        name=_words(said["name"]),
        clause=said["clause"],
        why=_words(said["why"]),
        severity=Severity(said["severity"]),
        remedy=Remedy(
            script=remedy.get("script", ""),
            parameters=remedy.get("parameters", {}),
            operation=remedy.get("operation", "script-run" if remedy.get("script") else ""),
            how=_words(remedy["how"]),
            undo=_words(remedy.get("undo", ["", ""])),
        ),
    )


def _words(pair: list[str]) -> Words:
    en, zh = pair
    return Words(en, zh)
