"""The way to targets: pinned host keys, credentials, hops, and targets that mean harm."""

import asyncio
import resource
import time
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from bastion.gateway.contract import Account, Lock
from bastion.gateway.ssh.target import public_line
from tests.assets import sshd
from tests.bastion.targets import Bench, Fake, KeyTarget, bench, fake_target

OTHER = public_line(asyncssh.generate_private_key("ssh-ed25519"))


async def test_a_changed_host_key_blocks_and_is_told(b: Bench, target: KeyTarget) -> None:
    b.portal.change("web-01", hops=(target.hop(7, host_keys=(OTHER,)),))
    ran = await b.run("echo in")
    assert (ran.status, ran.out) == (255, b"")
    assert "has changed" in ran.err
    [told] = await b.portal.until("host_key")
    assert (told["hop"], told["result"], told["key"]) == (7, "changed", public_line(target.host_key))
    assert b.portal.told("ended")[0]["reason"] == "lost"


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_first_sight_is_told_and_followed_only_if_trusted(b: Bench, target: KeyTarget, is_trusted: bool) -> None:
    b.portal.change("web-01", hops=(target.hop(host_keys=(), trusts_first_sight=is_trusted),))
    ran = await b.run("echo in")
    assert (ran.out == b"in\n") == is_trusted
    assert ("not confirmed" in ran.err) != is_trusted
    [told] = await b.portal.until("host_key")
    assert told["result"] == "first"
    assert str(told["fingerprint"]).startswith("SHA256:")


async def test_a_doubted_host_is_dialled_anew_and_its_pinned_key_told(b: Bench, target: KeyTarget) -> None:
    async with b.connect() as conn:
        await conn.run("true")
        assert b.portal.told("host_key") == []
        b.portal.change("web-01", hops=(target.hop(is_doubted=True),))
        await conn.run("true")
    [told] = await b.portal.until("host_key")
    assert (told["result"], told["key"]) == ("pinned", public_line(target.host_key))


async def test_each_hop_has_its_own_pins(b: Bench, target: KeyTarget) -> None:
    """Warpgate CVE-2026-91166: a jump host's key under the target's address."""
    b.portal.change("web-01", hops=(target.hop(1), target.hop(2)))
    assert (await b.run("echo through")).out == b"through\n"
    b.portal.change("web-01", hops=(target.hop(1), target.hop(2, host_keys=(OTHER,))))
    assert (await b.run("echo through")).status == 255
    b.portal.change("web-01", hops=(target.hop(1, host_keys=(OTHER,)), target.hop(2)))
    assert (await b.run("echo through")).status == 255
    assert [told["hop"] for told in b.portal.told("host_key")] == [2, 1]


async def test_wrong_credentials_of_the_target_are_said_without_them(b: Bench, target: KeyTarget) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()
    for account in (Account(target.user, private_key=other), Account(target.user, private_key="nonsense")):
        b.portal.change("web-01", hops=(target.hop(account=account),))
        ran = await b.run("echo in")
        assert ran.status == 255
        assert f"refused the credentials of {target.user}" in ran.err


async def test_a_target_that_is_not_there_is_said(b: Bench, target: KeyTarget) -> None:
    b.portal.change("web-01", hops=(replace(target.hop(), port=sshd.free_port()),))
    ran = await b.run("echo in")
    assert ran.status == 255
    assert "web-01 cannot be reached" in ran.err


async def test_a_real_password_is_injected(tmp_path: Path, keys: Path) -> None:
    place = tmp_path / "sshd"
    place.mkdir()
    with sshd.running(place) as host:
        hop = KeyTarget(tmp_path).hop(account=Account(host.account, password=sshd.ACCOUNT_PASSWORD), host_keys=())
        hop = replace(hop, port=host.port, trusts_first_sight=True)
        async with bench(tmp_path, [hop], keys=keys) as b:
            ran = await b.run("cat", given=b"through\n")
            assert ran.out == b"through\n" or isinstance(host, sshd.StandInHost), ran.err
            assert "refused" not in ran.err
            host.set_password("changed-meanwhile")
            assert "refused the credentials" in (await b.run("cat")).err


async def test_own_credentials_are_asked_in_the_terminal(tmp_path: Path, keys: Path) -> None:
    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"welcome\r\n")
        process.exit(0)

    async with fake_target(process_factory=serve) as hop, bench(tmp_path, [], keys=keys) as b:
        b.portal.change("web-01", hops=(replace(hop, account=Account("")),))
        async with b.connect() as conn:
            process = await conn.create_process(term_type="xterm")
            process.stdin.write("chenx\x7f\rwrong\r")
            await process.stdout.readuntil("refused the credentials of chen.")
            process.stdin.write("chen\rx\r")
            assert "welcome" in await process.stdout.read()
        assert "own credentials" in (await b.run("echo in")).err
        assert "wrong" not in str(b.portal.facts)


async def test_a_target_that_speaks_only_old_algorithms_needs_the_flag(tmp_path: Path, keys: Path) -> None:
    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"old\n")
        process.exit(0)

    old = {"kex_algs": ["diffie-hellman-group14-sha1"], "encryption_algs": ["aes128-cbc"], "mac_algs": ["hmac-sha1"]}
    async with fake_target(process_factory=serve, **old) as hop, bench(tmp_path, [hop], keys=keys) as b:
        assert (await b.run("x")).status == 255
        b.portal.change("web-01", hops=(replace(hop, legacy_algorithms=True),))
        assert (await b.run("x")).out == b"old\n"


