"""What the events of Alibaba Cloud mean to people: a title in both languages, a severity, what they end. Pure.

Levels follow CloudMonitor (CRITICAL, WARN, INFO); where an event is known better, the table says so.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assets.aliyun.happenings import Maintenance, SystemEvent

DATA: Final = Path(__file__).parent / "data" / "cloud_events.csv"
SEVERITIES: Final = ("disaster", "high", "average", "warning")
LEVELS: Final[Mapping[str, str]] = {"CRITICAL": "high", "WARN": "average", "INFO": ""}
PRODUCTS: Final[Mapping[str, str]] = {
    "ecs": "ECS",
    "cloudmonitor": "ECS",
    "rds": "RDS",
    "slb": "SLB",
    "redis": "Redis",
    "kvstore": "Redis",
    "mongodb": "MongoDB",
    "dds": "MongoDB",
}
_CYCLE: Final = re.compile(r":(Scheduled|Inquiring|Executing|Executed|Avoided|Canceled|Failed)$")


@dataclass(frozen=True, slots=True)
class Known:
    """An event of the table. An empty severity: only listed; None: as its level says."""

    name_zh: str
    name_en: str
    severity: str | None
    ends: str


@dataclass(frozen=True, slots=True)
class Told:
    """An event in words."""

    title_zh: str
    title_en: str
    severity: str
    kind: str
    ends: str = ""


def load(path: Path = DATA) -> Mapping[tuple[str, str], Known]:
    """The table of known events. Raises ValueError when a row does not fit."""
    found: dict[tuple[str, str], Known] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = (row["product"], row["name"])
            if key in found or row["severity"] not in ("", *SEVERITIES) or not row["name_zh"] or not row["name_en"]:
                raise ValueError(f"{path.name}: {key}")
            found[key] = Known(row["name_zh"], row["name_en"], row["severity"] or None, row["ends"])
    ended = {(product, known.ends) for (product, _), known in found.items() if known.ends}
    if not ended <= set(found):
        raise ValueError(f"{path.name}: ends what is not there: {ended - set(found)}")
    return found


EVENTS: Final = load()


def product_of(code: str) -> str:
    return PRODUCTS.get(code.lower(), code.upper())


def system_event(event: SystemEvent, *, of: str) -> Told:
    """A system event in words; ``of`` is what people call the resource."""
    product = product_of(event.product)
    bare = _CYCLE.sub("", event.name).removeprefix("Instance:")
    known = (
        EVENTS.get((product, event.name)) or EVENTS.get((product, bare)) or EVENTS.get((product, f"Instance:{bare}"))
    )
    severity = LEVELS.get(event.level, "")
    if known is None:
        words = (event.name, event.name)
    else:
        words = (known.name_zh, known.name_en)
        severity = known.severity if known.severity is not None else ("" if known.ends else severity)
    if event.is_settled and event.level == "INFO":
        severity = ""
    subject = of or event.instance_name or event.resource_id
    return Told(
        title_zh=f"{subject}：{words[0]}（{product}）" if subject else f"{words[0]}（{product}）",
        title_en=f"{subject}: {words[1]} ({product})" if subject else f"{words[1]} ({product})",
        severity=severity,
        kind=slug(event.name),
        ends=known.ends if known else "",
    )


def maintenance(event: Maintenance, *, of: str) -> Told:
    """A planned or unplanned intervention of ECS in words."""
    known = EVENTS.get(("ECS", event.kind))
    words = (known.name_zh, known.name_en) if known else (event.kind, event.kind)
    severity = (known.severity if known else None) or ("warning" if is_planned(event) else "high")
    return Told(
        title_zh=f"{of}：{words[0]}",
        title_en=f"{of}: {words[1]}",
        severity="" if event.is_over else severity,
        kind=slug(event.kind),
    )


def is_planned(event: Maintenance) -> bool:
    """Announced ahead, so that it can be prepared for; the rest befalls the instance."""
    return event.kind.startswith("SystemMaintenance")


def slug(name: str) -> str:
    """A name of Alibaba Cloud as a kind of ours."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()).strip("-")[:80] or "event"
