"""Writes the recording of one session, and fails loudly: a session that cannot be recorded must end.

Every call writes through, so that a killed node loses nothing that was said to be recorded; what is still in memory is
typing whose echo has not come. A piece is closed, packed and signed at 256 KB or after ten seconds; of a flood, at most
four times a second or at 1 MB.
"""

import contextlib
import os
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import cramjam
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway.recording import cast, chain
from bastion.gateway.recording.cast import Code, Decoder, Header
from bastion.gateway.recording.chain import Link, Signed
from bastion.gateway.recording.screen import Screen
from bastion.gateway.redaction import HIDDEN, PipeRedactor, Redactor

PIECE_BYTES: Final = 256 * 1024
PIECE_S: Final = 10.0
FLOOD_BYTES: Final = 1024 * 1024
FLOOD_S: Final = 0.25
KEYFRAME_REST: Final = 20
"""After a keyframe, a flood has no other for this many times as long as it took: at most 5 % of the time."""
LEVEL: Final = 1
"""Of zstd: 3 is 12 % smaller on logs and a third slower."""
_PART = 64 * 1024

OnPiece = Callable[[Signed, Path], None]
"""Told of each closed piece: its link and where it lies."""
OnRows = Callable[[int, bytes], None]
"""Told of rows once they are on disk: the offset of the first, and their plain text."""


class RecordingFailed(Exception):
    """What is said or shown is not recorded; nothing more may pass."""


