"""How wide the columns of a printed table are, reckoned from its texts. Pure.

A renderer that finds it out itself sets every cell twice over, in its widest and in its narrowest form: a third of the
time that a long report takes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

WIDE: Final = 2.0
NARROW: Final = 1.15
"""Widths of characters in halves of the font's size: of East Asian ones and, on the safe side, of all others."""
PADDING: Final = 3.0
"""What a cell needs at its two sides, in the same unit."""
WORD: Final = 16
"""Characters up to which a text stays on one line: a number of an incident, a name, an address."""
WORDS: Final = re.compile(r"[!-~]+")
STEPS: Final = 40
"""Halvings until the widths are exact to a millionth."""


def shares(rows: Sequence[Sequence[str]], room: float) -> list[float]:
    """In per cent, of rows of texts, the labels among them, in so much room.

    Every column gets what its longest text needs, and of what is left in proportion; when that is more than there is,
    the widest ones give way, down to one width, and break their texts. No column gives way so far that a word breaks,
    unless there is no other way.
    """
    columns = list(zip(*rows, strict=True))
    needed = [PADDING + max(map(width, column)) for column in columns]
    least = [PADDING + max(map(unbroken, column)) for column in columns]
    if sum(needed) <= room:
        given = needed
    elif sum(least) >= room:
        given = least
    else:
        given = _level(least, needed, room)
    total = sum(given)
    return [round(100.0 * one / total, 2) for one in given]


def _level(least: Sequence[float], needed: Sequence[float], room: float) -> list[float]:
    """Those that want more than a certain width get that one, and the room is used up."""
    low, high = 0.0, max(needed)
    for _ in range(STEPS):
        middle = (low + high) / 2
        given = [min(max(middle, few), need) for few, need in zip(least, needed, strict=True)]
        low, high = (middle, high) if sum(given) < room else (low, middle)
    return given


def unbroken(text: str) -> float:
    """The width of what should stay on one line: a short text, otherwise its longest word. What is longer than a short
    text, a digest say, is no word."""
    if is_short(text):
        return width(text)
    return max((width(word) for word in WORDS.findall(text) if len(word) <= WORD), default=0.0)


def is_short(text: str, most: int = WORD) -> bool:
    """Whether it stays on one line."""
    return width(text) <= most * NARROW


def width(text: str) -> float:
    if text.isascii():
        return NARROW * len(text)
    return sum(WIDE if unicodedata.east_asian_width(char) in "WFA" else NARROW for char in text)
