"""Forwarding: off without a grant, never to loopback or metadata, and the bytes that went are told."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import psutil
import pytest

from bastion.gateway.contract import Action, End, NewTerms
from bastion.gateway.ssh import forward
from tests.bastion.memory_portal import EVERYTHING
from tests.bastion.targets import Bench, KeyTarget, bench


@pytest.fixture
async def b(tmp_path: Path, target: KeyTarget, keys: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, [target.hop()], keys=keys) as made:
        made.portal.change("web-01", forwards=("*:*",))
        yield made


@pytest.fixture
async def echo(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A service that answers with what it gets; this machine may have no address but loopback, so it stands in."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"!")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    monkeypatch.setattr(forward, "is_forbidden", lambda address: False)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_connection_that_had_to_be_made_anew_is_told(b: Bench, echo: int) -> None:
    """The server writes down another log-in: without a word of it, it would pass for one round the bastion."""

    async def answer(conn: asyncssh.SSHClientConnection) -> bytes:
        reader, writer = await conn.open_connection("127.0.0.1", echo, encoding=None)
        writer.write(b"x")
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)

    async with b.connect() as conn:
        assert await answer(conn) == b"x!"
        assert b.portal.told("linked") == []
        [visit] = b.gateway.visits
        for link in visit.links._links.values():
            link.cut()
        assert await answer(conn) == b"x!"
        assert await b.portal.until("linked") == [{}]


async def test_a_granted_destination_is_reached_and_counted(b: Bench, echo: int) -> None:
    data = bytes(range(256)) * 4000
    async with b.connect() as conn:
        reader, writer = await conn.open_connection("127.0.0.1", echo, encoding=None)
        writer.write(data)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == data + b"!"
        writer.close()
        [told] = await b.portal.until("forward")
    assert told == {
        "host": "127.0.0.1",
        "port": echo,
        "result": "done",
        "sent": len(data),
        "received": len(data) + 1,
    }
    [ended] = await b.portal.until("ended")
    assert (ended["sent"], ended["received"]) == (len(data), len(data) + 1)
    assert b.portal.told("opened")[0]["channel"] == "forward"


async def test_openssh_forwards_too(b: Bench, echo: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = b.ssh(options=["-N", "-L", f"{port}:127.0.0.1:{echo}"])
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.05)
        writer.write(b"hello")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"hello!"
        writer.close()
    finally:
        process.kill()
        await process.wait()


async def test_forwards_of_one_connection_are_one_session_that_can_be_ended(b: Bench, echo: int) -> None:
    async with b.connect() as conn:
        pairs = [await conn.open_connection("127.0.0.1", echo, encoding=None) for _ in range(3)]
        assert len(b.portal.told("opened")) == 1
        b.portal.order(End("killed"))
        for reader, _ in pairs:
            assert await asyncio.wait_for(reader.read(), 2) == b""
    assert [told["result"] for told in b.portal.told("forward")] == ["cut"] * 3


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "::1", "0.0.0.0", "169.254.169.254", "100.100.100.200", "::ffff:127.0.0.1", "127.1"],
)
async def test_loopback_and_metadata_are_never_reached(b: Bench, host: str) -> None:
    async with b.connect() as conn:
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_connection(host, 80)
    assert b.portal.told("refused")[0]["code"] == "forbidden_address"


async def test_what_is_no_name_is_refused_and_the_connection_stays(b: Bench) -> None:
    async with b.connect() as conn:
        for host in ("127.0.0.1\0.example", "x" * 300, "."):
            with pytest.raises(asyncssh.ChannelOpenError):
                await conn.open_connection(host, 80)
        assert (await conn.run("echo in")).stdout == "in\n"
    assert {told["code"] for told in b.portal.told("refused")} == {"unknown_host"}


async def test_names_that_nobody_resolves_are_given_up(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> object:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(forward, "RESOLVE_S", 0.1)
    async with b.connect() as conn:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
        with pytest.raises(asyncssh.ChannelOpenError):
            await asyncio.wait_for(conn.open_connection("db.example", 80), 5)


async def test_forwards_that_are_being_opened_count_too(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    may_answer = asyncio.Event()

    async def slow(host: str, port: int) -> list[forward.Address]:
        await may_answer.wait()
        return []

    monkeypatch.setattr(forward, "resolve", slow)
    async with b.connect() as conn:
        opening = [asyncio.ensure_future(conn.open_connection("db.example", 80)) for _ in range(70)]
        await b.portal.until("refused", 6)
        may_answer.set()
        await asyncio.gather(*opening, return_exceptions=True)
    assert [told["code"] for told in b.portal.told("refused")] == ["too_many"] * 6 + ["unknown_host"] * 64


@pytest.mark.parametrize(
    ("rules", "address", "is_named"),
    [
        (("localhost:8080",), "127.0.0.1", True),
        (("localhost:*",), "::1", True),
        (("127.0.0.1:8080",), "127.0.0.1", True),
        (("127.0.0.0/8:*",), "127.0.0.9", True),
        (("[::1]:8080",), "::1", True),
        (("127.0.0.1:8080",), "::ffff:127.0.0.1", True),
        (("127.0.0.1:8080",), "::1", False),
        (("127.0.0.1:8081",), "127.0.0.1", False),
        (("*:*", "0.0.0.0/0:*", "::/0:*", "127.0.0.0/7:*"), "127.0.0.1", False),
        (("localhost:*",), "169.254.169.254", False),
        (("localhost:*",), "10.0.0.1", False),
    ],
)
def test_a_loopback_is_reached_where_a_grant_names_it(rules: tuple[str, ...], address: str, is_named: bool) -> None:
    assert forward.is_named_loopback(ipaddress.ip_address(address), 8080, rules) == is_named


async def test_without_the_right_or_a_destination_nothing_is_forwarded(b: Bench, echo: int) -> None:
    b.portal.change("web-01", actions=EVERYTHING - {Action.FORWARD})
    async with b.connect() as conn:
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_connection("127.0.0.1", echo)
    b.portal.change("web-01", actions=EVERYTHING, forwards=("127.0.0.2:*", f"127.0.0.1:{echo + 1}"))
    async with b.connect() as conn:
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_connection("127.0.0.1", echo)
    assert [told["code"] for told in b.portal.told("refused")] == ["no_forward", "no_destination"]


@pytest.mark.parametrize(
    "less", [{"actions": EVERYTHING - {Action.FORWARD}}, {"forwards": ("127.0.0.2:*",)}, {"forwards": ()}]
)
async def test_what_is_granted_no_longer_is_cut_and_the_rest_stays(
    b: Bench, echo: int, less: dict[str, object]
) -> None:
    b.portal.change("web-01", forwards=("*:*", "127.0.0.2:*"))
    async with b.connect() as conn:
        lost, _ = await conn.open_connection("127.0.0.1", echo, encoding=None)
        [visit] = b.gateway.visits
        [session] = visit.sessions
        session.obey(NewTerms(replace(session.access, **less)))  # type: ignore[arg-type]
        assert await asyncio.wait_for(lost.read(), 2) == b""
        [told] = await b.portal.until("forward")
        assert (told["port"], told["result"]) == (echo, "cut")
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_connection("127.0.0.1", echo)
        assert not session.is_over


async def test_what_is_still_granted_goes_on(b: Bench, echo: int) -> None:
    async with b.connect() as conn:
        reader, writer = await conn.open_connection("127.0.0.1", echo, encoding=None)
        [visit] = b.gateway.visits
        [session] = visit.sessions
        session.obey(NewTerms(replace(session.access, forwards=(f"127.0.0.1:{echo}",))))
        writer.write(b"on")
        assert await asyncio.wait_for(reader.readexactly(2), 2) == b"on"


async def test_what_is_taken_back_while_it_is_opened_does_not_open(
    b: Bench, echo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with b.connect() as conn:
        kept, _ = await conn.open_connection("127.0.0.1", echo, encoding=None)
        [visit] = b.gateway.visits
        [session] = visit.sessions
        let_in = session.let_in

        async def taken_back() -> None:
            session.obey(NewTerms(replace(session.access, actions=EVERYTHING - {Action.FORWARD})))
            await let_in()

        monkeypatch.setattr(session, "let_in", taken_back)
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_connection("127.0.0.1", echo)
        assert await asyncio.wait_for(kept.read(), 2) == b""


async def test_home_is_reached_only_where_a_grant_names_it(
    b: Bench, echo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The echo stands in for the portal."""

    async def home(portal_host: str) -> set[forward.Address]:
        return {ipaddress.ip_address("127.0.0.1")}

    monkeypatch.setattr(forward, "home", home)
    for forwards in (("*:*",), ("127.0.0.0/7:*",), (f"127.0.0.1:{echo + 1}", "*:*")):
        b.portal.change("web-01", forwards=forwards)
        async with b.connect() as conn:
            with pytest.raises(asyncssh.ChannelOpenError):
                await conn.open_connection("127.0.0.1", echo)
    b.portal.change("web-01", forwards=(f"127.0.0.1:{echo}",))
    async with b.connect() as conn:
        await conn.open_connection("127.0.0.1", echo)
    assert [told["code"] for told in b.portal.told("refused")] == ["forbidden_address"] * 3


