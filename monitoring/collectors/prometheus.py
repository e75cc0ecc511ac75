"""Reads the host agent and Prometheus exporters: one page per target, all targets of a batch at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import aiohttp
from yarl import URL

from monitoring.collectors import Job, Keys, Outcome, Problem, Step, hostfigures, hosts
from monitoring.collectors.config.machines import PrometheusConfig
from monitoring.collectors.connections import Connections
from monitoring.collectors.network import Guard, explain
from monitoring.exposition import ACCEPT, MAX_LAYOUTS, ExpositionError, Page, Parser

MAX_BYTES: Final = 16 * 1024 * 1024
AT_ONCE: Final = 100
USER_AGENT: Final = "rdmp-collector"

PARSER: Final[Parser[hosts.Source]] = Parser(hosts.choose)
"""One per process: hosts share most of their series texts."""


class _TooLargeError(Exception):
    """The answer is larger than any exporter's page."""


@dataclass(slots=True)
class _Look:
    """What one host showed, and when."""

    outcome: Outcome
    page: Page[hosts.Source] | None = None
    at: float = 0.0


def connections(guard: Guard, *, most: int = 0) -> Connections:
    """Connections to exporters, of which ``most`` are kept for the next batch."""
    return Connections(guard, at_once=AT_ONCE, headers={"Accept": ACCEPT, "User-Agent": USER_AGENT}, most=most)


async def collect(jobs: Sequence[Job[PrometheusConfig]], *, guard: Guard) -> list[Outcome]:
    """Fetch all pages, overlapping, over connections of their own; each target fails or succeeds by itself."""
    async with connections(guard) as own:
        return await collect_over(own, jobs)


async def collect_over(kept: Connections, jobs: Sequence[Job[PrometheusConfig]]) -> list[Outcome]:
    """The same over connections that stay."""
    await asyncio.sleep(0)  # connections that were closed meanwhile are noticed before they are used
    places = asyncio.Semaphore(AT_ONCE)
    looks = await asyncio.gather(*(_one(job, kept, places) for job in jobs))
    _figure(jobs, looks)
    return [look.outcome for look in looks]


async def _one(job: Job[PrometheusConfig], kept: Connections, places: asyncio.Semaphore) -> _Look:
    look = _Look(outcome := Outcome(job.target_id))
    async with places:
        began = time.perf_counter()
        try:
            text = await _fetch(job, kept, outcome)
            if text is not None:
                look.page, look.at = PARSER.parse(text, source=job.target_id), time.time()
        except ExpositionError as error:
            outcome.problem = Problem("not_prometheus", str(error))
        except _TooLargeError:
            outcome.problem = Problem("too_large", f"{MAX_BYTES // 2**20} MiB")
        except (aiohttp.ClientError, OSError, UnicodeDecodeError) as error:
            failure = explain(error)
            outcome.problem = Problem(failure.code, failure.detail)
        outcome.took_ms = (time.perf_counter() - began) * 1000
    if look.page is not None and not look.page.series:
        outcome.problem = Problem("no_known_series", f"{look.page.lines}")
    if outcome.problem is not None:
        outcome.steps.append(Step("fetch", outcome.problem.detail, ok=False))
    return look


async def _fetch(job: Job[PrometheusConfig], kept: Connections, outcome: Outcome) -> str | None:
    """The page's text. Redirects are not followed: an exporter does not redirect, a sign-in page does."""
    headers = {"Authorization": f"Bearer {job.token}"} if job.token else {}
    session = kept.session(job.config.url, allow_internal=job.allow_internal)
    async with session.get(
        _parsed(job.config.url),
        headers=headers,
        allow_redirects=False,
        ssl=job.config.verify_tls,
        timeout=_patience(job.config.timeout_s),
    ) as response:
        outcome.steps.append(Step("http", f"HTTP {response.status}", ok=response.status == 200))
        if response.status in (401, 403):
            outcome.problem = Problem("unauthorised", f"HTTP {response.status}")
        elif response.status != 200:
            outcome.problem = Problem("http_status", f"HTTP {response.status}")
        else:
            return (await _body(response)).decode("utf-8")
    return None


@lru_cache(maxsize=MAX_LAYOUTS)
def _parsed(url: str) -> URL:
    return URL(url)


@lru_cache(maxsize=100)
def _patience(total_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total_s)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_BYTES:
            raise _TooLargeError
        parts.append(part)
    return b"".join(parts)


def _figure(jobs: Sequence[Job[PrometheusConfig]], looks: Sequence[_Look]) -> None:
    """Make figures of all pages at once."""
    readings = {
        number: hostfigures.Reading(look.page, job.state, look.at, max(hostfigures.LONGEST_S, 5 * job.period_s))
        for number, (job, look) in enumerate(zip(jobs, looks, strict=True))
        if look.page is not None and look.page.series
    }
    figures = hostfigures.derive_all(list(readings.values()))
    for (number, reading), found in zip(readings.items(), figures, strict=True):
        outcome = looks[number].outcome
        outcome.keys = _keys(jobs[number], found)
        outcome.ts = [round(reading.at * 1000)] * len(found.values)
        outcome.value = found.values
        outcome.state = found.state
        page = reading.page
        outcome.steps.append(Step("read", f"{page.lines} / {len(page.series)} / {len(outcome.value)}"))


_known: dict[int, tuple[list[str], list[str], Keys]] = {}


def _keys(job: Job[PrometheusConfig], figures: hostfigures.Figures) -> Keys:
    """The keys of a page; the very same object as long as the host shows the same figures."""
    known = _known.get(job.target_id)
    if known is not None and known[0] is figures.metrics and known[1] is figures.labels:
        keys = known[2]
        if keys and keys[0][:2] == (job.customer_id, job.asset_id):
            return keys
    names = zip(figures.metrics, figures.labels, strict=True)
    keys = Keys((job.customer_id, job.asset_id, metric, labels) for metric, labels in names)
    if len(_known) >= MAX_LAYOUTS:
        _known.clear()
    _known[job.target_id] = (figures.metrics, figures.labels, keys)
    return keys
