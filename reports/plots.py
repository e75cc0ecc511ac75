"""Charts of a printed report, as SVG whose text stays text: the only module that knows matplotlib.

Curves differ in dash and mark and bars in hatching, so that a black and white print can be read. A missing value is a
gap, never a zero.
"""

from __future__ import annotations

import io
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from reports.blocks import Chart

FONT: Final = "Noto Sans CJK SC"
WIDTH_IN, HEIGHT_IN = 6.7, 1.8
"""Three of them stand on a page, with their headings and legends."""

LEGEND_AT: Final = -0.2
"""Below the labels of the axis, in heights of the axes."""

LEGEND_PT, ENTRY_PT, CHARACTER_PT = 460, 38, 4.1
"""Room of a line of the legend; what an entry takes beside its words; what a letter of those takes."""

AXIS_PT, LABEL_PT, GAP = 430, 5.2, 1.5
"""Room of all labels of the axis; what a letter of theirs takes; how many letters stay free between two."""

DATE: Final = 10
"""Letters of a day or a month: such labels are thinned out where there are too many, names are cut off instead."""
COLOURS: Final = ("#0b5fa5", "#d1661c", "#1f7a3f", "#8a3ab9", "#57606a", "#b3261e", "#0f7d8c", "#8d6e00")
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)))
MARKS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES: Final = ("", "////", "..", "xxxx", "----", "\\\\\\\\", "++", "oo")
MOST_TICKS: Final = 12
HEADROOM: Final = 0.03
"""Of the axis, beyond the value at which it ends, for lines that lie upon it."""
MARKED_UP_TO: Final = 40
"""Points of a curve up to which each has a mark."""
STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none", "font.family": [FONT], "font.size": 8, "axes.edgecolor": "#8c959f",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#d9dfe5",
    "grid.linewidth": 0.6, "hatch.linewidth": 0.5, "svg.hashsalt": "rdmp",
    "text.parse_math": False,
}  # fmt: skip

UNKNOWN: Final = "?"
"""Stands where no bar can, because nothing is known: no bar would be a zero."""


def svg(chart: Chart) -> str:
    """The drawing, without XML's first lines."""
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]  # its own names, as text
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        drawn = _lines(axes, chart) if chart.shape == "line" else _bars(axes, chart)
        _ticks(axes, chart)
        if len(drawn) > 1:
            names = [curve.name for curve in chart.curves]
            axes.legend(
                drawn, names, loc="upper left", bbox_to_anchor=(0, LEGEND_AT), ncols=_abreast(names), frameon=False,
                fontsize=7.5,
            )  # fmt: skip
        file = io.StringIO()
        figure.savefig(file, format="svg", bbox_inches="tight", pad_inches=0.03, metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _abreast(names: list[str]) -> int:
    """Entries of a legend side by side."""
    longest = max(_letters(name) for name in names)
    return max(1, min(len(names), int(LEGEND_PT / (ENTRY_PT + CHARACTER_PT * longest))))


def _letters(text: str) -> int:
    """How wide a text is, in Latin letters."""
    return sum(1 if ord(letter) < 0x2E80 else 2 for letter in text)


def _shortened(label: str, room: float) -> str:
    """What of a name has room under its bar, in Latin letters."""
    if _letters(label) <= room:
        return label
    while label and _letters(label) + 1 > room:
        label = label[:-1]
    return f"{label}…"


def _lines(axes: Axes, chart: Chart) -> list[Any]:
    drawn: list[Any] = []
    places = range(len(chart.labels))
    marks = MARKS if len(chart.labels) <= MARKED_UP_TO else ("",)
    for number, curve in enumerate(chart.curves):
        drawn += axes.plot(
            places, _floats(curve.values), linewidth=1.2, markersize=2.6, color=COLOURS[number % len(COLOURS)],
            linestyle=DASHES[number % len(DASHES)], marker=marks[number % len(marks)],
        )  # fmt: skip
    return drawn


def _bars(axes: Axes, chart: Chart) -> list[Any]:
    drawn = []
    places = np.arange(len(chart.labels), dtype=float)
    bottom = np.zeros(len(chart.labels))
    width = 0.72 if chart.shape == "stack" else 0.8 / max(len(chart.curves), 1)
    for number, curve in enumerate(chart.curves):
        values = np.nan_to_num(_floats(curve.values))
        at = places if chart.shape == "stack" else places + (number - (len(chart.curves) - 1) / 2) * width
        # All bars of a curve are one shape: a document keeps a hatching anew for every shape that has it.
        bars = PathPatch(
            _rectangles(at, bottom if chart.shape == "stack" else np.zeros(len(values)), width, values),
            facecolor=COLOURS[number % len(COLOURS)], hatch=HATCHES[number % len(HATCHES)], edgecolor="white",
            linewidth=0.3,
        )  # fmt: skip
        bars.sticky_edges.y.append(0)
        axes.add_patch(bars)
        drawn.append(bars)
        bottom += values
        if chart.shape == "bar":
            _mark_unknown(axes, at[np.isnan(_floats(curve.values))])
    axes.autoscale_view()
    if chart.shape == "stack":
        _mark_unknown(axes, places[np.all([np.isnan(_floats(curve.values)) for curve in chart.curves], axis=0)])
    return drawn


def _rectangles(at: Any, bottom: Any, width: float, heights: Any) -> Path:
    left, right, top = at - width / 2, at + width / 2, bottom + heights
    corners = [(left, bottom), (left, top), (right, top), (right, bottom), (left, bottom)]
    points = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(points.reshape(-1, 2), codes * len(points))


def _mark_unknown(axes: Axes, places: Any) -> None:
    for place in places.tolist():
        axes.text(
            place, 0, UNKNOWN, ha="center", va="bottom", fontsize=9, color="#57606a",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip


def _ticks(axes: Axes, chart: Chart) -> None:
    longest = max(map(_letters, chart.labels), default=0)
    most = int(AXIS_PT / LABEL_PT / (longest + GAP)) if longest <= DATE else MOST_TICKS
    step = max(-(-len(chart.labels) // min(most, MOST_TICKS)), 1)
    shown = range(0, len(chart.labels), step)
    room = AXIS_PT / LABEL_PT / max(len(shown), 1) - GAP
    axes.set_xticks(list(shown), [_shortened(chart.labels[place], room) for place in shown])
    axes.set_xlim(-0.6, len(chart.labels) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.tick_params(length=2, colors="#57606a")
    if chart.unit:
        axes.set_title(chart.unit, loc="left", fontsize=7.5, color="#57606a", pad=3)
    if chart.lowest is not None or chart.highest is not None:
        axes.set_ylim(chart.lowest, chart.highest)
        if chart.shape == "line":
            _loosen(axes, chart)
    known = [value for curve in chart.curves for value in curve.values if value is not None]
    if all(value.is_integer() for value in known):
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if chart.highest is None and max(known, default=0) < 1:
            axes.set_ylim(top=1)


def _loosen(axes: Axes, chart: Chart) -> None:
    """Room for the half of a line, and of its marks, that lies beyond the value at which the axis ends."""
    low, high = axes.get_ylim()
    room = HEADROOM * (high - low)
    axes.set_ylim(low if chart.lowest is None else low - room, high if chart.highest is None else high + room)


def _floats(values: tuple[float | None, ...]) -> Any:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
