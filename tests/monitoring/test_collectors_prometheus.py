"""Reading exporters over HTTP: a real server, a real agent, and everything that can go wrong in between."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from monitoring.collectors import Outcome, Problem, prometheus
from monitoring.collectors.config.machines import PrometheusConfig
from monitoring.collectors.network import Guard
from tests.monitoring.probes import figures, job_for
from tests.monitoring.test_agent import TOKEN, agent
from tests.monitoring.test_collectors_http import certificate

PAGE = "node_load1 0.5\nnode_memory_MemTotal_bytes 100\nnode_memory_MemAvailable_bytes 25\n"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def exporter(handler: Handler) -> AsyncIterator[str]:
    """A server that answers /metrics with ``handler``."""
    app = web.Application()
    app.router.add_get("/metrics", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()


async def page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE)


async def collected(handler: Handler, *, timeout_s: float = 5.0, token: str = "", trusted: bool = True) -> Outcome:
    async with exporter(handler) as url:
        job = job_for(PrometheusConfig(url, timeout_s=timeout_s), token=token, trusted=trusted)
        [outcome] = await prometheus.collect([job], guard=Guard())
        return outcome


async def test_a_page_becomes_figures_of_the_asset() -> None:
    outcome = await collected(page)
    assert figures(outcome) == {
        "host.load1": 0.5,
        "host.mem.util": 75,
        "host.mem.available_bytes": 25,
        "host.mem.total_bytes": 100,
    }
    assert outcome.keys[0][:2] == (7, 42)
    assert outcome.problem is None


async def test_the_real_agent_is_read_with_its_token_and_rates_come_with_the_second_page() -> None:
    with agent(RDMP_AGENT_WATCH="python") as (_, port):
        config = PrometheusConfig(f"http://127.0.0.1:{port}/metrics")
        [first] = await prometheus.collect([job_for(config, token=TOKEN)], guard=Guard())
        await asyncio.sleep(0.8)
        [second] = await prometheus.collect([job_for(config, token=TOKEN, state=first.state)], guard=Guard())
    assert first.problem is None
    assert "host.cpu.util" not in figures(first)
    found = figures(second)
    assert 0 <= found["host.cpu.util"] <= 100
    assert found["host.mem.total_bytes"] > 0
    assert any(name.startswith("host.net.in_bytes_per_s") for name in found) or "host.cpu.user" in found
    assert any(name.startswith("host.fs.free_bytes") for name in found)


async def test_a_wrong_token_is_told_as_such() -> None:
    with agent() as (_, port):
        config = PrometheusConfig(f"http://127.0.0.1:{port}/metrics")
        [outcome] = await prometheus.collect([job_for(config, token="wrong")], guard=Guard())
    assert outcome.problem == Problem("unauthorised", "HTTP 401")
    assert figures(outcome) == {}


async def test_the_token_goes_along_and_compression_is_understood() -> None:
    seen: list[str] = []

    async def compressed(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(body=gzip.compress(PAGE.encode()), headers={"Content-Encoding": "gzip"})

    outcome = await collected(compressed, token="abc")
    assert seen == ["Bearer abc"]
    assert "host.load1" in figures(outcome)


async def test_a_sign_in_page_is_not_taken_for_figures() -> None:
    async def html(request: web.Request) -> web.Response:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    outcome = await collected(html)
    assert outcome.problem is not None
    assert outcome.problem.code == "not_prometheus"


async def test_a_page_of_another_exporter_says_that_nothing_is_known() -> None:
    async def other(request: web.Request) -> web.Response:
        return web.Response(text="something_else 1\n")

    outcome = await collected(other)
    assert outcome.problem is not None
    assert outcome.problem.code == "no_known_series"


async def test_a_redirect_is_not_followed() -> None:
    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")

    outcome = await collected(moved)
    assert outcome.problem == Problem("http_status", "HTTP 302")


async def test_a_server_that_never_finishes_is_cut_off() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"node_load1 1\n")
        await asyncio.sleep(30)
        return response

    outcome = await collected(slow, timeout_s=0.3)
    assert outcome.problem == Problem("timeout")
    assert outcome.took_ms < 5000


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_endless_page_is_cut_off_by_its_size_unpacked(
    monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    monkeypatch.setattr(prometheus, "MAX_BYTES", 1024 * 1024)
    body = b"node_load1 1\n" * 400_000

    async def endless(request: web.Request) -> web.Response:
        if compressed:
            return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        return web.Response(body=body)

    outcome = await collected(endless)
    assert outcome.problem is not None
    assert outcome.problem.code == "too_large"


async def test_an_internal_address_is_refused_unless_allowed() -> None:
    outcome = await collected(page, trusted=False)
    assert outcome.problem == Problem("blocked")


async def test_a_host_that_is_gone_has_a_problem_and_no_figures() -> None:
    async with exporter(page) as url:
        pass
    [outcome] = await prometheus.collect([job_for(PrometheusConfig(url))], guard=Guard())
    assert outcome.problem == Problem("refused")
    assert figures(outcome) == {}


async def test_one_bad_target_does_not_spoil_the_batch() -> None:
    async with exporter(page) as url:
        jobs = [job_for(PrometheusConfig(url), target_id=1), job_for(PrometheusConfig(url + "x"), target_id=2)]
        good, bad = await prometheus.collect(jobs, guard=Guard())
    assert good.problem is None
    assert bad.problem == Problem("http_status", "HTTP 404")


async def test_an_agent_over_tls_is_read_when_its_certificate_is_trusted_or_not_checked(tmp_path: Path) -> None:
    certificate(tmp_path, days=20)
    pem = str(tmp_path / "site.pem")
    with agent(RDMP_AGENT_TLS_CERT=pem, RDMP_AGENT_TLS_KEY=pem) as (_, port):
        url = f"https://127.0.0.1:{port}/metrics"
        checked = job_for(PrometheusConfig(url), token=TOKEN)
        unchecked = job_for(PrometheusConfig(url, verify_tls=False), token=TOKEN)
        refused, read = await prometheus.collect([checked, unchecked], guard=Guard())
    assert refused.problem is not None
    assert refused.problem.code == "tls"
    assert "host.mem.util" in figures(read)
