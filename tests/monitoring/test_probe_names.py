"""DNS, certificates and domains, against servers on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from aiohttp import web

from monitoring.collectors import Outcome, domain, network, tls
from monitoring.collectors import dns as dns_check
from monitoring.collectors.config import config_of
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.names import DnsConfig, DomainConfig, TlsConfig
from monitoring.collectors.network import Guard
from tests.monitoring.authority import Authority
from tests.monitoring.probes import figures, job_for

ZONE = {
    ("www.example.test.", "A"): ["192.0.2.1", "192.0.2.2"],
    ("example.test.", "MX"): ["10 Mail.example.test."],
    ("example.test.", "TXT"): ['"v=spf1 " "-all"'],
    ("alias.example.test.", "CNAME"): ["www.example.test."],
}


class NameServer(asyncio.DatagramProtocol):
    """Answers from ZONE; knows example.test, refuses other.test, and is silent about silent.test."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        if name.startswith("silent"):
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name == "other.test.":
            answer.set_rcode(dns.rcode.REFUSED)
        elif not any(known == name for known, _ in ZONE):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif values := ZONE.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *values))
        self.transport.sendto(answer.to_wire(), addr)


@contextlib.asynccontextmanager
async def name_server() -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    try:
        yield "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


async def look(config: DnsConfig, *, trusted: bool = True) -> Outcome:
    [outcome] = await dns_check.collect([job_for(config, trusted=trusted)], guard=Guard())
    return outcome


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("www.example.test", {}, 0),
        ("www.example.test", {"expected": ("192.0.2.1",)}, 0),
        ("www.example.test", {"expected": ("192.0.2.1",), "exactly": True}, 4),
        ("www.example.test", {"expected": ("192.0.2.2", "192.0.2.1"), "exactly": True}, 0),
        ("www.example.test", {"expected": ("192.0.2.9",)}, 4),
        ("www.example.test", {"record": "AAAA"}, 5),
        ("example.test", {"record": "MX", "expected": ("10 mail.example.test.",)}, 0),
        ("example.test", {"record": "TXT", "expected": ("v=spf1 -all",)}, 0),
        ("alias.example.test", {"record": "CNAME", "expected": ("www.example.test",)}, 0),
        ("nobody.example.test", {}, 3),
        ("other.test", {}, 2),
        ("silent.test", {"timeout_s": 0.4}, 1),
    ],
)
async def test_what_a_name_server_says_becomes_a_code(name: str, options: dict[str, Any], code: int) -> None:
    async with name_server() as where:
        outcome = await look(DnsConfig(name, resolver=where, **options))
    record = options.get("record", "A")
    assert figures(outcome)[f'dns.result_code{{name="{name}",record="{record}"}}'] == code
    assert outcome.problem is None


async def test_a_resolver_inside_the_platform_is_not_asked() -> None:
    async with name_server() as where:
        outcome = await look(DnsConfig("www.example.test", resolver=where), trusted=False)
    assert outcome.problem is not None
    assert outcome.problem.code == "blocked"


# --- certificates --------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this machine trusts for as long as the test lasts."""
    made = Authority.found(tmp_path)
    monkeypatch.setattr(network, "_VERIFIED", made.trusting())
    return made


