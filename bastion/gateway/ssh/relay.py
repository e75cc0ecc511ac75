"""A shell or a command on the target, byte for byte: what the person sends, what the target answers, both recorded."""

import asyncio
import hashlib
import logging
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import asyncssh

from bastion.gateway.contract import Action
from bastion.gateway.session import Opening, Session
from bastion.gateway.ssh.console import clean
from bastion.gateway.ssh.guard import Guard, LineReader, decide, note_command
from bastion.gateway.ssh.pressure import Valve
from bastion.gateway.ssh.target import Link, TargetFailed
from bastion.policy import Judgement, bare, unquoted

log = logging.getLogger(__name__)

# Of a command's data, per stream; the rest is counted, and of input hashed. What has a NUL byte near its beginning is
# nothing to read. What a shell reads and shows is kept as in a terminal.
TEXT_KEPT, BINARY_KEPT, LOOKED_AT = 8 * 1024 * 1024, 1024 * 1024, 4096
MOST_EARLY = 4096
TOGETHER, GATHER_S = 64 * 1024, 0.004
"""Output is recorded and passed on at once after a rest of so many seconds, else as soon as it is so many bytes or that
rest is over."""
SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ash"}
OPTIONS = re.compile(r"[-+][A-Za-z]*")
BECOMING_A_SHELL = re.compile(r"(\S*/)?sudo\s(.*\s)?(-[A-Za-z]*[is][A-Za-z]*|--login|--shell)(\s.*)?", re.DOTALL)
REFUSED, DENIED, CUT = 255, 126, 255  # Exit statuses; 255 is what ssh itself uses when a connection fails.
STDERR = asyncssh.EXTENDED_DATA_STDERR


@dataclass(frozen=True)
class Terminal:
    """`pixels` is (width, height); `modes` as in RFC 4254, 8."""

    term: str
    cols: int
    rows: int
    pixels: tuple[int, int] = (0, 0)
    modes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """What a channel is for. `kind`: shell, exec or subsystem; `command` is the subsystem's name for the last."""

    kind: str
    command: str = ""
    terminal: Terminal | None = None
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exit:
    """Status or signal (name, core dumped, message, language); neither: it was cut."""

    status: int | None = None
    signal: tuple[str, bool, str, str] | None = None


class Screen(Protocol):
    """The person's side: a channel of their SSH client, or a web terminal. None of these waits."""

    def output(self, data: bytes) -> None: ...

    def error(self, data: bytes) -> None: ...

    def eof(self) -> None: ...

    def hold_input(self, is_held: bool) -> None: ...

    def mind(self, valve: Valve) -> None:
        """Called after every output: turn the valve when there is too much unsent."""
        ...

    def done(self, how: Exit) -> None:
        """No more comes. What was written before is still sent, if the person reads it soon."""
        ...


