"""Texts as the terms that a search finds them by: words, and for Chinese every two neighbouring characters. Pure.

PostgreSQL's own reader knows no word boundary in Chinese, so the vectors and queries are written here and only compared
there. A query wants all of its terms, or any of them; the last characters that somebody typed may be half a word.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

INDEXED = 20_000
"""Characters of a text that are indexed: a vector of PostgreSQL holds a megabyte at most."""
LAST_POSITION = 16_383
LONGEST_TERM = 60
MOST_ASKED = 24
HAN = "\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af"
RUN = re.compile(rf"[{HAN}]+|[^\W_]+")
IS_HAN = re.compile(rf"[{HAN}]")


def terms(text: str) -> list[str]:
    """Every term of a text in its order: `nginx 连接池` is nginx, 连接, 接池, 池."""
    found: list[str] = []
    for run in _runs(text[:INDEXED]):
        if IS_HAN.match(run):
            found += [run[place : place + 2] for place in range(len(run))]
        else:
            found.append(run)
    return found


def vector(*parts: tuple[str, str]) -> str:
    """A `tsvector` of (text, weight A to D) pairs, as PostgreSQL reads it."""
    entries: list[str] = []
    place = 0
    for text, weight in parts:
        for term in terms(text):
            place += 1
            entries.append(f"'{term}':{min(place, LAST_POSITION)}{weight}")
    return " ".join(entries)


def query(text: str, *, every: bool) -> str:
    """A `tsquery` for all terms of a text or for any of them; empty when it has none."""
    wanted: list[str] = []
    for run in _runs(text):
        if not IS_HAN.match(run) or len(run) == 1:
            wanted.append(f"'{run}':*")
        else:
            wanted += [f"'{run[place : place + 2]}'" for place in range(len(run) - 1)]
    return (" & " if every else " | ").join(list(dict.fromkeys(wanted))[:MOST_ASKED])


def words(names: Sequence[str]) -> list[str]:
    """Tags and products as they are kept: trimmed, in lower case, once each, in their order."""
    kept = (" ".join(unicodedata.normalize("NFKC", name).lower().split())[:40] for name in names)
    return list(dict.fromkeys(name for name in kept if name))


def _runs(text: str) -> Iterator[str]:
    normal = unicodedata.normalize("NFKC", text).lower()
    for run in RUN.findall(normal):
        yield from _split(run)


def _split(run: str) -> Iterator[str]:
    """Latin and Chinese that touch each other come as one run of letters."""
    for piece in re.findall(rf"[{HAN}]+|[^{HAN}]+", run):
        yield piece if IS_HAN.match(piece) else piece[:LONGEST_TERM]
