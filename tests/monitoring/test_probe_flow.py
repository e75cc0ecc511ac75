"""Flows: signing in and asking on, variables and their escaping, what fails and how it is said, what stays secret."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from monitoring.collectors import flow
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.web import FlowConfig, FlowStep
from monitoring.collectors.network import Guard
from monitoring.collectors.places import PASSED, STEP_FAILED, Answer
from tests.monitoring.probes import job_for

PASSWORD = 'p"w&d=ö/密'
SEEN = web.AppKey("SEEN", list)


async def sign_in(request: web.Request) -> web.Response:
    given: dict[str, Any] = await request.json() if "json" in request.content_type else dict(await request.post())
    if given.get("user") != "bot" or given.get("password") != PASSWORD:
        return web.json_response({"error": f"wrong password {given.get('password')}"}, status=401)
    answer = web.json_response({"data": {"token": "t0ken-abc", "id": 7}}, headers={"X-Trace": "tr-99"})
    answer.set_cookie("sid", "cookie-secret")
    return answer


async def orders(request: web.Request) -> web.Response:
    request.app[SEEN].append(request.path_qs)
    if request.headers.get("Authorization") != "Bearer t0ken-abc" or request.cookies.get("sid") != "cookie-secret":
        return web.Response(status=403, text="token t0ken-abc expected")
    return web.json_response({"orders": [{"no": "A-1", "state": "paid"}], "user": request.match_info["user"]})


async def page(request: web.Request) -> web.Response:
    return web.Response(text='<input name="csrf" value="x9">')


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(20)
    return web.Response()


@contextlib.asynccontextmanager
async def shop() -> AsyncIterator[tuple[str, list[str]]]:
    app = web.Application()
    app[SEEN] = []
    app.router.add_post("/login", sign_in)
    app.router.add_get("/users/{user}/orders", orders)
    app.router.add_get("/page", page)
    app.router.add_get("/slow", slow)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", app[SEEN]
    finally:
        await runner.cleanup()


def login(base: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "sign in",
        "method": "POST",
        "url": f"{base}/login",
        "headers": {"Content-Type": "application/json"},
        "body": '{"user": "bot", "password": "{{password}}"}',
        "extract": [
            {"name": "token", "source": "json", "expression": "$.data.token"},
            {"name": "id", "source": "json", "expression": "$.data.id"},
            {"name": "trace", "source": "header", "expression": "X-Trace"},
            {"name": "sid", "source": "cookie", "expression": "sid"},
        ],
        **more,
    }


def query(base: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "orders",
        "url": f"{base}/users/{{{{id}}}}/orders?trace={{{{trace}}}}",
        "headers": {"Authorization": "Bearer {{token}}"},
        "expect": {"json_path": "$.orders[?@.no == 'A-1'].state", "json_value": "paid"},
        **more,
    }


async def run(*steps: dict[str, Any], password: str = PASSWORD, trusted: bool = True, timeout_s: float = 10) -> Answer:
    config = FlowConfig.of({"steps": list(steps), "secrets": ["password"], "timeout_s": timeout_s})
    job = job_for(config, trusted=trusted, token=json.dumps({"password": password}))
    [answer] = await flow.ask([job], guard=Guard(), point="hangzhou")
    return answer


async def test_signing_in_and_asking_on_with_what_the_answer_said() -> None:
    async with shop() as (base, seen):
        answer = await run(login(base), query(base))
    assert (answer.code, answer.status, [step.name for step in answer.steps]) == (PASSED, 200, ["sign in", "orders"])
    assert answer.steps[0].found == {"token": 9, "id": 1, "trace": 5, "sid": 13}
    assert seen == ["/users/7/orders?trace=tr-99"]
    assert all(step.phases["first_byte"] >= 0 and "connect" in step.phases for step in answer.steps)


async def test_a_form_is_filled_as_a_form() -> None:
    async with shop() as (base, _):
        body = {
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            "body": "user=bot&password={{password}}",
        }
        answer = await run(login(base, **body), query(base))
    assert answer.code == PASSED


async def test_the_step_that_fails_is_named_and_the_rest_is_not_tried() -> None:
    async with shop() as (base, seen):
        answer = await run(login(base), query(base), password="wrong one")
    assert (answer.code, answer.detail) == (STEP_FAILED, "1. sign in: HTTP 401")
    assert len(answer.steps) == 1
    assert seen == []


async def test_a_variable_that_the_answer_does_not_hold_is_said() -> None:
    async with shop() as (base, _):
        broken = login(base, extract=[{"name": "token", "source": "json", "expression": "$.nothing"}])
        answer = await run(broken)
    assert (answer.code, answer.detail) == (STEP_FAILED, "1. sign in: token: json $.nothing")


async def test_a_value_of_the_answer_by_pattern() -> None:
    async with shop() as (base, _):
        extract = [{"name": "csrf", "source": "regex", "expression": 'name="csrf" value="([^"]+)"'}]
        answer = await run({"name": "page", "url": f"{base}/page", "extract": extract})
    assert answer.steps[0].found == {"csrf": 2}


async def test_no_secret_and_no_extracted_value_stands_in_what_people_read() -> None:
    async with shop() as (base, _):
        wrong = query(
            base, expect={"json_path": "$.user", "json_value": "8"}, headers={"Authorization": "Bearer {{token}}"}
        )
        answers = [
            await run(login(base), wrong),
            await run(login(base), query(base, expect={"status": "500"})),
            await run(login(base, expect={"json_path": "$.data.token", "json_value": "other"})),
            await run(
                login(base, expect={"status": "401", "json_path": "$.error", "json_value": "x"}), password="hush-hush"
            ),
        ]
    text = json.dumps([answer.as_json() for answer in answers], ensure_ascii=False)
    assert [answer.code for answer in answers] == [STEP_FAILED] * 4
    for secret in (PASSWORD, "hush-hush", "cookie-secret"):
        assert secret not in text
    assert flow.MASK in text


async def test_the_whole_flow_has_one_limit() -> None:
    async with shop() as (base, _):
        answer = await run(login(base), {"name": "report", "url": f"{base}/slow"}, timeout_s=1)
    assert (answer.code, answer.detail) == (STEP_FAILED, "2. report: timeout")
    assert answer.took_ms < 5000


async def test_a_flow_into_the_platform_is_our_problem() -> None:
    async with shop() as (base, seen):
        answer = await run(login(base), query(base), trusted=False)
    assert answer.problem is not None
    assert answer.problem.code == "blocked"
    assert seen == []


def test_a_variable_cannot_break_out_of_where_it_stands() -> None:
    step = FlowStep("x", "http://h/{{v}}?q={{v}}", "POST", {"Content-Type": "application/json"}, '{"a":"{{v}}"}')
    request = flow.filled(step, {"v": 'a/../b?c&"\\'}, verify_tls=True)
    assert request.url == "http://h/a%2F..%2Fb%3Fc%26%22%5C?q=a%2F..%2Fb%3Fc%26%22%5C"
    assert json.loads(request.body) == {"a": 'a/../b?c&"\\'}
    with pytest.raises(ValueError, match="header"):
        flow.filled(FlowStep("x", "http://h/", headers={"A": "{{v}}"}), {"v": "x\r\nB: y"}, verify_tls=True)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"url": "http://{{password}}/"}, "variable_host"),
        ({"url": "http://h/{{nobody}}"}, "unknown_variable"),
        ({"url": "ftp://h/"}, "url"),
        ({"name": " "}, "step_name"),
        ({"headers": {"A": "x\r\ny"}}, "headers"),
        ({"extract": [{"name": "1x", "source": "json", "expression": "$"}]}, "variable"),
        ({"extract": [{"name": "x", "source": "regex", "expression": "(?=a)"}]}, "pattern"),
        ({"extract": [{"name": "x", "source": "json", "expression": "$.["}]}, "json_path"),
        ({"expect": {"json_path": "$.["}}, "json_path"),
    ],
)
def test_a_step_that_cannot_work_is_refused_when_it_is_written(step: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        FlowConfig.of({"steps": [{"name": "a", "url": "http://h/", **step}], "secrets": ["password"]})
    assert refused.value.code == code


async def test_a_pattern_that_hangs_others_is_done_at_once() -> None:
    async with shop() as (base, _):
        extract = [{"name": "x", "source": "regex", "expression": "(a|a)*(a|a)*(a|a)*b$"}]
        answer = await run({"name": "page", "url": f"{base}/page", "extract": extract}, timeout_s=5)
    assert answer.detail.startswith("1. page: x: regex")
