"""Whether a URL answers as it should, where the time of it went, and how long its certificate still lasts.

Result codes as in the catalogue: 0 passed, 1 timed out, 2 refused, 3 wrong status, 4 text missing, 5 name not
resolved, 6 certificate refused, 7 other, 8 too slow, 9 too large, 10 wrong JSON value, 11 forbidden text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from cryptography import x509

from monitoring.collectors import Job, Problem, patterns
from monitoring.collectors.config.web import LARGEST_BYTES, Expectation, HttpConfig, RequestSecret
from monitoring.collectors.network import (
    JOURNEY,
    Guard,
    Journey,
    ProbeConnector,
    connect,
    explain,
    tls_context,
)
from monitoring.collectors.places import (
    CERTIFICATE,
    CODES,
    FORBIDDEN_TEXT,
    OTHER,
    PASSED,
    TEXT_MISSING,
    TOO_LARGE,
    TOO_SLOW,
    WRONG_STATUS,
    WRONG_VALUE,
    Answer,
)

AT_ONCE: Final = 100
CHUNK: Final = 64 * 1024
CERTIFICATE_S: Final = 3.0
USER_AGENT: Final = "rdmp-probe"
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Request:
    """One request to send, and how far to follow where it leads."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] | None = None
    body: str = ""
    max_redirects: int = 5
    verify_tls: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it came: at most `LARGEST_BYTES` of it, and where its time went in milliseconds."""

    status: int
    headers: Mapping[str, str]
    text: str
    size: int
    took_ms: float
    phases: Mapping[str, float]
    address: str = ""
    certificate: bytes | None = None
    detail: str = ""
    """Set when the answer leads nowhere: a redirect to something that is no web address."""


async def ask(jobs: Sequence[Job[HttpConfig]], *, guard: Guard, point: str) -> list[Answer]:
    """Check all URLs from this location, overlapping."""
    places = asyncio.Semaphore(AT_ONCE)
    async with (
        session(guard, allow_internal=False, limit=AT_ONCE) as strict,
        session(guard, allow_internal=True, limit=AT_ONCE) as trusted,
    ):
        return list(
            await asyncio.gather(
                *(_one(job, trusted if job.allow_internal else strict, guard, point, places) for job in jobs)
            )
        )


def session(
    guard: Guard, *, allow_internal: bool, limit: int, cookies: aiohttp.abc.AbstractCookieJar | None = None
) -> aiohttp.ClientSession:
    """A client whose every connection passes the guard; it knows neither proxies of the environment nor .netrc."""
    return aiohttp.ClientSession(
        connector=ProbeConnector(guard, allow_internal=allow_internal, limit=limit),
        headers={"User-Agent": USER_AGENT},
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar() if cookies is None else cookies,  # an empty jar is false
    )


async def _one(
    job: Job[HttpConfig], client: aiohttp.ClientSession, guard: Guard, point: str, places: asyncio.Semaphore
) -> Answer:
    config = job.config
    async with places:
        secret = RequestSecret.parse(job.token)
        request = Request(
            config.url, config.method, secret.headers, secret.body, config.max_redirects, config.verify_tls
        )
        began = time.perf_counter()
        try:
            async with asyncio.timeout(config.timeout_s):
                response = await fetch(client, request)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            answer = failed(error, point, (time.perf_counter() - began) * 1000)
            return await _with_refused_certificate(job, answer, guard)
        code, detail = judge(config.expected, response, reads=config.method != "HEAD")
        return Answer(
            point,
            code,
            response.took_ms,
            response.status,
            detail,
            phases=response.phases,
            address=response.address,
            certificate_ends=ends_of(response.certificate),
        )


def failed(error: Exception, point: str, took_ms: float) -> Answer:
    """A request without answer: the site's failure, or ours when this place could not ask."""
    failure = explain(error)
    problem = Problem(failure.code, failure.detail) if failure.ours else None
    code = CODES.get(failure.code, OTHER)
    return Answer(point, code, took_ms, detail=failure.detail, reason=failure.code, problem=problem)


