"""Whether a TCP port answers. Result codes as in the catalogue: 0 open, 1 timed out, 2 refused, 5 unreachable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config.machines import TcpConfig
from monitoring.collectors.network import Guard, Journey, connect, explain
from monitoring.collectors.places import PORT_CODES, Answer

AT_ONCE: Final = 400


async def collect(jobs: Sequence[Job[TcpConfig]], *, guard: Guard) -> list[Outcome]:
    """Try all ports, overlapping."""
    places = asyncio.Semaphore(AT_ONCE)
    return [_outcome(job, answer) for job, answer in zip(jobs, await _all(jobs, guard, "", places), strict=True)]


async def ask(jobs: Sequence[Job[TcpConfig]], *, guard: Guard, point: str) -> list[Answer]:
    """Try all ports from this location."""
    return await _all(jobs, guard, point, asyncio.Semaphore(AT_ONCE))


async def _all(jobs: Sequence[Job[TcpConfig]], guard: Guard, point: str, places: asyncio.Semaphore) -> list[Answer]:
    return list(await asyncio.gather(*(_one(job, guard, point, places) for job in jobs)))


async def _one(job: Job[TcpConfig], guard: Guard, point: str, places: asyncio.Semaphore) -> Answer:
    async with places:
        began = time.perf_counter()
        journey = Journey()
        try:
            async with asyncio.timeout(job.config.timeout_s):
                sock, _ = await connect(
                    job.config.host,
                    job.config.port,
                    guard=guard,
                    allow_internal=job.allow_internal,
                    journey=journey,
                )
        except OSError as error:
            failure = explain(error)
            took = (time.perf_counter() - began) * 1000
            problem = Problem(failure.code, failure.detail) if failure.ours else None
            code = PORT_CODES.get(failure.code, 5)
            return Answer(point, code, took, detail=failure.detail, reason=failure.code, problem=problem)
        sock.close()
        took = (time.perf_counter() - began) * 1000
        phases = {"dns": journey.dns, "connect": journey.connect}
        return Answer(point, 0, took, phases=phases, address=journey.address)


def _outcome(job: Job[TcpConfig], answer: Answer) -> Outcome:
    outcome = Outcome(job.target_id, problem=answer.problem, took_ms=answer.took_ms)
    labels = labels_text({"port": str(job.config.port)})
    at = round(time.time() * 1000)
    if answer.problem is None:
        outcome.add(job, "port.result_code", at, answer.code, labels)
    if answer.problem is not None or answer.code:
        outcome.steps.append(Step(answer.reason, answer.detail, ok=False))
    else:
        outcome.steps.append(Step("connected", f"{answer.address} {answer.took_ms:.1f} ms"))
        outcome.add(job, "port.connect_ms", at, answer.took_ms, labels)
    return outcome