async def test_a_target_that_floods_does_not_fill_memory(tmp_path: Path, keys: Path) -> None:
    """Warpgate GHSA-qw79: everything is held back by who reads slowly."""
    sent = 0

    async def flood(process: asyncssh.SSHServerProcess[bytes]) -> None:
        nonlocal sent
        while True:
            process.stdout.write(b"x" * 65536)
            sent += 65536
            await process.stdout.drain()

    async with fake_target(process_factory=flood) as hop, bench(tmp_path, [hop], keys=keys) as b, b.connect() as conn:
        channel, _ = await conn.create_session(_Stuck, "flood", encoding=None)
        await asyncio.sleep(1)
        before, held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sent
        await asyncio.sleep(0.5)
        assert sent == held
        assert sent < 16 * 1024 * 1024
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
        channel.abort()


async def test_a_person_with_a_huge_window_who_does_not_read_does_not_fill_memory(tmp_path: Path, keys: Path) -> None:
    sent = 0

    async def flood(process: asyncssh.SSHServerProcess[bytes]) -> None:
        nonlocal sent
        while True:
            process.stdout.write(b"x" * 65536)
            sent += 65536
            await process.stdout.drain()

    async with fake_target(process_factory=flood) as hop, bench(tmp_path, [hop], keys=keys) as b, b.connect() as conn:
        channel, _ = await conn.create_session(_Quiet, "flood", encoding=None, window=1 << 31)
        conn._transport.pause_reading()  # type: ignore[union-attr]
        await asyncio.sleep(1)
        held = sent
        await asyncio.sleep(0.5)
        assert sent == held
        assert sent < 64 * 1024 * 1024
        channel.abort()


async def test_a_target_that_hangs_up_in_the_middle_is_told_as_lost(b: Bench, target: KeyTarget) -> None:
    async with b.connect() as conn:
        process = await conn.create_process("echo in; exec sleep 30")
        await process.stdout.readline()
        link = next(iter(next(iter(b.gateway.visits)).links._links.values()))
        link.connection._transport.abort()  # type: ignore[union-attr]
        assert "was lost" in await process.stderr.read()
    assert b.portal.told("ended")[0]["reason"] == "lost"


async def test_a_target_that_never_greets_is_given_up(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bastion.gateway.ssh.target.SIGN_IN_S", 0.5)

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0)
    hop = replace(KeyTarget(tmp_path).hop(), port=server.sockets[0].getsockname()[1])
    async with bench(tmp_path, [hop], keys=keys) as b:
        began = time.monotonic()
        assert (await b.run("echo in")).status == 255
        assert time.monotonic() - began < 5
    server.close()


@pytest.mark.parametrize(
    "answer", [b"\xff" * 64, b"\0\0\0\x05\x66\0\0\0\x63", b"\0\0\0\x01\x66"], ids=["length", "number", "short"]
)
async def test_a_target_that_answers_nonsense_over_sftp_ends_the_session(
    tmp_path: Path, keys: Path, answer: bytes
) -> None:
    class Nonsense(asyncssh.SSHServerSession[bytes]):
        def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
            self.chan = chan

        def subsystem_requested(self, subsystem: str) -> bool:
            return True

        def session_started(self) -> None:
            self.chan.write(b"\0\0\0\x05\x02\0\0\0\x03" + answer)

    class Speaks(Fake):
        def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
            return Nonsense()

    async with fake_target(server_factory=Speaks) as hop, bench(tmp_path, [hop], keys=keys) as b:
        ran = await b.copy("sftp", "-b", "-", "@:", given=b"ls\n")
        assert ran.status != 0
        [told] = await b.portal.until("refused")
        assert told == {"what": "sftp", "code": "bad_answer"}


async def test_a_locked_session_moves_no_files(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn, conn.start_sftp_client() as sftp:
        await sftp.mkdir(str(tmp_path / "before"))
        b.portal.order(Lock(True))
        await asyncio.sleep(0.3)
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.mkdir(str(tmp_path / "after"))
        b.portal.order(Lock(False))
        await asyncio.sleep(0.3)
        await sftp.mkdir(str(tmp_path / "later"))
    assert [told["result"] for told in b.portal.told("file")] == ["done", "refused", "done"]


async def test_a_link_is_kept_while_it_is_used_and_a_little_longer(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bastion.gateway.ssh.target.LINGER_S", 0.2)
    async with b.connect() as conn:
        lasting = await conn.create_process("cat")
        await conn.run("true")
        [visit] = b.gateway.visits
        [first] = visit.links._links.values()
        first.cut()
        await asyncio.wait_for(lasting.wait(), 5)
        lasting = await conn.create_process("cat")
        await asyncio.sleep(0.5)
        lasting.stdin.write("still\n")
        assert await asyncio.wait_for(lasting.stdout.readline(), 5) == "still\n"
        [second] = visit.links._links.values()
        assert second is not first
        lasting.stdin.write_eof()
        await lasting.wait()
        await asyncio.sleep(0.5)
        assert not visit.links._links
        assert not second.is_open


class _Quiet(asyncssh.SSHClientSession[bytes]):
    """Throws away what it gets."""


class _Stuck(asyncssh.SSHClientSession[bytes]):
    """Reads nothing."""

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        chan.pause_reading()
