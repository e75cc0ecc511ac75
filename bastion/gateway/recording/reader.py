"""Reads a recording, finished or still growing. Writer and readers share nothing but the files."""

import itertools
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
    return list(_newest_first(directory))[::-1]


def plain_from(directory: Path, offset: int) -> Iterator[bytes]:
    """The recording's plain text from a byte on, up to what is written now.

    A piece that is closed meanwhile is read on from where it was, so that nothing comes twice or is left out.
    """
    return (part for _, part in parts_from(directory, offset))


def parts_from(directory: Path, offset: int, size: int = _PART) -> Iterator[tuple[int, bytes]]:
    """The same with the place of each part. Pieces whose bytes have gone, since the portal has them, are left out."""
    entry = next((entry for entry in _newest_first(directory) if entry.offset <= offset), None)
    number, at = (entry.number, entry.offset) if entry else (1, 0)
    if entry and offset >= at + entry.plain_bytes:
        number, at = number + 1, at + entry.plain_bytes
    while (piece := _piece(directory, number)) is not None:
        plain, length, is_closed = piece
        for start in range(max(0, offset - at), len(plain), size):
            yield at + start, plain[start : start + size]
        if not is_closed:
            return
        number, at = number + 1, at + length


def newest_screen(directory: Path) -> int:
    """Where the newest piece that is here and begins with the whole screen begins; without one, the newest of all."""
    closed = _newest_first(directory)
    newest = next(closed, None)
    number, at = (newest.number + 1, newest.offset + newest.plain_bytes) if newest else (1, 0)
    if newest is None or _begins_whole(directory / chain.open_name(number)):
        return at
    last: Entry | None = None
    for entry in itertools.chain((newest,), closed):
        if not (directory / chain.piece_name(entry.number)).exists():
            break  # the portal has it, and so all before it
        if entry.has_keyframe:
            return entry.offset
        last = last or entry
    return last.offset if last else at


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


def _newest_first(directory: Path) -> Iterator[Entry]:
    """The closed pieces; of each no more is read than is asked for."""
    closed = [number for number, kinds in chain.numbers(directory).items() if "json" in kinds]
    for number in sorted(closed, reverse=True):
        link = chain.read((directory / chain.link_name(number)).read_bytes()).link
        yield Entry(number, link.offset, link.plain_bytes, link.first_s, link.last_s, has_keyframe=link.has_keyframe)


def _begins_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b', "k", ' in file.read(64)
    except FileNotFoundError:
        return False


def _piece(directory: Path, number: int) -> tuple[bytes, int, bool] | None:
    """A piece's plain text, how long it is or was, and whether it is closed.

    The link is what makes it so, and comes before the plain text goes; the packed bytes go once the portal has them.
    """
    for _ in range(2):
        try:
            link = chain.read((directory / chain.link_name(number)).read_bytes()).link
        except FileNotFoundError:
            pass
        else:
            return _unpacked(directory / chain.piece_name(number)), link.plain_bytes, True
        try:
            plain = (directory / chain.open_name(number)).read_bytes()
        except FileNotFoundError:
            continue
        return plain, len(plain), False
    return None


def _unpacked(path: Path) -> bytes:
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return b""
    return bytes(cramjam.zstd.decompress(stored)) if stored else b""
