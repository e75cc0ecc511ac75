"""A flow: requests one after the other, such as signing in and then asking something, with what one answer says put
into the next request (R30). Cookies live for one run. No value of a variable ever leaves here: what people see of
it is its length.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote, quote_plus

import aiohttp

from monitoring.collectors import Job, Problem, patterns
from monitoring.collectors.config.fields import ConfigError, check_headers
from monitoring.collectors.config.web import PLACEHOLDER, Extract, FlowConfig, FlowStep
from monitoring.collectors.http import Request, Response, ends_of, failed, fetch, judge, session
from monitoring.collectors.network import Guard
from monitoring.collectors.places import OTHER, PASSED, STEP_FAILED, TIMED_OUT, Answer, StepResult

AT_ONCE: Final = 100
LONGEST_VALUE: Final = 20_000
MASK: Final = "•••"


async def ask(jobs: Sequence[Job[FlowConfig]], *, guard: Guard, point: str) -> list[Answer]:
    """Run all flows from this location, overlapping; the steps of one flow follow each other."""
    places = asyncio.Semaphore(AT_ONCE)
    return list(await asyncio.gather(*(_one(job, guard, point, places) for job in jobs)))


async def _one(job: Job[FlowConfig], guard: Guard, point: str, places: asyncio.Semaphore) -> Answer:
    async with places:
        jar = aiohttp.CookieJar(unsafe=True)  # sites asked by their address have cookies too
        client = session(guard, allow_internal=job.allow_internal, limit=1, cookies=jar)
        async with client:
            return await run(job, client, point)


async def run(job: Job[FlowConfig], client: aiohttp.ClientSession, point: str) -> Answer:
    """The whole flow with one client. The first step that fails ends it."""
    began = time.perf_counter()
    variables = _secrets(job.token)
    results: list[StepResult] = []
    ends: float | None = None
    last: Response | None = None
    try:
        async with asyncio.timeout(job.config.timeout_s):
            for number, step in enumerate(job.config.steps, 1):
                took = time.perf_counter()
                try:
                    result, last = await _step(job.config, step, client, variables)
                except (aiohttp.ClientError, OSError, ValueError) as error:
                    return _ended(error, point, (number, step), results, (began, took), variables)
                results.append(result)
                ends = ends or ends_of(last.certificate)
                if result.code != PASSED:
                    break
    except TimeoutError:
        step = job.config.steps[len(results)]
        results.append(StepResult(step.name, TIMED_OUT, (time.perf_counter() - began) * 1000, detail="timeout"))
    bad = next((one for one in results if one.code != PASSED), None)
    detail = f"{len(results)}. {bad.name}: {bad.detail or f'HTTP {bad.status}'}" if bad else ""
    return Answer(
        point,
        STEP_FAILED if bad else PASSED,
        (time.perf_counter() - began) * 1000,
        last.status if last else 0,
        masked(detail, variables),
        phases=results[-1].phases if results else {},
        address=last.address if last else "",
        certificate_ends=ends,
        steps=tuple(results),
    )


def _ended(  # noqa: PLR0917  # what a flow knows when a step breaks off
    error: Exception,
    point: str,
    at: tuple[int, FlowStep],
    results: list[StepResult],
    moments: tuple[float, float],
    variables: Mapping[str, str],
) -> Answer:
    """A step without an answer."""
    number, step = at
    began, took = moments
    now = time.perf_counter()
    answer = failed(error, point, (now - began) * 1000)
    detail = masked(f"{answer.reason} {answer.detail}".strip(), variables)
    results.append(StepResult(step.name, answer.code, (now - took) * 1000, detail=detail))
    problem = Problem(answer.problem.code, f"{number}. {step.name}") if answer.problem else None
    return replace(
        answer,
        code=STEP_FAILED if answer.code != PASSED else OTHER,
        detail=f"{number}. {step.name}: {detail}",
        problem=problem,
        steps=tuple(results),
    )


async def _step(
    config: FlowConfig, step: FlowStep, client: aiohttp.ClientSession, variables: dict[str, str]
) -> tuple[StepResult, Response]:
    """One request, judged; what it is to bring goes into ``variables``."""
    request = filled(step, variables, verify_tls=config.verify_tls)
    response = await fetch(client, request)
    expected = replace(
        step.expect,
        keyword=_put(step.expect.keyword, variables, str),
        json_value=_put(step.expect.json_value, variables, str),
    )
    code, detail = judge(expected, response, reads=step.method != "HEAD")
    found: dict[str, int] = {}
    if code == PASSED:
        for one in step.extract:
            value = _taken(one, response, client)
            if value is None:
                code, detail = OTHER, f"{one.name}: {one.source} {one.expression}"
                break
            variables[one.name] = value[:LONGEST_VALUE]
            found[one.name] = len(value)
    shown = masked(detail, variables)
    return StepResult(step.name, code, response.took_ms, response.status, shown, response.phases, found), response


def filled(step: FlowStep, variables: Mapping[str, str], *, verify_tls: bool) -> Request:
    """The step's request with its variables in place, each escaped for where it stands. Raises ValueError."""
    headers = {name: _put(text, variables, str) for name, text in step.headers.items()}
    try:
        check_headers("headers", headers)
    except ConfigError:
        raise ValueError("a variable does not fit into a header") from None
    return Request(
        _put(step.url, variables, lambda value: quote(value, safe="")),
        step.method,
        headers,
        _put(step.body, variables, _escape_of(headers, step.body)),
        verify_tls=verify_tls,
    )


