"""The checks that a customer's control node carries: a process of its own beside the node program. No Django.

    python -m monitoring.errands

A line on stdin is what there is to do from now on: {"body": checks, "secrets": {target: secret}}, or null for secrets
when the node has none (it was restarted while the portal is away): then the checks that need one wait. A line on stdout
is a body of results (`collectors.errand`), an empty one says that the process is well. It ends when stdin does.

Addresses of the node's own network are open here, that is what it is for; its own machine, link-local and metadata
addresses stay closed unless the platform's administrator allowed the target.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from monitoring.collectors import (
    Job,
    Outcome,
    Problem,
    State,
    asking,
    dns,
    errand,
    hoststate,
    ping,
    products,
    prometheus,
    tcp,
    tls,
)
from monitoring.collectors.config import Kind
from monitoring.collectors.errand import Check, Result
from monitoring.collectors.network import Guard
from monitoring.grid import next_due

LOOKUP_THREADS: Final = 32
AT_ONCE: Final = 100
LONGEST_RUN_S: Final = 60.0
"""More than any check may be given by its own limit."""
FLUSH_S: Final = 1.0
ALIVE_EVERY_S: Final = 5.0
LONGEST_TEXTS: Final = 1_000_000
MOST_MEMORY: Final = 1024**3
GUARD: Final = Guard()
log = logging.getLogger("monitoring.errands")

COLLECTORS: Final[Mapping[Kind, Callable[[Sequence[Job[Any]]], Coroutine[Any, Any, list[Outcome]]]]] = {
    Kind.PROMETHEUS: lambda jobs: prometheus.collect(jobs, guard=GUARD),
    Kind.TCP: lambda jobs: tcp.collect(jobs, guard=GUARD),
    Kind.PING: lambda jobs: ping.collect(jobs, guard=GUARD),
    Kind.DNS: lambda jobs: dns.collect(jobs, guard=GUARD),
    Kind.TLS: lambda jobs: tls.collect(jobs, guard=GUARD),
    Kind.PRODUCT: lambda jobs: products.collect(jobs, guard=GUARD),
    Kind.STATE: lambda jobs: hoststate.collect(jobs, guard=GUARD),
}


@dataclass(frozen=True, slots=True)
class _Running:
    said: Mapping[str, Any]
    secret: str
    task: asyncio.Task[None]


class Rounds:
    """Asks every target on its own grid until it is told otherwise; what collectors remember stays with the target."""

    def __init__(self, emit: Callable[[bytes], None]) -> None:
        self._emit = emit
        self._running: dict[int, _Running] = {}
        self._states: dict[int, State] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def assign(self, checks: Sequence[Mapping[str, Any]], secrets: Mapping[str, str] | None) -> None:
        """These and no others. A target whose check is the same goes on as it is."""
        wanted = {int(said["target"]): said for said in checks if secrets is not None or not said["needs_secret"]}
        for target, running in list(self._running.items()):
            said, secret = wanted.get(target), (secrets or {}).get(str(target), "")
            if said == running.said and secret == running.secret:
                del wanted[target]
                continue
            running.task.cancel()
            del self._running[target]
            if said is None or said["config"] != running.said["config"]:
                self._states.pop(target, None)
        for target, said in wanted.items():
            secret = (secrets or {}).get(str(target), "")
            task = asyncio.ensure_future(self._keep_asking(target, said, secret))
            self._running[target] = _Running(said, secret, task)

    async def _keep_asking(self, target: int, said: Mapping[str, Any], secret: str) -> None:
        try:
            check = errand.check_of(said, secret)
        except (ValueError, TypeError, KeyError) as problem:
            self._tell(Result(target, time.time(), problem=("node_behind", str(problem)[:400])))
            return
        while True:
            async with self._places:
                self._tell(await self._ask(check))
            now = datetime.now(UTC)
            await asyncio.sleep((next_due(now, check.job.period_s, check.phase) - now).total_seconds())

    async def _ask(self, check: Check) -> Result:
        at, target = time.time(), check.job.target_id
        job = replace(check.job, state=self._states.get(target, {}))
        try:
            async with asyncio.timeout(LONGEST_RUN_S):
                if check.kind in errand.ANSWERED:
                    [answer] = await asking.ask(check.kind, [job], guard=GUARD, point=errand.POINT)
                    return Result(target, at, answer.took_ms, answer=answer)
                [outcome] = await COLLECTORS[check.kind]([job])
        except TimeoutError:
            outcome = Outcome(target, problem=Problem("timeout"))
        except Exception as error:  # what no collector foresaw concerns this target alone
            log.exception("target %s", target)
            outcome = Outcome(target, problem=Problem("local", f"{type(error).__name__}: {error}"))
        if outcome.reading is not None:
            _shorten(outcome)
        if outcome.state is not None:
            self._states[target] = outcome.state
        return errand.result_of(outcome, at)

    def _tell(self, result: Result) -> None:
        said = errand.encode(result)
        if len(said) > errand.LONGEST:
            said = errand.encode(Result(result.target, result.at, problem=("too_large", f"{len(said)}")))
        self._emit(said)


def _shorten(outcome: Outcome) -> None:
    """Texts of files that do not fit into one result come with the next look."""
    reading, kept, size = dict(outcome.reading or {}), dict[str, str](), 0
    for digest, text in reading["texts"].items():
        size += len(text.encode(errors="replace"))
        if size <= LONGEST_TEXTS or not kept:
            kept[digest] = text
    left, state = reading["texts"].keys() - kept.keys(), dict(outcome.state or {})
    outcome.reading = {**reading, "texts": kept}
    outcome.state = {**state, "texts": [digest for digest in state["texts"] if digest not in left]}


async def serve(given: BinaryIO, told: BinaryIO) -> None:
    """The process ends when `given` does."""
    loop = asyncio.get_running_loop()
    waiting: list[bytes] = []
    rounds = Rounds(waiting.append)

    def take(line: bytes) -> None:
        said = json.loads(line)
        rounds.assign(said["body"], said["secrets"])

    def listen() -> None:
        """In a thread, so that even a loop that hangs ends with the node program."""
        for line in given:
            loop.call_soon_threadsafe(take, line)
        os._exit(0)

    with ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup") as pool:
        loop.set_default_executor(pool)
        threading.Thread(target=listen, name="stdin", daemon=True).start()
        said_at = 0.0
        while True:
            await asyncio.sleep(FLUSH_S)
            some, waiting[:] = waiting[:], []
            told.writelines(body + b"\n" for body in errand.portions(some))
            if some or time.monotonic() - said_at > ALIVE_EVERY_S:
                told.write(b"\n")
                said_at = time.monotonic()
            told.flush()


def _stay_small() -> None:
    """Sessions of people come first: this process has a limit, and is the first to go when memory runs out."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _stay_small()
    told = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a package prints is no result
    asyncio.run(serve(sys.stdin.buffer, told))


if __name__ == "__main__":
    main()
