"""Reading the Prometheus text format into columns.

Fast because a series is looked up by its text: everything before the last space of a line. A text seen once,
on any host, costs one dictionary look-up from then on; only new texts are taken apart. Format:
https://prometheus.io/docs/instrumenting/exposition_formats/ (text version 0.0.4).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")

ACCEPT: Final = "text/plain;version=0.0.4;q=1, */*;q=0.1"
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*')
ESCAPE = re.compile(r"\\(.)")
MAX_KNOWN: Final = 500_000
MAX_LAYOUTS: Final = 10_000


class ExpositionError(ValueError):
    """A line is not in the format; says which one."""


class Series(list[T]):
    """The wanted series of a page that comes again: made once, never changed.

    ``shape`` belongs to whoever makes figures of them, who notes there what follows from the series alone.
    """

    __slots__ = ("shape",)

    def __init__(self, series: Iterable[T]) -> None:
        super().__init__(series)
        self.shape: object = None


@dataclass(slots=True)
class Page(Generic[T]):
    """The wanted series of one answer, with their values, in the order of the text."""

    series: list[T] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    lines: int = 0


class _Unknown:
    """Marks a text that has not been seen."""


UNKNOWN: Final = _Unknown()


class _Layout(Generic[T]):
    """The lines of a page without their values, and which of them are wanted."""

    def __init__(self, heads: Sequence[str], places: Sequence[int], series: Series[T]) -> None:
        self._heads = tuple(heads)  # tuples of texts are no work for the garbage collector
        self._places = tuple(places)
        self._starts = tuple(len(heads[place]) for place in places)
        self._series = series

    def read(self, text: str) -> Page[T] | None:
        """The page, or None when a line is another one than before or its value is not a plain number."""
        lines = text.split("\n")
        if len(lines) != len(self._heads) or not all(map(str.startswith, lines, self._heads)):
            return None
        try:
            values = [float(lines[place][start:]) for place, start in zip(self._places, self._starts, strict=True)]
        except ValueError:
            return None
        return Page(self._series, values, len(lines))


class Parser(Generic[T]):
    """Parses pages, keeping what ``choose(name, labels)`` made of each series it wants (None: not wanted).

    One parser serves all hosts: most of their series have the same text. The memory of texts is bounded;
    an exporter that invents labels costs time, never memory. A page whose lines name the same series in the same order
    as the one before of the same ``source`` is only compared and its wanted values are read.
    """

    def __init__(self, choose: Callable[[str, Mapping[str, str]], T | None], *, max_known: int = MAX_KNOWN) -> None:
        self._choose = choose
        self._known: dict[str, T | None] = {}
        self._max_known = max_known
        self._layouts: dict[object, _Layout[T]] = {}

    def parse(self, text: str, *, source: object = None) -> Page[T]:
        """Read one page. Raises :class:`ExpositionError` at the first line that is not in the format."""
        if "\x00" in text:
            raise ExpositionError("the text holds a zero byte")
        if source is None:
            return self._parse(text)
        layout = self._layouts.get(source)
        page = None if layout is None else layout.read(text)
        if page is None:
            page = self._parse(text)
            self._lay_out(source, text, page)
        return page

    def _lay_out(self, source: object, text: str, page: Page[T]) -> None:
        """Remember how this page is made, if each of its lines is known by what precedes its last space."""
        heads, places = [], []
        for place, line in enumerate(text.split("\n")):
            head, space, _ = line.rpartition(" ")
            series = self._known.get(head, UNKNOWN) if space else None
            if isinstance(series, _Unknown):
                self._layouts.pop(source, None)
                return
            if series is not None:
                places.append(place)
            heads.append(line if line.startswith("#") else head + space)
        if len(places) == len(page.series):
            if len(self._layouts) >= MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[source] = _Layout(heads, places, Series(page.series))

    def _parse(self, text: str) -> Page[T]:
        page: Page[T] = Page()
        known: Callable[[str, object], object] = self._known.get
        keep, keep_value = page.series.append, page.values.append
        lines = text.split("\n")
        for number, line in enumerate(lines, start=1):
            head, _, tail = line.rpartition(" ")
            series = known(head, UNKNOWN)
            if series is None:
                continue
            if series is UNKNOWN:
                series, tail = self._learn(number, line, head, tail)
                if series is None:
                    continue
            try:
                value = float(tail)
            except ValueError:
                raise ExpositionError(f"line {number}: {tail[:40]!r} is not a number") from None
            keep(series)  # type: ignore[arg-type]  # what is neither None nor UNKNOWN is a T
            keep_value(value)
        page.lines = len(lines)
        return page

    def _learn(self, number: int, line: str, head: str, tail: str) -> tuple[T | None, str]:
        """Take one line apart; remember its series if the fast path may know it next time."""
        text = line.strip()
        if not text or text.startswith("#"):
            if head.startswith("#"):
                self._remember(head, None)
            return None, ""
        name, labels, rest = split_series(text, number)
        words = rest.split()
        if len(words) not in (1, 2):
            raise ExpositionError(f"line {number}: expected a value after the series, found {rest[:40]!r}")
        series = self._choose(name, labels)
        if len(words) == 1 and words[0] == tail:
            self._remember(head, series)
        return series, words[0]

    def _remember(self, head: str, series: T | None) -> None:
        if len(self._known) >= self._max_known:
            self._known.clear()
        self._known[head] = series


def split_series(text: str, number: int = 1) -> tuple[str, dict[str, str], str]:
    """``name{labels} rest`` as name, labels (unescaped) and what follows."""
    match = NAME.match(text)
    if match is None:
        raise ExpositionError(f"line {number}: {text[:40]!r} does not begin with a metric name")
    name, at = match.group(), match.end()
    rest = text[at:].lstrip()
    labels: dict[str, str] = {}
    if not rest.startswith("{"):
        if rest and not text[at].isspace():
            raise ExpositionError(f"line {number}: {text[:40]!r} is not a metric name")
        return name, labels, rest
    at = 1
    while (found := LABEL.match(rest, at)) is not None:
        labels[found.group(1)] = ESCAPE.sub(_unescaped, found.group(2)) if "\\" in found.group(2) else found.group(2)
        at = found.end()
        if at < len(rest) and rest[at] == ",":
            at += 1
            continue
        break
    closed = re.compile(r"\s*\}").match(rest, at)
    if closed is None:
        raise ExpositionError(f"line {number}: the labels of {name} are not closed")
    return name, labels, rest[closed.end() :]


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match.group(1) == "n" else match.group(1)
