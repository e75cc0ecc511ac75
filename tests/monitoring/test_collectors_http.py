"""Checking URLs: status, text, redirects, certificates, points and quorum, against real servers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from monitoring.collectors import Outcome, http, network, places
from monitoring.collectors.config.web import HttpConfig, RequestSecret
from monitoring.collectors.network import Guard
from tests.monitoring.probes import figures, job_for

HITS = web.AppKey("HITS", list)
SECRET = RequestSecret({"X-Key": "s3cret"}).as_text()


async def page(request: web.Request) -> web.Response:
    request.app[HITS].append(dict(request.headers))
    return web.Response(text="<h1>订单系统</h1>")


async def gbk(request: web.Request) -> web.Response:
    return web.Response(body="订单系统".encode("gb18030"), headers={"Content-Type": "text/html; charset=gb2312"})


async def broken(request: web.Request) -> web.Response:
    return web.Response(status=503)


async def away(request: web.Request) -> web.Response:
    raise web.HTTPFound("/")


async def round_and_round(request: web.Request) -> web.Response:
    raise web.HTTPFound("/loop")


async def to_file(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "file:///etc/passwd"})


async def to_other_host(request: web.Request) -> web.Response:
    port = request.url.port
    return web.Response(status=302, headers={"Location": f"http://localhost:{port}/"})


async def to_anywhere(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": request.query["where"]})


async def orders(request: web.Request) -> web.Response:
    """What a POST with the right body is answered with; anything else is no order."""
    request.app[HITS].append((request.method, await request.text()))
    is_order = request.method == "POST" and await request.text() == '{"id": "订单-7"}'
    found = [{"id": 7, "state": "paid"}] if is_order else []
    return web.json_response({"orders": found, "total": len(found)})


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(20)
    return web.Response()


@contextlib.asynccontextmanager
async def site(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[Any]]]:
    """A web site on this machine: its address, and the headers of each request to its front page."""
    app = web.Application()
    app[HITS] = []
    routes = {"/": page, "/gbk": gbk, "/503": broken, "/away": away, "/loop": round_and_round, "/file": to_file}
    routes |= {"/other": to_other_host, "/slow": slow, "/to": to_anywhere, "/orders": orders}
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    scheme = "https" if context else "http"
    try:
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}", app[HITS]
    finally:
        await runner.cleanup()


async def check(
    config: HttpConfig, points: Sequence[str] = ("local",), *, trusted: bool = True, token: str = ""
) -> Outcome:
    job = job_for(config, trusted=trusted, token=token)
    named = [point for point in points if not config.points or point in config.points]
    answers = [answer for point in named for answer in await http.ask([job], guard=Guard(), point=point)]
    return places.outcome_of(job, answers, points=len(named), at_ms=round(time.time() * 1000))


def codes(outcome: Outcome) -> list[float]:
    return [value for name, value in figures(outcome).items() if name.startswith("url.point.result_code")]


async def test_a_site_that_answers_passes_with_status_and_time() -> None:
    async with site() as (base, _):
        outcome = await check(HttpConfig(base + "/", keyword="订单"))
    found = figures(outcome)
    assert found[f'url.result_code{{url="{base}/"}}'] == 0
    assert found[f'url.failed_points{{url="{base}/"}}'] == 0
    assert found[f'url.points{{url="{base}/"}}'] == 1
    assert found[f'url.status_code{{point="local",url="{base}/"}}'] == 200
    assert found[f'url.latency_ms{{point="local",url="{base}/"}}'] > 0


@pytest.mark.parametrize(
    ("path", "options", "code"),
    [
        ("/", {}, 0),
        ("/", {"keyword": "no such text"}, 4),
        ("/gbk", {"keyword": "订单系统"}, 0),
        ("/503", {}, 3),
        ("/503", {"status": "200,503"}, 0),
        ("/away", {"keyword": "订单"}, 0),
        ("/away", {"max_redirects": 0, "status": "302"}, 0),
        ("/loop", {"max_redirects": 3, "status": "200"}, 3),
        ("/file", {}, 7),
        ("/slow", {"timeout_s": 0.3}, 1),
        ("/", {"method": "HEAD", "keyword": "ignored"}, 0),
    ],
)
async def test_what_is_found_becomes_a_code(path: str, options: dict[str, Any], code: int) -> None:
    async with site() as (base, _):
        outcome = await check(HttpConfig(base + path, **options))
    assert codes(outcome) == [code]
    assert outcome.problem is None


BODY = RequestSecret(body='{"id": "订单-7"}').as_text()


@pytest.mark.parametrize(
    ("options", "body", "code"),
    [
        ({"json_path": "$.orders[0].state", "json_value": "paid"}, BODY, 0),
        ({"json_path": "$.orders[0].state", "json_value": "open"}, BODY, 10),
        ({"json_path": "$.orders[0].state", "json_value": "paid"}, "", 10),
        ({"json_path": "$.orders[0].state", "json_value": "paid", "method": "GET"}, BODY, 10),
        ({"json_path": "$.total", "json_value": "1"}, BODY, 0),
        ({"json_path": "$.orders[0].id"}, BODY, 0),
        ({"json_path": "$.orders[1].id"}, BODY, 10),
        ({"absent": "paid"}, BODY, 11),
    ],
)
async def test_a_body_is_posted_and_one_value_of_the_answer_decides(
    options: dict[str, Any], body: str, code: int
) -> None:
    async with site() as (base, hits):
        outcome = await check(HttpConfig(base + "/orders", **{"method": "POST"} | options), token=body)
    assert codes(outcome) == [code]
    sent = RequestSecret.parse(body).body
    assert hits == [(options.get("method", "POST"), sent)]


async def test_an_answer_that_is_no_json_has_no_value() -> None:
    async with site() as (base, _):
        outcome = await check(HttpConfig(base + "/", method="POST", json_path="$.total"), token=BODY)
    assert codes(outcome) == [10]


async def test_a_site_that_is_down_is_refused_and_has_no_latency() -> None:
    async with site() as (base, _):
        pass
    outcome = await check(HttpConfig(base))
    assert codes(outcome) == [2]
    assert not any(name.startswith("url.latency_ms") for name in figures(outcome))


async def test_an_unknown_name_is_5() -> None:
    assert codes(await check(HttpConfig("http://no-such-name.invalid/"), trusted=False)) == [5]


@pytest.mark.parametrize(("points", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4)])
def test_the_quorum_is_two_thirds_of_the_points_that_exist(points: int, needed: int) -> None:
    assert places.quorum(points) == needed


async def test_every_point_has_its_own_series_and_one_round_its_count() -> None:
    async with site() as (base, _hits):
        outcome = await check(HttpConfig(base + "/503"), ("hangzhou", "beijing", "shanghai"))
    assert codes(outcome) == [3, 3, 3]
    found = figures(outcome)
    assert found[f'url.failed_points{{url="{base}/503"}}'] == 3
    assert found[f'url.result_code{{url="{base}/503"}}'] == 1


async def test_a_target_may_name_its_points() -> None:
    async with site() as (base, hits):
        await check(HttpConfig(base + "/", points=("beijing",)), ("hangzhou", "beijing"))
        assert len(hits) == 1


async def test_headers_are_sent_to_the_site_and_not_to_where_it_redirects() -> None:
    async with site() as (base, hits):
        await check(HttpConfig(base + "/"), token=SECRET)
        await check(HttpConfig(base + "/other"), token=SECRET)
    assert hits[0]["X-Key"] == "s3cret"
    assert "X-Key" not in hits[1]


async def test_internal_addresses_are_refused_as_our_problem() -> None:
    async with site() as (base, hits):
        outcome = await check(HttpConfig(base + "/"), trusted=False)
    assert outcome.problem is not None
    assert outcome.problem.code == "blocked"
    assert figures(outcome) == {}
    assert hits == []


async def test_a_redirect_into_the_platform_is_stopped_at_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = ipaddress.ip_network("127.0.0.2/32")
    monkeypatch.setattr(network, "NEVER", (inside,))
    async with site() as (base, hits):
        port = base.rsplit(":", 1)[1]
        assert codes(await check(HttpConfig(base + "/"), trusted=False)) == [0]
        url = f"{base}/to?where=http://127.0.0.2:{port}/"
        outcome = await check(HttpConfig(url), trusted=False)
    assert outcome.problem is not None
    assert outcome.problem.code == "blocked"
    assert len(hits) == 1


def certificate(folder: Path, days: float) -> ssl.SSLContext:
    """A self-signed certificate that ends in ``days`` (negative: ended)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    file = folder / "site.pem"
    file.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_certificate_nobody_trusts_is_6_and_its_end_is_known_all_the_same(tmp_path: Path) -> None:
    async with site(certificate(tmp_path, days=20)) as (base, _):
        outcome = await check(HttpConfig(base + "/"))
    assert codes(outcome) == [6]
    assert figures(outcome)[f'url.cert_days_left{{url="{base}/"}}'] == pytest.approx(20, abs=0.1)


async def test_an_ended_certificate_has_negative_days(tmp_path: Path) -> None:
    async with site(certificate(tmp_path, days=-3)) as (base, _):
        outcome = await check(HttpConfig(base + "/", verify_tls=False))
    assert codes(outcome) == [0]
    assert figures(outcome)[f'url.cert_days_left{{url="{base}/"}}'] == pytest.approx(-3, abs=0.1)
