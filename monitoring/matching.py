"""What a silence is about: some assets, some rules, some labels. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Scope:
    """Whatever is empty means all. Assets are meant by name or by group; rules, and labels, must fit as well."""

    asset_ids: frozenset[int] = frozenset()
    group_ids: frozenset[int] = frozenset()
    rule_ids: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    def covers_asset(self, asset_id: int, groups: Collection[int] = ()) -> bool:
        if not self.asset_ids and not self.group_ids:
            return True
        return asset_id in self.asset_ids or not self.group_ids.isdisjoint(groups)

    def covers(self, *, asset_id: int, groups: Collection[int], rule_id: str, labels: str) -> bool:
        if not self.covers_asset(asset_id, groups) or (self.rule_ids and rule_id not in self.rule_ids):
            return False
        return not self.labels or self.labels.items() <= read_labels(labels).items()


def read_labels(text: str) -> dict[str, str]:
    r"""`device="sda1",mountpoint="/data"` as a mapping; `\"` and `\\` are read back."""
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in _LABEL.findall(text)}
