"""How a printed table is laid out, reckoned from its texts: paper, size of type, widths of columns. Pure.

A renderer that finds it out itself sets every cell twice over, in its widest and in its narrowest form: a third of the
time that a long report takes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDE: Final = 2.0
"""The width of an East Asian character in halves of the font's size, which all widths here are counted in."""
NARROW: Final = 1.15
"""That of a usual letter."""
LIGHT: Final = (
    224, 323, 474, 555, 555, 921, 680, 278, 338, 338, 467, 555, 278, 347, 278, 392, 555, 555, 555, 555, 555, 555, 555,
    555, 555, 555, 278, 278, 555, 555, 555, 474, 946, 608, 657, 638, 688, 589, 552, 689, 728, 293, 535, 646, 543, 812,
    723, 742, 633, 742, 635, 596, 599, 721, 575, 878, 573, 531, 603, 338, 392, 338, 555, 559, 606, 563, 618, 510, 620,
    554, 325, 564, 607, 275, 275, 552, 284, 926, 610, 606, 620, 620, 388, 468, 377, 607, 521, 802, 498, 521, 475, 338,
    270, 338, 555,
)  # fmt: skip
BOLD: Final = (
    227, 370, 574, 590, 590, 963, 740, 325, 378, 378, 507, 590, 325, 370, 325, 387, 590, 590, 590, 590, 590, 590, 590,
    590, 590, 590, 325, 325, 590, 590, 590, 514, 1007, 641, 681, 656, 714, 615, 585, 717, 757, 330, 568, 686, 578, 853,
    749, 770, 667, 770, 682, 624, 625, 748, 619, 915, 627, 580, 613, 378, 387, 378, 590, 567, 626, 591, 644, 527, 644,
    581, 372, 597, 640, 304, 306, 604, 315, 964, 641, 626, 644, 644, 436, 495, 421, 637, 576, 863, 562, 574, 511, 378,
    296, 378, 590,
)  # fmt: skip
"""Advances of the printable ASCII characters in Noto Sans CJK, regular and bold, in thousandths of the font's size."""
PADDING, LESS_PADDING = 2.6, 2.0
"""What a cell needs at its two sides, and where there are several columns (`pdf/service.css`)."""
GRACE: Final = 1.02
"""By how much a text is taken to be wider than its letters are: what a renderer rounds."""
SHORT: Final = 16
"""Usual letters up to which a text stays on one line: a number of an incident, a name, an address."""
WORD: Final = 24
"""Characters up to which a word stays whole: an instance ID does, a digest does not."""
WORDS: Final = re.compile(r"[!-~]+")
STEPS: Final = 40
"""Halvings until the widths are exact to a millionth."""
POINT_MM: Final = 25.4 / 72
PORTRAIT_MM, LANDSCAPE_MM = 170.0, 257.0
"""How wide a page is between its margins (`pdf/accident.css`)."""
MANY: Final = 8
"""Columns from which a table may lie on its side."""
SEVERAL: Final = 7
"""Columns from which a table is printed smaller."""
USUAL, SMALLER = 9.0, 8.0


@dataclass(frozen=True, slots=True)
class Layout:
    """`shares`: of the columns, in per cent; `size` in points; `is_tight`: words break, there was no way around it."""

    is_landscape: bool
    size: float
    shares: list[float]
    is_tight: bool = False


def layout(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Layout:
    """The first choice, upright before lying and large type before small, that breaks no word, day or short heading."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(heads)
    padding = PADDING if len(heads) < SEVERAL else LESS_PADDING
    least = [
        padding + GRACE * max(unbroken(head, BOLD), *map(unbroken, column), 0.0)
        for head, column in zip(heads, columns, strict=True)
    ]
    needed = [
        padding + GRACE * max(width(head, BOLD), *map(width, column), 0.0)
        for head, column in zip(heads, columns, strict=True)
    ]
    choices = _choices(len(heads))
    for is_landscape, size in choices:
        if sum(least) <= room(is_landscape, size):
            return Layout(is_landscape, size, shares(least, needed, room(is_landscape, size)))
    is_landscape, size = choices[-1]
    return Layout(is_landscape, size, shares(least, needed, room(is_landscape, size)), is_tight=True)


def _choices(count: int) -> list[tuple[bool, float]]:
    if count >= MANY:
        return [(False, SMALLER), (False, 7.5), (True, SMALLER), (True, 7.0), (True, 6.0)]
    return [(False, size) for size in ((SMALLER, 7.0, 6.0) if count >= SEVERAL else (USUAL, SMALLER, 7.0, 6.0))]


def room(is_landscape: bool, size: float) -> float:
    """How many halves of its font's size a page is wide."""
    return (LANDSCAPE_MM if is_landscape else PORTRAIT_MM) / (size / 2 * POINT_MM)


def shares(least: Sequence[float], needed: Sequence[float], space: float) -> list[float]:
    """In per cent, of columns that want so much and must have so much, in so much room.

    Every column gets what its longest text needs, and of what is left in proportion; when that is more than there is,
    the widest ones give way, down to one width, and break their texts. No column gives way so far that a word breaks,
    unless there is no other way.
    """
    if sum(needed) <= space:
        given = needed
    elif sum(least) >= space:
        given = least
    else:
        given = _level(least, needed, space)
    total = sum(given)
    return [round(100.0 * one / total, 2) for one in given]


def _level(least: Sequence[float], needed: Sequence[float], space: float) -> list[float]:
    """Those that want more than a certain width get that one, and the room is used up."""
    low, high = 0.0, max(needed)
    for _ in range(STEPS):
        middle = (low + high) / 2
        given = [min(max(middle, few), need) for few, need in zip(least, needed, strict=True)]
        low, high = (middle, high) if sum(given) < space else (low, middle)
    return given


def unbroken(text: str, letters: Sequence[int] = LIGHT) -> float:
    """The width of what should stay on one line: a short text, otherwise its longest word. In a heading of Latin
    letters the words alone: they may stand below one another."""
    if is_short(text) if letters is LIGHT else is_whole_head(text):
        return width(text, letters)
    return max((width(word, letters) for word in words(text)), default=0.0)


def is_whole_head(text: str) -> bool:
    return not text.isascii() and is_short(text)


def words(text: str) -> list[str]:
    """The Latin words that stay whole. What is longer than one, a digest say, is none."""
    return [word for word in WORDS.findall(text) if len(word) <= WORD]


def is_short(text: str, most: int = SHORT) -> bool:
    """Whether it stays on one line."""
    return width(text) <= most * NARROW


def width(text: str, letters: Sequence[int] = LIGHT) -> float:
    return sum(map(letters.__getitem__, (ord(char) - 32 for char in text if " " <= char <= "~"))) / 500 + sum(
        WIDE if unicodedata.east_asian_width(char) in "WFA" else NARROW for char in text if not " " <= char <= "~"
    )
