"""Whether a URL answers as it should, asked from every probe point, and how long its certificate still lasts.

A probe point is a named place to ask from. Today all points ask from this machine; the figures, the quorum and
the series per point are already those of several places. Result codes per point as in the catalogue:
0 passed, 1 timed out, 2 refused, 3 wrong status, 4 text missing, 5 name not resolved, 6 certificate refused, 7 other.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from cryptography import x509

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config import HttpConfig
from monitoring.collectors.network import Guard, connect, connector, explain

AT_ONCE: Final = 100
MAX_BYTES: Final = 1024 * 1024
CHUNK: Final = 64 * 1024
USER_AGENT: Final = "rdmp-probe"
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
CERTIFICATE_EVERY_S: Final = 3600.0
DAY_S: Final = 86_400.0

PASSED, TIMED_OUT, REFUSED, WRONG_STATUS, TEXT_MISSING, NOT_RESOLVED, CERTIFICATE, OTHER = range(8)
CODES: Final = {"timeout": TIMED_OUT, "refused": REFUSED, "dns": NOT_RESOLVED, "tls": CERTIFICATE}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one point found. ``problem`` is set when the point could not ask at all."""

    point: str
    code: int
    took_ms: float
    status: int = 0
    detail: str = ""
    problem: Problem | None = None


async def collect(jobs: Sequence[Job[HttpConfig]], *, guard: Guard, points: Sequence[str]) -> list[Outcome]:
    """Check all URLs from all their points, overlapping."""
    places = asyncio.Semaphore(AT_ONCE)
    async with (
        _session(guard, allow_internal=False) as strict,
        _session(guard, allow_internal=True) as trusted,
    ):
        return list(
            await asyncio.gather(
                *(_one(job, trusted if job.allow_internal else strict, guard, points, places) for job in jobs)
            )
        )


