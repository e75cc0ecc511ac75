"""How a cell of a report is written for people. Pure: the words of a length of time come from the caller's language."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from reports.blocks import Cell, Figure, Kind

UNKNOWN = "—"
MOST = 99.99
"""The highest share below a hundred, as it is written."""
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def written(value: Cell, kind: Kind, zone: ZoneInfo) -> str:  # noqa: PLR0911  # one line per kind
    """`—` for what is not known."""
    if value is None or value == "":
        return UNKNOWN
    if kind == "time":
        return f"{datetime.fromisoformat(str(value)).astimezone(zone):%m-%d %H:%M}"
    if kind == "day":
        return date.fromisoformat(str(value)[:10]).isoformat()
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, str):
        return value
    if kind == "share":
        # Nothing short of everything reads as everything.
        return f"{_rounded(MOST if MOST < value < 100 else value, 2)} %"
    if kind == "length":
        return length(value)
    if kind == "money":
        return f"{value:,.2f}"
    if kind == "bytes":
        return _bytes(value)
    return _rounded(value, 2)


def figure(one: Figure, zone: ZoneInfo) -> str:
    text = written(one.value, one.kind, zone)
    return f"{text} {one.unit}" if one.unit and text != UNKNOWN else text


def length(seconds: float) -> str:
    """Two units at most: 3 d 4 h, 2 h 5 min, 40 s."""
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    units = [(days, _("d")), (hours, _("h")), (minutes, _("min")), (secs, _("s"))]
    first = next((place for place, (count, _unit) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count or first == len(units) - 1)


def _rounded(value: float, digits: int) -> str:
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # a zero has no sign


def _bytes(value: float) -> str:
    size, place = float(value), 0
    while abs(size) >= 1024 and place < len(UNITS) - 1:
        size, place = size / 1024, place + 1
    return f"{size:,.0f} {UNITS[place]}" if size >= 100 or place == 0 else f"{size:,.1f} {UNITS[place]}"
