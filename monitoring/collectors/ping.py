"""Whether an address answers ping. Not being allowed to send is the platform's problem, never the customer's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from icmplib import ICMPLibError, SocketPermissionError, async_ping

from monitoring.collectors import Job, Outcome, Problem, Step
from monitoring.collectors.config.machines import PingConfig
from monitoring.collectors.network import BlockedError, Guard, ResolveError, resolve

AT_ONCE: Final = 50
SPACING_S: Final = 0.2
REACHABLE, NO_ANSWER, NOT_RESOLVED = 0, 1, 2


async def collect(jobs: Sequence[Job[PingConfig]], *, guard: Guard) -> list[Outcome]:
    """Ping all addresses, overlapping."""
    places = asyncio.Semaphore(AT_ONCE)
    return list(await asyncio.gather(*(_one(job, guard, places) for job in jobs)))


async def _one(job: Job[PingConfig], guard: Guard, places: asyncio.Semaphore) -> Outcome:
    outcome = Outcome(job.target_id)
    async with places:
        began = time.perf_counter()
        try:
            address = await _address(job, guard)
            await _ping(job, address, outcome)
        except ResolveError as error:
            outcome.steps.append(Step("dns", job.config.host, ok=False))
            if error.ours:
                outcome.problem = Problem("dns", job.config.host)
            else:
                outcome.add(job, "ping.result_code", _now(), NOT_RESOLVED)
        except BlockedError:
            outcome.problem = Problem("blocked", job.config.host)
        except SocketPermissionError:
            outcome.problem = Problem("not_permitted")
        except ICMPLibError as error:
            outcome.problem = Problem("local", str(error))
        outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


async def _address(job: Job[PingConfig], guard: Guard) -> str:
    """The address to ping: the first that the guard lets through; IPv4 before IPv6."""
    found = sorted({str(info[4][0]) for info in await resolve(job.config.host, 0)}, key=lambda text: ":" in text)
    for address in found:
        if guard.allows(address, allow_internal=job.allow_internal):
            return address
    raise BlockedError


async def _ping(job: Job[PingConfig], address: str, outcome: Outcome) -> None:
    config = job.config
    try:
        host = await async_ping(address, config.count, SPACING_S, config.timeout_s, privileged=False)
    except SocketPermissionError:
        host = await async_ping(address, config.count, SPACING_S, config.timeout_s, privileged=True)
    if host.packets_sent == 0:
        outcome.problem = Problem("local", address)  # the kernel took no packet: no route on our side
        return
    at = _now()
    outcome.add(job, "ping.result_code", at, REACHABLE if host.is_alive else NO_ANSWER)
    outcome.add(job, "ping.loss_pct", at, host.packet_loss * 100)
    if host.is_alive:
        outcome.add(job, "ping.rtt_ms", at, host.avg_rtt)
    outcome.steps.append(
        Step("ping", f"{address} {host.packets_received}/{host.packets_sent} {host.avg_rtt:.1f} ms", ok=host.is_alive)
    )


def _now() -> int:
    return round(time.time() * 1000)
