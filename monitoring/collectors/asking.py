"""Asking from a place: the same on the platform's own machine and on a location's worker far away.

Control addresses tell whether a place is itself offline: when nothing in a batch passed and every failure could be
the place's own network, they are tried; when none of them answers, the place says nothing about anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from monitoring.collectors import Job, Problem, flow, http, tcp
from monitoring.collectors.config import Kind
from monitoring.collectors.network import Guard, connect
from monitoring.collectors.places import PASSED, Answer

LOOKUP_THREADS: Final = 32
CONTROL_S: Final = 3.0
COULD_BE_OURS: Final = frozenset({"timeout", "unreachable", "dns"})
OFFLINE: Final = "location_offline"

ASKERS: Final[Mapping[Kind, Callable[..., Awaitable[list[Answer]]]]] = {
    Kind.HTTP: http.ask,
    Kind.FLOW: flow.ask,
    Kind.TCP: tcp.ask,
}


async def ask(
    kind: Kind, jobs: Sequence[Job[Any]], *, guard: Guard, point: str, control: Sequence[str] = ()
) -> list[Answer]:
    """One answer for each job, in their order."""
    answers = await ASKERS[kind](jobs, guard=guard, point=point)
    if control and answers and all(map(_looks_offline, answers)) and not await _reaches(control):
        return [replace(answer, problem=Problem(OFFLINE)) for answer in answers]
    return answers


def _looks_offline(answer: Answer) -> bool:
    reasons = {answer.reason, *(step.detail.partition(" ")[0] for step in answer.steps[-1:])}
    return answer.problem is not None or (answer.code != PASSED and bool(reasons & COULD_BE_OURS))


async def _reaches(control: Sequence[str]) -> bool:
    """Whether any of the control addresses (host:port, of the operator's choice) takes a connection."""

    async def one(text: str) -> bool:
        host, _, port = text.rpartition(":")
        try:
            async with asyncio.timeout(CONTROL_S):
                sock, _ = await connect(host.strip("[]"), int(port), guard=Guard(), allow_internal=True)
        except OSError:
            return False
        sock.close()
        return True

    return any(await asyncio.gather(*map(one, control)))


def to_the_end(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run coroutines to their end, with enough threads that slow name servers hold up nobody else."""

    async def run() -> Any:
        with ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup") as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            return await main()

    return asyncio.run(run())
