"""A series as a small line, ready for an SVG. No Django."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 160
HEIGHT: Final = 36
MARGIN: Final = 3


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Coordinates within WIDTH x HEIGHT: lines (broken where data is missing), the threshold, the alert's stretch."""

    lines: tuple[str, ...]
    limit_y: float | None
    from_x: float
    to_x: float
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def stretch_width(self) -> float:
        return round(max(self.to_x - self.from_x, 1.0), 1)


def draw(
    ts: NDArray[np.int64],
    value: NDArray[np.float64],
    *,
    span: tuple[int, int],
    stretch: tuple[int, int],
    limit: float | None = None,
) -> Sparkline:
    """`span` is the time shown and `stretch` the part of it that the alert lasted, both in Unix milliseconds."""
    start, end = span
    length = max(end - start, 1)
    values = np.append(value, limit) if limit is not None else value
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    height = (high - low) or 1.0

    def x_of(moment: NDArray[np.int64] | int) -> NDArray[np.float64]:
        return np.round(np.clip((np.asarray(moment) - start) / length, 0, 1) * WIDTH, 1)

    def y_of(figure: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.round(HEIGHT - MARGIN - (np.asarray(figure) - low) / height * (HEIGHT - 2 * MARGIN), 1)

    gaps = np.diff(ts)
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    pieces = np.split(np.arange(len(ts)), np.flatnonzero(gaps > 3 * usual) + 1) if len(ts) else []
    xs, ys = x_of(ts), y_of(value)
    lines = tuple(" ".join(f"{x:g},{y:g}" for x, y in zip(xs[at], ys[at], strict=True)) for at in pieces)
    limit_y = None if limit is None else float(y_of(limit))
    return Sparkline(lines, limit_y, float(x_of(stretch[0])), float(x_of(stretch[1])))
