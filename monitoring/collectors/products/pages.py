"""Exporters' pages for products that have no status of their own that we could ask: the wanted series of one page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from monitoring.collectors.products.frame import CannotReadError
from monitoring.exposition import ExpositionError, Parser

Entry = tuple[str, Mapping[str, str], float]


@lru_cache(maxsize=16)
def _parser(prefixes: tuple[str, ...]) -> Parser[tuple[str, Mapping[str, str]]]:
    """One per product: its hosts share most of their series texts."""
    return Parser(lambda name, labels: (name, labels) if name.startswith(prefixes) else None)


def read(text: str, *prefixes: str) -> list[Entry]:
    """Name, labels and value of every series whose name begins with one of ``prefixes``."""
    try:
        page = _parser(prefixes).parse(text)
    except ExpositionError as error:
        raise CannotReadError("not_prometheus", str(error)) from None
    return [(name, labels, value) for (name, labels), value in zip(page.series, page.values, strict=True)]
