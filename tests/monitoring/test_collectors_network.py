"""Where collectors may connect to. Nothing in here leaves the machine."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest

from monitoring.collectors import tcp
from monitoring.collectors.config import TcpConfig
from monitoring.collectors.network import BlockedError, Guard, ResolveError, connect, networks, own_networks, resolve
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
