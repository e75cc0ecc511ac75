"""What a node has still to tell: facts and pieces wait on disk until the portal has them, in order, across restarts."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bastion.gateway import wire
from bastion.gateway.contract import Fact, Piece

MOST_AT_ONCE, MOST_BYTES = 500, 1024 * 1024
"""Of one request: the portal reads no more than some megabytes."""
SUFFIX: Final = ".facts"
GONE, BAD = ".gone", ".bad"
log = logging.getLogger(__name__)


class FactSpool:
    """One file per session, a line per fact. A line that a crash cut in half is the last one, and was never told."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._waiting: dict[str, list[Fact]] = {}
        self._over: set[str] = set()
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            self._waiting[path.stem] = list(self._read(path))
            self._note_end(path.stem)

    def add(self, fact: Fact) -> None:
        """Raises OSError when it cannot be kept: then the session must end."""
        _append(self._path(fact.session_id), wire.encode(fact) + b"\n")
        self._waiting.setdefault(fact.session_id, []).append(fact)
        self._note_end(fact.session_id)

    def interrupted(self) -> dict[str, int]:
        """Sessions that have begun and not ended, with the number of their last fact: asked before any begins."""
        return {key: facts[-1].number for key, facts in self._waiting.items() if facts and key not in self._over}

    def next(self) -> list[Fact]:
        """The oldest that wait, of all sessions together: as many as go into one request."""
        found: list[Fact] = []
        left = MOST_BYTES
        for fact in (fact for facts in self._waiting.values() for fact in facts):
            left -= len(wire.encode(fact))
            if found and (left < 0 or len(found) == MOST_AT_ONCE):
                break
            found.append(fact)
        return found

    def taken(self, upto: dict[str, int]) -> None:
        """Forget what has arrived; the file goes with the last fact of a session that is over."""
        for session_id, number in upto.items():
            self._waiting[session_id] = [fact for fact in self._waiting.get(session_id, []) if fact.number > number]
            if not self._waiting[session_id]:
                del self._waiting[session_id]
                if session_id in self._over:
                    self._over.discard(session_id)
                    self._path(session_id).unlink(missing_ok=True)

    def forget(self, session_id: str) -> None:
        """The portal knows no such session: nobody will ever take these."""
        self._waiting.pop(session_id, None)
        self._over.discard(session_id)
        self._path(session_id).unlink(missing_ok=True)

    def __len__(self) -> int:
        return sum(len(facts) for facts in self._waiting.values())

    def _note_end(self, session_id: str) -> None:
        facts = self._waiting.get(session_id)
        if facts and facts[-1].kind == "ended":
            self._over.add(session_id)

    def _path(self, session_id: str) -> Path:
        return self._directory / f"{session_id}{SUFFIX}"

    @staticmethod
    def _read(path: Path) -> Iterator[Fact]:
        for line in path.read_bytes().splitlines():
            try:
                yield wire.decode(Fact, line)
            except wire.Malformed:
                return


def _append(path: Path, line: bytes) -> None:
    """Whole or not at all: behind half a line, nothing would be read."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        if os.write(file, line) < len(line):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, "no room for a fact")
    finally:
        os.close(file)


class PieceSpool:
    """Closed pieces whose bytes the portal does not have yet. The mark of one that has arrived is a file beside it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        for left in directory.glob(f"*{GONE}"):
            shutil.rmtree(left, ignore_errors=True)
        found = (self._read(path) for path in sorted(directory.glob("*.json")))
        self._waiting = [piece for piece in found if piece is not None]

    def add(self, piece: Piece) -> None:
        """Before those that follow it in its recording; nothing happens when it waits already. Raises OSError."""
        mine = [(at, one.number) for at, one in enumerate(self._waiting) if one.session_id == piece.session_id]
        at, number = next((later for later in mine if later[1] >= piece.number), (len(self._waiting), 0))
        if number == piece.number:
            return
        path = self._path(piece)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(piece.__dict__))
        draft.replace(path)
        self._waiting.insert(at, piece)

    @staticmethod
    def _read(path: Path) -> Piece | None:
        """What cannot be read is set aside; the piece itself is found again where recordings lie."""
        try:
            return Piece(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as problem:
            log.error("%s cannot be read: %s", path.name, problem)
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(BAD))
            return None

    def next(self) -> Piece | None:
        return self._waiting[0] if self._waiting else None

    def taken(self, piece: Piece) -> None:
        """The portal has it: the bytes go from this machine, and with the last all that is left of the recording."""
        self._waiting.remove(piece)
        self._path(piece).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            Path(piece.path).unlink(missing_ok=True)
            link, recording = piece.link.get("link"), Path(piece.path).parent
            if isinstance(link, dict) and link.get("is_last") and recording.name == piece.session_id:
                self._remove(recording)

    def _remove(self, recording: Path) -> None:
        """Out of the way at once: half of it would be taken for a recording that a dead program left open."""
        gone = self._directory / f"{recording.name}{GONE}"
        recording.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def put_last(self, piece: Piece) -> None:
        """It was refused: other sessions should not wait behind it, and its own pieces follow it in order."""
        mine = [one for one in self._waiting if one.session_id == piece.session_id]
        self._waiting = [one for one in self._waiting if one.session_id != piece.session_id] + mine

    def __len__(self) -> int:
        return len(self._waiting)

    def _path(self, piece: Piece) -> Path:
        return self._directory / f"{piece.session_id}-{piece.number:06d}.json"