def _session(guard: Guard, *, allow_internal: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector(guard, allow_internal=allow_internal, limit=AT_ONCE),
        headers={"User-Agent": USER_AGENT},
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _one(
    job: Job[HttpConfig],
    session: aiohttp.ClientSession,
    guard: Guard,
    points: Sequence[str],
    places: asyncio.Semaphore,
) -> Outcome:
    outcome = Outcome(job.target_id)
    began = time.perf_counter()
    wanted = [point for point in points if not job.config.points or point in job.config.points] or list(points)
    answers = await asyncio.gather(*(_ask(job, session, point, places) for point in wanted))
    _tell(job, answers, outcome)
    await _certificate(job, guard, outcome)
    outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _tell(job: Job[HttpConfig], answers: Sequence[Answer], outcome: Outcome) -> None:
    """The series of a round. Points that could not ask do not count: neither as failed nor as passed."""
    at = round(time.time() * 1000)
    asked = [answer for answer in answers if answer.problem is None]
    for answer in answers:
        text = f"{answer.point}: {answer.detail or f'HTTP {answer.status}'} {answer.took_ms:.0f} ms"
        outcome.steps.append(Step("point", text, ok=answer.problem is None and answer.code == PASSED))
    if not asked:
        outcome.problem = answers[0].problem
        return
    for answer in asked:
        labels = labels_text({"url": job.config.url, "point": answer.point})
        outcome.add(job, "url.point.result_code", at, answer.code, labels)
        if answer.status:
            outcome.add(job, "url.latency_ms", at, answer.took_ms, labels)
            outcome.add(job, "url.status_code", at, answer.status, labels)
    labels = labels_text({"url": job.config.url})
    failed = sum(answer.code != PASSED for answer in asked)
    outcome.add(job, "url.result_code", at, int(failed >= quorum(len(asked))), labels)
    outcome.add(job, "url.failed_points", at, failed, labels)
    outcome.add(job, "url.points", at, len(asked), labels)


def quorum(points: int) -> int:
    """How many points must fail before the site has failed: two thirds of those that exist, rounded up."""
    return -(-2 * points // 3)


async def _ask(job: Job[HttpConfig], session: aiohttp.ClientSession, point: str, places: asyncio.Semaphore) -> Answer:
    """One request from one point, redirects followed within the limit."""
    async with places:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(job.config.timeout_s):
                code, status, detail = await _follow(job.config, session)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = explain(error)
            took = (time.perf_counter() - began) * 1000
            problem = Problem(failure.code, failure.detail) if failure.ours else None
            return Answer(
                point, CODES.get(failure.code, OTHER), took, detail=failure.detail or failure.code, problem=problem
            )
        return Answer(point, code, (time.perf_counter() - began) * 1000, status, detail)


async def _follow(config: HttpConfig, session: aiohttp.ClientSession) -> tuple[int, int, str]:
    """Request and judge. Headers of the target (they may hold a key) go to its own host only."""
    url, method, data = config.url, config.method, config.body.encode() or None
    origin = urlsplit(config.url).netloc
    for hop in range(config.max_redirects + 1):
        headers = dict(config.headers) if urlsplit(url).netloc == origin else {}
        options: dict[str, Any] = {"ssl": config.verify_tls}
        async with session.request(
            method, url, headers=headers, data=data, allow_redirects=False, **options
        ) as response:
            location = response.headers.get("Location", "")
            if response.status not in REDIRECTS or not location or hop == config.max_redirects:
                return await _judge(config, response)
            url = urljoin(url, location)
            if urlsplit(url).scheme not in ("http", "https"):
                return OTHER, response.status, f"redirect to {url[:100]}"
            if response.status not in (307, 308) and method == "POST":
                method, data = "GET", None
    raise AssertionError("the last hop returns")


async def _judge(config: HttpConfig, response: aiohttp.ClientResponse) -> tuple[int, int, str]:
    if not config.accepts(response.status):
        return WRONG_STATUS, response.status, ""
    if config.keyword and config.method != "HEAD":
        parts, size = [], 0
        async for part in response.content.iter_chunked(CHUNK):
            parts.append(part)
            size += len(part)
            if size >= MAX_BYTES:
                break
        text = b"".join(parts).decode(_charset(response), "replace")
        if config.keyword not in text:
            return TEXT_MISSING, response.status, f"HTTP {response.status}, text missing"
    return PASSED, response.status, ""


def _charset(response: aiohttp.ClientResponse) -> str:
    """The charset of the header if Python knows it; many Chinese sites say gb2312 and mean gb18030."""
    name = (response.charset or "utf-8").lower()
    if name in ("gb2312", "gbk"):
        return "gb18030"
    try:
        "".encode(name)
    except LookupError:
        return "utf-8"
    return name


async def _certificate(job: Job[HttpConfig], guard: Guard, outcome: Outcome) -> None:
    """Days until the certificate ends, also of one that is refused: read by a handshake of its own, once an hour."""
    parts = urlsplit(job.config.url)
    if parts.scheme != "https" or not parts.hostname:
        return
    seen = job.state.get("certificate", {})
    now = time.time()
    if not seen or seen.get("url") != job.config.url or now - seen["at"] >= CERTIFICATE_EVERY_S:
        ends = await _certificate_end(job, parts.hostname, parts.port or 443, guard)
        if ends is None:
            return
        seen = {"url": job.config.url, "at": now, "ends": ends}
    outcome.state = {"certificate": seen}
    days = (seen["ends"] - now) / DAY_S
    outcome.steps.append(Step("certificate", f"{days:.1f}", ok=days > 0))
    outcome.add(job, "url.cert_days_left", round(now * 1000), days, labels_text({"url": job.config.url}))


async def _certificate_end(job: Job[HttpConfig], host: str, port: int, guard: Guard) -> float | None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to read the end date; the check itself verifies
    try:
        async with asyncio.timeout(job.config.timeout_s):
            sock, _ = await connect(host, port, guard=guard, allow_internal=job.allow_internal)
            _, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=host)
            try:
                der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            finally:
                writer.transport.abort()
        return x509.load_der_x509_certificate(der).not_valid_after_utc.astimezone(UTC).timestamp() if der else None
    except (OSError, ValueError):
        return None  # the request itself has already told what is wrong