@contextlib.asynccontextmanager
async def speaking(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def read(port: int, *, trusted: bool = True, **options: Any) -> Outcome:
    [outcome] = await tls.collect([job_for(TlsConfig("127.0.0.1", port, **options), trusted=trusted)], guard=Guard())
    return outcome


def code_of(outcome: Outcome) -> float:
    return next(value for name, value in figures(outcome).items() if name.startswith("tls.result_code"))


def days_of(outcome: Outcome) -> float:
    return next(value for name, value in figures(outcome).items() if name.startswith("probe.tls.days_left"))


async def test_a_good_certificate_with_its_days_and_its_chain(authority: Authority, tmp_path: Path) -> None:
    async with speaking(authority.context(tmp_path, days=25)) as port:
        outcome = await read(port)
    assert code_of(outcome) == tls.GOOD
    assert days_of(outcome) == pytest.approx(25, abs=0.1)
    assert outcome.state is not None
    assert [one["subject"] for one in outcome.state["chain"]] == ["CN=127.0.0.1", "CN=RDMP test authority"]


@pytest.mark.parametrize(
    ("name", "days", "options", "code"),
    [
        ("127.0.0.1", -2, {}, tls.EXPIRED),
        ("shop.example.test", 90, {}, tls.OTHER_NAME),
        ("shop.example.test", 90, {"server_name": "shop.example.test"}, tls.GOOD),
        ("shop.example.test", 90, {"server_name": "bank.example.test"}, tls.OTHER_NAME),
    ],
)
async def test_a_bad_certificate_is_named_by_what_is_wrong(
    authority: Authority, tmp_path: Path, name: str, days: float, options: dict[str, Any], code: int
) -> None:
    async with speaking(authority.context(tmp_path, name, days=days)) as port:
        outcome = await read(port, **options)
    assert code_of(outcome) == code
    assert days_of(outcome) == pytest.approx(days, abs=0.1)


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(tmp_path: Path) -> None:
    async with speaking(Authority.found(tmp_path).context(tmp_path)) as port:
        outcome = await read(port)
    assert code_of(outcome) == tls.NOT_TRUSTED


async def test_a_mail_server_changes_to_tls_when_asked(authority: Authority, tmp_path: Path) -> None:
    context = authority.context(tmp_path, days=12)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220-hello\r\n220 there\r\n")
        await reader.readline()
        writer.write(b"250-mail\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go ahead\r\n")
        await writer.drain()
        with contextlib.suppress(OSError):
            await writer.start_tls(context)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        outcome = await read(server.sockets[0].getsockname()[1], starttls="smtp")
    assert code_of(outcome) == tls.GOOD
    assert days_of(outcome) == pytest.approx(12, abs=0.1)


async def test_a_port_without_tls_and_a_closed_one_differ(unused_tcp_port: int) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nothing\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        assert code_of(await read(server.sockets[0].getsockname()[1])) in (tls.OTHER, tls.REFUSED)
    assert code_of(await read(unused_tcp_port)) == tls.REFUSED


async def test_a_certificate_inside_the_platform_is_not_read(authority: Authority, tmp_path: Path) -> None:
    async with speaking(authority.context(tmp_path)) as port:
        outcome = await read(port, trusted=False)
    assert outcome.problem is not None
    assert outcome.problem.code == "blocked"


# --- domains -------------------------------------------------------------------------------------------------------

ENDS = datetime.now(UTC) + timedelta(days=40)


async def rdap(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name == "free.test":
        return web.json_response({"errorCode": 404}, status=404)
    if name == "busy.test":
        return web.Response(status=429)
    events = [{"eventAction": "registration", "eventDate": "1999-01-01T00:00:00Z"}]
    if name != "dateless.test":
        events.append({"eventAction": "expiration", "eventDate": f"{ENDS:%Y-%m-%dT%H:%M:%SZ}"})
    return web.json_response({"objectClassName": "domain", "events": events}, content_type="application/rdap+json")


async def to_inside(request: web.Request) -> web.Response:
    raise web.HTTPFound("http://169.254.169.254/domain/x.test")


@contextlib.asynccontextmanager
async def registry() -> AsyncIterator[str]:
    """A registry and IANA's list in one: the address of the list."""
    app = web.Application()

    async def services(request: web.Request) -> web.Response:
        base = f"http://127.0.0.1:{request.url.port}"
        listed = [[["test", "xn--fiqs8s"], [f"{base}/rdap/"]], [["co.test"], [f"{base}/inside/"]]]
        return web.json_response({"version": "1.0", "services": listed})

    app.router.add_get("/dns.json", services)
    app.router.add_get("/rdap/domain/{name}", rdap)
    app.router.add_get("/inside/domain/{name}", to_inside)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/dns.json"
    finally:
        await runner.cleanup()


async def whois(name: str, *, trusted: bool = True, **options: Any) -> Outcome:
    async with registry() as bootstrap:
        config = DomainConfig(name, **options)
        [outcome] = await domain.collect([job_for(config, trusted=trusted)], guard=Guard(), bootstrap=bootstrap)
    return outcome


@pytest.mark.parametrize("name", ["shop.test", "Shop.TEST.", "公司.中国"])
async def test_the_registry_says_when_a_domain_ends(name: str) -> None:
    outcome = await whois(name)
    assert figures(outcome)[f'probe.domain.days_left{{name="{name}"}}'] == pytest.approx(40, abs=0.1)


async def test_a_domain_that_nobody_has_is_said() -> None:
    assert figures(await whois("free.test")) == {'domain.result_code{name="free.test"}': 1}


@pytest.mark.parametrize(
    ("name", "problem"),
    [("shop.cn", "rdap_unknown"), ("busy.test", "rdap_limited"), ("dateless.test", "rdap_no_date")],
)
async def test_what_the_registry_cannot_say_is_a_problem_and_no_figure(name: str, problem: str) -> None:
    outcome = await whois(name)
    assert outcome.problem is not None
    assert (outcome.problem.code, figures(outcome)) == (problem, {})


async def test_a_day_known_to_people_needs_no_registry() -> None:
    day = (datetime.now(UTC) + timedelta(days=10)).date()
    outcome = await whois("shop.cn", expires_on=day.isoformat())
    assert figures(outcome)['probe.domain.days_left{name="shop.cn"}'] == pytest.approx(9.5, abs=0.6)


@pytest.mark.parametrize(("name", "options"), [("shop.test", {}), ("x.co.test", {})])
async def test_a_registry_inside_the_platform_is_not_asked(name: str, options: dict[str, Any]) -> None:
    outcome = await whois(name, trusted=False, **options)
    assert outcome.problem is not None
    assert outcome.problem.code == "blocked"


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("dns", {"name": "x.test", "record": "ANY"}, "record"),
        ("dns", {"name": "x.test", "resolver": "8.8.8.8:99999"}, "resolver"),
        ("tls", {"host": "x.test", "starttls": "ftp"}, "starttls"),
        ("domain", {"domain": "localhost"}, "domain"),
        ("domain", {"domain": "x.test", "expires_on": "soon"}, "expires_on"),
    ],
)
def test_what_cannot_be_is_refused(kind: str, values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config_of(kind, values)
    assert refused.value.field == field
