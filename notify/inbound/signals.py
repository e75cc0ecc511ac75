"""An alarm or its end, as every outside monitoring tells it to us."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

MOST: Final = 2000
"""Signals in one message. A tool that has more to say at once splits them, or nobody can act on them anyway."""

SEVERITY_OF_WORD: Final = {
    "disaster": 1, "critical": 1, "fatal": 1, "emergency": 1, "page": 1, "p1": 1, "sev1": 1,
    "灾难": 1, "致命": 1, "紧急": 1,
    "high": 2, "error": 2, "major": 2, "severe": 2, "p2": 2, "sev2": 2, "严重": 2, "重要": 2,
    "average": 3, "warn": 3, "warning": 3, "medium": 3, "minor": 3, "p3": 3, "sev3": 3, "一般": 3, "次要": 3, "警告": 3,
    "info": 4, "information": 4, "informational": 4, "notice": 4, "low": 4, "not classified": 4, "none": 4, "p4": 4,
    "sev4": 4, "提示": 4, "通知": 4, "信息": 4,
}  # fmt: skip
"""The usual words of outside tools; a source's own table goes before it."""


@dataclass(frozen=True, slots=True)
class Signal:
    """`key` is the same for an alarm and its end; `severity` is the sender's own word; `names` may name the asset."""

    key: str
    is_firing: bool
    severity: str
    title: str
    text: str
    occurred_at: datetime | None = None
    names: tuple[str, ...] = ()
    customer: str = ""


def severity_of(word: str, own: dict[str, int], default: int) -> int:
    """The severity that a source's word stands for: by its own table, by the usual words, or its default."""
    plain = word.strip().lower()
    table = {name.strip().lower(): value for name, value in own.items()}
    return table.get(plain) or SEVERITY_OF_WORD.get(plain) or default


def short_key(*parts: str) -> str:
    """A key of fixed length out of parts of any length."""
    return hashlib.sha256("\x1f".join(parts).encode(errors="replace")).hexdigest()[:40]


def distinct(*names: str) -> tuple[str, ...]:
    """Names in their order, each once, with the host alone after `host:port`."""
    found: list[str] = []
    for name in names:
        bare = name.strip()
        host = bare.rsplit(":", 1)[0] if bare.count(":") == 1 else ""
        found += [each for each in (bare, host) if each]
    return tuple(dict.fromkeys(found))[:20]
