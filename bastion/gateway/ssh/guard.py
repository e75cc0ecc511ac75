"""Between a person's keys and the target: each Enter is held while the line is read off the screen and judged.

An aid for audit and a guard rail, no security boundary: what is typed can hide a command from any reader (`base64 |
sh`, an editor's `:!`). The recording is the evidence.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable

from bastion.gateway.contract import LONGEST_COMMAND, CommandRule, Verdict
from bastion.gateway.redaction import HIDDEN, Secrets
from bastion.gateway.session import CommandReader, Session
from bastion.policy import Judgement

SETTLE_S = 0.15
QUIET_S = 0.02
CANCEL_S, CANCEL_QUIET_S = 0.5, 0.05
MOST_PASTED = 1024 * 1024
CTRL_C = b"\x03"
PASTE_BEGINS, PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
# Ctrl-O runs a line in readline as Enter does.
STEP = re.compile(rb"\x1b\[200~|[\r\n\x0f]")


class Guard:
    """`send` passes bytes on to the target, `hold(bool)` stops and restarts the person's input, `end` ends it.

    `has_refused`: of a pipe, a line was refused, and nothing behind it passes: it may rest on what did not run.
    """

    def __init__(
        self,
        session: Session,
        reader: CommandReader,
        send: Callable[[bytes], None],
        hold: Callable[[bool], None],
        end: Callable[[], None],
    ) -> None:
        self._session, self._reader, self._send, self._hold, self._end = session, reader, send, hold, end
        self.has_refused = False
        self._waiting = bytearray()
        self._whose: deque[tuple[int, int]] = deque()  # How many of the waiting bytes are from whom.
        self._by = session.typist
        self._is_held = False
        self._work: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._output_at = self._sent_at = 0.0
        self._output, self._arrived = asyncio.Event(), asyncio.Event()
        self._given_up: asyncio.Event | None = None
        self._unlocked = asyncio.Event()
        self.lock(session.is_locked)

    def output(self, data: bytes) -> None:
        self._reader.output(data)
        self._output_at = self._loop.time()
        self._output.set()

    def resize(self, cols: int, rows: int) -> None:
        self._reader.resize(cols, rows)

    def input(self, data: bytes) -> None:
        if self.has_refused:
            return
        if not self._session.access.rules and self._work is None and not self._waiting:
            self._by = self._session.typist
            self._pass(data)
            return
        if self._given_up is not None and CTRL_C in data:
            self._given_up.set()
        self._waiting += data
        self._whose.append((len(data), self._session.typist))
        self._arrived.set()
        if len(self._waiting) > MOST_PASTED and not self._is_held:
            self._is_held = True
            self._hold(True)
        if self._work is None:
            self._step()

    def lock(self, is_locked: bool) -> None:
        """What was typed and waits is gone; lines of a pipe wait on, for it would miss them."""
        if not is_locked:
            self._unlocked.set()
            return
        self._unlocked.clear()
        if self._reader.has_echo:
            self._take(len(self._waiting), notes_typist=False)
            self._arrived.set()

    async def drained(self) -> None:
        """The person's input has ended, perhaps in the middle of a line: a shell would run that too."""
        while self._work is not None:
            await asyncio.wait({self._work})
        if self._waiting:
            await self._line(self._take(len(self._waiting)))

    def _pass(self, data: bytes) -> None:
        """Nothing to judge: pass on at once, and note what was entered."""
        for line in self._reader.key(data):
            self._note(line, Verdict.ALLOW, None)
        self._sent_at = self._loop.time()
        self._send(data)

    def _step(self) -> None:
        """Pass on what holds no Enter; the rest needs time. Without echo nothing passes before its line is judged."""
        if not self._reader.has_echo:
            if b"\n" not in self._waiting and len(self._waiting) <= LineReader.MOST:
                return
        elif STEP.search(self._waiting) is None:
            if self._waiting:
                self._pass(self._take(len(self._waiting)))
            return
        self._work = self._session.spawn(self._work_off())

    async def _work_off(self) -> None:
        try:
            await (self._work_off_keys() if self._reader.has_echo else self._work_off_lines())
        finally:
            self._work = None

    async def _work_off_keys(self) -> None:
        while self._waiting and (found := STEP.search(self._waiting)) is not None:
            before = self._take(found.start())
            if before:
                self._pass(before)
            if found.group() == PASTE_BEGINS:
                await self._paste()
            else:
                await self._enter(self._take(1))
            self._let_in(MOST_PASTED // 2)
        if self._waiting:
            self._pass(self._take(len(self._waiting)))

    async def _work_off_lines(self) -> None:
        while (end := self._waiting.find(b"\n")) >= 0 or len(self._waiting) > LineReader.MOST:
            await self._line(self._take(end + 1 or len(self._waiting)))
            self._let_in(MOST_PASTED // 2)
            await asyncio.sleep(0)

    def _let_in(self, least: int) -> None:
        """More input, when no more than this waits."""
        if self._is_held and len(self._waiting) <= least:
            self._is_held = False
            self._hold(False)

    def _take(self, count: int, *, notes_typist: bool = True) -> bytes:
        data = bytes(self._waiting[:count])
        del self._waiting[:count]
        left, by = len(data), self._by
        while left > 0:
            size, by = self._whose.popleft()
            if size > left:
                self._whose.appendleft((size - left, by))
            left -= size
        if notes_typist:
            self._by = by
        return data

    async def _enter(self, key: bytes) -> None:
        await self._settle()
        is_command = not self._reader.is_alternate
        pending = self._reader.pending() if is_command else ""
        may_run = not is_command or await self._may_run(pending)
        if self._session.is_locked:
            return
        if not may_run:
            await self._cancel()
            return
        entered = self._reader.key(key)  # what was said about a command stands below it on the screen by now
        for line in pending.split("\n") if is_command else entered:
            self._note_judged(line, is_command=is_command)
        self._sent_at = self._loop.time()
        self._send(key)

    async def _line(self, line: bytes) -> None:
        """A line of a pipe passes once all of it was judged; one that is too long to be judged does not."""
        if not await self._may_pass(self._reader.pending() + line.decode("utf-8", "replace")):
            self.has_refused = True
            self._take(len(self._waiting), notes_typist=False)
            self._end()
            return
        await self._unlocked.wait()
        for entered in self._reader.key(line):
            self._note_judged(entered, is_command=True)
        self._send(line)

    async def _may_pass(self, text: str) -> bool:
        if len(text) > LineReader.MOST:
            self._session.show(self._session.say("command_denied", piece=text[:80] + "…"))
            self._note(text, Verdict.DENY, None)
            return False
        for part in re.split(r"[\r\n]", text):
            if not await self._may_run(part):
                return False
        return True

    async def _cancel(self) -> None:
        """Ctrl-C, and wait for the prompt: a shell throws away what is typed until it has dealt with that."""
        self._reader.key(CTRL_C)
        self._sent_at = self._loop.time()
        self._send(CTRL_C)
        await self._settle(CANCEL_S, CANCEL_QUIET_S)

    async def _paste(self) -> None:
        """All lines of a bracketed paste are judged before any of it is passed on."""
        while (end := self._waiting.find(PASTE_ENDS)) < 0 and len(self._waiting) < MOST_PASTED:
            if self._session.is_locked:
                return
            self._arrived.clear()
            await self._arrived.wait()
        pasted = self._take(end + len(PASTE_ENDS) if end >= 0 else len(self._waiting))
        text = pasted.removeprefix(PASTE_BEGINS).removesuffix(PASTE_ENDS).decode("utf-8", "replace")
        lines = re.split(r"[\r\n\x0f]+", text)
        for line in lines[:-1] if len(lines) > 1 else []:
            if not await self._may_run(line):
                return
        if not self._session.is_locked:
            self._pass(pasted)

    async def _settle(self, most_s: float = SETTLE_S, quiet_s: float = QUIET_S) -> None:
        """Until the echo of what was sent is there and the screen is quiet, or too long has passed."""
        until = self._loop.time() + most_s
        while (now := self._loop.time()) < until:
            if self._output_at > self._sent_at and now - self._output_at >= quiet_s:
                return
            self._output.clear()
            wait = until - now if self._output_at <= self._sent_at else quiet_s - (now - self._output_at)
            try:
                await asyncio.wait_for(self._output.wait(), max(0.001, wait))
            except TimeoutError:
                continue

    async def _may_run(self, line: str) -> bool:
        """Judge a line and tell the person; a refused one becomes a fact here."""
        if not is_command(line):
            return True
        judgement, self._given_up = self._session.judge(line), asyncio.Event()
        try:
            is_allowed = await decide(self._session, judgement, line, self._given_up)
        finally:
            self._given_up = None
        if not is_allowed:
            self._note(line, judgement.verdict, judgement.rule)
        return is_allowed

    def _note_judged(self, line: str, *, is_command: bool) -> None:
        if is_command:
            judgement = self._session.judge(line)
            self._note(line, judgement.verdict, judgement.rule)
        else:
            self._note(line, Verdict.ALLOW, None)

    def _note(self, text: str, verdict: Verdict, rule: CommandRule | None) -> None:
        note_command(self._session, text, verdict, rule, by=self._by)


def is_command(line: str) -> bool:
    """False for nothing, and for what was typed without echo."""
    return bool(line.strip(f" \t\r\n{HIDDEN}"))


def note_command(
    session: Session,
    text: str,
    verdict: Verdict,
    rule: CommandRule | None,
    exit_status: int | None = None,
    *,
    by: int | None = None,
) -> None:
    """`by`: who has entered it; told where it is not the person."""
    if is_command(text):
        guest = {} if by in (None, session.person.id) else {"by": by}
        session.tell(
            "command",
            text=text[:LONGEST_COMMAND],
            at_s=session.at_s(),
            verdict=verdict.value,
            rule=rule.id if rule is not None else None,
            exit=exit_status,
            **guest,
        )


async def decide(session: Session, judgement: Judgement, line: str, given_up: asyncio.Event | None = None) -> bool:
    """Tell the person what was judged and, under review, wait for the answer. True: it may run."""
    words = judgement.rule.words if judgement.rule is not None else ""
    if judgement.verdict is Verdict.ALLOW:
        return True
    if judgement.verdict is Verdict.WARN:
        session.mark(f"warned: {line}")
        session.show(words or session.say("command_warned", piece=judgement.piece))
        return True
    if judgement.verdict is Verdict.DENY:
        session.mark(f"denied: {line}")
        session.show(words or session.say("command_denied", piece=judgement.piece))
        return False
    session.mark(f"held for review: {line}")
    session.show(words or session.say("command_review", piece=judgement.piece))
    is_allowed = await _reviewed(session, line, given_up or asyncio.Event())
    session.mark("approved" if is_allowed else "not approved")
    session.show(session.say("command_approved" if is_allowed else "command_refused"))
    return is_allowed


async def _reviewed(session: Session, line: str, given_up: asyncio.Event) -> bool:
    review = asyncio.ensure_future(session.review(line))
    leave = asyncio.ensure_future(given_up.wait())
    try:
        await asyncio.wait({review, leave}, return_when=asyncio.FIRST_COMPLETED)
        return review.done() and not leave.done() and review.result()
    finally:
        review.cancel()
        leave.cancel()


class LineReader:
    """Reads commands from lines where there is no terminal: a shell that is fed by a pipe. A CommandReader."""

    MOST = 64 * 1024
    is_alternate = has_echo = False

    def __init__(self, command: str = "") -> None:
        self._line, self._secrets = bytearray(), Secrets(command)

    def output(self, data: bytes) -> None:
        self._secrets.shown(data)

    def resize(self, cols: int, rows: int) -> None:
        """There is no screen."""

    def key(self, data: bytes) -> list[str]:
        *ended, rest = re.split(rb"[\r\n]", bytes(self._line[: self.MOST]) + data)
        self._line = bytearray(rest)
        return [said for line in ended if (said := self._said(line.decode("utf-8", "replace"))).strip()]

    def _said(self, line: str) -> str:
        is_secret = self._secrets.is_secret
        self._secrets.ended(line)
        return HIDDEN if is_secret else line

    def pending(self) -> str:
        return self._line.decode("utf-8", "replace")
