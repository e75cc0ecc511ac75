"""What a customer's node does besides sessions: programs beside this one do it, their answers wait on disk.

What there is to do, and what comes of it, is between the platform and those programs. Sessions come first: a program
that hangs or dies is started again, and takes nothing with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from bastion.gateway import wire
from bastion.gateway.contract import Refused, Unreachable
from bastion.gateway.remote_portal import pause

RUNNERS: Final[Mapping[str, str]] = {"checks": "monitoring.errands"}
"""Who does which kind. The program gets what there is to do as lines of JSON, and answers in lines; an empty line says
that it is well."""
ROOT: Final = Path(__file__).parents[2]
SUFFIX: Final = ".answer"
LONGEST_LINE: Final = 3_500_000
KEPT_S: Final = 6 * 3600.0
KEPT_BYTES: Final = 200_000_000
ASK_EVERY_S, ASK_AGAIN_S = 15.0, 2.0
SILENT_S: Final = 60.0
"""A program that says nothing for so long hangs."""
FIRST_WAIT_S, LONGEST_WAIT_S, STEADY_S = 1.0, 60.0, 120.0
LAST_BREATH_S: Final = 2.0
log = logging.getLogger(__name__)


class Answers(Protocol):
    """The part of the portal that errands are about. Raises Refused and Unreachable."""

    async def errand(self, kind: str, version: str) -> wire.Errands: ...

    async def answer_errand(self, kind: str, number: int, body: bytes) -> int: ...


class AnswerSpool:
    """Answers that the portal does not have yet, one file each, in the order of their numbers.

    A number is the microsecond in which the answer came, or one more than the one before: it never goes back, even when
    the machine is set up anew. What is older than six hours, or more than fits, makes room for what is new.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory, self._mark = directory, directory / "last"
        for draft in directory.glob("*.new"):
            draft.unlink()
        found = sorted((int(path.stem), path.stat().st_size) for path in directory.glob(f"*{SUFFIX}"))
        self._waiting = deque(found)
        self._size = sum(size for _number, size in found)
        self._last = max(self._marked(), found[-1][0] if found else 0)
        self.dropped = 0
        """How many made room since this program began."""

    def __len__(self) -> int:
        return len(self._waiting)

    def follow(self, number: int) -> None:
        """The portal has taken this one: the next is greater."""
        self._last = max(self._last, number)

    def add(self, data: bytes) -> int:
        """Raises OSError."""
        number = max(self._last + 1, time.time_ns() // 1000)
        _write(self._path(number), data)
        _write(self._mark, str(number).encode())
        self._last = number
        self._waiting.append((number, len(data)))
        self._size += len(data)
        self._make_room()
        return number

    def next(self) -> tuple[int, bytes] | None:
        """The oldest that waits."""
        self._make_room()
        while self._waiting:
            number, _size = self._waiting[0]
            try:
                return number, self._path(number).read_bytes()
            except OSError as problem:
                log.error("answer %d cannot be read: %s", number, problem)
                self.drop(number)
        return None

    def taken(self, upto: int) -> None:
        while self._waiting and self._waiting[0][0] <= upto:
            self._forget_first()

    def drop(self, number: int) -> None:
        """It will never arrive."""
        if self._waiting and self._waiting[0][0] == number:
            self._forget_first()
            self.dropped += 1

    def _make_room(self) -> None:
        oldest, before = (time.time() - KEPT_S) * 1_000_000, self.dropped
        while self._waiting and (self._waiting[0][0] < oldest or self._size > KEPT_BYTES):
            self._forget_first()
            self.dropped += 1
        if self.dropped > before:
            log.warning("%d answers have waited too long for the portal and are gone", self.dropped - before)

    def _forget_first(self) -> None:
        number, size = self._waiting.popleft()
        self._size -= size
        with contextlib.suppress(OSError):
            self._path(number).unlink(missing_ok=True)

    def _marked(self) -> int:
        try:
            return int(self._mark.read_bytes())
        except (OSError, ValueError):
            return 0

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:020d}{SUFFIX}"


@dataclass(frozen=True)
class _Kept:
    size: int
    body: msgspec.Raw