async def test_home_is_the_portal_and_the_nodes_own_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spoken:
        def __init__(self, family: int, address: str) -> None:
            self.family, self.address = family, address

    found = {
        "lo": [Spoken(socket.AF_INET, "127.0.0.1"), Spoken(socket.AF_INET6, "::1")],
        "eth0": [
            Spoken(socket.AF_INET, "10.0.0.7"),
            Spoken(socket.AF_INET6, "fe80::1%eth0"),
            Spoken(-1, "00:16:3e:00:00:01"),
        ],
    }
    own = {ipaddress.ip_address("10.0.0.7"), ipaddress.ip_address("fe80::1")}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    assert await forward.home("") == await forward.home("localhost") == own
    assert await forward.home("192.0.2.1") == own | {ipaddress.ip_address("192.0.2.1")}


async def test_from_the_menu_nothing_is_forwarded(b: Bench, echo: int) -> None:
    async with b.connect("chen") as conn:
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_connection("127.0.0.1", echo)


@pytest.mark.parametrize(
    ("address", "is_forbidden"),
    [
        ("127.8.8.8", True),
        ("169.254.1.1", True),
        ("fe80::1", True),
        ("::", True),
        ("224.0.0.1", True),
        ("64:ff9b::7f00:1", True),
        ("64:ff9b::6464:64c8", True),
        ("2002:7f00:1::", True),
        ("168.63.129.16", True),
        ("fd00:ec2::254", True),
        ("10.0.0.1", False),
        ("100.100.100.201", False),
        ("2001:db8::1", False),
    ],
)
def test_which_addresses_are_forbidden(address: str, is_forbidden: bool) -> None:
    assert forward.is_forbidden(ipaddress.ip_address(address)) == is_forbidden


@pytest.mark.parametrize(
    ("rules", "is_granted"),
    [
        (("db.example:3306",), True),
        (("DB.example:*",), True),
        (("10.0.0.0/8:3306",), True),
        (("*:3306",), True),
        (("10.0.0.9:3306",), True),
        (("db.example:3307",), False),
        (("10.1.0.0/16:3306",), False),
        (("other.example:*",), False),
        ((), False),
    ],
)
def test_which_destinations_a_grant_covers(rules: tuple[str, ...], is_granted: bool) -> None:
    assert forward.is_granted("db.example", ipaddress.ip_address("10.0.0.9"), 3306, rules) == is_granted
