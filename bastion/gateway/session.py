"""One session of one person on one resource: its rights, clock and recording, what the portal orders, how it ends.

It knows no protocol. A part (a shell, a file transfer, forwards) attaches itself, is shown sentences and is cut when
the session ends; whatever way that comes about, exactly one `ended` is told, as the last fact.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bastion.gateway.contract import (
    Access,
    Action,
    Client,
    CommandRule,
    End,
    Fact,
    Hop,
    Judged,
    Language,
    Lock,
    NewTerms,
    Order,
    Person,
    Portal,
    Refused,
    Say,
    Unreachable,
    Watch,
)
from bastion.gateway.copies import CopySpool
from bastion.gateway.recording.writer import RecordingFailed
from bastion.gateway.watching import Source, Watchers
from bastion.gateway.words import duration, say
from bastion.policy import Judgement

log = logging.getLogger(__name__)

COUNTDOWN_S = (60.0, 30.0, 10.0, 5.0)
TICK_S, TICKS = 1.0, 12  # A piece of a recording is closed ten seconds after it was begun.
LOGIN = 0  # The number of the review that is about the session itself; commands count from 1.
REFUSED = 255  # As the exit status of ssh itself.
LONGEST_SLEEP_S = 30.0  # The wall clock may be set meanwhile.


class Tape(Protocol):
    """The recording of a session, as `recording.writer.Recorder` is one. All but `at_s` raise RecordingFailed."""

    offset: int

    def output(self, data: bytes) -> None: ...

    def error(self, data: bytes) -> None: ...

    def input(self, data: bytes) -> None: ...

    def resize(self, cols: int, rows: int) -> None: ...

    def mark(self, label: str) -> None: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...

    def at_s(self) -> float: ...


@dataclass(frozen=True)
class Opening:
    """What a recording begins with."""

    access: Access
    person: Person
    cols: int = 80
    rows: int = 24
    has_terminal: bool = True
    command: str = ""


class CommandReader(Protocol):
    """Reads commands from what is typed and shown; `key` returns those that it entered.

    `has_echo`: there is a terminal, on which a line shows up before it is entered.
    """

    has_echo: bool

    @property
    def is_alternate(self) -> bool:
        """An editor or the like has the screen: what is entered is no command line."""
        ...

    def output(self, data: bytes) -> None: ...

    def key(self, data: bytes) -> Sequence[str]: ...

    def pending(self) -> str: ...

    def resize(self, cols: int, rows: int) -> None: ...


@dataclass(frozen=True)
class Recording:
    """A tape, where its pieces lie, and who reads commands off its screen (nobody without terminal)."""

    tape: Tape
    directory: Path
    reader: CommandReader | None


@dataclass(frozen=True)
class Node:
    """What sessions need of the node program. `record` raises RecordingFailed."""

    portal: Portal
    state: Path
    record: Callable[[Opening, Callable[[int, bytes], None]], Recording]
    judge: Callable[[str, Sequence[CommandRule]], Judgement]
    grace_s: float = 300.0
    review_s: float = 300.0
    copies: CopySpool | None = None
    least_free: int = 0
    """Bytes that are free where recordings lie, or no session begins."""
    portal_host: str = ""

    def check_room(self, language: Language) -> None:
        """Raises Refused. What runs has this room to be recorded to its end, and the rest of the machine some of it."""
        if self.least_free and shutil.disk_usage(self.state).free < self.least_free:
            raise Refused("node_full", say(language, "node_full"))


class Part(Protocol):
    """What a session holds open."""

    def show(self, words: str) -> None:
        """A sentence for the person, where it disturbs no data."""
        ...

    def lock(self, is_locked: bool) -> None:
        """Pass nothing on from the person while it is locked."""
        ...

    def terms_changed(self) -> None:
        """`session.access` is another: cut what it grants no longer, and whatever is not asked about again."""
        ...

    def cut(self, exit_status: int | None) -> None:
        """Close both sides now and tell what is left to tell. Called once, before `ended` is told."""
        ...


class Session:
    def __init__(self, node: Node, access: Access, person: Person, client: Client) -> None:
        self.node, self.access, self.person, self.client = node, access, person, client
        self.sent = self.received = 0
        self.typist = person.id  # Whose keys come in: the person's, or those of a guest.
        self.is_over = self.is_locked = self.is_waiting = False
        self.reason = ""
        self.recording: Recording | None = None
        self.over = asyncio.Event()
        self._unlocked = asyncio.Event()
        self._watchers = Watchers(self._show, self.spawn, self._source)
        self._tick_timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._loop = asyncio.get_running_loop()
        self._part: Part | None = None
        self._facts = self._commands = 0
        self._letting_in = asyncio.Lock()
        self._judged: dict[int, asyncio.Future[bool]] = {}
        self._began = self._used = self._loop.time()
        self._warned_for: float | None = None
        self._next_warning = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.spawn(self._follow_orders())
        self._arm()

    # --- what it tells ----------------------------------------------------------------------------------------------

    def tell(self, kind: str, **data: object) -> None:
        """A fact that cannot be kept ends the session."""
        if self.is_over:
            return
        try:
            self.node.portal.tell(Fact(self.access.session_id, self._facts + 1, time.time(), kind, data))
        except OSError:
            log.exception("session %s: %s cannot be told", self.access.session_id, kind)
            self._no_recording()
        else:
            self._facts += 1

    def opened(self, channel: str, cols: int = 0, rows: int = 0, term: str = "") -> None:
        self.tell("opened", channel=channel, cols=cols, rows=rows, term=term)

    def refused(self, what: str, code: str) -> None:
        self.tell("refused", what=what, code=code)

    def say(self, key: str, **parts: object) -> str:
        return say(self.person.language, key, **parts)

    def show(self, words: str) -> None:
        if self._part is not None and words:
            self._part.show(words)

    # --- its life ---------------------------------------------------------------------------------------------------

    def attach(self, part: Part) -> None:
        """In place of the one before. The person can be told now what is due already."""
        self._part = part
        if self.is_locked:
            part.lock(True)
        self._arm()

    async def until_unlocked(self) -> None:
        """At once when it is not locked; the session may be over then."""
        while self.is_locked and not self.is_over:
            await self._unlocked.wait()

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """A task that ends with the session."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("session %s failed", self.access.session_id, exc_info=failure)
            self.end("node", self.say("end_node"))

    def end(self, reason: str, words: str = "", *, by: int | None = None, exit_status: int | None = None) -> None:
        """Only the first call counts."""
        if self.reason:
            return
        self.reason = reason
        try:
            self._cut(words, exit_status)
            self.tell("ended", reason=reason, exit=exit_status, sent=self.sent, received=self.received, by=by)
        finally:
            self._be_over()

    def _cut(self, words: str, exit_status: int | None) -> None:
        part, self._part = self._part, None
        if part is not None:
            try:
                if words:
                    part.show(words)
                part.cut(exit_status)
            except Exception:
                log.exception("session %s: what it held open was not cut in order", self.access.session_id)
        recording, self.recording = self.recording, None
        if recording is not None:
            try:
                recording.tape.close()
            except RecordingFailed:
                log.warning("session %s: the recording could not be closed", self.access.session_id)

    def _be_over(self) -> None:
        for timer in (self._timer, self._tick_timer):
            if timer is not None:
                timer.cancel()
        self.is_over = True
        self.over.set()
        self._unlocked.set()
        for waiting in self._judged.values():
            if not waiting.done():
                waiting.set_result(False)
        current = asyncio.current_task() if self._loop.is_running() else None
        for task in self._tasks - {current}:
            task.cancel()

    # --- the recording ----------------------------------------------------------------------------------------------

    def record(self, opening: Opening) -> bool:
        """False: the session is over, perhaps since it cannot be written."""
        if self.is_over:
            return False
        try:
            self.recording = self.node.record(opening, self._rows)
        except RecordingFailed:
            self._no_recording()
        return self.recording is not None

    def keep(self, kind: str, data: bytes) -> bool:
        """`kind` is "output", "error" or "input". False: the session is over, pass nothing on."""
        if self.recording is None:
            return not self.is_over
        tape = self.recording.tape
        write = tape.output if kind == "output" else tape.error if kind == "error" else tape.input
        return self._kept(lambda: write(data))

    def keep_size(self, cols: int, rows: int) -> None:
        if self.recording is not None:
            tape = self.recording.tape
            self._kept(lambda: tape.resize(cols, rows))

    def mark(self, label: str) -> None:
        if self.recording is not None:
            tape = self.recording.tape
            self._kept(lambda: tape.mark(label))

    def at_s(self) -> float:
        return self.recording.tape.at_s() if self.recording is not None else self._loop.time() - self._began

    def _kept(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except RecordingFailed:
            self._no_recording()
            return False
        self._ticks = TICKS
        if self._tick_timer is None:
            self._tick_timer = self._loop.call_later(TICK_S, self._tick)
        return True

    def _tick(self) -> None:
        """For some seconds after the last write, until its piece has been closed."""
        self._tick_timer = None
        if self.recording is None or self._ticks == 0:
            return
        ticks = self._ticks - 1
        if self._kept(self.recording.tape.tick):
            self._ticks = ticks

    def _no_recording(self) -> None:
        self.end("recording", self.say("end_recording"))

    # --- its clock --------------------------------------------------------------------------------------------------

    def used(self) -> None:
        """The person did something."""
        self._used = self._loop.time()

    def _arm(self) -> None:
        """Sleep until the next moment at which something may be due; activity meanwhile moves it on."""
        if self._timer is not None:
            self._timer.cancel()
        limits, now = self.access.limits, self._loop.time()
        due = [self._used + limits.idle_s - now, self._began + limits.total_s - now, LONGEST_SLEEP_S]
        if limits.ends_at is not None:
            left = limits.ends_at - time.time()
            warnings = self._warnings()[self._next_warning :] if self._part is not None else []
            due += [left, *(left - at for at in warnings[:1])]
        self._timer = self._loop.call_later(max(0.01, min(due)), self._on_time)

    def _on_time(self) -> None:
        limits, now = self.access.limits, self._loop.time()
        if limits.ends_at is not None and time.time() >= limits.ends_at:
            self.end("window", self.say("end_window"))
        elif now >= self._began + limits.total_s:
            self.end("total", self.say("end_total"))
        elif now >= self._used + limits.idle_s:
            self.end("idle", self.say("end_idle"))
        else:
            self._warn()
            self._arm()

    def _warnings(self) -> list[float]:
        warn_s = self.access.limits.warn_s
        return [warn_s, *(left for left in COUNTDOWN_S if left < warn_s)]

    def _warn(self) -> None:
        ends_at = self.access.limits.ends_at
        if ends_at is None or self._part is None:
            return
        left, is_due = ends_at - time.time(), False
        warnings = self._warnings()
        while self._next_warning < len(warnings) and left <= warnings[self._next_warning]:
            self._next_warning, is_due = self._next_warning + 1, True
        if is_due:
            self.show(self.say("warn_end", left=duration(self.person.language, left)))

    # --- what the portal orders -------------------------------------------------------------------------------------

    async def _follow_orders(self) -> None:
        away_since: float | None = None
        while not self.is_over:
            asked_at = self._loop.time()
            try:
                async for order in self.node.portal.orders(self.access.session_id):
                    away_since = None
                    self.obey(order)
                    if self.is_over:
                        return
            except Unreachable:
                now = self._loop.time()
                if away_since is None or now - asked_at > 5:
                    away_since = now
                if now - away_since >= self.node.grace_s:
                    self.end("grace", self.say("end_grace"))
                    return
            await asyncio.sleep(min(1.0, self.node.grace_s / 4))

    def obey(self, order: Order) -> None:
        match order:
            case End(reason, words, by):
                usual = self.say(f"end_{reason}") if reason in {"killed", "revoked", "window", "node"} else ""
                self.end(reason, words or usual, by=by)
            case Lock(is_locked, words):
                self.is_locked = is_locked
                (self._unlocked.clear if is_locked else self._unlocked.set)()
                if self._part is not None:
                    self._part.lock(is_locked)
                self.mark("locked" if is_locked else "unlocked")
                self.show(words or self.say("locked" if is_locked else "unlocked"))
            case Say(words, by):
                self.mark(f"said by {by}")
                self.show(self.say("said", by=by, words=words))
            case NewTerms(access):
                self._take(access)
            case Judged(command, is_allowed, by, words):
                if words:
                    self.show(self.say("said", by=by, words=words))
                waiting = self._judged.get(command)
                if waiting is not None and not waiting.done():
                    waiting.set_result(is_allowed)
            case Watch(watcher, True, offset):
                self._watchers.on(watcher, offset)
            case Watch(watcher):
                self._watchers.off(watcher)

    def _take(self, access: Access) -> None:
        if not access.may(Action.CONNECT):
            self.end("revoked", self.say("end_revoked"))
            return
        if access.limits.ends_at != self.access.limits.ends_at:
            self._next_warning = 0
        self.access = replace(access, hops=access.hops or self.access.hops, waits_for=self.access.waits_for)
        self._arm()
        if self._part is not None:
            self._part.terms_changed()

    # --- who looks on -----------------------------------------------------------------------------------------------

    def _rows(self, offset: int, rows: bytes) -> None:
        self._watchers.rows(offset, rows)

    def _show(self, watcher: str, offset: int, rows: bytes, skips: bool) -> bool:
        return self.node.portal.show(self.access.session_id, watcher, offset, rows, skips)

    def _source(self) -> Source | None:
        return Source(self.recording.tape, self.recording.directory) if self.recording is not None else None

    # --- whether it may begin ---------------------------------------------------------------------------------------

    async def let_in(self) -> None:
        """Wait for whoever has to let it in, where somebody has to; before that it has no hops. Perhaps it is over."""
        async with self._letting_in:
            if self.access.waits_for and not self.is_over:
                await self._wait_to_be_let_in()

    async def _wait_to_be_let_in(self) -> None:
        self.is_waiting = True
        self._used = self._loop.time() + self.node.review_s  # whoever waits for others is not idle
        self.show(self.say("waits_in", who=self.access.waits_for))
        hops: tuple[Hop, ...] = ()
        try:
            if await self._reviewed(LOGIN, ""):
                hops = await self.node.portal.hops(self.person, self.access.session_id)
        except (Refused, Unreachable) as problem:
            log.warning("session %s was let in and has no way: %s", self.access.session_id, problem)
        finally:
            self.is_waiting = False
            self.used()
        if not hops:
            self.end("refused", self.say("not_let_in"), exit_status=REFUSED)
            return
        self.access = replace(self.access, hops=hops, waits_for="")
        self.show(self.say("let_in"))

    # --- commands ---------------------------------------------------------------------------------------------------

    def judge(self, line: str) -> Judgement:
        return self.node.judge(line, self.access.rules)

    async def review(self, text: str) -> bool:
        """Waits for somebody in the portal; nobody in time, or no portal: no."""
        self._commands += 1
        return await self._reviewed(self._commands, text)

    async def _reviewed(self, number: int, text: str) -> bool:
        waiting: asyncio.Future[bool] = self._loop.create_future()
        self._judged[number] = waiting
        asked = asyncio.ensure_future(self._ask_for_review(number, text))
        try:
            done, _ = await asyncio.wait(
                {waiting, asked}, timeout=self.node.review_s, return_when=asyncio.FIRST_COMPLETED
            )
            return any(future.result() for future in done)
        finally:
            asked.cancel()
            waiting.cancel()
            del self._judged[number]

    async def _ask_for_review(self, number: int, text: str) -> bool:
        try:
            return await self.node.portal.review(self.access.session_id, number, text, self.node.review_s)
        except (Refused, Unreachable):
            return False
