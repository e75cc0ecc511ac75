"""Reads a recording, finished or still growing. Writer and readers share nothing but the files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cramjam

from bastion.gateway.recording import cast, chain
from bastion.gateway.recording.cast import Header, Row

_PART = 256 * 1024


@dataclass(frozen=True)
class Entry:
    """A piece in the index. The open one has no end yet: its `plain_bytes` and `last_s` are what they are now."""

    number: int
    offset: int
    plain_bytes: int
    first_s: float
    last_s: float
    has_keyframe: bool


def header(directory: Path) -> Header:
    """Raises ValueError when there is none."""
    return cast.read_header(next(_lines(directory, 0), b"{}"))


def index(directory: Path) -> list[Entry]:
    """The closed pieces, in order."""
    entries = []
    for number in sorted(chain.numbers(directory)):
        try:
            link = chain.read((directory / chain.link_name(number)).read_bytes()).link
        except FileNotFoundError:
            break
        entries.append(
            Entry(number, link.offset, link.plain_bytes, link.first_s, link.last_s, has_keyframe=link.has_keyframe)
        )
    return entries


def plain_from(directory: Path, offset: int) -> Iterator[bytes]:
    """The recording's plain text from a byte on, up to what is written now.

    A piece that is closed meanwhile is read on from where it was, so that nothing comes twice or is left out.
    """
    entry = next((entry for entry in reversed(index(directory)) if entry.offset <= offset), None)
    number, at = (entry.number, entry.offset) if entry else (1, 0)
    while (piece := _piece(directory, number)) is not None:
        plain, is_closed = piece
        start = max(0, offset - at)
        for part in range(start, len(plain), _PART):
            yield plain[part : part + _PART]
        if not is_closed:
            return
        number, at = number + 1, at + len(plain)


def rows(directory: Path, offset: int = 0) -> Iterator[Row]:
    """Rows from the byte on at which one begins; without the header, and without a row that is only half there."""
    for line in _lines(directory, offset):
        if line.startswith(b"["):
            yield cast.parse(line)


def seek(directory: Path, at_s: float) -> Iterator[Row]:
    """Rows for a player that jumps to a moment: the screen at the last keyframe before it, and all that follows."""
    entries = [entry for entry in index(directory) if entry.has_keyframe and entry.first_s <= at_s]
    follow = rows(directory, entries[-1].offset if entries else 0)
    if entries:
        yield from cast.redrawn(next(follow))
    yield from follow


def _lines(directory: Path, offset: int) -> Iterator[bytes]:
    rest = b""
    for part in plain_from(directory, offset):
        lines = (rest + part).splitlines(keepends=True) if b"\n" in part else [rest + part]
        rest = lines.pop() if not lines[-1].endswith(b"\n") else b""
        yield from lines


def _piece(directory: Path, number: int) -> tuple[bytes, bool] | None:
    """A piece's plain text, and whether it is closed. The link is what makes it so, and comes before the plain goes."""
    for _ in range(2):
        if (directory / chain.link_name(number)).exists():
            stored = (directory / chain.piece_name(number)).read_bytes()
            return bytes(cramjam.zstd.decompress(stored)) if stored else b"", True
        try:
            return (directory / chain.open_name(number)).read_bytes(), False
        except FileNotFoundError:
            continue
    return None
