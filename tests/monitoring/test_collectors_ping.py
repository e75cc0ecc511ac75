"""Ping, on the loopback address; and what happens where the platform may not ping."""

from __future__ import annotations

import asyncio

import pytest
from icmplib import Host, SocketPermissionError

from accounts.models import Customer
from monitoring.collectors import ping
from monitoring.collectors.config.machines import PingConfig
from monitoring.collectors.network import Guard
from tests.monitoring.probes import figures, job_for
from tests.monitoring.products.alarms import states, store
from tests.monitoring.samples import server

CONFIG = PingConfig("127.0.0.1", count=2, timeout_s=1.0)


async def test_an_address_that_answers_is_0_with_its_round_trip() -> None:
    [outcome] = await ping.collect([job_for(CONFIG)], guard=Guard())
    if outcome.problem is not None and outcome.problem.code == "not_permitted":
        pytest.skip("this machine lets nobody ping; the test below covers what we say then")
    found = figures(outcome)
    assert found["ping.result_code"] == 0
    assert found["ping.loss_pct"] == 0
    assert found["ping.rtt_ms"] > 0


async def test_no_right_to_ping_is_our_problem_and_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> Host:
        raise SocketPermissionError(True)

    monkeypatch.setattr(ping, "async_ping", refused)
    [outcome] = await ping.collect([job_for(CONFIG)], guard=Guard())
    assert outcome.problem is not None
    assert outcome.problem.code == "not_permitted"
    assert figures(outcome) == {}


async def test_silence_is_1_and_all_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(address: str, count: int, *_: object, **__: object) -> Host:
        return Host(address, count, [])

    monkeypatch.setattr(ping, "async_ping", silent)
    [outcome] = await ping.collect([job_for(CONFIG)], guard=Guard())
    assert figures(outcome) == {"ping.result_code": 1, "ping.loss_pct": 100}


async def test_packets_that_never_left_are_our_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unsent(address: str, *_: object, **__: object) -> Host:
        return Host(address, 0, [])

    monkeypatch.setattr(ping, "async_ping", unsent)
    [outcome] = await ping.collect([job_for(CONFIG)], guard=Guard())
    assert outcome.problem is not None
    assert outcome.problem.code == "local"


async def test_an_unknown_name_is_2_and_an_inside_one_is_refused() -> None:
    jobs = [job_for(PingConfig("no-such-name.invalid")), job_for(PingConfig("localhost"), trusted=False)]
    unknown, inside = await ping.collect(jobs, guard=Guard())
    assert figures(unknown) == {"ping.result_code": 2}
    assert inside.problem is not None
    assert inside.problem.code == "blocked"


@pytest.mark.django_db
def test_three_silent_pings_are_an_outage_and_three_answers_its_end(
    monkeypatch: pytest.MonkeyPatch, jia: Customer
) -> None:
    asset = server(jia, name="gw-01")
    times: list[float] = []

    async def answering(address: str, count: int, *_: object, **__: object) -> Host:
        return Host(address, count, times)

    monkeypatch.setattr(ping, "async_ping", answering)
    told: list[dict[str, bool]] = []
    for at, verdict in enumerate("gbbbggg"):
        times[:] = [0.4, 0.5] if verdict == "g" else []
        [outcome] = asyncio.run(ping.collect([job_for(CONFIG)], guard=Guard()))
        store(asset, outcome, at)
        told.append(states(asset))
    fired, over = {"ping-unreachable": False}, {"ping-unreachable": True}
    assert told == [{}, {}, {}, fired, fired, fired, over]
