"""A few hours of one figure as a line for an SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 240
HEIGHT: Final = 48
MARGIN: Final = 2


@dataclass(frozen=True, slots=True)
class Plot:
    """Polylines within WIDTH x HEIGHT, broken where samples are missing."""

    lines: tuple[str, ...]
    width: int = WIDTH
    height: int = HEIGHT


def plot(
    samples: Sequence[tuple[float, float]], *, start: float, end: float, every: float, top: float | None = None
) -> Plot:
    """Samples are (moment in seconds, value) in order; `top` is the value at the upper edge, zero at the lower."""
    highest = top if top is not None else max((value for _at, value in samples), default=0.0)
    highest = highest or 1.0
    pieces: list[list[str]] = []
    before: float | None = None
    for at, value in samples:
        if not start <= at <= end:
            continue
        if before is None or at - before > 2 * every:
            pieces.append([])
        share = min(max(value / highest, 0.0), 1.0)
        x = (at - start) / (end - start) * WIDTH
        y = HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
        pieces[-1].append(f"{x:.1f},{y:.1f}")
        before = at
    return Plot(tuple(" ".join(piece if len(piece) > 1 else [*piece, *piece]) for piece in pieces))
