"""Figures as people read them: units scaled, codes named. No Django."""

from __future__ import annotations

from typing import Final

from monitoring.rules import CODES

BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
DECIMAL: Final = ("", "k", "M", "G", "T")
SILENT: Final = frozenset({"", "count", "unix s", "load/core"})
"""Units that people do not need to read."""


def shown(value: float | None, unit: str = "", *, metric: str = "", language: str = "zh") -> str:
    """One figure with its unit: "97.2 %", "3.4 GiB", "refused". "—" for none."""
    if value is None:
        return "—"
    named = CODES.get(metric, {}).get(int(value)) if value == int(value) else None
    if named is not None:
        return named[0] if language.startswith("zh") else named[1]
    if unit in ("B", "B/s"):
        return _scaled(value, 1024, BINARY) + unit[1:]
    if unit == "bit/s":
        return _scaled(value, 1000, DECIMAL) + "bit/s"
    return with_unit(_rounded(value), unit)


def with_unit(number: str, unit: str) -> str:
    """A figure that is text already, with its unit as people write it."""
    return number if unit in SILENT else f"{number} {unit.removeprefix('count')}"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    step = 0
    while abs(value) >= base and step < len(names) - 1:
        value, step = value / base, step + 1
    return f"{_rounded(value)} {names[step]}"


def _rounded(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
