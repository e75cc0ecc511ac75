"""How VS Code works remotely: a server is started by a command, and spoken to on the target's own loopback.

VS Code itself is not needed: it drives OpenSSH. A command with input installs and starts the server, which answers with
its port; the editor reaches it by `-D` or `-L`, through the same login.
"""

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import AsyncIterator

import asyncssh
import pytest

from bastion.gateway.contract import Action
from tests.assets.sshd import free_port
from tests.bastion.memory_portal import EVERYTHING
from tests.bastion.targets import Bench

SERVER = """
import os, socket, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
with socket.socket() as listening:
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(f"listeningOn=={listening.getsockname()[1]}==", flush=True)
    while True:
        with listening.accept()[0] as one:
            one.sendall(b"editor:" + one.recv(100))
"""
pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh")


@contextlib.asynccontextmanager
async def editor(b: Bench) -> AsyncIterator[int]:
    """As VS Code begins: a shell without terminal reads a script, whose server lives as long as the connection."""
    command = b.ssh(f"{sys.executable} -c '{SERVER}'")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), 15)
        yield int(said.split(b"==")[1])
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def forwarding(b: Bench, *options: str, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*b.ssh(options=["-N", *options]), stderr=asyncio.subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            await asyncio.sleep(0.05)
        yield
    finally:
        process.kill()
        await process.wait()


async def ask(port: int, hello: bytes = b"") -> bytes:
    """What the server answers. `hello`: what a SOCKS proxy is told first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if hello:
            writer.write(b"\x05\x01\x00" + hello)
            await asyncio.wait_for(reader.readexactly(2), 5)
            if (await asyncio.wait_for(reader.readexactly(10), 5))[1] != 0:
                return b""
        writer.write(b"hello")
        return await asyncio.wait_for(reader.read(), 5)
    except asyncio.IncompleteReadError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("place", ["127.0.0.1", "localhost"])
async def test_the_server_is_reached_on_the_targets_loopback_where_the_grant_names_it(b: Bench, place: str) -> None:
    b.portal.change("web-01", forwards=(f"{place}:*",))
    local, socks = free_port(), free_port()
    async with editor(b) as port:
        ran = await b.run(options=["-W", f"127.0.0.1:{port}"], given=b"hello")
        assert ran.out == b"editor:hello", ran.err
        async with forwarding(b, "-L", f"{local}:127.0.0.1:{port}", port=local):
            assert await ask(local) == b"editor:hello"
        async with forwarding(b, "-D", str(socks), port=socks):
            address = b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + port.to_bytes(2, "big")
            assert await ask(socks, address) == b"editor:hello"
    told = [one for one in await b.portal.until("forward", 3) if one["result"] == "done" and one["received"]]
    assert {(one["host"], one["port"]) for one in told} == {("127.0.0.1", port)}


@pytest.mark.parametrize("forwards", [("*:*",), ("10.0.0.9:3306",), ("127.0.0.1:1",)])
async def test_another_grant_does_not_reach_the_loopback(b: Bench, forwards: tuple[str, ...]) -> None:
    b.portal.change("web-01", forwards=forwards)
    async with editor(b) as port:
        ran = await b.run(options=["-W", f"127.0.0.1:{port}"], given=b"hello")
        assert (ran.status, ran.out) == (255, b"")
        assert [one["code"] for one in await b.portal.until("refused")] == ["forbidden_address"]
    assert {one["result"] for one in b.portal.told("forward")} == {"forbidden_address"}


async def test_without_the_right_to_forward_the_server_runs_and_is_not_reached(b: Bench) -> None:
    b.portal.change("web-01", actions=EVERYTHING - {Action.FORWARD}, forwards=("localhost:*",))
    async with editor(b) as port:
        assert (await b.run(options=["-W", f"127.0.0.1:{port}"], given=b"hello")).out == b""
        assert [one["code"] for one in await b.portal.until("refused")] == ["no_forward"]


WORK = "INC-000123"


async def test_forwards_are_for_the_work_that_stands_in_the_user_name(b: Bench) -> None:
    """`ssh -N` has no session in which it could be said."""
    local = free_port()
    async with editor(b) as port:
        b.portal.change("web-01", forwards=("localhost:*",), needs_work=True)
        refused = await b.run(options=["-W", f"localhost:{port}"], given=b"hello")
        assert (refused.status, refused.out) == (255, b"")
        b.portal.wishes.clear()
        name = f"chen#web-01~{WORK}"
        ran = await b.run(options=["-W", f"localhost:{port}"], given=b"hello", user=name)
        assert ran.out == b"editor:hello", ran.err
        async with forwarding(b, "-L", f"{local}:localhost:{port}", "-l", name, port=local):
            assert await ask(local) == b"editor:hello"
    assert {wish.work for wish in b.portal.wishes} == {WORK}


async def test_forwards_are_for_the_work_that_a_session_of_the_connection_stated(b: Bench) -> None:
    """As VS Code does it: one connection with a command and `-D`; its `SetEnv` reaches the command alone."""
    socks = free_port()
    async with editor(b) as port:
        b.portal.change("web-01", forwards=("localhost:*",), needs_work=True)
        command = b.ssh("cat", options=["-T", "-D", str(socks), f"-oSetEnv=RDMP_WORK={WORK}"])
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"ready\n")
            assert await asyncio.wait_for(process.stdout.readline(), 10) == b"ready\n"
            address = b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + port.to_bytes(2, "big")
            assert await ask(socks, address) == b"editor:hello"
        finally:
            process.kill()
            await process.wait()
    assert b.portal.wishes[-1].work == WORK


async def test_without_work_the_client_hears_what_to_do(b: Bench) -> None:
    b.portal.change("web-01", forwards=("*:*",), needs_work=True)
    async with b.connect() as conn:
        with pytest.raises(asyncssh.ChannelOpenError, match="say what you work on"):
            await conn.open_connection("192.0.2.1", 80)
