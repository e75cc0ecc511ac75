"""A service report as HTML: made of what was signed and of nothing else; its draft the same way, for a look ahead."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.files.storage import default_storage
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from incidents import prose
from reports import blocks, cells, columns, plots
from reports.blocks import Block, Chart, Column, Figure, Figures, Part, Table
from reports.kinds.readings import names_of
from reports.models import ServiceIssue

ZONE: Final = ZoneInfo(settings.TIME_ZONE)
LOGO_TYPES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
TO_THE_LEFT: Final = frozenset({"text", "time", "day"})
SHORT: Final = 9
"""Rows up to which a table is not divided between two pages."""
HEAD_WORD: Final = 14
LONG: Final = 40
"""Width from which a cell's text wants a broad column."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A block ready for a template: `what` says which piece shows it."""

    what: str
    block: Block
    rows: list[list[tuple[str, str]]]
    """Of a table: text and class of each cell."""
    svg: str | None = None

    @property
    def heads(self) -> list[tuple[Column, str]]:
        """Of a table: its columns, each with the class of its heading."""
        return [(column, _side(column.label, column.kind, HEAD_WORD)) for column in self._columns]

    @property
    def printed_heads(self) -> list[tuple[Column, str]]:
        """The same on paper, where words may stand below one another, and a unit below its heading."""
        return [(column, _side_of(column.kind)) for column in self._columns]

    @property
    def _columns(self) -> tuple[Column, ...]:
        return self.block.columns if isinstance(self.block, Table) else ()

    @property
    def lines(self) -> list[tuple[list[tuple[str, str]], str]]:
        """Of a table: its rows, each with the page of what is behind it."""
        paths = self.block.paths if isinstance(self.block, Table) else ()
        return [(row, paths[place] if place < len(paths) else "") for place, row in enumerate(self.rows)]

    @property
    def unknown(self) -> str:
        """Of a chart that is drawn: the labels over which nothing is known, and the curves of which nothing is; of bars
        also the single ones, which a gap alone would not show."""
        if not isinstance(self.block, Chart) or not self.is_drawn:
            return ""
        chart = self.block
        values = zip(*(curve.values for curve in chart.curves), strict=True)
        missing = [label for label, some in zip(chart.labels, values, strict=True) if set(some) == {None}]
        for curve in chart.curves:
            gone = [label for label, value in zip(chart.labels, curve.values, strict=True) if value is None]
            if len(gone) == len(chart.labels):
                missing.append(curve.name)
            elif chart.shape != "line" and (single := [label for label in gone if label not in missing]):
                missing.append(_("%(name)s (%(part)s)") % {"name": curve.name, "part": names_of(single)})
        return names_of(missing)

    @property
    def is_drawn(self) -> bool:
        """Of a chart: whether any point of it is known; axes without a curve tell nobody anything."""
        curves = self.block.curves if isinstance(self.block, Chart) else ()
        return any(value is not None for curve in curves for value in curve.values)

    @property
    def is_short(self) -> bool:
        """Of a table: low enough to stay together on paper. With long texts few rows fill a page, and the one before
        would stay empty."""
        return len(self.rows) <= SHORT and all(len(text) <= 2 * LONG for row in self.rows for text, _side in row)

    @property
    def is_wide(self) -> bool:
        return len(self._columns) >= columns.SEVERAL

    @property
    def picture(self) -> str:
        """A chart's drawing as an address: as a part of the page, the renderer would look up the style of each line."""
        return f"data:image/svg+xml;base64,{base64.b64encode((self.svg or '').encode()).decode()}"

    @property
    def layout(self) -> columns.Layout:
        """Of a printed table. A unit stands below its heading where there is no room beside it."""
        units = [column.unit for column in self._columns]
        rows = [units, *([text for text, _side in row] for row in self.rows)]
        return columns.layout([column.label for column in self._columns], rows)

    @property
    def not_drawn(self) -> int:
        """Rows of a table that are in the workbook alone."""
        return len(self.block.rows) - len(self.rows) if isinstance(self.block, Table) else 0


@dataclass(frozen=True, slots=True)
class Number:
    """A figure in words, with what it was and whether that is better."""

    figure: Figure
    text: str
    before: str
    change: str
    tone: str

    @property
    def verdict(self) -> str:
        """The tone in a word: not everybody sees colours, and no black and white print has any."""
        return {"good": pgettext("figure", "better"), "bad": pgettext("figure", "worse")}.get(self.tone, "")


