"""A session channel of a person's SSH client: the questions before a session, then the session itself.

The portal has answered before the channel is confirmed, but where it wants to be told what the work is: that comes from
the client afterwards, and it is asked once. Whoever was refused gets a channel that leads nowhere: it says
why, in their language, and closes.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import asyncssh

from bastion.gateway.contract import Account, Ambiguous, Front, Language, Refused, Unreachable, Wish, WorkNeeded
from bastion.gateway.session import Session
from bastion.gateway.ssh import own, rsync, scp
from bastion.gateway.ssh.console import MOST_TYPED, Console, Idle, Left, clean
from bastion.gateway.ssh.files import BOTH_WAYS, moves_files
from bastion.gateway.ssh.guard import CTRL_C
from bastion.gateway.ssh.menu import Menu, ask_for_work
from bastion.gateway.ssh.pressure import Valve
from bastion.gateway.ssh.relay import REFUSED, STDERR, Ask, Exit, Relay, Terminal
from bastion.gateway.ssh.sftp import is_server, open_sftp
from bastion.gateway.ssh.target import TargetFailed
from bastion.gateway.ssh.visit import Visit
from bastion.gateway.words import say

log = logging.getLogger(__name__)

REQUEST_S = 30.0  # A channel that asks for nothing is closed after that.
FLUSH_S = 0.3  # How long a person whose session was ended has to read why.
WORK_ENV = "RDMP_WORK"
MOST_ENV, LONGEST_ENV = 32, 1024
MOST_NAMES, LONGEST_NAMED = 64, 4096  # Of what a client sets, before it is known who needs what of it.
MOST_COLS, MOST_ROWS = 2000, 1000  # A client may claim any size, and would have the menu drawn in it.


class Environment(dict[bytes, bytes]):
    """What a client sets; more than anybody needs is passed over."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if len(self) < MOST_NAMES and len(name) + len(value) <= LONGEST_NAMED:
            super().__setitem__(name, value)


class Sink(Protocol):
    """Where the person's data goes: a relay, SFTP or scp."""

    output_valve: Valve

    def input(self, data: bytes) -> None: ...

    def end_input(self) -> None: ...


