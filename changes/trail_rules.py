"""Which events of an audit trail are suspicious (R89), and which class of action an API belongs to. Data, no Django.

`data/trail_rules.json` holds the rules, `data/trail_actions.json` the classes and which of them each operation of the
catalogue may need.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from changes.catalogue import DATA, Words

SEVERITIES: Final = ("disaster", "high", "average", "warning")


@dataclass(frozen=True, slots=True)
class Burst:
    """So many of the kind, by one person, within this time."""

    count: int
    within: timedelta


class Excuse(StrEnum):
    """Which change makes it harmless that a rule was broken."""

    CHANGE = "change"
    """Any that explains the event."""
    REMOVAL = "removal"
    """One that is the removal of this very asset."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. All that it names must hold. `opens`: patterns of parameters that name a network, of which one has to
    be as wide as the internet; `unless`: values of a parameter beside it that make it harmless."""

    code: str
    severity: str
    name: Words
    advice: Words
    actions: tuple[str, ...]
    actor_types: frozenset[str] = frozenset()
    opens: tuple[str, ...] = ()
    unless: Mapping[str, frozenset[str]] = field(default_factory=dict)
    burst: Burst | None = None
    new_origin: bool = False
    even_refused: bool = False
    """Trying is enough."""
    excused_by: Excuse = Excuse.CHANGE


@dataclass(frozen=True, slots=True)
class Actions:
    """What APIs are about. Patterns are "service:action" in lower case; the first class that fits counts."""

    classes: tuple[tuple[str, tuple[str, ...]], ...]
    deletes: tuple[str, ...]
    operations: Mapping[str, frozenset[str]]
    removals: frozenset[str]
    """The operations whose purpose it is that something is gone."""
    always: frozenset[str]

    def class_of(self, service: str, action: str) -> str:
        name = f"{service}:{action}".lower()
        return next(code for code, patterns in self.classes if fits(name, patterns))

    def is_deletion(self, service: str, action: str) -> bool:
        return fits(f"{service}:{action}".lower(), self.deletes)

    def needed_by(self, operation: str) -> frozenset[str]:
        """The classes that a change of this operation explains; one that is not listed explains backups alone."""
        return self.operations.get(operation, frozenset()) | self.always


def fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@cache
def rules() -> Mapping[str, Rule]:
    """The rules by their code, the graver first where two hold. Raises ValueError for a file that says nonsense."""
    found = [_rule(entry) for entry in json.loads((DATA / "trail_rules.json").read_text(encoding="utf-8"))]
    ordered = sorted(found, key=lambda rule: SEVERITIES.index(rule.severity))
    if len({rule.code for rule in ordered}) != len(ordered):
        raise ValueError("two rules of the audit trail have one code")
    return {rule.code: rule for rule in ordered}


@cache
def actions() -> Actions:
    said = json.loads((DATA / "trail_actions.json").read_text(encoding="utf-8"))
    classes = tuple((entry["code"], _patterns(entry["actions"])) for entry in said["classes"])
    known = {code for code, _patterns_of in classes}
    operations = {code: frozenset(needs) for code, needs in said["operations"].items()}
    removals, always = frozenset(said["removals"]), frozenset(said["always"])
    unknown = (always.union(*operations.values()) - known) | (removals - operations.keys())
    if unknown or not fits("any:thing", classes[-1][1]):
        raise ValueError(f"classes of actions or operations that are not there: {sorted(unknown)}")
    return Actions(classes, _patterns(said["deletes"]), operations, removals, always)


def _rule(said: Mapping[str, Any]) -> Rule:
    if said["severity"] not in SEVERITIES:
        raise ValueError(f"{said['code']}: no severity {said['severity']}")
    burst = said.get("burst")
    return Rule(
        code=said["code"],
        severity=said["severity"],
        name=Words(said["name"]["en"], said["name"]["zh"]),
        advice=Words(said["advice"]["en"], said["advice"]["zh"]),
        actions=_patterns(said["actions"]),
        actor_types=frozenset(said.get("actor_types", ())),
        opens=_patterns(said.get("opens", [])),
        unless={name: frozenset(values) for name, values in said.get("unless", {}).items()},
        burst=Burst(burst["count"], timedelta(minutes=burst["minutes"])) if burst else None,
        new_origin=said.get("new_origin", False),
        even_refused=said.get("even_refused", False),
        excused_by=Excuse(said.get("excused_by", Excuse.CHANGE)),
    )


def _patterns(said: list[str]) -> tuple[str, ...]:
    return tuple(pattern.lower() for pattern in said)