def _put(text: str, variables: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """The text with its placeholders replaced. Raises ValueError for a variable that no step has brought."""

    def value(match: re.Match[str]) -> str:
        if match.group(1) not in variables:
            raise ValueError(f"no value for {match.group(1)}")
        return escape(variables[match.group(1)])

    return PLACEHOLDER.sub(value, text)


def _escape_of(headers: Mapping[str, str], body: str) -> Callable[[str], str]:
    """How a value is written in this body: by its content type, or by its looks where none is given."""
    if _is_json(headers, body):
        return _json_inside
    return quote_plus if _is_form(headers, body) else str


def _is_json(headers: Mapping[str, str], body: str) -> bool:
    kind = _content_type(headers)
    return "json" in kind or (not kind and body.lstrip()[:1] in ("{", "["))


def _is_form(headers: Mapping[str, str], body: str) -> bool:
    kind = _content_type(headers)
    return "x-www-form-urlencoded" in kind or (not kind and "=" in body and "<" not in body)


def _content_type(headers: Mapping[str, str]) -> str:
    return next((text.lower() for name, text in headers.items() if name.lower() == "content-type"), "")


def _json_inside(value: str) -> str:
    """A value as it stands between the quotes of a JSON text."""
    return json.dumps(value)[1:-1]


def _taken(extract: Extract, response: Response, client: aiohttp.ClientSession) -> str | None:
    if extract.source == "header":
        return response.headers.get(extract.expression)
    if extract.source == "cookie":
        return next((cookie.value for cookie in client.cookie_jar if cookie.key == extract.expression), None)
    if extract.source == "regex":
        return patterns.first_match(extract.expression, response.text)
    try:
        return next(iter(patterns.json_values(extract.expression, response.text)), None)
    except ValueError:
        return None


def _secrets(token: str) -> dict[str, str]:
    values = json.loads(token) if token else {}
    return {str(name): str(value) for name, value in values.items()}


def masked(text: str, variables: Mapping[str, str]) -> str:
    """A text without any value of a variable, as it is or as a URL or JSON writes it."""
    for value in sorted(variables.values(), key=len, reverse=True):
        for shape in {value, quote(value, safe=""), quote_plus(value), _json_inside(value)}:
            if len(shape) >= 3:
                text = text.replace(shape, MASK)
    return text
