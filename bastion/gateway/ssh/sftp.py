"""SFTP, passed on packet by packet and read on the way: refused requests are answered here, all others by the target.

Request ids and the client's own pipelining stay as they are, so throughput does not fall by the round trip. Only what
is listed here passes; unknown requests and extensions are answered as unsupported, so nothing escapes the trail.
Version 3 (draft-ietf-secsh-filexfer-02), which OpenSSH speaks; a higher offer of the client is lowered.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

from bastion.gateway.contract import Action
from bastion.gateway.session import Session
from bastion.gateway.ssh.console import clean
from bastion.gateway.ssh.files import SFTP_SERVERS, Ledger, Transfer, plain_words
from bastion.gateway.ssh.pressure import Valve
from bastion.gateway.ssh.relay import CUT, Exit, Relay, Screen
from bastion.gateway.ssh.target import Link, TargetFailed

LONGEST_PACKET = 256 * 1024 + 1024  # As OpenSSH's client and server.
MOST_PENDING = 4096  # Requests without answer; OpenSSH's client has 64 at most.

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR = range(1, 12)
READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(12, 21)
STATUS, HANDLE, DATA, NAME, ATTRS = range(101, 106)
EXTENDED, EXTENDED_REPLY = 200, 201

OK, DENIED, BAD_MESSAGE, UNSUPPORTED = 0, 3, 5, 8
CAN_READ, CAN_WRITE, APPENDS, CREATES, TRUNCATES = 1, 2, 4, 8, 16
CHANGES = CAN_WRITE | APPENDS | CREATES | TRUNCATES

ONE_PATH = {REMOVE: "remove", MKDIR: "mkdir", RMDIR: "rmdir", SETSTAT: "setstat"}
TWO_PATHS = {RENAME: "rename", SYMLINK: "symlink"}
ASKING = {LSTAT, FSTAT, OPENDIR, READDIR, REALPATH, STAT, READLINK}
EXTENSIONS_ASKING = {
    b"statvfs@openssh.com",
    b"fstatvfs@openssh.com",
    b"limits@openssh.com",
    b"expand-path@openssh.com",
    b"users-groups-by-id@openssh.com",
    b"home-directory",
    b"fsync@openssh.com",
}
EXTENSIONS_CHANGING = {
    b"posix-rename@openssh.com": "rename",
    b"hardlink@openssh.com": "link",
    b"lsetstat@openssh.com": "setstat",
}
EXTENSIONS = EXTENSIONS_ASKING | set(EXTENSIONS_CHANGING)

U32, U64 = struct.Struct(">I"), struct.Struct(">Q")


class BadPacket(Exception):
    """Not SFTP."""


class Fields:
    """Reads a packet's fields in order. Raises BadPacket."""

    def __init__(self, packet: bytes) -> None:
        self._packet, self._at = packet, 0

    def u32(self) -> int:
        return int(U32.unpack(self._take(4))[0])

    def u64(self) -> int:
        return int(U64.unpack(self._take(8))[0])

    def string(self) -> bytes:
        return bytes(self._take(self.u32()))

    def view(self) -> memoryview:
        """A string without copying it."""
        return self._take(self.u32())

    @property
    def has_more(self) -> bool:
        return self._at < len(self._packet)

    def _take(self, count: int) -> memoryview:
        if self._at + count > len(self._packet):
            raise BadPacket
        self._at += count
        return memoryview(self._packet)[self._at - count : self._at]


