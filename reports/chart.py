"""The line of time of an accident as a drawing: positions only, the template draws them. Pure.

Labels that would lie over each other move to further rows, below one another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

Place = Callable[[datetime], float]
WIDTH: Final = 640.0
MARGIN: Final = 24.0
ROW: Final = 15.0
TOP: Final = 44.0
MOST_EVENTS: Final = 14
MINUTES: Final = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440, 2880, 10080)
STEPS: Final = tuple(timedelta(minutes=minutes) for minutes in MINUTES)
MOST_TICKS: Final = 9
WIDE: Final = 9.0
NARROW: Final = 5.0
GAP: Final = 3.0


@dataclass(frozen=True, slots=True)
class Event:
    at: datetime
    label: str
    tone: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An event where it is drawn: its needle's place, its label's line; a label `is_left` of its needle ends there."""

    x: float
    text_x: float
    y: float
    label: str
    tone: str
    is_left: bool


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    width: float
    height: float
    outage_x: float
    outage_width: float
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]


def draw(events: Sequence[Event], outage: tuple[datetime, datetime], zone: ZoneInfo) -> Chart:
    """The drawing of an outage and what happened around it; of many events the first and last ones stay."""
    shown = sorted(events, key=lambda event: event.at)
    if len(shown) > MOST_EVENTS:
        half = MOST_EVENTS // 2
        shown = [*shown[:half], *shown[-half:]]
    moments = [*outage, *(event.at for event in shown)]
    first, last = min(moments), max(*moments, min(moments) + timedelta(minutes=1))
    pad = (last - first) * 0.03
    first, last = first - pad, last + pad
    scale = (WIDTH - 2 * MARGIN) / (last - first).total_seconds()

    def place(moment: datetime) -> float:
        return round(MARGIN + (moment - first).total_seconds() * scale, 1)

    marks = _marks(shown, place)
    start, end = place(outage[0]), place(outage[1])
    height = max((mark.y for mark in marks), default=TOP) + ROW
    return Chart(WIDTH, height, start, max(round(end - start, 1), 1.0), marks, _ticks(first, last, place, zone))


def _marks(shown: Sequence[Event], place: Place) -> tuple[Mark, ...]:
    """The latest first, in the upper rows: no needle on its way down runs through the label of an earlier one."""
    begun: list[float] = []
    marks = []
    for event in sorted(shown, key=lambda one: one.at.timestamp(), reverse=True):
        x = place(event.at)
        width = _width(event.label) + 8
        is_left = x + width > WIDTH
        begins, stops = (x - width, x) if is_left else (x, x + width)
        row = next((number for number, start in enumerate(begun) if stops <= start), len(begun))
        if row == len(begun):
            begun.append(begins)
        else:
            begun[row] = begins
        marks.append(Mark(x, x - GAP if is_left else x + GAP, TOP + ROW * (row + 1), event.label, event.tone, is_left))
    return tuple(reversed(marks))


def _ticks(first: datetime, last: datetime, place: Place, zone: ZoneInfo) -> tuple[Tick, ...]:
    step = next((one for one in STEPS if (last - first) / one <= MOST_TICKS), STEPS[-1])
    local = first.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = midnight + ((local - midnight) // step + 1) * step
    ticks = []
    while moment <= last:
        label = moment.strftime("%m-%d" if step >= timedelta(days=1) else "%H:%M")
        ticks.append(Tick(place(moment), label))
        moment += step
    return tuple(ticks)


def _width(label: str) -> float:
    return sum(WIDE if ord(char) > 0x2E7F else NARROW for char in label)
