"""Where collectors may connect to. Nothing in here leaves the machine."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import pytest

from monitoring.collectors import http, network, tcp
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.machines import TcpConfig
from monitoring.collectors.config.web import HttpConfig
from monitoring.collectors.network import (
    BlockedError,
    Guard,
    ResolveError,
    addresses_of,
    connect,
    networks,
    own_networks,
    resolve,
)
from monitoring.collectors.places import Answer
from tests.monitoring.probes import figures, job_for


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "::1",
        "::",
        "169.254.169.254",
        "100.100.100.200",
        "224.0.0.1",
        "255.255.255.255",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "::127.0.0.1",
        "::ffff:0:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2001:0:7f00:1::1",
        "2400:3200::5efe:7f00:1",
        "2400:3200::200:5efe:a9fe:a9fe",
        "fd20:ce::254",
    ],
)
def test_no_collector_reaches_the_platforms_inside(address: str) -> None:
    guard = Guard()
    assert not guard.allows(address, allow_internal=False)
    assert guard.allows(address, allow_internal=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "10.1.2.3", "192.168.1.1", "2400:3200::1", "fd12::1"])
def test_a_customers_own_networks_are_open(address: str) -> None:
    assert Guard().allows(address, allow_internal=False)


def test_the_platforms_networks_are_closed() -> None:
    guard = Guard(networks(["10.9.0.0/16", "fd99::/64"]))
    assert not guard.allows("10.9.1.1", allow_internal=False)
    assert not guard.allows("::ffff:10.9.1.1", allow_internal=False)
    assert not guard.allows("fd99::5", allow_internal=False)
    assert guard.allows("10.8.1.1", allow_internal=False)


def test_own_stands_for_every_network_this_machine_is_in() -> None:
    assert ipaddress.ip_network("127.0.0.0/8") in own_networks()
    assert networks(["own"]) == own_networks()


async def test_a_name_that_points_inside_is_stopped_at_the_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BlockedError):
            await connect("localhost", port, guard=Guard(), allow_internal=False)
        sock, address = await connect("localhost", port, guard=Guard(), allow_internal=True)
        sock.close()
        assert address in ("127.0.0.1", "::1")


async def test_a_name_without_address_says_so() -> None:
    with pytest.raises(ResolveError):
        await resolve("no-such-name.invalid", 80)


async def test_a_refused_target_is_a_collection_problem_and_no_sample() -> None:
    [outcome] = await tcp.collect([job_for(TcpConfig("127.0.0.1", 1), trusted=False)], guard=Guard())
    assert outcome.problem is not None
    assert outcome.problem.code == "blocked"
    assert figures(outcome) == {}


async def test_an_open_port_is_0_with_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [outcome] = await tcp.collect([job_for(TcpConfig("127.0.0.1", port))], guard=Guard())
    found = figures(outcome)
    assert found[f'port.result_code{{port="{port}"}}'] == 0
    assert found[f'port.connect_ms{{port="{port}"}}'] > 0
    assert outcome.problem is None


async def test_a_closed_port_is_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    [outcome] = await tcp.collect([job_for(TcpConfig("127.0.0.1", port))], guard=Guard())
    assert figures(outcome) == {f'port.result_code{{port="{port}"}}': 2}


async def test_a_port_that_never_answers_is_1() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # the kernel's queue is full after one or two: the rest wait for ever
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        await asyncio.sleep(0.1)
        port = full.getsockname()[1]
        [outcome] = await tcp.collect([job_for(TcpConfig("127.0.0.1", port, timeout_s=0.3))], guard=Guard())
        for one in waiting:
            one.close()
    assert figures(outcome) == {f'port.result_code{{port="{port}"}}': 1}


async def test_a_name_that_does_not_exist_is_5() -> None:
    [outcome] = await tcp.collect([job_for(TcpConfig("no-such-name.invalid", 80), trusted=False)], guard=Guard())
    assert figures(outcome) == {'port.result_code{port="80"}': 5}


async def test_our_own_lack_of_sockets_is_not_the_customers_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("monitoring.collectors.network.socket.socket", exhausted)
    [outcome] = await tcp.collect([job_for(TcpConfig("127.0.0.1", 80))], guard=Guard())
    assert outcome.problem is not None
    assert outcome.problem.code == "local"
    assert figures(outcome) == {}


async def test_many_ports_are_tried_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=600) as server:
        port = server.getsockname()[1]
        jobs = [job_for(TcpConfig("127.0.0.1", port), target_id=number) for number in range(500)]
        outcomes = await tcp.collect(jobs, guard=Guard())
    assert [outcome.target_id for outcome in outcomes] == list(range(500))
    assert all(outcome.value[0] == 0 for outcome in outcomes)


# --- attacks on the guard ------------------------------------------------------------------------------------------


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names lead where the test says: the first answer to the first question, and so on. The questions asked."""
    asked: list[str] = []

    def lookup(host: str, port: int, *_: object, **__: object) -> list[object]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


@pytest.fixture
def inside() -> Iterator[tuple[int, list[bytes]]]:
    """A service of the platform on loopback, and what reached it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        heard: list[bytes] = []
        yield int(server.getsockname()[1]), heard
        with contextlib.suppress(TimeoutError):
            connection, _ = server.accept()
            heard.append(connection.recv(100))
        assert heard == [], "something reached the inside of the platform"


async def ask(url: str) -> Answer:
    [answer] = await http.ask([job_for(HttpConfig(url, timeout_s=3), trusted=False)], guard=Guard(), point="x")
    return answer


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["::1", "127.0.0.1"]])
async def test_a_name_with_addresses_inside_reaches_none_of_them(
    monkeypatch: pytest.MonkeyPatch, inside: tuple[int, list[bytes]], addresses: list[str]
) -> None:
    resolving(monkeypatch, addresses)
    answer = await ask(f"http://rebind.example.com:{inside[0]}/")
    assert answer.problem is not None
    assert answer.problem.code == "blocked"


async def test_a_name_that_changes_its_address_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch, inside: tuple[int, list[bytes]]
) -> None:
    asked = resolving(monkeypatch, ["192.0.2.1"], ["127.0.0.1"])
    monkeypatch.setattr(network, "NEVER", (*network.NEVER, ipaddress.ip_network("192.0.2.0/24")))
    answer = await ask(f"http://rebind.example.com:{inside[0]}/")
    assert (asked, answer.problem is not None) == (["rebind.example.com"], True)


@pytest.mark.parametrize(
    "host", ["0x7f000001", "0x7f.1", "localhost", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "0.0.0.0"]
)
async def test_other_spellings_of_this_machine_are_stopped(inside: tuple[int, list[bytes]], host: str) -> None:
    answer = await ask(f"http://{host}:{inside[0]}/")
    assert answer.problem is not None
    assert answer.problem.code in ("blocked", "local", "dns")


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1"])
def test_numbers_that_only_look_like_a_name_are_refused_when_entered(host: str) -> None:
    with pytest.raises(ConfigError):
        HttpConfig(f"http://{host}/")


async def test_proxies_of_the_environment_are_not_asked(
    monkeypatch: pytest.MonkeyPatch, inside: tuple[int, list[bytes]]
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inside[0]}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    answer = await ask("http://no-such-name.invalid/")
    assert answer.reason == "dns"


def test_where_postgresql_and_redis_are_is_closed() -> None:
    assert not Guard(addresses_of(["127.0.0.9", "/var/run/postgresql", ""])).allows("127.0.0.9", allow_internal=False)
    assert addresses_of(["10.77.0.5"]) == (ipaddress.ip_network("10.77.0.5/32"),)