class Carrier:
    """One kind of errand: what there is to do, the program that does it, its answers on their way."""

    def __init__(self, kind: str, module: str, directory: Path, portal: Answers) -> None:
        self._kind, self._module, self._portal = kind, module, portal
        self._spool = AnswerSpool(directory)
        self._kept = directory / "todo"
        self._version = ""
        self._line, self.size = self._from_disk()
        self._changed, self._something = asyncio.Event(), asyncio.Event()
        self._something.set()

    def load(self) -> dict[str, object]:
        """For the heartbeat."""
        said = {"": self.size, "_waiting": len(self._spool), "_dropped": self._spool.dropped}
        return {f"{self._kind}{name}": count for name, count in said.items()}

    async def run(self) -> None:
        """Until cancelled; the program ends with it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask())
            tasks.create_task(self._send())
            tasks.create_task(self._work())

    # --- what there is to do ----------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        while True:
            wait = ASK_EVERY_S
            try:
                said = await self._portal.errand(self._kind, self._version)
                self._spool.follow(said.taken)
                if said.errand is not None:
                    self._take(said.errand)
            except Refused as no:
                log.warning("%s: the portal says %s", self._kind, no.code)
            except Unreachable:
                wait = ASK_AGAIN_S
            await asyncio.sleep(wait)

    def _take(self, errand: wire.Errand) -> None:
        if errand.size or self.size:
            log.info("%s: %d to carry", self._kind, errand.size)
        self._version, self.size = errand.version, errand.size
        self._line = wire.encode({"body": errand.body, "secrets": errand.secrets})
        self._changed.set()
        try:
            _write(self._kept, wire.encode({"size": errand.size, "body": errand.body}))
        except OSError as problem:
            log.error("%s: what there is to do cannot be kept: %s", self._kind, problem)

    def _from_disk(self) -> tuple[bytes, int]:
        """What this node did before it was started again: without secrets, until the portal answers."""
        try:
            kept = wire.decode(_Kept, self._kept.read_bytes())
        except (OSError, wire.Malformed):
            return b"", 0
        return wire.encode({"body": kept.body, "secrets": None}), kept.size

    # --- what comes of it -------------------------------------------------------------------------------------------

    async def _send(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            found = self._spool.next()
            if found is None:
                self._something.clear()
                await self._something.wait()
                continue
            number, data = found
            try:
                self._spool.taken(await self._portal.answer_errand(self._kind, number, data))
                wait = FIRST_WAIT_S
            except Refused as no:
                log.error("%s: answer %d is refused: %s", self._kind, number, no.code)
                if no.code == "malformed":
                    self._spool.drop(number)
                wait = await pause(wait)
            except Unreachable as problem:
                log.info("%s: %d answers wait: %s", self._kind, len(self._spool), problem)
                wait = await pause(wait)

    def _keep(self, answer: bytes) -> None:
        try:
            self._spool.add(answer)
        except OSError as problem:
            self._spool.dropped += 1
            log.error("%s: an answer cannot be kept: %s", self._kind, problem)
        self._something.set()

    # --- who does it ------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            while not self.size:
                self._changed.clear()
                await self._changed.wait()
            began = time.monotonic()
            try:
                await self._live()
            except OSError as problem:
                log.error("%s: %s cannot be started: %s", self._kind, self._module, problem)
            if time.monotonic() - began > STEADY_S:
                wait = FIRST_WAIT_S
            if self.size:
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)

    async def _live(self) -> None:
        """One life of the program: until it ends, hangs, or has nothing to do any more."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module, cwd=ROOT, env=_environment(), limit=LONGEST_LINE,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - both are pipes
        doing = [
            asyncio.ensure_future(self._tell(process.stdin)),
            asyncio.ensure_future(self._listen(process.stdout)),
        ]
        try:
            await asyncio.wait(doing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in doing:
                one.cancel()
            for problem in await asyncio.gather(*doing, return_exceptions=True):
                if isinstance(problem, Exception):
                    log.warning("%s: %s: %r", self._kind, self._module, problem)
            process.stdin.close()
            await _end(process)
            log.info("%s: %s has ended (%s)", self._kind, self._module, process.returncode)

    async def _tell(self, stdin: asyncio.StreamWriter) -> None:
        """What there is to do, now and whenever it changes, while there is anything."""
        while self.size:
            self._changed.clear()
            stdin.write(self._line + b"\n")
            await stdin.drain()
            await self._changed.wait()

    async def _listen(self, stdout: asyncio.StreamReader) -> None:
        """Raises TimeoutError when it hangs, ValueError for a line without end."""
        while True:
            async with asyncio.timeout(SILENT_S):
                line = await stdout.readline()
            if not line.endswith(b"\n"):
                return
            if answer := line.strip():
                self._keep(answer)


class Errands:
    """All that this node carries."""

    def __init__(self, directory: Path, portal: Answers) -> None:
        self._carriers = [Carrier(kind, module, directory / kind, portal) for kind, module in RUNNERS.items()]

    def load(self) -> dict[str, object]:
        return {name: count for carrier in self._carriers for name, count in carrier.load().items()}

    async def run(self) -> None:
        """Until cancelled. What goes wrong with it ends no session."""
        await asyncio.gather(*map(_again_and_again, self._carriers))


async def _again_and_again(carrier: Carrier) -> None:
    while True:
        try:
            await carrier.run()
        except Exception:
            log.exception("an errand failed")
        await asyncio.sleep(LONGEST_WAIT_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Its stdin is closed: it should end by itself."""
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LAST_BREATH_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _environment() -> dict[str, str]:
    """What a program needs of ours, and none of our secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RDMP_")}


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_suffix(".new")
    draft.write_bytes(data)
    draft.replace(path)
