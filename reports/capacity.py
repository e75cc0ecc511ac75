"""Advice on capacity: rules over the figures of a month, loaded from a data file and checked at start. Pure.

A rule holds when all its conditions do; a figure that is not known lets none of its rules hold.
"""

from __future__ import annotations

import csv
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parent / "data" / "capacity.csv"
WHERE: Final = f"reports/data/{DATA.name}"
SHARED: Final = frozenset({"cpu_p95", "cpu_high", "memory_p95", "disk_last", "disk_days", "coverage", "days"})
NAMES: Final[Mapping[str, frozenset[str]]] = {
    "host": SHARED | {"load_per_core_p95"},
    "database": SHARED | {"connections_high", "iops_p95"},
}
"""What rules may speak of: per cent; `days` there was something to see, `disk_days` until full, processes for each
core."""
SIGNS: Final[Mapping[str, Callable[[float, float], bool]]] = {">": operator.gt, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Condition:
    name: str
    sign: str
    limit: float

    def holds(self, figures: Mapping[str, float | None]) -> bool:
        value = figures.get(self.name)
        return value is not None and SIGNS[self.sign](value, self.limit)


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    of: str
    conditions: tuple[Condition, ...]
    advice_zh: str
    advice_en: str

    @property
    def is_severe(self) -> bool:
        """Whether something is lacking; the others say that there is more than enough."""
        return not self.id.endswith("-smaller")

    def advice(self, language: str) -> str:
        return self.advice_zh if language.startswith("zh") else self.advice_en


def load(path: Path = DATA) -> Sequence[Rule]:
    """The rules in the file's order. Raises ValueError for one that speaks of what nobody knows."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Rule(row["id"], row["of"], _conditions(row), row["advice_zh"], row["advice_en"])
            for row in csv.DictReader(file)
        ]


def _conditions(row: Mapping[str, str]) -> tuple[Condition, ...]:
    found = []
    for text in row["when"].split("&"):
        name, sign, limit = text.split()
        if name not in NAMES[row["of"]] or sign not in SIGNS:
            raise ValueError(f"{row['id']}: {text.strip()}")
        found.append(Condition(name, sign, float(limit)))
    return tuple(found)


RULES: Final = load()


def advice(of: str, figures: Mapping[str, float | None]) -> list[Rule]:
    """The rules that hold of one host or database, by what it is called in `NAMES`."""
    return [rule for rule in RULES if rule.of == of and all(one.holds(figures) for one in rule.conditions)]
