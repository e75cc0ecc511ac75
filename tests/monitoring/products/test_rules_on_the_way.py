"""Rules that a healthy server never fires: what the real one answers is made bad on the way, and good again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from accounts.models import Customer
from monitoring.collectors import Outcome
from tests.monitoring.products.alarms import states, store
from tests.monitoring.products.recordings import answering
from tests.monitoring.products.servers import PASSWORD
from tests.monitoring.products.visits import earlier, look
from tests.monitoring.samples import server

Change = Callable[[str, bool], str]
"""An answer, and whether it is to be bad."""
USAGE = "{{committed=100000000, init=1000000, max=100000000, used={}}}"


@contextlib.asynccontextmanager
async def between(port: int, change: Change, *, is_bad: bool) -> AsyncIterator[int]:
    """A server that hands every question on to the real one, and its answer back with a change."""

    async def hand_on(request: web.Request) -> web.Response:
        url = URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)
        sent = {name: request.headers[name] for name in ("Authorization",) if name in request.headers}
        async with aiohttp.ClientSession() as session, session.request(request.method, url, headers=sent) as real:
            text = await real.text()
            body = change(text, is_bad) if real.status == 200 else text
            return web.Response(status=real.status, text=body, content_type=real.content_type)

    async with answering(hand_on) as changed:
        yield changed


def put(text: str, pattern: str, value: str) -> str:
    """One value of an answer, where the answer has it."""
    return re.sub(pattern, lambda found: f"{found[1]}{value}", text, flags=re.MULTILINE)


def apaches_cpu() -> Change:
    """CPU seconds only grow: by nearly a minute in a minute that is bad."""
    spent = 0.0

    def change(text: str, is_bad: bool) -> str:
        nonlocal spent
        spent += 54.0 if is_bad else 0.6
        assert "CPUUser: " in text
        return put(text, r"^(CPUUser: ).*$", f"{spent:.2f}")

    return change


def phps_queue() -> Change:
    def change(text: str, is_bad: bool) -> str:
        page = json.loads(text)
        assert page["listen queue"] == 0
        page["listen queue"] = 2 if is_bad else 0
        return json.dumps(page)

    return change


def tomcats_machine() -> Change:
    """A modern machine has no limit for what is not heap; older ones have."""

    def change(text: str, is_bad: bool) -> str:
        text = put(text, r"^(ProcessCpuLoad: ).*$", "0.86" if is_bad else "0.05")
        text = put(text, r"^(HeapMemoryUsage: ).*$", USAGE.format(91_000_000 if is_bad else 30_000_000))
        return put(text, r"^(NonHeapMemoryUsage: ).*$", USAGE.format(83_000_000 if is_bad else 60_000_000))

    return change


def rabbits_limits() -> Change:
    def change(text: str, is_bad: bool) -> str:
        found = json.loads(text)
        if isinstance(found, list) and is_bad:
            for node in found:
                for used, total in (
                    ("fd_used", "fd_total"),
                    ("proc_used", "proc_total"),
                    ("sockets_used", "sockets_total"),
                ):
                    node[used] = node[total] * 8 // 10 + 1
        return json.dumps(found)

    return change


@dataclass(frozen=True)
class Case:
    """Rules, the product and the fixture of its server, and what makes its answers bad."""

    rules: tuple[str, ...]
    product: str
    fixture: str
    change: Callable[[], Change]
    more: dict[str, Any] = field(default_factory=dict)


SIGNED_IN = {"user": "rdmp", "password": PASSWORD}
CASES = (
    Case(("apache-cpu-load",), "apache", "apache", apaches_cpu),
    Case(("phpfpm-listen-queue",), "php-fpm", "nginx", phps_queue, {"options": {"via": "http"}}),
    Case(("tomcat-cpu-load", "tomcat-heap-util", "tomcat-nonheap-util"), "tomcat", "tomcat", tomcats_machine,
         {**SIGNED_IN, "options": {"app": "shop"}}),
    Case(("rabbitmq-fd-util", "rabbitmq-erlang-proc", "rabbitmq-socket-util"), "rabbitmq", "rabbitmq", rabbits_limits,
         SIGNED_IN),
)  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rules[0])
def test_a_rule_fires_on_the_third_bad_answer_and_recovers_on_the_third_good_one(
    case: Case, jia: Customer, request: pytest.FixtureRequest
) -> None:
    asset = server(jia, name="srv-01", kind="middleware")
    change = case.change()
    real = request.getfixturevalue(case.fixture)
    if case.product == "php-fpm":
        request.getfixturevalue("phpfpm")
    outcomes: list[Outcome] = []

    async def one_look(is_bad: bool) -> Outcome:
        async with between(real.port, change, is_bad=is_bad) as port:
            state = earlier(outcomes[-1]) if outcomes else None
            return await look(case.product, port, state=state, **case.more)

    told: list[dict[str, bool]] = []
    for at, verdict in enumerate("ggbbbggg"):
        outcomes.append(asyncio.run(one_look(verdict == "b")))
        assert outcomes[-1].problem is None
        store(asset, outcomes[-1], at)
        told.append(states(asset))
    fired, over = dict.fromkeys(case.rules, False), dict.fromkeys(case.rules, True)
    assert told == [{}, {}, {}, {}, fired, fired, fired, over]
