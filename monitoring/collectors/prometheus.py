"""Reads the host agent and Prometheus exporters: one page per target, all targets of a batch at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import aiohttp

from monitoring.collectors import Job, Keys, Outcome, Problem, Step, hosts
from monitoring.collectors.config import PrometheusConfig
from monitoring.collectors.network import Guard, connector, explain
from monitoring.exposition import ACCEPT, MAX_LAYOUTS, ExpositionError, Page, Parser

MAX_BYTES: Final = 16 * 1024 * 1024
AT_ONCE: Final = 100
CHUNK: Final = 64 * 1024
USER_AGENT: Final = "rdmp-collector"

PARSER: Final[Parser[hosts.Source]] = Parser(hosts.choose)
"""One per process: hosts share most of their series texts."""


class _TooLargeError(Exception):
    """The answer is larger than any exporter's page."""


async def collect(jobs: Sequence[Job[PrometheusConfig]], *, guard: Guard) -> list[Outcome]:
    """Fetch all pages, overlapping; each target fails or succeeds by itself."""
    places = asyncio.Semaphore(AT_ONCE)
    async with (
        _session(guard, allow_internal=False) as strict,
        _session(guard, allow_internal=True) as trusted,
    ):
        return list(
            await asyncio.gather(*(_one(job, trusted if job.allow_internal else strict, places) for job in jobs))
        )


def _session(guard: Guard, *, allow_internal: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector(guard, allow_internal=allow_internal, limit=AT_ONCE),
        headers={"Accept": ACCEPT, "User-Agent": USER_AGENT},
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _one(job: Job[PrometheusConfig], session: aiohttp.ClientSession, places: asyncio.Semaphore) -> Outcome:
    outcome = Outcome(job.target_id)
    async with places:
        began = time.perf_counter()
        try:
            text = await _fetch(job, session, outcome)
            if text is not None:
                _read(job, text, outcome)
        except ExpositionError as error:
            outcome.problem = Problem("not_prometheus", str(error))
        except _TooLargeError:
            outcome.problem = Problem("too_large", f"{MAX_BYTES // 2**20} MiB")
        except (aiohttp.ClientError, OSError, UnicodeDecodeError) as error:
            failure = explain(error)
            outcome.problem = Problem(failure.code, failure.detail)
        outcome.took_ms = (time.perf_counter() - began) * 1000
    if outcome.problem is not None:
        outcome.steps.append(Step("fetch", outcome.problem.detail, ok=False))
    return outcome


async def _fetch(job: Job[PrometheusConfig], session: aiohttp.ClientSession, outcome: Outcome) -> str | None:
    """The page's text. Redirects are not followed: an exporter does not redirect, a sign-in page does."""
    headers = {"Authorization": f"Bearer {job.token}"} if job.token else {}
    async with (
        asyncio.timeout(job.config.timeout_s),
        session.get(job.config.url, headers=headers, allow_redirects=False, ssl=job.config.verify_tls) as response,
    ):
        outcome.steps.append(Step("http", f"HTTP {response.status}", ok=response.status == 200))
        if response.status in (401, 403):
            outcome.problem = Problem("unauthorised", f"HTTP {response.status}")
        elif response.status != 200:
            outcome.problem = Problem("http_status", f"HTTP {response.status}")
        else:
            return (await _body(response)).decode("utf-8")
    return None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(CHUNK):
        size += len(part)
        if size > MAX_BYTES:
            raise _TooLargeError
        parts.append(part)
    return b"".join(parts)


def _read(job: Job[PrometheusConfig], text: str, outcome: Outcome) -> None:
    page: Page[hosts.Source] = PARSER.parse(text, source=job.target_id)
    at = time.time()
    if not page.series:
        outcome.problem = Problem("no_known_series", f"{page.lines}")
        return
    figures = hosts.derive(page, job.state, at=at, longest_s=max(hosts.LONGEST_S, 5 * job.period_s))
    outcome.keys = _keys(job, figures)
    outcome.ts = [round(at * 1000)] * len(figures.values)
    outcome.value = figures.values
    outcome.state = figures.state
    outcome.steps.append(Step("read", f"{page.lines} / {len(page.series)} / {len(outcome.value)}"))


_known: dict[int, tuple[list[str], list[str], Keys]] = {}


def _keys(job: Job[PrometheusConfig], figures: hosts.Figures) -> Keys:
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
