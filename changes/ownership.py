"""What becomes of a customer's data and accounts when the agreement ends (SOW 数据所有权和访问权限转移策略). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from changes.catalogue import Words

DATA: Final = Path(__file__).parent / "data" / "ownership.json"
RETENTION: Final = timedelta(days=10)
"""Calendar days for which everything is kept after the transfer, so that the customer can check it."""
REMINDED: Final = (timedelta(days=7), timedelta(days=3), timedelta(days=1), timedelta(0))
"""So long before the erasure both sides are reminded; from its day on, every day."""


class Method(StrEnum):
    ACCOUNT = "account"
    DATA = "data"
    DELETION = "deletion"
    OTHER = "other"


class Trigger(StrEnum):
    ENDED = "ended"
    SUSPENDED = "suspended"
    """The customer's licence at Alibaba Cloud, by an act or omission of the provider."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done, and is written down with what shows it."""

    code: str
    name: Words
    evidence: Words


@cache
def _steps() -> Mapping[str, tuple[Step, ...]]:
    """By method; `all` are the last ones of every method: nobody who has left can be reached through us."""
    read = json.loads(DATA.read_text(encoding="utf-8"))
    return {
        method: tuple(Step(row["code"], Words(**row["name"]), Words(**row["evidence"])) for row in rows)
        for method, rows in read.items()
    }


def steps_of(method: Method) -> tuple[Step, ...]:
    return (*_steps()[method], *_steps()["all"])


def erased_on(transferred_on: date) -> date:
    """The day after which nothing is kept any more."""
    return transferred_on + RETENTION