class Relay(asyncssh.SSHClientSession[bytes]):
    """Between one `Screen` and one channel of the target. The screen calls `input`, `eof`, `resize` and so on.

    `rights`: what it takes beside the right to connect, from its beginning to its end.
    """

    def __init__(self, session: Session, screen: Screen, ask: Ask, rights: frozenset[Action] = frozenset()) -> None:
        self.session, self.screen, self.ask, self._rights = session, screen, ask, rights
        self.output_valve = Valve(self._hold_output)
        self.input_valve = Valve(screen.hold_input)
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._exit = Exit()
        self._is_open, self._early = False, bytearray()
        self._came, self._is_error, self._passed_at = bytearray(), False, 0.0
        self._kept = {"input": 0, "output": 0, "error": 0}
        self._is_shell = ask.kind == "shell" or is_bare_shell(ask.command)
        self._kept_most = {"input": TEXT_KEPT, "output": TEXT_KEPT, "error": TEXT_KEPT}
        self._input_hash = hashlib.sha256()
        self._judgement: Judgement | None = None
        self._guard: Guard | None = None

    async def open(self, link: Link) -> None:
        """Raises TargetFailed; the session may be over afterwards for other reasons."""
        session, ask, terminal = self.session, self.ask, self.ask.terminal
        cols, rows, term = (terminal.cols, terminal.rows, terminal.term) if terminal else (0, 0, "")
        session.attach(self)
        session.opened(ask.kind, cols, rows, term)
        if missing := self.missing():
            self._refuse(missing[0])
            session.end("exit", session.say("no_files"), exit_status=REFUSED)
            return
        size = cols or 80, rows or 24
        if not session.record(Opening(session.access, session.person, *size, terminal is not None, ask.command)):
            return
        if ask.kind == "exec" and not await self.may_run():
            return
        self._guard = self._make_guard()
        await self.connect(link)

    def missing(self) -> list[Action]:
        return [right for right in sorted(self._rights) if not self.session.access.may(right)]

    def _refuse(self, right: Action) -> None:
        self.session.refused(self.ask.command[:200], f"no_{right.value}")

    async def connect(self, link: Link) -> None:
        """Raises TargetFailed."""
        ask, terminal = self.ask, self.ask.terminal
        try:
            await link.connection.create_session(
                lambda: self,
                ask.command or None,
                subsystem=None,
                env=list(ask.env.items()),
                send_env=None,
                request_pty="force" if terminal else False,
                term_type=(terminal.term or "dumb") if terminal else None,
                term_size=(terminal.cols, terminal.rows, *terminal.pixels) if terminal else (),
                term_modes=terminal.modes if terminal else {},
                encoding=None,
            )
        except (asyncssh.Error, OSError):
            raise TargetFailed("channel", self.session.say("no_shell")) from None
        self._is_open, early = True, bytes(self._early)
        if early:
            self.input(early)

    def _make_guard(self) -> Guard | None:
        """Where lines are typed: in a terminal, and into a shell without one. A command's input is its own affair."""
        recording = self.session.recording
        if recording is not None and recording.reader is not None:
            reader = recording.reader
        elif self._is_shell:
            reader = LineReader(self.ask.command)
        else:
            return None
        return Guard(self.session, reader, self.to_target, self._hold_for_guard, self._end_target_input)

    def note(self, exit_status: int | None = None) -> None:
        """Among the commands."""
        if self.ask.kind == "exec" and self._judgement is not None:
            judged = self._judgement
            note_command(self.session, self.ask.command, judged.verdict, judged.rule, exit_status)

    async def may_run(self) -> bool:
        session, command = self.session, self.ask.command
        self._judgement = session.judge(command)
        if await decide(session, self._judgement, command):
            return True
        session.end("exit", exit_status=DENIED)
        return False

    # --- from the person --------------------------------------------------------------------------------------------

    def input(self, data: bytes) -> None:
        session = self.session
        self._pass_on()
        if session.is_over or (session.is_locked and self.ask.terminal is not None):
            return
        session.used()
        if not self._is_open:
            self._early += data[: MOST_EARLY - len(self._early)]
        elif self._guard is not None:
            self._guard.input(data)
        else:
            self.to_target(data)

    def end_input(self) -> None:
        if self._guard is not None:
            self.session.spawn(self._end_input_after_guard(self._guard))
        else:
            self._end_target_input()

    async def _end_input_after_guard(self, guard: Guard) -> None:
        await guard.drained()
        self._end_target_input()

    def _end_target_input(self) -> None:
        if self._channel is not None:
            self._channel.write_eof()

    def resize(self, cols: int, rows: int, width: int = 0, height: int = 0) -> None:
        self._pass_on()
        self.session.keep_size(cols, rows)
        if self._guard is not None:
            self._guard.resize(cols, rows)
        if self._channel is not None:
            self._channel.change_terminal_size(cols, rows, width, height)

    def signal(self, name: str) -> None:
        if self._channel is not None and not self.session.is_locked:
            self.session.mark(f"signal {name}")
            self._channel.send_signal(name)

    def send_break(self, milliseconds: int) -> None:
        if self._channel is not None and not self.session.is_locked:
            self._channel.send_break(milliseconds)

    def to_target(self, data: bytes) -> None:
        session, channel = self.session, self._channel
        session.sent += len(data)
        if channel is None or not self._keep("input", data):
            return
        try:
            channel.write(data)
        except OSError:  # It has closed its side; so does a pipe whose reader has gone.
            return
        self.input_valve.mind(channel.get_connection())

    def _hold_for_guard(self, is_held: bool) -> None:
        self.input_valve.turn("guard", is_held=is_held)

    # --- from the target --------------------------------------------------------------------------------------------

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        self._channel = chan
        if self.output_valve.is_held:
            chan.pause_reading()
        if self.session.is_over:
            chan.abort()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """A terminal's output comes in packets of a few kilobytes, and each that is passed on costs as much as many
        bytes: those of a flood go on together."""
        session, is_error = self.session, datatype == STDERR
        session.received += len(data)
        if self.ask.terminal is None:
            session.used()
        if is_error != self._is_error:
            self._pass_on()
            self._is_error = is_error
        if not self._came:
            asyncio.get_running_loop().call_at(self._passed_at + GATHER_S, self._pass_on_soon)
        self._came += data
        if len(self._came) >= TOGETHER:
            self._pass_on()

    def _pass_on_soon(self) -> None:
        try:
            self._pass_on()
        except Exception:
            log.exception("session %s: its output cannot be passed on", self.session.access.session_id)
            self.session.end("node", self.session.say("end_node"))

    def _pass_on(self) -> None:
        """What has come from the target: recorded, then shown. Before anything else that happens to either side."""
        if not self._came:
            return
        session, is_error, data = self.session, self._is_error, bytes(self._came)
        self._came.clear()
        self._passed_at = asyncio.get_running_loop().time()
        if session.is_over or not (is_error or self.receives(data)):
            return
        if not self._keep("error" if is_error else "output", data):
            return
        if self._guard is not None:
            self._guard.output(data)
        (self.screen.error if is_error else self.screen.output)(data)
        self.screen.mind(self.output_valve)

    def receives(self, data: bytes) -> bool:
        """A look at what the target sends; False: it is not passed on."""
        return True

    def eof_received(self) -> bool:
        self._pass_on()
        if not self.session.is_over:
            self.screen.eof()
        return True

    def exit_status_received(self, status: int) -> None:
        has_refused = self._guard is not None and self._guard.has_refused
        self._exit = Exit(status=DENIED if has_refused else status)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._exit = Exit(signal=(signal, core_dumped, msg, lang))

    def connection_lost(self, exc: Exception | None) -> None:
        self._pass_on()
        self._channel = None
        if exc is None or self._exit != Exit():
            self.session.end("exit", exit_status=self._exit.status)
        else:
            self.session.end("lost", self.session.say("end_lost"))

    def pause_writing(self) -> None:
        self.input_valve.turn("target", is_held=True)

    def resume_writing(self) -> None:
        self.input_valve.turn("target", is_held=False)

    def _hold_output(self, is_held: bool) -> None:
        if self._channel is not None:
            (self._channel.pause_reading if is_held else self._channel.resume_reading)()

    def _keep(self, kind: str, data: bytes) -> bool:
        if self.ask.terminal is not None or self._is_shell:
            return self.session.keep(kind, data)
        kept = self._kept[kind]
        if kept < LOOKED_AT and b"\0" in data[: LOOKED_AT - kept]:
            self._kept_most[kind] = min(self._kept_most[kind], BINARY_KEPT)
        self._kept[kind] += len(data)
        if kind == "input":
            self._input_hash.update(data)
        most = self._kept_most[kind]
        if kept >= most:
            return not self.session.is_over
        if kept + len(data) > most:
            self.session.mark(f"{kind}: only the first {most} bytes are kept")
        return self.session.keep(kind, data[: most - kept])

    def _say_what_was_cut(self) -> None:
        size = self._kept["input"]
        if size > self._kept_most["input"] > 0:
            self.session.mark(f"input: {size} bytes in all, sha256 {self._input_hash.hexdigest()}")

    # --- as a part of the session -----------------------------------------------------------------------------------

    def show(self, words: str) -> None:
        self._pass_on()
        lines = [clean(line) for line in words.splitlines()]
        if self.ask.terminal is not None:
            text = "".join(f"\r\n*** {line} ***" for line in lines) + "\r\n"
            self.session.keep("output", text.encode())  # Shown in any case: it may say that nothing can be kept.
            self.screen.output(text.encode())
        else:
            self.screen.error("".join(f"*** {line} ***\n" for line in lines).encode())

    def lock(self, is_locked: bool) -> None:
        """Keys that are typed meanwhile are gone, `input` looks for itself; a pipe waits, for it would miss them."""
        if self._guard is not None:
            self._guard.lock(is_locked)
        if self.ask.terminal is None:
            self.input_valve.turn("lock", is_held=is_locked)

    def terms_changed(self) -> None:
        """Rules and limits are looked up when they are needed."""
        if missing := self.missing():
            self._refuse(missing[0])
            self.session.end("revoked", self.session.say("no_files"))

    def cut(self, exit_status: int | None) -> None:
        self._pass_on()
        if self._channel is not None:
            self._channel.abort()
        self._say_what_was_cut()
        self.note(exit_status)
        how = self._exit
        if how == Exit():
            how = Exit(status=exit_status if exit_status is not None else CUT)
        self.screen.done(how)


def is_bare_shell(command: str) -> bool:
    """`ssh host bash -s` reads its commands as a login shell does, and so does `sudo -u www env bash`."""
    program, *words = [unquoted(word) for word in bare(command).split()] or [""]
    name = program.rpartition("/")[2]
    if name == "su":
        return not any(OPTIONS.fullmatch(word) and "c" in word for word in words) and "--command" not in " ".join(words)
    if name in SHELLS:
        return _reads_its_input(words)
    return not program and BECOMING_A_SHELL.fullmatch(command.strip()) is not None


def _reads_its_input(words: list[str]) -> bool:
    """What a shell with these words runs comes from its input."""
    for before, word in pairwise(["", *words]):
        if OPTIONS.fullmatch(word) is not None and word != "-":
            if "c" in word:
                return False
            if "s" in word:
                return True  # what follows are the script's arguments
        elif not (word.startswith("--") or word in {"-", "/dev/stdin"}):
            is_value = OPTIONS.fullmatch(before) is not None and before[-1:] in {"o", "O"}
            if not is_value:
                return False
    return True