async def fetch(client: aiohttp.ClientSession, request: Request) -> Response:
    """Send and follow. Headers and body (they may hold a key) go to the target's own origin only, and an answer is
    never read beyond the limit. ``phases`` are those of the last hop; ``took_ms`` is all of it."""
    began = time.perf_counter()
    url, method, data = request.url, request.method, request.body.encode() or None
    for hop in range(request.max_redirects + 1):
        ours = origin(url) == origin(request.url)
        journey = Journey()
        token = JOURNEY.set(journey)
        sent = time.perf_counter()
        try:
            async with client.request(
                method,
                url,
                headers=dict(request.headers or {}) if ours else {},
                data=data if ours else None,
                allow_redirects=False,
                ssl=request.verify_tls,
            ) as response:
                heard = time.perf_counter()
                location = response.headers.get("Location", "")
                if response.status not in REDIRECTS or not location or hop == request.max_redirects:
                    return await _read(response, journey, (began, sent, heard))
                url = urljoin(url, location)
                if urlsplit(url).scheme not in ("http", "https"):
                    answer = await _read(response, journey, (began, sent, heard))
                    return replace(answer, detail=f"redirect to {url[:100]}")
                if response.status == 303 or (response.status in (301, 302) and method == "POST"):
                    method, data = "GET", None
        finally:
            JOURNEY.reset(token)
    raise AssertionError("the last hop returns")


def origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


async def _read(response: aiohttp.ClientResponse, journey: Journey, moments: tuple[float, float, float]) -> Response:
    began, sent, heard = moments
    body, size = bytearray(), 0
    async for part in response.content.iter_chunked(CHUNK):
        size += len(part)
        body += part[: max(0, LARGEST_BYTES - len(body))]
        if size > LARGEST_BYTES:
            break
    done = time.perf_counter()
    phases = {"dns": journey.dns, "connect": journey.connect}
    if journey.tls is not None:
        phases["tls"] = journey.tls
    phases["first_byte"] = max(0.0, (heard - sent) * 1000 - sum(phases.values()))
    phases["download"] = (done - heard) * 1000
    return Response(
        response.status,
        response.headers,
        bytes(body).decode(_charset(response), "replace"),
        size,
        (done - began) * 1000,
        phases,
        journey.address,
        journey.certificate,
    )


def judge(expected: Expectation, response: Response, *, reads: bool = True) -> tuple[int, str]:  # noqa: PLR0911  # one line per expectation
    """A result code and what was found instead of what was expected."""
    if response.detail:
        return OTHER, response.detail
    if not expected.accepts(response.status):
        return WRONG_STATUS, f"HTTP {response.status}"
    if expected.max_bytes and response.size > expected.max_bytes:
        return TOO_LARGE, f"> {expected.max_bytes} B"
    if reads:
        if expected.keyword and expected.keyword not in response.text:
            return TEXT_MISSING, f"HTTP {response.status}, text missing"
        if expected.absent and expected.absent in response.text:
            return FORBIDDEN_TEXT, f"HTTP {response.status}"
        if expected.json_path and (wrong := _wrong_value(expected, response.text)):
            return WRONG_VALUE, wrong
    if expected.max_ms and response.took_ms > expected.max_ms:
        return TOO_SLOW, f"{response.took_ms:.0f} ms > {expected.max_ms:.0f} ms"
    return PASSED, ""


def _wrong_value(expected: Expectation, text: str) -> str:
    try:
        values = patterns.json_values(expected.json_path, text)
    except ValueError:
        return "no JSON"
    if not values:
        return f"{expected.json_path}: nothing there"
    if expected.json_value and expected.json_value not in values:
        return f"{expected.json_path}: {', '.join(values)[:SHOWN]}"
    return ""


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


def ends_of(der: bytes | None) -> float | None:
    """When a certificate ends, in Unix seconds."""
    if not der:
        return None
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc.astimezone(UTC).timestamp()
    except ValueError:
        return None


async def _with_refused_certificate(job: Job[HttpConfig], answer: Answer, guard: Guard) -> Answer:
    """The end of a certificate that was refused: read by a handshake that trusts anybody."""
    parts = urlsplit(job.config.url)
    if answer.code != CERTIFICATE or parts.scheme != "https" or not parts.hostname:
        return answer
    try:
        async with asyncio.timeout(CERTIFICATE_S):
            sock, _ = await connect(parts.hostname, parts.port or 443, guard=guard, allow_internal=job.allow_internal)
            _, writer = await asyncio.open_connection(
                sock=sock, ssl=tls_context(verify=False), server_hostname=parts.hostname
            )
    except (OSError, ValueError):
        return answer  # the request itself has already told what is wrong
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return replace(answer, certificate_ends=ends_of(der))
