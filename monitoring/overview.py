"""How an asset is, in one word, out of its worst open alert and of how collecting goes. No Django."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Condition(StrEnum):
    """From worst to best. `BLIND`: collecting fails or is late, so that nobody can say. `QUIET`: what is wrong is
    silenced, in a planned change for instance."""

    DISASTER = "disaster"
    HIGH = "high"
    AVERAGE = "average"
    WARNING = "warning"
    QUIET = "quiet"
    BLIND = "blind"
    OK = "ok"
    UNWATCHED = "unwatched"


BY_SEVERITY: Final = {
    1: Condition.DISASTER,
    2: Condition.HIGH,
    3: Condition.AVERAGE,
    4: Condition.WARNING,
}
ORDER: Final = tuple(Condition)


@dataclass(frozen=True, slots=True)
class Tile:
    """One asset on the wall."""

    id: int
    customer_id: int
    kind: str
    name: str
    condition: Condition
    alerts: int = 0


def condition_of(*, worst_severity: int | None, is_watched: bool, is_blind: bool, is_quiet: bool = False) -> Condition:
    """An open alert says more than a collector that has trouble; trouble says more than silence."""
    if worst_severity is not None:
        return BY_SEVERITY[worst_severity]
    if is_quiet:
        return Condition.QUIET
    if is_blind:
        return Condition.BLIND
    return Condition.OK if is_watched else Condition.UNWATCHED


@dataclass(frozen=True, slots=True)
class Cell:
    """Assets of one kind of one customer: how many there are in each condition."""

    counts: Counter[Condition]

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def worst(self) -> Condition:
        """The worst condition that any of them is in; UNWATCHED only when none is watched."""
        return next((one for one in ORDER if self.counts[one]), Condition.UNWATCHED)

    @property
    def bad(self) -> int:
        return sum(self.counts[one] for one in BY_SEVERITY.values())


@dataclass(frozen=True, slots=True)
class Row:
    """One customer: a cell for each kind of the table (None where it has none), and all together."""

    customer_id: int
    cells: tuple[Cell | None, ...]
    all: Cell


@dataclass(frozen=True, slots=True)
class Matrix:
    kinds: tuple[str, ...]
    rows: tuple[Row, ...]


def matrix(tiles: Iterable[Tile], kinds_in_order: Sequence[str]) -> Matrix:
    """Customers by kinds, the customers in trouble first. Kinds that nobody has are left out."""
    table: dict[int, dict[str, Counter[Condition]]] = {}
    for tile in tiles:
        table.setdefault(tile.customer_id, {}).setdefault(tile.kind, Counter())[tile.condition] += 1
    there = {kind for row in table.values() for kind in row}
    kinds = tuple(kind for kind in kinds_in_order if kind in there)
    rows = [
        Row(
            customer_id,
            tuple(Cell(by_kind[kind]) if kind in by_kind else None for kind in kinds),
            Cell(sum(by_kind.values(), Counter())),
        )
        for customer_id, by_kind in table.items()
    ]
    rows.sort(key=lambda row: ([-row.all.counts[one] for one in BY_SEVERITY.values()], row.customer_id))
    return Matrix(kinds, tuple(rows))


def worst_first(tiles: Iterable[Tile]) -> list[Tile]:
    return sorted(tiles, key=lambda tile: (ORDER.index(tile.condition), tile.name))
