"""Whether a TCP port answers. Result codes as in the catalogue: 0 open, 1 timed out, 2 refused, 5 unreachable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config import TcpConfig
from monitoring.collectors.network import Guard, connect, explain

AT_ONCE: Final = 400
CODES: Final = {"timeout": 1, "refused": 2, "reset": 2, "dns": 5, "unreachable": 5}


async def collect(jobs: Sequence[Job[TcpConfig]], *, guard: Guard) -> list[Outcome]:
    """Try all ports, overlapping."""
    places = asyncio.Semaphore(AT_ONCE)
    return list(await asyncio.gather(*(_one(job, guard, places) for job in jobs)))


async def _one(job: Job[TcpConfig], guard: Guard, places: asyncio.Semaphore) -> Outcome:
    outcome = Outcome(job.target_id)
    labels = labels_text({"port": str(job.config.port)})
    async with places:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(job.config.timeout_s):
                sock, address = await connect(
                    job.config.host, job.config.port, guard=guard, allow_internal=job.allow_internal
                )
        except OSError as error:
            failure = explain(error)
            outcome.steps.append(Step(failure.code, failure.detail, ok=False))
            if failure.ours:
                outcome.problem = Problem(failure.code, failure.detail)
            else:
                outcome.add(job, "port.result_code", _now(), CODES.get(failure.code, 5), labels)
        else:
            sock.close()
            took = (time.perf_counter() - began) * 1000
            outcome.steps.append(Step("connected", f"{address} {took:.1f} ms"))
            at = _now()
            outcome.add(job, "port.result_code", at, 0, labels)
            outcome.add(job, "port.connect_ms", at, took, labels)
        outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _now() -> int:
    return round(time.time() * 1000)
