"""Counts keywords in log files as they grow, across rotation, truncation and restarts of the agent (R36, R38).

A file is known by device and inode, not by its name: a rotated file is read to its end before the new one is begun.
What was counted and up to where goes into the state directory, so that a restart neither loses nor doubles a line.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from monitoring.agent.masking import masked_line

MAX_FILES: Final = 20
MAX_BYTES: Final = 8 * 1024 * 1024
"""Read from one file at one reading; the rest waits for the next."""
MAX_BACKLOG: Final = 256 * 1024 * 1024
"""More than this behind and the older part is skipped, and told as skipped."""
MAX_LINE: Final = 64 * 1024
KEPT_LINES: Final = 5
LINE_SHOWN: Final = 240
CHUNK: Final = 256 * 1024
STATE_FILE: Final = "logs.json"
NOWHERE: Final = (0, 0)


@dataclass(frozen=True, slots=True)
class Keyword:
    name: str
    pattern: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class LogWatch:
    """A group of files and what is counted in them."""

    name: str
    files: str
    keywords: tuple[Keyword, ...]


@dataclass(slots=True)
class _Place:
    """Where we are in one file."""

    identity: tuple[int, int]
    offset: int
    handle: BinaryIO | None = None
    skipped: int = 0
    problem: str = ""


@dataclass(slots=True)
class _Tally:
    count: int = 0
    lines: list[str] = field(default_factory=list)


class LogKeywords:
    """Keeps the counts. `read` may be called by several requests; one reads at a time."""

    def __init__(self, watches: Sequence[LogWatch], *, state_dir: Path | None = None) -> None:
        self._watches = watches
        self._file = state_dir / STATE_FILE if state_dir else None
        self._places: dict[tuple[str, str], _Place] = {}
        self._tallies: dict[tuple[str, str, str], _Tally] = {}
        self._lock = threading.Lock()
        self._began = False
        self._restore()

    def read(self) -> list[dict[str, Any]]:
        """Count what is new and give all counts: one entry per group, file and keyword."""
        with self._lock:
            found = [entry for watch in self._watches for entry in self._watch(watch)]
            self._began = True
            self._save()
            return found

    def _watch(self, watch: LogWatch) -> Iterator[dict[str, Any]]:
        paths = sorted(glob.glob(watch.files, recursive=True))[:MAX_FILES]  # noqa: PTH207 - absolute patterns
        for path in paths:
            place = self._advance(watch, path)
            for keyword in watch.keywords:
                tally = self._tallies.setdefault((watch.name, path, keyword.name), _Tally())
                yield {
                    "log": watch.name,
                    "file": path,
                    "keyword": keyword.name,
                    "count": tally.count,
                    "lines": list(tally.lines),
                    "skipped_bytes": place.skipped,
                    "problem": place.problem,
                }
        if not paths:
            yield {"log": watch.name, "file": watch.files, "keyword": "", "count": 0, "lines": [], "skipped_bytes": 0,
                   "problem": "missing"}  # fmt: skip

    def _advance(self, watch: LogWatch, path: str) -> _Place:
        key = (watch.name, path)
        place = self._places.get(key)
        try:
            facts = os.stat(path)  # noqa: PTH116 - the path is text throughout
        except OSError as error:
            place = place or _Place(NOWHERE, 0)
            place.problem = "not_permitted" if isinstance(error, PermissionError) else "missing"
            return self._places.setdefault(key, place)
        identity = (facts.st_dev, facts.st_ino)
        if place is None or place.identity == NOWHERE:
            # A file that was there before the agent came: its past is not ours. One that appears later is all new.
            place = self._places[key] = _Place(identity, 0 if self._began else facts.st_size)
        elif place.identity != identity:
            self._finish(watch, path, place)
            place = self._places[key] = _Place(identity, 0, skipped=place.skipped)
        elif facts.st_size < place.offset:
            place.offset = 0  # truncated in place, as copytruncate does
        place.problem = ""
        if facts.st_size - place.offset > MAX_BACKLOG:
            place.skipped += facts.st_size - place.offset - MAX_BYTES
            place.offset = facts.st_size - MAX_BYTES
        try:
            handle = self._opened(path, place)
            self._count(watch, path, place, handle)
            if os.name != "posix":  # elsewhere an open file cannot be renamed
                handle.close()
                place.handle = None
        except OSError as error:
            place.problem = "not_permitted" if isinstance(error, PermissionError) else str(error.strerror)
        return place

    def _opened(self, path: str, place: _Place) -> BinaryIO:
        if place.handle is None:
            place.handle = open(path, "rb")  # noqa: SIM115, PTH123 - stays open to outlive a rename
            facts = os.fstat(place.handle.fileno())
            if (facts.st_dev, facts.st_ino) != place.identity:  # rotated between stat and open
                place.identity, place.offset = (facts.st_dev, facts.st_ino), 0
        return place.handle

    def _finish(self, watch: LogWatch, path: str, place: _Place) -> None:
        """What was still written to the file that has been rotated away."""
        handle = place.handle or _rotated(path, place.identity)
        if handle is not None:
            with contextlib.suppress(OSError), handle:
                self._count(watch, path, place, handle, is_last=True)

    def _count(self, watch: LogWatch, path: str, place: _Place, handle: BinaryIO, *, is_last: bool = False) -> None:
        """Read what is new, whole lines only; the beginning of a line waits for its end."""
        handle.seek(place.offset)
        left, rest = MAX_BYTES, b""
        while left > 0 and (chunk := handle.read(min(CHUNK, left))):
            left -= len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._match(watch, path, line)
        place.offset = handle.tell() - len(rest)
        if rest and is_last:
            self._match(watch, path, rest)

    def _match(self, watch: LogWatch, path: str, line: bytes) -> None:
        for keyword in watch.keywords:
            if keyword.pattern.search(line):
                tally = self._tallies.setdefault((watch.name, path, keyword.name), _Tally())
                tally.count += 1
                text = line.decode("utf-8", "replace").replace("\x00", "").strip()
                tally.lines = [*tally.lines, masked_line(text)[:LINE_SHOWN]][-KEPT_LINES:]

    def _restore(self) -> None:
        if self._file is None or not self._file.exists():
            return
        try:
            saved: Mapping[str, Any] = json.loads(self._file.read_text("utf-8"))
            for log, path, device, inode, offset, skipped in saved["places"]:
                self._places[log, path] = _Place((device, inode), offset, skipped=skipped)
            for log, path, keyword, count, lines in saved["counts"]:
                self._tallies[log, path, keyword] = _Tally(count, list(lines))
            self._began = True
        except (OSError, ValueError, KeyError, TypeError):
            self._places.clear()  # an unreadable memory is no memory: begin at the end of each file
            self._tallies.clear()

    def _save(self) -> None:
        if self._file is None:
            return
        places = [
            [*key, *place.identity, place.offset, place.skipped]
            for key, place in self._places.items()
            if place.identity != NOWHERE
        ]
        counts = [[*key, tally.count, tally.lines] for key, tally in self._tallies.items()]
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps({"places": places, "counts": counts}), "utf-8")
            fresh.chmod(0o600)
            fresh.replace(self._file)


def _rotated(path: str, identity: tuple[int, int]) -> BinaryIO | None:
    """The file under its new name, when the agent was not running while it was renamed."""
    for sibling in glob.glob(glob.escape(path) + "*"):  # noqa: PTH207 - absolute patterns
        with contextlib.suppress(OSError):
            facts = os.stat(sibling)  # noqa: PTH116 - the path is text throughout
            if (facts.st_dev, facts.st_ino) == identity:
                return open(sibling, "rb")  # noqa: PTH123 - closed by the caller
    return None
