"""What a report's figures are made of: numbers, tables, curves and remarks in parts. Pure; frozen as JSON.

Nothing here knows how it is shown: pages, PDF, workbook and API are made of the same blocks. Text is in the report's
language already. None means that it is not known: no reader may draw it as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

Cell = str | int | float | bool | None
Wish = Literal["up", "down", ""]
"""In which direction a number gets better; empty: neither."""
Kind = Literal["text", "number", "share", "time", "day", "length", "money", "bytes"]
"""How a cell is written: share in percent, time and day as ISO 8601, length in seconds."""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a number comes from: how it was reckoned, the query behind it, and the page that shows its rows."""

    how: str
    query: str = ""
    path: str = ""


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One number. `before` is that of the last report; `note` says why there is none."""

    key: str
    label: str
    value: Cell
    source: Source
    kind: Kind = "number"
    unit: str = ""
    better: Wish = ""
    before: Cell = None
    note: str = ""


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    label: str
    kind: Kind = "text"
    unit: str = ""


class Figures(msgspec.Struct, frozen=True, tag="figures", omit_defaults=True):
    """Numbers side by side."""

    figures: tuple[Figure, ...]
    title: str = ""


class Table(msgspec.Struct, frozen=True, tag="table", omit_defaults=True):
    """Rows under columns. `left_out` rows were more than are kept; `empty` is what stands there without a row.

    `drawn`: how many of the rows pages and PDF show; workbook and API have them all. With 0 pages and PDF leave
    the table out. `paths`: of each row the page with what is behind it, where rows have pages of their own.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    source: Source
    left_out: int = 0
    empty: str = ""
    note: str = ""
    drawn: int = 200
    paths: tuple[str, ...] = ()


class Curve(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    values: tuple[float | None, ...]


class Chart(msgspec.Struct, frozen=True, tag="chart", omit_defaults=True):
    """Curves over labels; a None is a gap."""

    key: str
    title: str
    labels: tuple[str, ...]
    curves: tuple[Curve, ...]
    source: Source
    shape: Literal["line", "bar", "stack"] = "line"
    unit: str = ""
    lowest: float | None = None
    highest: float | None = None


class Remark(msgspec.Struct, frozen=True, tag="remark", omit_defaults=True):
    """A sentence of the platform's own, such as which data is missing."""

    text: str
    is_warning: bool = False


Block = Figures | Table | Chart | Remark


class Finding(msgspec.Struct, frozen=True):
    """What a part says in a sentence: how it stands, what was done, what was good, what was not, what is to be done."""

    tone: Literal["note", "done", "good", "bad", "next"]
    text: str


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of a report's parts."""

    name: str
    title: str
    blocks: tuple[Block, ...] = ()
    findings: tuple[Finding, ...] = ()

    def figures(self) -> Iterator[Figure]:
        for block in self.blocks:
            if isinstance(block, Figures):
                yield from block.figures

    def tables(self) -> Iterator[Table]:
        return (block for block in self.blocks if isinstance(block, Table))


def written(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """As JSON holds it."""
    kept: list[dict[str, Any]] = msgspec.to_builtins(parts)
    return kept


def read(kept: Sequence[Mapping[str, Any]]) -> list[Part]:
    """What `written` wrote. Raises msgspec.ValidationError."""
    return msgspec.convert(kept, list[Part])


def compared(parts: Sequence[Part], before: Sequence[Part]) -> list[Part]:
    """With each number's value in an earlier report of the kind."""
    known = {(part.name, figure.key): figure.value for part in before for figure in part.figures()}

    def again(part: Part, block: Block) -> Block:
        if not isinstance(block, Figures):
            return block
        figures = tuple(
            msgspec.structs.replace(figure, before=known.get((part.name, figure.key))) for figure in block.figures
        )
        return msgspec.structs.replace(block, figures=figures)

    return [msgspec.structs.replace(part, blocks=tuple(again(part, block) for block in part.blocks)) for part in parts]