@dataclass(frozen=True, slots=True)
class Section:
    """A part as it is shown; `anchor` is where the list of contents points."""

    name: str
    number: int
    anchor: str
    title: str
    html: SafeString
    blocks: list[Shown]


def html(issue: ServiceIssue) -> str:
    content: dict[str, Any] = issue.content
    with translation.override(content["language"]), timezone.override(settings.TIME_ZONE):
        shown = context(content, draws=True) | {"issue": issue, "signed_at": issue.signed_at.isoformat()}
        return render_to_string("reports/pdf/service.html", shown)


def preview(content: dict[str, Any]) -> str:
    """The document of what is not signed yet."""
    with translation.override(content["language"]), timezone.override(settings.TIME_ZONE):
        return render_to_string("reports/pdf/service.html", context(content, draws=True) | {"issue": None})


def context(content: Mapping[str, Any], *, draws: bool) -> dict[str, object]:
    """What pages and document show. `draws`: charts as drawings; else the page draws them itself."""
    parts = parts_of(content)
    return {
        "content": {name: prose.clean(value) if isinstance(value, str) else value for name, value in content.items()},
        "starts_at": parse_datetime(content["starts_at"]),
        "ends_at": parse_datetime(content["ends_at"]),
        "figures_at": parse_datetime(content["figures_at"]) if content["figures_at"] else None,
        "sections": [
            _section(number, part, content["parts"][number - 1]["text"], draws=draws)
            for number, part in enumerate(parts, 1)
        ],
        "accent": content["layout"].get("accent", ""),
        "logo": logo_of(content["layout"].get("logo", "")),
        "emergency": {"name": settings.EMERGENCY_NAME, "phone": settings.EMERGENCY_PHONE},
    }


def parts_of(content: Mapping[str, Any]) -> list[Part]:
    return blocks.read([{key: value for key, value in part.items() if key != "text"} for part in content["parts"]])


def sections(parts: Sequence[Part]) -> list[Section]:
    """The figures alone, for the page on which the texts are written."""
    return [_section(number, part, "", draws=False) for number, part in enumerate(parts, 1)]


def _section(number: int, part: Part, text: str, *, draws: bool) -> Section:
    body = SafeString(prose.html(text, below=2, for_print=True))
    drawn = [block for block in part.blocks if not isinstance(block, Table) or block.drawn]
    shown = [_shown(block, draws=draws) for block in drawn]
    return Section(part.name, number, f"part-{number}", part.title, body, shown)


def _shown(block: Block, *, draws: bool) -> Shown:
    if isinstance(block, Table):
        return Shown("table", block, [_row(row, block.columns) for row in block.rows[: block.drawn]])
    if isinstance(block, Chart):
        return Shown("chart", block, [], plots.svg(block) if draws else None)
    return Shown("figures" if isinstance(block, Figures) else "remark", block, [])


def _row(row: tuple[blocks.Cell, ...], of: tuple[Column, ...]) -> list[tuple[str, str]]:
    texts = [prose.clean(cells.written(cell, column.kind, ZONE)) for cell, column in zip(row, of, strict=True)]
    return [(text, _side(text, column.kind)) for text, column in zip(texts, of, strict=True)]


def _side_of(kind: blocks.Kind) -> str:
    return "start" if kind in TO_THE_LEFT else "end"


def _side(text: str, kind: blocks.Kind, word: int = columns.SHORT) -> str:
    """The class of a cell: which side it stands on, and whether its text stays on one line or wants a broad column."""
    side = _side_of(kind)
    if columns.is_short(text, word):
        return f"{side} word"
    return f"{side} long" if len(text) > LONG else side


def number(figure: Figure) -> Number:
    text = cells.figure(figure, ZONE)
    before = cells.written(figure.before, figure.kind, ZONE)
    now, was = figure.value, figure.before
    if not isinstance(now, int | float) or not isinstance(was, int | float) or isinstance(now, bool) or now == was:
        return Number(figure, text, before, "", "")
    is_up = now > was
    tone = "" if not figure.better else "good" if is_up == (figure.better == "up") else "bad"
    return Number(figure, text, before, "▲" if is_up else "▼", tone)


def logo_of(name: str) -> str:
    """The customer's logo inside the document; empty when there is none."""
    kind = LOGO_TYPES.get(Path(name).suffix.lower())
    if not name or kind is None or not default_storage.exists(name):
        return ""
    with default_storage.open(name) as file:
        return f"data:{kind};base64,{base64.b64encode(file.read()).decode()}"
