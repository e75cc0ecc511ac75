"""Figures as people read them: units scaled, codes named. No Django."""

from __future__ import annotations

from typing import Final

from monitoring.rules import CODES

BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
DECIMAL: Final = ("", "k", "M", "G", "T")


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
    number = _rounded(value)
    return number if unit in ("", "count", "unix s") else f"{number} {unit}"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    step = 0
    while abs(value) >= base and step < len(names) - 1:
        value, step = value / base, step + 1
    return f"{_rounded(value)} {names[step]}"


def _rounded(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
