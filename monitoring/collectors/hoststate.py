"""Reads the host agent's state: figures for rules, and a reading for `monitoring.services.hosts` to compare (R33, R36).

The agent tells digests. Texts of configuration files are fetched only when their digest is new to us, so that a minute
in which nothing changed costs one small answer.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import aiohttp

from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config.machines import StateConfig
from monitoring.collectors.counters import Counters
from monitoring.collectors.network import Guard, connector, explain

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_TEXT: Final = 256 * 1024
MAX_TEXTS: Final = 350
AT_ONCE: Final = 100
TEXTS_AT_ONCE: Final = 4
MAX_CUSTOM: Final = 1000
MAX_METRIC: Final = 100
USER_AGENT: Final = "rdmp-collector"
FORMAT: Final = 1
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


async def collect(jobs: Sequence[Job[StateConfig]], *, guard: Guard) -> list[Outcome]:
    """Read all agents, overlapping; each fails or succeeds by itself."""
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
        headers={"User-Agent": USER_AGENT},
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _one(job: Job[StateConfig], session: aiohttp.ClientSession, places: asyncio.Semaphore) -> Outcome:
    outcome = Outcome(job.target_id)
    async with places:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(job.config.timeout_s):
                reading = await _reading(job, session, outcome)
                if reading is not None:
                    texts = await _texts(job, session, reading)
                    _figures(job, reading, outcome, at=time.time())
                    known = {*job.state.get("texts", ()), *texts}
                    outcome.state = {**(outcome.state or {}), "texts": sorted(known & set(wanted(reading)))}
                    outcome.reading = {"facts": reading, "texts": texts}
                    outcome.steps.append(Step("figures", str(len(outcome.value))))
        except (aiohttp.ClientError, OSError) as error:
            failure = explain(error)
            outcome.problem = Problem(failure.code, failure.detail)
        outcome.took_ms = (time.perf_counter() - began) * 1000
    if outcome.problem is not None:
        outcome.steps.append(Step(outcome.problem.code, outcome.problem.detail, ok=False))
    return outcome


async def _reading(job: Job[StateConfig], session: aiohttp.ClientSession, outcome: Outcome) -> dict[str, Any] | None:
    status, body = await _get(job, session, job.config.url, MAX_BYTES)
    outcome.steps.append(Step("http", f"HTTP {status}", ok=status == 200))
    if status in (401, 403):
        outcome.problem = Problem("unauthorised", f"HTTP {status}")
    elif status == 404:
        outcome.problem = Problem("old_agent", f"HTTP {status}")
    elif status != 200:
        outcome.problem = Problem("http_status", f"HTTP {status}")
    elif body is None:
        outcome.problem = Problem("too_large", f"{MAX_BYTES // 2**20} MiB")
    else:
        try:
            reading = json.loads(body.replace(b"\\u0000", b""))  # PostgreSQL keeps no such text
        except ValueError:
            reading = None
        if isinstance(reading, dict) and reading.get("format") == FORMAT and isinstance(reading.get("key"), str):
            return reading
        outcome.problem = Problem("wrong_page", body[:80].decode("utf-8", "replace"))
    return None


async def _get(job: Job[StateConfig], session: aiohttp.ClientSession, url: str, limit: int) -> tuple[int, bytes | None]:
    """Status and body, None for one that is too large. Redirects are not followed: an agent does not redirect."""
    headers = {"Authorization": f"Bearer {job.token}"} if job.token else {}
    async with session.get(url, headers=headers, allow_redirects=False, ssl=job.config.verify_tls) as response:
        body = bytearray()
        async for part in response.content.iter_chunked(64 * 1024):
            body.extend(part)
            if len(body) > limit:
                return response.status, None
        return response.status, bytes(body)


# --- texts -----------------------------------------------------------------------------------------------------------


def wanted(reading: Mapping[str, Any]) -> Iterator[str]:
    """The digests of everything in a reading that has a text."""
    for section, field in (("files", "items"), ("sudo", "files")):
        for item in _map(_map(reading.get(section)).get(field)).values():
            if isinstance(item, Mapping) and item.get("has_text") and isinstance(item.get("digest"), str):
                yield item["digest"]
    firewall = _map(reading.get("firewall"))
    if isinstance(firewall.get("digest"), str):
        yield firewall["digest"]


async def _texts(job: Job[StateConfig], session: aiohttp.ClientSession, reading: Mapping[str, Any]) -> dict[str, str]:
    """The texts we have not seen. One that cannot be had is done without: its change is told without its words."""
    known = set(job.state.get("texts", ()))
    new = [digest for digest in dict.fromkeys(wanted(reading)) if digest not in known][:MAX_TEXTS]
    places = asyncio.Semaphore(TEXTS_AT_ONCE)

    async def fetch(digest: str) -> tuple[str, str] | None:
        async with places:
            status, body = await _get(job, session, f"{job.config.url}/text/{digest}", MAX_TEXT)
        return (digest, body.decode("utf-8", "replace").replace("\x00", "")) if status == 200 and body else None

    return dict(filter(None, await asyncio.gather(*map(fetch, new))))


# --- figures ---------------------------------------------------------------------------------------------------------


def _figures(job: Job[StateConfig], reading: Mapping[str, Any], outcome: Outcome, *, at: float) -> None:
    stamp = round(at * 1000)
    firewall, listening = _map(reading.get("firewall")), _map(reading.get("ports"))
    if firewall.get("state") == "ok":
        outcome.add(job, "host.firewall.rules", stamp, float(firewall.get("rules", 0)))
    if listening.get("state") == "ok":
        outcome.add(job, "host.ports.listening", stamp, len(_map(listening.get("items"))))
    counters = Counters(job.state.get("counters", {}), at=at, longest_s=max(900.0, 5 * job.period_s))
    for log in _maps(reading.get("logs")):
        if log.get("keyword"):
            labels = labels_text({name: str(log.get(name, ""))[:200] for name in ("log", "file", "keyword")})
            count = float(log.get("count", 0))
            outcome.add(job, "host.log.keyword_total", stamp, count, labels)
            if (rate := counters.rate(labels, count)) is not None:
                outcome.add(job, "host.log.keyword_per_min", stamp, rate * 60, labels)
    for script in _maps(reading.get("scripts")):
        _script(job, script, outcome)
    outcome.state = {"counters": dict(counters.state)}


def _script(job: Job[StateConfig], script: Mapping[str, Any], outcome: Outcome) -> None:
    """The last run of one script, at the moment it ran: a run read twice is one point."""
    name, at = str(script.get("script", "")), script.get("at")
    if not NAME.fullmatch(name) or not isinstance(at, int | float):
        return
    stamp, labels = round(at * 1000), labels_text({"script": name})
    exit_code = script.get("exit_code")
    # What never began or was cut off has no exit code of its own: it counts as failed.
    code = float(exit_code) if isinstance(exit_code, int) and script.get("problem") != "refused" else -1.0
    outcome.add(job, "script.exit_code", stamp, code, labels)
    outcome.add(job, "script.seconds", stamp, float(script.get("seconds", 0.0)), labels)
    for item in list(_maps(script.get("items")))[:MAX_CUSTOM]:
        metric = f"custom.{name}.{item.get('name', '')}"
        value = item.get("value")
        if not NAME.fullmatch(str(item.get("name", ""))) or len(metric) > MAX_METRIC:
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            pairs = {str(key)[:40]: str(text)[:100] for key, text in _map(item.get("labels")).items()}
            outcome.add(job, metric, stamp, float(value), labels_text(pairs))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> Iterable[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
