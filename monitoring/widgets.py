"""What a dashboard is made of: typed, checked, read from and written to JSON. No Django.

A dashboard is a grid of `COLUMNS` columns; a widget stands at (x, y) and is w columns wide and h rows high.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final

from monitoring.panels import panel
from monitoring.rules import METRICS

COLUMNS: Final = 12
ROWS: Final = 500
MOST: Final = 40
MOST_ASSETS: Final = 12
LONGEST_TITLE: Final = 100
LONGEST_TEXT: Final = 2000
_ID: Final = re.compile(r"[a-z0-9]{4,24}")


class WidgetError(ValueError):
    """A widget says something that cannot be: the number of the widget, the field, and a code for people's words."""

    def __init__(self, place: int, field: str, code: str) -> None:
        super().__init__(f"widget {place}: {field}: {code}")
        self.place = place
        self.field = field
        self.code = code


class WidgetKind(StrEnum):
    """What a widget shows."""

    GRAPH = "graph"
    COMPARE = "compare"
    VALUE = "value"
    TOP = "top"
    ALERTS = "alerts"
    INCIDENTS = "incidents"
    HEALTH = "health"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a kind of widget must be told, and the size it starts with."""

    assets: int = 0
    """The greatest number of assets; 0 when it is about all of them."""
    panel: bool = False
    metric: bool = False
    text: bool = False
    w: int = 6
    h: int = 4


NEEDS: Final[Mapping[WidgetKind, Needs]] = {
    WidgetKind.GRAPH: Needs(assets=1, panel=True),
    WidgetKind.COMPARE: Needs(assets=MOST_ASSETS, metric=True),
    WidgetKind.VALUE: Needs(assets=1, metric=True, w=3, h=2),
    WidgetKind.TOP: Needs(metric=True, w=4),
    WidgetKind.ALERTS: Needs(w=6),
    WidgetKind.INCIDENTS: Needs(w=6),
    WidgetKind.HEALTH: Needs(w=6, h=3),
    WidgetKind.NOTE: Needs(text=True, w=3, h=2),
}


@dataclass(frozen=True, slots=True)
class Widget:
    """One box. `assets` are primary keys, `metric` a name of the catalogue, `panel` the id of a preset graph."""

    id: str
    kind: WidgetKind
    x: int
    y: int
    w: int
    h: int
    title: str = ""
    assets: tuple[int, ...] = ()
    panel: str = ""
    metric: str = ""
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in ("", ())}


def parse(rows: object) -> tuple[Widget, ...]:
    """Widgets out of JSON. Raises WidgetError; unknown fields are refused, a misspelt one must not be lost."""
    if not isinstance(rows, list) or len(rows) > MOST:
        raise WidgetError(0, "widgets", "too_many")
    found = tuple(_widget(place, row) for place, row in enumerate(rows, 1))
    if len({one.id for one in found}) != len(found):
        raise WidgetError(0, "id", "twice")
    return found


def _widget(place: int, row: object) -> Widget:
    known = {one.name for one in fields(Widget)}
    if not isinstance(row, dict) or set(row) - known:
        raise WidgetError(place, "widget", "unknown_field")
    kind = str(row.get("kind"))
    if kind not in {*WidgetKind}:
        raise WidgetError(place, "kind", "choice")
    needs = NEEDS[WidgetKind(kind)]
    widget = Widget(
        id=_text(place, row, "id", 24),
        kind=WidgetKind(kind),
        x=_number(place, row, "x", 0, COLUMNS - 1),
        y=_number(place, row, "y", 0, ROWS),
        w=_number(place, row, "w", 1, COLUMNS),
        h=_number(place, row, "h", 1, 24),
        title=_text(place, row, "title", LONGEST_TITLE),
        assets=_assets(place, row, needs),
        panel=_text(place, row, "panel", 100),
        metric=_text(place, row, "metric", 100),
        text=_text(place, row, "text", LONGEST_TEXT),
    )
    _check(place, widget, needs)
    return widget


def _check(place: int, widget: Widget, needs: Needs) -> None:
    if not _ID.fullmatch(widget.id):
        raise WidgetError(place, "id", "choice")
    if widget.x + widget.w > COLUMNS:
        raise WidgetError(place, "w", "range")
    if needs.panel and panel(widget.panel) is None:
        raise WidgetError(place, "panel", "choice" if widget.panel else "required")
    if needs.metric and widget.metric not in METRICS:
        raise WidgetError(place, "metric", "choice" if widget.metric else "required")
    if needs.text and not widget.text.strip():
        raise WidgetError(place, "text", "required")


def _assets(place: int, row: Mapping[str, object], needs: Needs) -> tuple[int, ...]:
    given = row.get("assets", [])
    if not isinstance(given, list | tuple) or not all(type(one) is int and 0 < one < 2**31 for one in given):
        raise WidgetError(place, "assets", "choice")
    if len(given) > needs.assets:
        raise WidgetError(place, "assets", "too_many")
    if needs.assets and not given:
        raise WidgetError(place, "assets", "required")
    return tuple(dict.fromkeys(given))


def _number(place: int, row: Mapping[str, object], name: str, low: int, high: int) -> int:
    value = row.get(name)
    if type(value) is not int or not low <= value <= high:
        raise WidgetError(place, name, "range")
    return value


def _text(place: int, row: Mapping[str, object], name: str, longest: int) -> str:
    value = row.get(name, "")
    if not isinstance(value, str) or len(value) > longest or "\x00" in value:
        raise WidgetError(place, name, "text")
    return value


def rearranged(widgets: Sequence[Widget], places: object) -> tuple[Widget, ...]:
    """The widgets at their new places, `[{"id", "x", "y", "w", "h"}, …]`; those not named are taken away.

    Raises WidgetError, also for a place of a widget that is not there.
    """
    if not isinstance(places, list) or len(places) > MOST:
        raise WidgetError(0, "widgets", "too_many")
    there = {one.id: one.as_json() for one in widgets}
    rows = []
    for number, place in enumerate(places, 1):
        if not isinstance(place, dict) or set(place) != {"id", "x", "y", "w", "h"} or place["id"] not in there:
            raise WidgetError(number, "widget", "choice")
        rows.append(there[place["id"]] | place)
    return parse(rows)


def free_place(widgets: Sequence[Widget], w: int, h: int) -> tuple[int, int]:
    """(x, y) of the first gap of this size, row by row."""
    taken = {(x, y) for one in widgets for x in range(one.x, one.x + one.w) for y in range(one.y, one.y + one.h)}
    bottom = max((one.y + one.h for one in widgets), default=0)
    for y in range(bottom):
        for x in range(COLUMNS - w + 1):
            if not any((x + right, y + down) in taken for right in range(w) for down in range(h)):
                return x, y
    return 0, bottom