class Recorder:
    """Times of rows are seconds since `open`. Not thread-safe. Each method raises RecordingFailed."""

    def __init__(
        self,
        directory: Path,
        header: Header,
        key: Ed25519PrivateKey,
        on_piece: OnPiece | None = None,
        on_rows: OnRows | None = None,
        *,
        has_screen: bool = True,
        command: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use `open`."""
        self.screen = Screen(header.cols, header.rows) if has_screen else None
        self.offset = 0
        """Bytes of plain text so far."""
        self._clock, self._began, self._last_s = clock, clock(), 0.0
        self._pieces = _Pieces(directory, header.session_id, key, on_piece)
        self._on_rows = on_rows
        self._out, self._err = Decoder(), Decoder()
        self._redactor: Redactor | PipeRedactor = Redactor() if has_screen else PipeRedactor(command)
        self._keyframe_at = float("-inf")
        self._failure: BaseException | None = None
        self._is_closed = False

    @classmethod
    def open(
        cls,
        directory: Path,
        header: Header,
        key: Ed25519PrivateKey,
        on_piece: OnPiece | None = None,
        on_rows: OnRows | None = None,
        *,
        has_screen: bool = True,
        command: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> "Recorder":
        """Begin a recording in a directory that is new or empty. `has_screen`: there is a terminal.

        `command` is what runs without one: it may read a secret from its input.
        """
        recorder = cls(directory, header, key, on_piece, on_rows, has_screen=has_screen, command=command, clock=clock)
        recorder._begin(directory, header)
        return recorder

    def at_s(self) -> float:
        """Seconds into the recording; never back."""
        self._last_s = max(self._last_s, self._clock() - self._began)
        return self._last_s

    def output(self, data: bytes) -> None:
        """What the target shows."""
        for start in range(0, len(data), _PART):
            part = data[start : start + _PART] if len(data) > _PART else data
            self._write([("i", self._redactor.shown(part, self._clock())), ("o", self._out.feed(part))])
            if self.screen is not None:
                self.screen.feed(part)

    def error(self, data: bytes) -> None:
        """What a command without terminal says on its standard error."""
        for start in range(0, len(data), _PART):
            part = data[start : start + _PART]
            self._write([("i", self._redactor.shown(part, self._clock())), ("e", self._err.feed(part))])

    def input(self, data: bytes) -> None:
        """What the person types; it reaches the disk once it is known to be no secret."""
        if self.screen is not None:
            self.screen.interrupt()
        self._write([("i", self._redactor.typed(data, self._clock()))])

    def hidden_input(self) -> None:
        """Something was typed that is known to be secret."""
        self._write([("i", HIDDEN)])

    def resize(self, cols: int, rows: int) -> None:
        if self.screen is not None:
            self.screen.resize(cols, rows)
        self._write([("r", f"{cols}x{rows}")])

    def mark(self, label: str) -> None:
        self._write([("m", label)])

    def tick(self) -> None:
        """To be called about once a second: closes a piece that is old enough, settles what waits for its echo."""
        self._write([("i", self._redactor.settle(self._clock()))])

    def close(self) -> None:
        if self._is_closed:
            return
        rest: list[tuple[Code, str]] = [
            ("i", self._redactor.close()),
            ("o", self._out.close()),
            ("e", self._err.close()),
        ]
        with self._failing():
            self._add(rest, self.at_s())
            self._is_closed = True
            self._pieces.close_piece(is_last=True)

    def _begin(self, directory: Path, header: Header) -> None:
        with self._failing():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise FileExistsError("there is a recording already")
            self._append(header.line(), 0.0)

    def _write(self, rows: list[tuple[Code, str]]) -> None:
        if self._is_closed:
            raise RecordingFailed("the recording is closed")
        with self._failing():
            at_s = self.at_s()
            if self._pieces.is_due(at_s):
                self._pieces.close_piece()
            self._add(rows, at_s)

    def _add(self, rows: list[tuple[Code, str]], at_s: float) -> None:
        plain = b"".join([cast.line(at_s, code, text) for code, text in rows if text])
        if plain:
            keyframe = b"" if self._pieces.is_open else self._keyframe(at_s)
            self._append(keyframe + plain, at_s, has_keyframe=bool(keyframe))

    def _append(self, plain: bytes, at_s: float, *, has_keyframe: bool = False) -> None:
        self._pieces.append(plain, at_s, has_keyframe=has_keyframe)
        offset, self.offset = self.offset, self.offset + len(plain)
        if self._on_rows is not None:
            self._on_rows(offset, plain)

    def _keyframe(self, at_s: float) -> bytes:
        if self.screen is None or at_s < self._keyframe_at:
            return b""
        began = time.perf_counter()
        cols, rows = self.screen.size
        drawing = self.screen.keyframe()
        plain = cast.line(at_s, "k", f"{cols}x{rows} {drawing}") if drawing else b""
        self._keyframe_at = at_s + KEYFRAME_REST * (time.perf_counter() - began)
        return plain

    @contextlib.contextmanager
    def _failing(self) -> Generator[None]:
        if self._failure is not None:
            raise RecordingFailed("the recording has failed before") from self._failure
        try:
            yield
        except Exception as problem:
            self._failure = problem
            self._pieces.abandon()
            raise RecordingFailed(str(problem)) from problem


class _Pieces:
    """The files: one open piece of plain text, closed pieces packed and signed."""

    def __init__(self, directory: Path, session_id: str, key: Ed25519PrivateKey, on_piece: OnPiece | None) -> None:
        self._directory, self._session_id, self._key, self._on_piece = directory, session_id, key, on_piece
        self._previous: Link | None = None
        self._file: int | None = None
        self._plain: list[bytes] = []
        self._size, self._first_s, self._last_s, self._has_keyframe = 0, 0.0, 0.0, False

    @property
    def is_open(self) -> bool:
        return self._file is not None

    @property
    def number(self) -> int:
        return self._previous.number + 1 if self._previous else 1

    def is_due(self, at_s: float) -> bool:
        age = at_s - self._first_s
        if self._size >= PIECE_BYTES:
            return age >= FLOOD_S or self._size >= FLOOD_BYTES
        return self.is_open and age >= PIECE_S

    def append(self, plain: bytes, at_s: float, *, has_keyframe: bool = False) -> None:
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._file = os.open(self._directory / chain.open_name(self.number), flags, 0o600)
            self._plain, self._size, self._first_s, self._has_keyframe = [], 0, at_s, has_keyframe
        _write_all(self._file, plain)
        self._plain.append(plain)
        self._size, self._last_s = self._size + len(plain), at_s

    def close_piece(self, *, is_last: bool = False) -> None:
        """The link is written last and at once; whoever finds none goes on from the plain text."""
        previous, number = self._previous, self.number
        if self._file is None:
            at_s = previous.last_s if previous else 0.0
            self._plain, self._size, self._has_keyframe, self._first_s, self._last_s = [], 0, False, at_s, at_s
        signed = store(
            self._directory,
            b"".join(self._plain),
            Link(
                session_id=self._session_id,
                number=number,
                file=chain.piece_name(number),
                stored_bytes=0,
                sha256="",
                offset=previous.offset + previous.plain_bytes if previous else 0,
                plain_bytes=self._size,
                first_s=round(self._first_s, 6),
                last_s=round(self._last_s, 6),
                has_keyframe=self._has_keyframe,
                previous=previous.hash if previous else "",
                is_last=is_last,
            ),
            self._key,
        )
        self.abandon()
        (self._directory / chain.open_name(number)).unlink(missing_ok=True)
        self._previous, self._plain, self._size = signed.link, [], 0
        if self._on_piece is not None:
            self._on_piece(signed, self._directory / signed.link.file)

    def abandon(self) -> None:
        """Let go of the open file; what is in it stays for `recover`."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None


def store(directory: Path, plain: bytes, link: Link, key: Ed25519PrivateKey) -> Signed:
    """Pack a piece and write it with its signed link. Raises OSError."""
    stored = bytes(cramjam.zstd.compress(plain, level=LEVEL))
    signed = chain.sign(replace(link, stored_bytes=len(stored), sha256=sha256(stored).hexdigest()), key)
    _write_file(directory / link.file, stored)
    name = chain.link_name(link.number)
    _write_file(directory / f"{name}.new", signed.as_json())
    (directory / f"{name}.new").replace(directory / name)
    return signed


def _write_file(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(file, data)
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])
