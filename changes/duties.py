"""Recurring duties of the contract (R179): what closes each kind, and the set that every contract brings. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from changes.catalogue import Words
from changes.recurrence import Rhythm

DATA: Final = Path(__file__).parent / "data" / "duties.json"


class Kind(StrEnum):
    METRIC_REVIEW = "metric_review"
    PATCH_REVIEW = "patch_review"
    RESTORE_DRILL = "restore_drill"
    MONTHLY_REPORT = "monthly_report"
    ANNOUNCEMENT = "announcement"
    OTHER = "other"


class Need(StrEnum):
    """Evidence that closes an occurrence."""

    MINUTES = "minutes"
    TOLD = "told"
    """The customer was told what it is about and what is wanted of them."""
    RESULT = "result"
    BACKUP = "backup"
    """Which backup was proven."""
    RESTORE_TIME = "restore_time"
    DOCUMENT = "document"
    """A file or an address."""


NEEDS: Final[Mapping[Kind, tuple[Need, ...]]] = {
    Kind.METRIC_REVIEW: (Need.MINUTES,),
    Kind.PATCH_REVIEW: (Need.TOLD, Need.MINUTES),
    Kind.RESTORE_DRILL: (Need.RESULT, Need.BACKUP, Need.RESTORE_TIME),
    Kind.MONTHLY_REPORT: (Need.DOCUMENT,),
    Kind.ANNOUNCEMENT: (Need.MINUTES,),
    Kind.OTHER: (Need.MINUTES,),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was recorded of one occurrence."""

    minutes: str = ""
    was_told: bool = False
    result: str = ""
    backup: str = ""
    restore_minutes: int | None = None
    has_document: bool = False


def lacks(kind: Kind, shown: Evidence) -> tuple[Need, ...]:
    """What is missing before it counts as done. A drill that failed needs no time."""
    there = {
        Need.MINUTES: bool(shown.minutes.strip()),
        Need.TOLD: shown.was_told,
        Need.RESULT: shown.result in ("passed", "failed"),
        Need.BACKUP: bool(shown.backup.strip()),
        Need.RESTORE_TIME: shown.restore_minutes is not None or shown.result == "failed",
        Need.DOCUMENT: shown.has_document,
    }
    return tuple(need for need in NEEDS[kind] if not there[need])


@dataclass(frozen=True, slots=True)
class Standard:
    """One duty of the set that comes with a contract. `month`, `day`: when it is due first, see `recurrence`."""

    code: str
    kind: Kind
    words: Words
    rhythm: Rhythm
    month: int
    day: int
    lead_days: int
    owner: str
    tells: bool
    agenda: str


@cache
def standard_set() -> tuple[Standard, ...]:
    """Raises KeyError or ValueError on data that cannot be used."""
    return tuple(
        Standard(
            code=said["code"],
            kind=Kind(said["kind"]),
            words=Words(said["en"], said["zh"]),
            rhythm=Rhythm(said["rhythm"]),
            month=said["month"],
            day=said["day"],
            lead_days=said["lead_days"],
            owner=said["owner"],
            tells=said["tells"],
            agenda=said["agenda"],
        )
        for said in json.loads(DATA.read_text(encoding="utf-8"))
    )
