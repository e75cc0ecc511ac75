"""Whether a name has the records it should have. Result codes: 0 as expected, 1 no answer in time, 2 refused or
failed by the server, 3 no such name, 4 other values than expected, 5 no record of this type.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config.names import DnsConfig
from monitoring.collectors.network import BlockedError, Guard, ResolveError, resolve

AT_ONCE: Final = 100
AS_EXPECTED, TIMED_OUT, SERVER_FAILED, NO_NAME, OTHER_VALUES, NO_RECORD = range(6)


async def collect(jobs: Sequence[Job[DnsConfig]], *, guard: Guard) -> list[Outcome]:
    """Ask for all records, overlapping."""
    places = asyncio.Semaphore(AT_ONCE)
    return list(await asyncio.gather(*(_one(job, guard, places) for job in jobs)))


async def _one(job: Job[DnsConfig], guard: Guard, places: asyncio.Semaphore) -> Outcome:
    outcome = Outcome(job.target_id)
    async with places:
        began = time.perf_counter()
        try:
            resolver = await _resolver(job, guard)
            code, values = await _ask(job.config, resolver)
        except BlockedError:
            outcome.problem = Problem("blocked", job.config.resolver)
        except ResolveError:
            outcome.problem = Problem("dns", job.config.resolver)
        except (OSError, dns.resolver.NoResolverConfiguration) as error:
            outcome.problem = Problem("local", str(error))
        else:
            _tell(job, code, values, (time.perf_counter() - began) * 1000, outcome)
        outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _tell(job: Job[DnsConfig], code: int, values: Sequence[str], took_ms: float, outcome: Outcome) -> None:
    if code == TIMED_OUT and not job.config.resolver:
        outcome.problem = Problem("timeout", "resolver")  # the platform's own name server is silent: ours to mend
        return
    at = round(time.time() * 1000)
    labels = labels_text({"name": job.config.name, "record": job.config.record})
    outcome.add(job, "dns.result_code", at, code, labels)
    if code in (AS_EXPECTED, OTHER_VALUES):
        outcome.add(job, "dns.latency_ms", at, took_ms, labels)
    outcome.steps.append(Step("dns_answer", ", ".join(values)[:400] or job.config.record, ok=code == AS_EXPECTED))
    outcome.state = {"values": list(values)[:40], "code": code}


async def _resolver(job: Job[DnsConfig], guard: Guard) -> dns.asyncresolver.Resolver:
    """The resolver to ask; one that people typed in passes the guard like every other address."""
    config = job.config
    if not config.resolver:
        resolver = dns.asyncresolver.Resolver()
    else:
        found = [str(info[4][0]) for info in await resolve(config.resolver_host, config.resolver_port)]
        open_ones = [address for address in found if guard.allows(address, allow_internal=job.allow_internal)]
        if not open_ones:
            raise BlockedError
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = [dns.nameserver.Do53Nameserver(open_ones[0], config.resolver_port)]
    resolver.lifetime = config.timeout_s
    resolver.timeout = max(0.5, config.timeout_s / 2)
    return resolver


async def _ask(config: DnsConfig, resolver: dns.asyncresolver.Resolver) -> tuple[int, list[str]]:
    try:
        answer = await resolver.resolve(config.name, config.record, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return NO_NAME, []
    except dns.resolver.LifetimeTimeout:
        return TIMED_OUT, []
    except (dns.resolver.NoNameservers, dns.exception.DNSException):
        return SERVER_FAILED, []
    kind = dns.rdatatype.from_text(config.record)
    values = sorted(
        canonical(item.to_text()) for rrset in answer.response.answer if rrset.rdtype == kind for item in rrset
    )
    if not values:
        return NO_RECORD, []
    return (AS_EXPECTED if fits(config, values) else OTHER_VALUES), values


def canonical(value: str) -> str:
    """One spelling: without the last dot, names in small letters, the pieces of a TXT put together."""
    if value.startswith('"'):
        return "".join(value.split('"')[1::2])
    return value.rstrip(".").lower()


def fits(config: DnsConfig, values: Sequence[str]) -> bool:
    """All expected values are there; with ``exactly``, and no others."""
    wanted = {value if config.record == "TXT" else canonical(value.strip()) for value in config.expected}
    return not wanted or (wanted == set(values) if config.exactly else wanted <= set(values))
