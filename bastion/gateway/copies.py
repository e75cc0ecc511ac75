"""Copies of files that pass: cut into parts on this node's disk until the portal has them, dropped when not whole."""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path
from typing import Final, NamedTuple

PART: Final = 1024 * 1024
UNFINISHED: Final = ".new"


class Part(NamedTuple):
    session_id: str
    copy: int
    number: int
    path: Path


class Copy:
    """One file as it passes, in order. What grows beyond `most` bytes, or finds no room, is given up."""

    def __init__(self, spool: CopySpool, session_id: str, number: int, most: int) -> None:
        self._spool, self._session_id, self.number, self._most = spool, session_id, number, most
        self._buffer, self._size = bytearray(), 0
        self._parts: list[Path] = []
        self._is_dropped = False

    def write(self, data: bytes | memoryview) -> None:
        if self._is_dropped:
            return
        self._size += len(data)
        if self._size > self._most:
            self.drop()
            return
        self._buffer += data
        while len(self._buffer) >= PART and not self._is_dropped:
            self._put(PART)

    def finish(self) -> bool:
        """Whole: hand it on. False: it was given up."""
        if not self._is_dropped and (self._buffer or not self._parts):
            self._put(len(self._buffer))
        if self._is_dropped:
            return False
        self._spool.add([Part(self._session_id, self.number, n, path) for n, path in enumerate(self._parts, 1)])
        return True

    def drop(self) -> None:
        self._is_dropped = True
        self._buffer.clear()
        for path in self._parts:
            path.unlink(missing_ok=True)
        self._parts.clear()

    def _put(self, length: int) -> None:
        path = self._spool.path(self._session_id, self.number, len(self._parts) + 1).with_suffix(UNFINISHED)
        self._parts.append(path)
        try:
            path.write_bytes(self._buffer[:length])
        except OSError:
            self.drop()
        else:
            del self._buffer[:length]


class CopySpool:
    """Parts that the portal does not have yet, the oldest first. One that was not finished is worth nothing."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        for left in directory.glob(f"*{UNFINISHED}"):
            left.unlink(missing_ok=True)
        self._waiting = deque(_part_of(path) for path in sorted(directory.iterdir()))

    def begin(self, session_id: str, number: int, most: int) -> Copy:
        return Copy(self, session_id, number, most)

    def add(self, parts: list[Part]) -> None:
        for part in parts:
            path = part.path.with_suffix("")
            with contextlib.suppress(OSError):
                part.path.replace(path)
                self._waiting.append(part._replace(path=path))

    def next(self) -> Part | None:
        return self._waiting[0] if self._waiting else None

    def taken(self, part: Part) -> None:
        """The portal has it, or will never take it."""
        self._waiting.remove(part)
        part.path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._waiting)

    def path(self, session_id: str, copy: int, number: int) -> Path:
        return self._directory / f"{session_id}_{copy:06d}_{number:06d}"


def _part_of(path: Path) -> Part:
    session_id, copy, number = path.name.rsplit("_", 2)
    return Part(session_id, int(copy), int(number), path)
