"""The tables of a service report as a workbook: the only module that knows openpyxl."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from reports import cells
from reports.blocks import Cell, Kind, Part, Source

LONGEST_NAME: Final = 31
"""Excel's limit of a sheet's name."""
FORMATS: Final[Mapping[str, str]] = {
    "time": "yyyy-mm-dd hh:mm", "day": "yyyy-mm-dd", "share": '0.00" %"', "money": "#,##0.00", "number": "#,##0.00",
    "length": "[h]:mm:ss", "bytes": "#,##0",
}  # fmt: skip
ALMOST: Final = '0.0000" %"'
"""Of a share that two places would round up to everything."""
HEAD: Final = PatternFill("solid", fgColor="DCE6F1")
WHOLE: Final = "#,##0"
"""Of a number without a fraction: an optional fraction leaves its point behind."""
WIDEST: Final = 60


def made(title: str, parts: Sequence[Part], zone: ZoneInfo) -> bytes:
    """A sheet of numbers, then one for each table with rows or columns."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None  # noqa: S101 - a new workbook has one
    sheet.title = _("Figures")
    _numbers(sheet, title, parts, zone)
    taken = {sheet.title}
    for number, part in enumerate(parts, 1):
        for table in part.tables():
            own = book.create_sheet(_name(f"{number} {table.title}", taken))
            columns = [(column.label, column.kind) for column in table.columns]
            _fill(own, columns, table.rows, zone, table.source)
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


def _numbers(sheet: Worksheet, title: str, parts: Sequence[Part], zone: ZoneInfo) -> None:
    sheet.append([_safe(title)])
    sheet["A1"].font = Font(bold=True, size=13)
    sheet.append([])
    sheet.append([_("Part"), _("Figure"), _("This month"), _("Month before"), _("Unit"), _("How it is reckoned")])
    _mark(sheet, 3)
    for part in parts:
        for figure in part.figures():
            values = [_value(cell, figure.kind, zone) for cell in (figure.value, figure.before)]
            sheet.append([_safe(part.title), _safe(figure.label), *values, figure.unit, _safe(figure.source.how)])
            for cell in sheet[sheet.max_row][2:4]:
                cell.number_format = _format(cell.value, figure.kind)
    _fit(sheet)


def _fill(
    sheet: Worksheet,
    columns: Sequence[tuple[str, Kind]],
    rows: Sequence[Sequence[Cell]],
    zone: ZoneInfo,
    source: Source,
) -> None:
    sheet.append([_safe(label) for label, _kind in columns])
    _mark(sheet, 1)
    for row in rows:
        sheet.append([_value(cell, kind, zone) for cell, (_label, kind) in zip(row, columns, strict=True)])
        for cell, (_label, kind) in zip(sheet[sheet.max_row], columns, strict=True):
            cell.number_format = _format(cell.value, kind)
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions
    _fit(sheet)
    sheet.append([])
    sheet.append([_safe(source.how)])


def _format(value: Any, kind: Kind) -> str:
    if kind == "number" and isinstance(value, int | float) and float(value).is_integer():
        return WHOLE
    if kind == "share" and isinstance(value, int | float) and cells.MOST < value < 100:
        return ALMOST
    return FORMATS.get(kind, "General")


def _value(cell: Cell, kind: Kind, zone: ZoneInfo) -> Any:
    if cell is None or cell == "":
        return None
    if kind == "time":
        return datetime.fromisoformat(str(cell)).astimezone(zone).replace(tzinfo=None)
    if kind == "day":
        return date.fromisoformat(str(cell)[:10])
    if kind == "length" and isinstance(cell, int | float):
        return cell / 86_400
    return _safe(cell) if isinstance(cell, str) else cell


def _safe(text: str) -> str:
    """Nothing that a person typed becomes a formula; characters that a workbook must not hold are left out."""
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _mark(sheet: Worksheet, row: int) -> None:
    for cell in sheet[row]:
        cell.font, cell.fill = Font(bold=True), HEAD
        cell.alignment = Alignment(wrap_text=True, vertical="top")


def _fit(sheet: Worksheet) -> None:
    for number, column in enumerate(sheet.iter_cols(max_row=min(sheet.max_row, 200)), 1):
        longest = max((_width(str(cell.value)) for cell in column if cell.value is not None), default=8)
        sheet.column_dimensions[get_column_letter(number)].width = min(max(longest + 2, 8), WIDEST)


def _width(text: str) -> int:
    return sum(2 if ord(char) > 0x2E7F else 1 for char in text)


def _name(wanted: str, taken: set[str]) -> str:
    base = re.sub(r"[\[\]:*?/\\]", " ", wanted)[:LONGEST_NAME]
    name, number = base, 1
    while name.lower() in {one.lower() for one in taken}:
        number += 1
        name = f"{base[: LONGEST_NAME - 4]} ({number})"
    taken.add(name)
    return name
