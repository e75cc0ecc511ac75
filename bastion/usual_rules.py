"""The command rules that the platform brings, to be switched on customer by customer. Pure.

Each with lines that it is for and lines that it lets pass: they are its explanation, and its test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bastion.gateway.contract import Verdict
from bastion.policy import check_pattern

DATA: Final = Path(__file__).parent / "data" / "command_rules.json"


@dataclass(frozen=True, slots=True)
class UsualRule:
    key: str
    name_zh: str
    name_en: str
    verdict: Verdict
    pattern: str
    fits: tuple[str, ...]
    passes: tuple[str, ...]

    def name(self, language: str) -> str:
        return self.name_en if language.startswith("en") else self.name_zh


@cache
def usual_rules() -> tuple[UsualRule, ...]:
    """In their order. Raises ValueError for a file that holds something else."""
    rules = tuple(
        UsualRule(
            key=row["key"],
            name_zh=row["name"]["zh"],
            name_en=row["name"]["en"],
            verdict=Verdict(row["verdict"]),
            pattern=row["pattern"],
            fits=tuple(row["fits"]),
            passes=tuple(row["passes"]),
        )
        for row in json.loads(DATA.read_text(encoding="utf-8"))
    )
    for rule in rules:
        check_pattern(rule.pattern)
    return rules
