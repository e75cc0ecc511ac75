"""scp in its old form (`scp -O`): the target's own scp does the work, its records are read on the way.

One side sends records (`C0644 size name`, `D…`, `E`, `T…`) and data, the other answers each with a byte: 0, or 1 or 2
and a line of text. A source waits for the answer to a `C` before it sends data, and sends none after an error.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from bastion.gateway.contract import Action
from bastion.gateway.session import Session
from bastion.gateway.ssh.files import Ledger, Transfer, plain_words, text
from bastion.gateway.ssh.relay import CUT, Ask, Relay, Screen
from bastion.gateway.ssh.target import Link

LONGEST_LINE = 8192
COPY = re.compile(rb"C[0-7]{1,5} (\d{1,19}) ([^/\n]+)")
FOLDER = re.compile(rb"D[0-7]{1,5} \d{1,19} ([^/\n]+)")
TIMES = re.compile(rb"T\d+ \d+ \d+ \d+")
MOST_AWAITED, MOST_FOLDERS = 64, 128
FLAGS = re.compile(r"-[tfdprvq]+")


@dataclass(frozen=True)
class Copy:
    """What `scp -t path` or `scp -f path` asks for."""

    is_upload: bool
    path: str


def read_command(command: str) -> Copy | None:
    """None: not plainly an scp server; a shell would do more with it than start scp."""
    words = plain_words(command, {"scp"})
    flags = ""
    while words and words[0] != "--" and FLAGS.fullmatch(words[0]):
        flags += words.pop(0)[1:]
    if words and words[0] == "--":
        words.pop(0)
    if not words or ("t" in flags) == ("f" in flags):
        return None
    return Copy("t" in flags, " ".join(words))


class BadRecord(Exception):
    """Not scp."""


class _At(Enum):
    RECORD = auto()
    START = auto()  # A `C` was sent, its answer is to come.
    DATA = auto()
    END = auto()  # The byte after the data, or an error line.


@dataclass
class Watch:
    """Reads both directions of one scp. Raises BadRecord."""

    ledger: Ledger
    copy: Copy
    _line: bytearray = field(default_factory=bytearray)
    _answer: bytearray = field(default_factory=bytearray)
    _at: _At = _At.RECORD
    _left: int = 0
    _folders: list[str] = field(default_factory=list)
    _file: Transfer | None = None
    _is_good: bool = True
    _awaited: deque[tuple[str, str]] = field(default_factory=lambda: deque([("hello", "")]))
    """What the answers to come are for, with the path of a new folder."""

    def source(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = self._data(view) if self._at is _At.DATA else self._byte(view)

    def _data(self, view: memoryview) -> memoryview:
        part = view[: self._left]
        if self._file is not None:
            self.ledger.passed(self._file, self._file.size, part)
        self._left -= len(part)
        if self._left == 0:
            self._at = _At.END
        return view[len(part) :]

    def _byte(self, view: memoryview) -> memoryview:
        if self._at is _At.START:
            raise BadRecord
        if self._at is _At.END and not self._line and view[0] == 0:
            self._at = _At.RECORD
            self._await("end")
            return view[1:]
        rest = bytes(view)
        line, newline, after = rest.partition(b"\n")
        self._line += line
        if len(self._line) > LONGEST_LINE:
            raise BadRecord
        if not newline:
            return view[:0]
        record = bytes(self._line)
        self._line.clear()
        self._record(record)
        return view[len(rest) - len(after) :]

    def _record(self, record: bytes) -> None:
        if record[:1] in {b"\x01", b"\x02"}:  # The source says what went wrong; nobody answers that.
            if self._at is _At.END:
                self._is_good, self._at = False, _At.RECORD
                self._await("end")
        elif self._at is _At.END:
            raise BadRecord
        elif match := COPY.fullmatch(record):
            path = self._path(match[2].decode("utf-8", "replace"))
            self._file = self.ledger.begin(path, "up" if self.copy.is_upload else "down")
            self._is_good, self._left, self._at = True, int(match[1]), _At.START
            self._await("start")
        elif match := FOLDER.fullmatch(record):
            name = match[1].decode("utf-8", "replace")
            if len(self._folders) >= MOST_FOLDERS:
                raise BadRecord
            self._await("folder", text(self._path(name)))
            self._folders.append(name)
        elif record == b"E":
            self._folders = self._folders[:-1]
            self._await("record")
        elif TIMES.fullmatch(record):
            self._await("record")
        else:
            raise BadRecord

    def _await(self, what: str, path: str = "") -> None:
        """No source sends many records ahead of their answers."""
        if len(self._awaited) >= MOST_AWAITED:
            raise BadRecord
        self._awaited.append((what, path))

    def sink(self, data: bytes) -> None:
        """The answers."""
        for byte in data:
            if self._answer or byte in {1, 2}:
                self._answer.append(byte)
                if len(self._answer) > LONGEST_LINE:
                    raise BadRecord
                if byte == 0x0A:
                    self._answer.clear()
                    self._answered(is_good=False)
            elif byte == 0:
                self._answered(is_good=True)
            else:
                raise BadRecord

    def _answered(self, *, is_good: bool) -> None:
        if not self._awaited:
            return  # A sink may complain at any time.
        awaited, path = self._awaited.popleft()
        if awaited == "folder":
            if self.copy.is_upload:
                self.ledger.changed("mkdir", path, result="done" if is_good else "failed")
            self._folders = self._folders if is_good else self._folders[:-1]
        elif awaited == "start":
            self._at = _At.RECORD
            if not is_good:
                self._finish(is_good=False)
            else:
                self._at = _At.DATA if self._left else _At.END
        elif awaited == "end":
            self._finish(is_good=is_good and self._is_good)

    def _finish(self, *, is_good: bool) -> None:
        if self._file is not None:
            self._file.is_failed = not is_good
            self.ledger.finish(self._file)
            self._file = None

    def _path(self, name: str) -> str:
        """As far as the records tell: a directory that is there already and a new name look alike.

        What is fetched, the source names itself: `/etc/passwd` comes as `passwd`.
        """
        place = self.copy.path.rstrip("/")
        place = place + "/" if self.copy.is_upload else place[: place.rfind("/") + 1]
        return place + "/".join([*self._folders, name])


class Scp(Relay):
    """A relay whose data is files: noted as such, and not recorded as a terminal's."""

    def __init__(self, session: Session, screen: Screen, ask: Ask, copy: Copy) -> None:
        super().__init__(session, screen, ask, frozenset({Action.UPLOAD if copy.is_upload else Action.DOWNLOAD}))
        self._copy, self._ledger = copy, Ledger(session, "scp")
        self._watch = Watch(self._ledger, copy)

    async def open(self, link: Link) -> None:
        session = self.session
        session.attach(self)
        session.opened("scp")
        if self.missing():
            self._ledger.refused(self._copy.path, "up" if self._copy.is_upload else "down")
            session.end("exit", session.say("no_files"), exit_status=CUT)
            return
        if await self.may_run():
            await self.connect(link)

    def input(self, data: bytes) -> None:
        session = self.session
        self._pass_on()
        if session.is_over:
            return
        session.used()
        if self._read(data, is_source=self._copy.is_upload):
            self.to_target(data)

    def receives(self, data: bytes) -> bool:
        return self._read(data, is_source=not self._copy.is_upload)

    def _read(self, data: bytes, *, is_source: bool) -> bool:
        try:
            (self._watch.source if is_source else self._watch.sink)(data)
        except BadRecord:
            self.session.refused("scp", "bad_record")
            self.session.end("exit", exit_status=CUT)
            return False
        return True

    def lock(self, is_locked: bool) -> None:
        self.input_valve.turn("lock", is_held=is_locked)
        self.output_valve.turn("lock", is_held=is_locked)

    def cut(self, exit_status: int | None) -> None:
        self._pass_on()
        self._ledger.finish_all()
        super().cut(exit_status)