class Packets:
    """Cuts a stream into packets (type and payload, without the length). Raises BadPacket."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        packets, at = [], 0
        while len(self._buffer) - at >= 4:
            (length,) = U32.unpack_from(self._buffer, at)
            if not 1 <= length <= LONGEST_PACKET:
                raise BadPacket
            if len(self._buffer) - at - 4 < length:
                break
            packets.append(bytes(memoryview(self._buffer)[at + 4 : at + 4 + length]))
            at += 4 + length
        del self._buffer[:at]
        return packets


def framed(packet: bytes) -> bytes:
    return U32.pack(len(packet)) + packet


def status(request: bytes, code: int, words: str) -> bytes:
    text = words.encode()
    return bytes([STATUS]) + request + U32.pack(code) + U32.pack(len(text)) + text + U32.pack(0)


@dataclass
class _Open:
    """A handle of the target."""

    path: bytes
    up: Transfer | None
    down: Transfer | None


Answered = Callable[[int, Fields], None]


class Sftp(asyncssh.SSHClientSession[bytes]):
    """A `Sink` for the person's data and a `Part` of the session."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self.session, self.screen = session, screen
        self.output_valve = Valve(self._hold_output)
        self._input_valve = Valve(screen.hold_input)
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._ledger = Ledger(session, "sftp")
        self._from_person, self._from_target = Packets(), Packets()
        self._handles: dict[bytes, _Open] = {}
        self._pending: dict[bytes, Answered | None] = {}
        self._has_begun = False
        self._status: int | None = None

    # --- from the person --------------------------------------------------------------------------------------------

    def input(self, data: bytes) -> None:
        session = self.session
        if session.is_over:
            return
        session.used()
        session.sent += len(data)
        try:
            passed = [framed(packet) for packet in self._from_person.feed(data) if self._request(packet)]
        except BadPacket:
            session.refused("sftp", "bad_packet")
            session.end("exit", exit_status=CUT)
            return
        if self._channel is not None and passed:
            try:
                self._channel.write(b"".join(passed))
            except OSError:
                return
            self._input_valve.mind(self._channel.get_connection())

    def end_input(self) -> None:
        if self._channel is not None:
            self._channel.write_eof()

    def _request(self, packet: bytes) -> bool:
        """True: it may pass, and what its answer means has been noted. False: it was answered here."""
        kind, fields = packet[0], Fields(packet[1:])
        if not self._has_begun:
            if kind != INIT:
                raise BadPacket
            self._has_begun = True
            if self._channel is not None:
                self._channel.write(framed(bytes([INIT]) + U32.pack(min(3, fields.u32()))))
            return False
        request = packet[1:5]
        fields.u32()
        if request in self._pending or len(self._pending) >= MOST_PENDING:
            raise BadPacket
        answer = self._refusal(kind, fields, request)
        if answer is None:
            return True
        self._answer(answer)
        return False

    def _refusal(self, kind: int, fields: Fields, request: bytes) -> bytes | None:
        """The answer to a request that does not pass. For one that does, its meaning is put into `_pending`."""
        answer = None
        if kind in ASKING:
            self._pending[request] = None
        elif kind == OPEN:
            answer = self._open(fields, request)
        elif kind == CLOSE:
            self._close(fields.string(), request)
        elif kind == READ:
            answer = self._read(fields, request)
        elif kind == WRITE:
            answer = self._write(fields, request)
        elif kind in ONE_PATH:
            answer = self._change(ONE_PATH[kind], fields.string(), b"", request)
        elif kind in TWO_PATHS:
            answer = self._change(TWO_PATHS[kind], fields.string(), fields.string(), request)
        elif kind == FSETSTAT:
            known = self._handles.get(fields.string())
            answer = self._change("setstat", known.path if known else b"", b"", request)
        elif kind == EXTENDED:
            answer = self._extended(fields, request)
        else:
            answer = status(request, UNSUPPORTED, "not supported by the bastion")
        return answer

    def _extended(self, fields: Fields, request: bytes) -> bytes | None:
        name = fields.string()
        if name in EXTENSIONS_CHANGING:
            path = fields.string()
            other = fields.string() if name != b"lsetstat@openssh.com" else b""
            return self._change(EXTENSIONS_CHANGING[name], path, other, request)
        if name not in EXTENSIONS_ASKING:
            return status(request, UNSUPPORTED, "not supported by the bastion")
        self._pending[request] = None
        return None

    def _open(self, fields: Fields, request: bytes) -> bytes | None:
        path, flags = fields.string(), fields.u32()
        # OpenSSH opens for reading what asks for neither.
        reads, writes = bool(flags & CAN_READ) or not flags & CAN_WRITE, bool(flags & CHANGES)
        for wanted, right, direction in ((writes, Action.UPLOAD, "up"), (reads, Action.DOWNLOAD, "down")):
            if wanted and not self._ledger.may(right):
                self._ledger.refused(path, direction)
                return status(request, DENIED, self.session.say("no_files"))
        if not self._ledger.has_room:
            return status(request, DENIED, "too many open files")

        def opened(kind: int, answer: Fields) -> None:
            if kind == HANDLE:
                up = self._ledger.begin(path, "up") if writes else None
                down = self._ledger.begin(path, "down") if reads and not writes else None
                self._handles[answer.string()] = _Open(path, up, down)

        self._pending[request] = opened
        return None

    def _close(self, handle: bytes, request: bytes) -> None:
        known = self._handles.get(handle)

        def closed(kind: int, answer: Fields) -> None:
            if known is None:
                return
            self._handles.pop(handle, None)
            is_good = kind == STATUS and answer.u32() == OK
            for transfer in (known.up, known.down):
                if transfer is not None:
                    transfer.is_failed |= not is_good
                    self._ledger.finish(transfer)

        self._pending[request] = closed

    def _read(self, fields: Fields, request: bytes) -> bytes | None:
        known, offset = self._handles.get(fields.string()), fields.u64()
        if not self._ledger.may(Action.DOWNLOAD):
            if known is not None and known.down is not None:
                known.down.is_failed = True
            return status(request, DENIED, self.session.say("no_files"))

        def has_read(kind: int, answer: Fields) -> None:
            if known is None or kind != DATA:
                return
            if known.down is None:  # A file that is written and read as well.
                known.down = self._ledger.begin(known.path, "down")
            self._ledger.passed(known.down, offset, answer.view())

        self._pending[request] = has_read
        return None

    def _write(self, fields: Fields, request: bytes) -> bytes | None:
        known, offset, data = self._handles.get(fields.string()), fields.u64(), fields.view()
        if not self._ledger.may_change:
            return status(request, DENIED, self.session.say("no_files"))
        if known is not None and known.up is not None:
            self._ledger.passed(known.up, offset, data)

        def written(kind: int, answer: Fields) -> None:
            if known is not None and known.up is not None and not (kind == STATUS and answer.u32() == OK):
                known.up.is_failed = True

        self._pending[request] = written
        return None

    def _change(self, action: str, path: bytes, other: bytes, request: bytes) -> bytes | None:
        if not self._ledger.may_change:
            self._ledger.changed(action, path, other, result="refused")
            return status(request, DENIED, self.session.say("no_files"))

        def changed(kind: int, answer: Fields) -> None:
            is_done = kind == STATUS and answer.u32() == OK
            self._ledger.changed(action, path, other, result="done" if is_done else "failed")

        self._pending[request] = changed
        return None

    def _answer(self, packet: bytes) -> None:
        self.screen.output(framed(packet))
        self.screen.mind(self.output_valve)

    # --- from the target --------------------------------------------------------------------------------------------

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        self._channel = chan
        if self.session.is_over:
            chan.abort()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        session = self.session
        if session.is_over:
            return
        session.received += len(data)
        if datatype is not None:
            self.screen.error(data)
            return
        try:
            answers = [framed(self._reply(packet)) for packet in self._from_target.feed(data)]
        except BadPacket:
            session.refused("sftp", "bad_answer")
            session.end("lost")
            return
        self.screen.output(b"".join(answers))
        self.screen.mind(self.output_valve)

    def _reply(self, packet: bytes) -> bytes:
        kind, fields = packet[0], Fields(packet[1:])
        if kind == VERSION:
            return _known_extensions(fields)
        request = packet[1:5]
        fields.u32()
        if request not in self._pending:
            raise BadPacket
        meaning = self._pending.pop(request)
        if meaning is not None:
            meaning(kind, fields)
        return packet

    def eof_received(self) -> bool:
        self.screen.eof()
        return True

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        if exc is None or self._status is not None:
            self.session.end("exit", exit_status=self._status)
        else:
            self.session.end("lost", self.session.say("end_lost"))

    def pause_writing(self) -> None:
        self._input_valve.turn("target", is_held=True)

    def resume_writing(self) -> None:
        self._input_valve.turn("target", is_held=False)

    def _hold_output(self, is_held: bool) -> None:
        if self._channel is not None:
            (self._channel.pause_reading if is_held else self._channel.resume_reading)()

    # --- as a part of the session -----------------------------------------------------------------------------------

    def show(self, words: str) -> None:
        self.screen.error("".join(f"{clean(line)}\n" for line in words.splitlines()).encode())

    def lock(self, is_locked: bool) -> None:
        """The ledger refuses what would change or read files meanwhile; what was asked before comes to its end."""

    def terms_changed(self) -> None:
        """The ledger is asked at each request."""

    def cut(self, exit_status: int | None) -> None:
        if self._channel is not None:
            self._channel.abort()
        self._ledger.finish_all()
        self.screen.done(Exit(status=exit_status if exit_status is not None else CUT))