class Channel(asyncssh.SSHServerSession[bytes]):
    """Satisfies `Screen`."""

    def __init__(self, visit: Visit, on_closed: Callable[[], None]) -> None:
        self._visit, self._on_closed = visit, on_closed
        self._chan: asyncssh.SSHServerChannel[bytes] | None = None
        self._console = Console(self.output)
        self._session: Session | None = None
        self._refusal: Refused | Unreachable | None = None
        self._terminal: Terminal | None = None
        self._kind, self._command = "", ""
        self._sink: Sink | None = None
        self._has_input_ended = self._is_asking = self._is_menu = self._is_choked = False
        self._early: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    async def admit(self) -> None:
        """Ask the portal, before anything is accepted."""
        wish = self._visit.wish
        if wish is None or (self._visit.person.says_work and not wish.work):
            return
        try:
            self._session = await self._visit.admit()
        except (Refused, Unreachable) as refusal:
            self._refusal = refusal

    # --- what the client asks for -----------------------------------------------------------------------------------

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        self._chan = chan
        self._expiry = asyncio.get_running_loop().call_later(REQUEST_S, self._expire)

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: "Mapping[int, int]"
    ) -> bool:
        cols, rows, width, height = term_size
        cols, rows = _possible(cols or 80, rows or 24)
        self._terminal = Terminal(term_type[:64], cols, rows, (width, height), dict(term_modes))
        return True

    def shell_requested(self) -> bool:
        self._kind = "shell"
        return True

    def exec_requested(self, command: str) -> bool:
        self._kind, self._command = "exec", command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        self._kind, self._command = "subsystem", subsystem
        return subsystem == "sftp"

    def session_started(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._task = asyncio.ensure_future(self._serve())
        self._task.add_done_callback(self._served)

    def _served(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or (failure := task.exception()) is None:
            return
        log.error("a channel of %s failed", self._visit.person.name, exc_info=failure)
        if self._session is not None:
            self._session.end("node", self._visit.say("end_node"))
        self._close(Exit(status=REFUSED))

    def _expire(self) -> None:
        if self._chan is not None:
            self._chan.abort()

    # --- the person's data ------------------------------------------------------------------------------------------

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._sink is not None:
            self._sink.input(data)
        elif self._is_asking:
            self._console.feed(data)
        elif self._terminal is not None and self._session is not None and self._session.is_waiting:
            self._typed_while_waiting(self._session, data)
        else:
            self._early.append(data)
            self.hold_input(True)

    def _typed_while_waiting(self, session: Session, data: bytes) -> None:
        """Nothing is held back, so that Ctrl-C arrives; whoever types ahead without end loses the rest."""
        if CTRL_C in data:
            session.end("client")
        elif sum(map(len, self._early)) + len(data) <= MOST_TYPED:
            self._early.append(data)

    def eof_received(self) -> bool:
        self._has_input_ended = True
        if self._sink is not None:
            self._sink.end_input()
        self._console.leave()
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        width, height = _possible(width, height)
        if self._terminal is not None:
            self._terminal = replace(self._terminal, cols=width, rows=height, pixels=(pixwidth, pixheight))
        if isinstance(self._sink, Relay):
            self._sink.resize(width, height, pixwidth, pixheight)

    def signal_received(self, signal: str) -> None:
        if isinstance(self._sink, Relay):
            self._sink.signal(signal)

    def break_received(self, msec: int) -> bool:
        if not isinstance(self._sink, Relay):
            return False
        self._sink.send_break(msec)
        return True

    def pause_writing(self) -> None:
        self._choke(True)

    def resume_writing(self) -> None:
        self._choke(False)

    def _choke(self, is_choked: bool) -> None:
        """The client takes nothing: nobody shows more, and no question is answered."""
        self._is_choked = is_choked
        self._console.hold(is_choked)
        if self._sink is not None:
            self._sink.output_valve.turn("screen", is_held=is_choked)

    def connection_lost(self, exc: Exception | None) -> None:
        self._chan = None
        self._on_closed()
        if self._expiry is not None:
            self._expiry.cancel()
        self._console.leave()
        if self._session is not None:
            self._session.end("client")
            self._visit.forget(self._session)
        if self._task is not None and self._session is None:
            self._task.cancel()

    # --- as a screen ------------------------------------------------------------------------------------------------

    def output(self, data: bytes) -> None:
        if self._chan is not None:
            with contextlib.suppress(OSError):
                self._chan.write(data)

    def error(self, data: bytes) -> None:
        if self._chan is not None:
            with contextlib.suppress(OSError):
                self._chan.write(data, STDERR)

    def eof(self) -> None:
        if self._chan is not None and not self._is_menu:
            self._chan.write_eof()

    def hold_input(self, is_held: bool) -> None:
        if self._chan is not None:
            (self._chan.pause_reading if is_held else self._chan.resume_reading)()

    def mind(self, valve: Valve) -> None:
        if self._chan is not None:
            valve.mind(self._chan.get_connection())

    def done(self, how: Exit) -> None:
        self._sink = None
        if not self._is_menu:
            self._close(how)

    def _close(self, how: Exit) -> None:
        chan = self._chan
        if chan is None:
            return
        if how.signal is not None:
            chan.exit_with_signal(*how.signal)
        else:
            chan.exit(how.status if how.status is not None else REFUSED)
        if self._session is None or self._session.reason != "exit":
            asyncio.get_running_loop().call_later(FLUSH_S, self._expire)

    # --- before, between and after ----------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            if self._visit.wish is None:
                await self._serve_menu()
            else:
                self._session = self._session or await self._admit_late(self._visit.wish, self._refusal)
                await self._run(self._session)
        except Idle:
            self._leave(self._visit.say("end_idle"))
        except Left:
            self._close(Exit(status=REFUSED))
        except Refused as refusal:
            self._leave(_explain(self._visit.language, refusal))
        except Unreachable:
            self._leave(self._visit.say("unreachable_portal"))

    def _leave(self, words: str) -> None:
        if self._terminal is not None:
            self._console.write(f"\n{words}\n")
        else:
            self.error(f"{words}\n".encode())
        self._close(Exit(status=REFUSED))

    async def _serve_menu(self) -> None:
        if self._kind != "shell" or self._terminal is None:
            raise Refused("no_target", self._visit.say("no_target"))
        self._is_menu = True
        menu = Menu(self._visit, self._console, self._size)
        while self._chan is not None:
            with self._asking():
                choice = await menu.choose()
            if choice is None:
                break
            visit = self._visit
            wish = Wish(visit.person, visit.client, Front.SSH, f"#{choice.resource.id}", choice.account)
            try:
                try:
                    self._session = await visit.admit(wish)
                except (WorkNeeded, Ambiguous) as refusal:
                    self._session = await self._admit_late(wish, refusal)
                self._console.write(visit.say("connecting", name=choice.resource.name) + "\n")
                await self._run(self._session)
            except Refused as refusal:
                self._console.write(f"\n{_explain(visit.language, refusal)}\n")
            except Idle:
                raise
            except Left:
                continue
            finally:
                self._forget()
        self._is_menu = False
        self._close(Exit(status=0))

    def _forget(self) -> None:
        if self._session is not None:
            self._session.end("client")
            self._visit.forget(self._session)
            self._session = None

    def _size(self) -> tuple[int, int]:
        return (self._terminal.cols, self._terminal.rows) if self._terminal is not None else (80, 24)

    async def _admit_late(self, wish: Wish, refusal: Refused | Unreachable | None) -> Session:
        """What the person can still answer is asked: which of several, and what they work on."""
        if refusal is None and not wish.work:
            wish = replace(wish, work=self._env().get(WORK_ENV, "") or self._visit.work)
        while True:
            work = self._env().get(WORK_ENV, "") or self._visit.work
            if isinstance(refusal, WorkNeeded) and not wish.work and (work or self._terminal is not None):
                if not work:
                    with self._asking():
                        work = await ask_for_work(self._visit, self._console, refusal)
                wish = replace(wish, work=work)
            elif isinstance(refusal, Ambiguous) and self._terminal is not None:
                wish = replace(wish, resource=await self._which(refusal))
            elif refusal is not None:
                raise refusal
            try:
                return await self._visit.admit(wish)
            except (WorkNeeded, Ambiguous) as again:
                if isinstance(again, WorkNeeded) and wish.work and wish.work == self._visit.work:
                    self._visit.work, wish = "", replace(wish, work="")  # it has been finished meanwhile
                elif type(again) is type(refusal):
                    raise
                refusal = again

    async def _which(self, refusal: Ambiguous) -> str:
        console, choices = self._console, refusal.choices
        console.write(_explain(self._visit.language, refusal) + "\n")
        with self._asking():
            while True:
                line = (await console.ask("> ")).strip()
                if line.isdecimal() and 1 <= int(line) <= len(choices):
                    return f"#{choices[int(line) - 1].id}"
                console.write(self._visit.say("menu_wrong") + "\n")

    async def _run(self, session: Session) -> None:
        ask = Ask(self._kind, self._command, self._terminal, self._target_env())
        relay = self._relay(session, ask)
        session.attach(relay)
        question = self._own_account if self._terminal is not None else None
        link = await own.linked(session, self._visit.links, question)
        if link is None:
            return
        try:
            if session.is_over:
                return
            if ask.kind == "subsystem":
                sink: Sink = await open_sftp(session, self, link)
            elif ask.kind == "exec" and is_server(ask.command):
                sink = await open_sftp(session, self, link, relay)
            else:
                sink = relay
                await relay.open(link)
            if ask.terminal is None:  # there, keys typed meanwhile are gone; a pipe would miss them
                await session.until_unlocked()
            if not session.is_over:
                self._sink = sink
                self._feed(sink)
                await session.over.wait()
        except TargetFailed as failure:
            session.refused("target", failure.code)
            session.end("lost", failure.words)
        finally:
            self._visit.links.release(link)

    def _relay(self, session: Session, ask: Ask) -> Relay:
        """What moves files by a way that is not plain, or through a terminal, takes both rights."""
        if ask.kind != "exec":
            return Relay(session, self, ask)
        if (sync := rsync.read_command(ask.command)) is not None:
            return rsync.Rsync(session, self, ask, sync)
        if ask.terminal is None and (copy := scp.read_command(ask.command)) is not None:
            return scp.Scp(session, self, ask, copy)
        return Relay(session, self, ask, BOTH_WAYS if moves_files(ask.command) else frozenset())

    def _feed(self, sink: Sink) -> None:
        """What came early, in order, then let the rest come."""
        sink.output_valve.turn("screen", is_held=self._is_choked)
        early = [self._console.rest(), *self._early]
        self._early.clear()
        for data in early:
            if data:
                sink.input(data)
        self.hold_input(False)
        if self._has_input_ended:
            sink.end_input()

    async def _own_account(self, account: Account) -> Account:
        with self._asking():
            name = account.name or (await self._console.ask(self._visit.say("own_login"))).strip()
            prompt = self._visit.say("own_password", account=name)
            return Account(name, password=await self._console.ask(prompt, is_secret=True))

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        for data in self._early:
            self._console.feed(data)
        self._early.clear()
        self._is_asking = True
        self.hold_input(False)
        try:
            yield
        finally:
            self._is_asking = False

    def _env(self) -> dict[str, str]:
        return dict(self._chan.get_environment()) if self._chan is not None else {}

    def _target_env(self) -> dict[str, str]:
        named = {name: value for name, value in self._env().items() if name == "LANG" or name.startswith("LC_")}
        return {name: value for name, value in list(named.items())[:MOST_ENV] if len(value) <= LONGEST_ENV}


def _possible(cols: int, rows: int) -> tuple[int, int]:
    return min(cols, MOST_COLS), min(rows, MOST_ROWS)


def _explain(language: Language, refusal: Refused) -> str:
    lines = [refusal.words]
    if isinstance(refusal, Ambiguous):
        lines = [refusal.words or say(language, "ambiguous")]
        lines += [f"  {n}  {one.name}  {one.address}  #{one.id}" for n, one in enumerate(refusal.choices, 1)]
    elif isinstance(refusal, WorkNeeded):
        lines += [f"  {code}  {title}" for code, title in refusal.offers]
        lines.append(say(language, "work_hint"))
    return "\n".join(clean(line) for text in lines for line in text.splitlines())
