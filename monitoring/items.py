"""The contract's monitored items (监控项), each with the figures that stand for it. No Django."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitoring.rules import METRICS

DATA: Final = Path(__file__).parent / "data" / "items.csv"
CONTRACT: Final = 122
"""Items of the SOW: its lists of §1) and 2), and the databases of §6.5."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item: ``collector`` reads it, as ``metrics``, or as the text ``fact`` where it is no figure."""

    product: str
    name: str
    name_zh: str
    collector: str
    metrics: tuple[str, ...]
    fact: str
    note_zh: str
    note_en: str


def load(path: Path = DATA) -> Sequence[Item]:
    """The items in the contract's order. Raises ValueError for one that nothing stands for."""
    found: list[Item] = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            metrics = tuple(row["metrics"].split("|")) if row["metrics"] else ()
            unknown = [name for name in metrics if name not in METRICS]
            if unknown or not (metrics or row["fact"]):
                raise ValueError(f"{path.name}: {row['product']} {row['item']}: {unknown or 'nothing'}")
            found.append(
                Item(
                    row["product"], row["item"], row["name_zh"], row["collector"], metrics, row["fact"],
                    row["note_zh"], row["note_en"],
                )
            )  # fmt: skip
    return found


ITEMS: Final = load()


def as_markdown(items: Sequence[Item] = ITEMS) -> str:
    """The table of ``docs/monitoring-items.md``."""
    lines = [
        "# Monitored items of the contract",
        "",
        f"All {len(items)} items of the SOW and the figures that stand for them, from `monitoring/data/items.csv`;",
        "a test keeps the two together. The tests of each product read its items from a real server, but for what only",
        "a ZooKeeper leader or a Redis before 5 tells; what Alibaba Cloud tells (`cms`) a test reads from the",
        "simulated cloud, under the names of the cloud's documentation.",
        "",
        "| product | item | 名称 | collected by | figures | note |",
        "|---|---|---|---|---|---|",
    ]
    for one in items:
        figures = "<br>".join(f"`{name}`" for name in one.metrics) or f"text: {one.fact}"
        name = one.name.replace("|", "\\|")
        lines.append(
            f"| {one.product} | {name} | {one.name_zh} | {one.collector} | {figures} | {one.note_en} |".replace(
                "  |", " |"
            )
        )
    return "\n".join(lines) + "\n"