def _known_extensions(fields: Fields) -> bytes:
    """The target's greeting with only those extensions that pass here."""
    packet = bytes([VERSION]) + U32.pack(min(3, fields.u32()))
    while fields.has_more:
        name, data = fields.string(), fields.string()
        if name in EXTENSIONS:
            packet += U32.pack(len(name)) + name + U32.pack(len(data)) + data
    return packet


def is_server(command: str) -> bool:
    """`sftp -s "sudo /usr/lib/openssh/sftp-server" …` starts the server as a command."""
    return plain_words(command, SFTP_SERVERS) is not None


async def open_sftp(session: Session, screen: Screen, link: Link, asked: Relay | None = None) -> Sftp:
    """By the target's subsystem, or by the command of a relay, which may be held for review.

    Raises TargetFailed; the session may be over afterwards.
    """
    sftp = Sftp(session, screen)
    session.attach(asked or sftp)
    session.opened("sftp")
    if not (session.access.may(Action.UPLOAD) or session.access.may(Action.DOWNLOAD)):
        session.refused("sftp", "no_files")
        session.end("exit", session.say("no_files"), exit_status=CUT)
        return sftp
    if asked is not None:
        if not await asked.may_run():
            return sftp
        asked.note()
        session.attach(sftp)
    try:
        await link.connection.create_session(
            lambda: sftp,
            asked.ask.command if asked is not None else None,
            subsystem="sftp" if asked is None else None,
            request_pty=False,
            send_env=None,
            env=None,
            encoding=None,
        )
    except (asyncssh.Error, OSError):
        raise TargetFailed("channel", session.say("no_shell")) from None
    return sftp
