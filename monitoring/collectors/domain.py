"""Until when a domain is paid: asked of its registry by RDAP (RFC 9082, 9083), found through IANA's list (RFC 9224).

Registries that answer no machine (among them .cn) are known by the day that people enter. WHOIS, which has no fixed
format, is not asked.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import quote, urljoin

import aiohttp

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config.names import DomainConfig
from monitoring.collectors.http import session
from monitoring.collectors.network import Guard, explain

AT_ONCE: Final = 50
MAX_BYTES: Final = 2 * 1024 * 1024
DAY_S: Final = 86_400.0
REGISTERED, NOT_REGISTERED = 0, 1
IANA: Final = "https://data.iana.org/rdap/dns.json"


class RdapError(Exception):
    """The registry gave no answer that tells the day; the text is a code of `monitoring.problems`."""


async def collect(jobs: Sequence[Job[DomainConfig]], *, guard: Guard, bootstrap: str = IANA) -> list[Outcome]:
    """Ask for all domains. The bootstrap address is a setting of the platform, and open wherever it points."""
    places = asyncio.Semaphore(AT_ONCE)
    known: dict[str, Any] = {}
    lock = asyncio.Lock()

    async def services() -> Mapping[str, Any]:
        async with lock:
            if not known:
                async with session(guard, allow_internal=True, limit=1) as client:
                    known.update(await _json(client, bootstrap))
            return known

    async def one(job: Job[DomainConfig]) -> Outcome:
        async with places:
            return await _one(job, guard, services)

    return list(await asyncio.gather(*map(one, jobs)))


async def _one(job: Job[DomainConfig], guard: Guard, services: Callable[[], Awaitable[Mapping[str, Any]]]) -> Outcome:
    outcome = Outcome(job.target_id)
    began = time.perf_counter()
    config = job.config
    try:
        async with asyncio.timeout(config.timeout_s):
            if config.expires_on:
                ends: float | None = datetime.combine(
                    date.fromisoformat(config.expires_on), datetime.min.time(), UTC
                ).timestamp()
                source = config.expires_on
            else:
                base = config.rdap_url or server_for(config.domain, await services())
                ends, source = await _ask(job, base, guard), base
    except RdapError as error:
        outcome.problem = Problem(str(error), config.domain)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = explain(error)
        code = failure.code if failure.code == "blocked" else "rdap_silent"
        outcome.problem = Problem(code, failure.detail or failure.code)
    else:
        _tell(job, ends, source, outcome)
    outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _tell(job: Job[DomainConfig], ends: float | None, source: str, outcome: Outcome) -> None:
    now = time.time()
    at = round(now * 1000)
    labels = labels_text({"name": job.config.domain})
    outcome.add(job, "domain.result_code", at, REGISTERED if ends is not None else NOT_REGISTERED, labels)
    if ends is not None:
        days = (ends - now) / DAY_S
        outcome.add(job, "probe.domain.days_left", at, days, labels)
        outcome.steps.append(Step("domain_ends", f"{days:.1f} · {source}", ok=days > 0))
    else:
        outcome.steps.append(Step("domain_unknown", source, ok=False))
    outcome.state = {"ends": ends, "source": source}


def server_for(domain: str, services: Mapping[str, Any]) -> str:
    """The registry's server: of the longest ending that the list knows. Raises RdapError."""
    labels = domain.encode("idna").decode().lower().strip(".").split(".")
    by_ending = {ending.lower(): urls for endings, urls in services.get("services", ()) for ending in endings if urls}
    for start in range(len(labels)):
        if urls := by_ending.get(".".join(labels[start:])):
            return str(next((url for url in urls if url.startswith("https:")), urls[0]))
    raise RdapError("rdap_unknown")


async def _ask(job: Job[DomainConfig], base: str, guard: Guard) -> float | None:
    """When it ends, in Unix seconds; None for a domain that nobody has registered."""
    name = job.config.domain.encode("idna").decode().lower().strip(".")
    url = urljoin(base if base.endswith("/") else base + "/", f"domain/{quote(name)}")
    async with session(guard, allow_internal=job.allow_internal, limit=1) as client:
        try:
            found = await _json(client, url)
        except LookupError:
            return None
    for event in found.get("events", ()):
        if event.get("eventAction") == "expiration":
            return datetime.fromisoformat(str(event["eventDate"])).timestamp()
    raise RdapError("rdap_no_date")


async def _json(client: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """A JSON answer of a bounded size. LookupError: 404."""
    headers = {"Accept": "application/rdap+json, application/json"}
    async with client.get(url, headers=headers, max_redirects=3) as response:
        if response.status == 404:
            raise LookupError(url)
        if response.status != 200:
            raise RdapError("rdap_limited" if response.status == 429 else "rdap_silent")
        body = bytearray()
        async for part in response.content.iter_chunked(65536):
            body += part
            if len(body) > MAX_BYTES:
                raise RdapError("rdap_silent")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise RdapError("rdap_silent")
    return found
