"""Numbers of rows as addresses, forms and messages name them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST_DIGITS: Final = 15
"""More than any row has, and far from where a database's integers end."""


def row_number(text: str) -> int:
    """0, which no row has, for what is no number."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
    return int(text) if is_number else 0


def row_numbers(texts: Iterable[str]) -> list[int]:
    """What is no number is left out."""
    return [number for text in texts if (number := row_number(text))]
