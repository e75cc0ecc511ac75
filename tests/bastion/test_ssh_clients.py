"""What a normal SSH login has, through the bastion: OpenSSH's own clients against a real sshd."""

import asyncio
import random
import shutil
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import asyncssh
import pytest

from bastion.gateway.contract import Action, CommandRule, Lock, NewTerms, Say, Verdict
from tests.bastion.memory_portal import EVERYTHING
from tests.bastion.targets import Bench, bench, fake_target, needs_terminal, run

DATA = bytes(range(251)) * 5000
SHA256 = sha256(DATA).hexdigest()

ANSIBLE = str(Path(sys.executable).with_name("ansible"))
needs_rsync = pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync")
pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh")


async def test_a_command_runs_with_its_status_and_its_errors_apart(b: Bench) -> None:
    ran = await b.run("echo out; echo err >&2; exit 7")
    assert (ran.status, ran.out, ran.err) == (7, b"out\n", "err\n")
    [command] = await b.portal.until("command")
    assert (command["text"], command["exit"], command["verdict"]) == ("echo out; echo err >&2; exit 7", 7, "allow")
    [ended] = await b.portal.until("ended")
    assert (ended["reason"], ended["exit"]) == ("exit", 7)


async def test_a_signal_that_ended_a_command_is_told(b: Bench) -> None:
    async with b.connect() as conn:
        done = await conn.run("kill -TERM $$")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "TERM"


async def test_input_of_100_kilobytes_and_its_end_pass(b: Bench) -> None:
    given = bytes(range(256)) * 400
    ran = await b.run("cat; echo done >&2", given=given)
    assert ran.out == given
    assert ran.err == "done\n"


async def test_keys_are_renewed_in_the_middle(b: Bench) -> None:
    ran = await b.run("cat", given=DATA * 2, options=["-oRekeyLimit=1M"])
    assert ran.out == DATA * 2


async def test_eof_of_the_target_does_not_close_the_persons_side(b: Bench) -> None:
    ran = await b.run("exec 1>&-; cat >/dev/null; exit 3", given=b"x" * 50_000)
    assert ran.status == 3


@needs_terminal
async def test_a_terminal_has_size_type_and_window_changes(b: Bench) -> None:
    async with b.connect() as conn:
        shell = await conn.create_process(term_type="xterm-256color", term_size=(101, 33))
        shell.stdin.write("trap 'stty size' WINCH; stty size; echo $TERM\n")
        await shell.stdout.readuntil("xterm-256color\r\n")
        shell.change_terminal_size(77, 22)
        shell.stdin.write("\n")
        assert "22 77" in await shell.stdout.readuntil("22 77")
        shell.stdin.write("exit 5\n")
        assert (await shell.wait()).exit_status == 5
    [opened] = b.portal.told("opened")
    assert opened == {"channel": "shell", "cols": 101, "rows": 33, "term": "xterm-256color"}


async def test_signals_and_break_reach_the_target(tmp_path: Path, keys: Path) -> None:
    """OpenSSH passes signals on only to processes of others than root, hence the stand-in."""
    got: list[str] = []

    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"ready\n")
        while not process.stdin.at_eof():
            try:
                await process.stdin.read(1)
            except asyncssh.BreakReceived as had:
                got.append(f"break {had.msec}")
            except asyncssh.SignalReceived as had:
                got.append(had.signal)
                process.exit(4)
                return

    async with fake_target(process_factory=serve) as hop, bench(tmp_path, [hop], keys=keys) as b, b.connect() as conn:
        process = await conn.create_process("anything")
        await process.stdout.readuntil("ready\n")
        process.send_break(100)
        process.send_signal("USR1")
        assert (await process.wait()).exit_status == 4
    assert got == ["break 100", "USR1"]


async def test_only_allowed_environment_passes(b: Bench) -> None:
    said = "-oSetEnv=LC_TEST=yes EVIL=no"
    ran = await b.run("echo ${LC_TEST-unset} ${EVIL-unset}", options=[said])
    assert ran.out == b"yes unset\n"


async def test_agent_and_x11_are_refused(b: Bench) -> None:
    async with b.connect(x11_forwarding=False) as conn:
        channel, _ = await conn.create_session(_Quiet, "echo ${SSH_AUTH_SOCK-none} ${DISPLAY-none}; sleep 0.1")
        assert not await channel._make_request(b"auth-agent-req@openssh.com")
    async with b.connect() as conn:
        for request in (b"x11-req", b"made-up@example.com"):
            channel, _ = await conn.create_session(_Quiet, "sleep 0.1")
            more = (b"\0", _text(b"MIT-MAGIC-COOKIE-1"), _text(b"00"), bytes(4)) if request == b"x11-req" else ()
            assert not await channel._make_request(request, *more)


async def test_unknown_channel_types_and_subsystems_are_refused(b: Bench) -> None:
    async with b.connect() as conn:
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_unix_connection("/run/docker.sock")
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.create_session(_Quiet, subsystem="netconf")
        with pytest.raises(asyncssh.ChannelListenError):
            await conn.start_server(lambda *_: True, "127.0.0.1", 0)
        with pytest.raises(asyncssh.ChannelListenError):
            await conn.start_unix_server(lambda: True, "/tmp/never")
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_tun()
    await b.portal.until("ended")


async def test_scp_in_its_old_form_leaves_a_trail(b: Bench, tmp_path: Path) -> None:
    up, there, back = tmp_path / "a b.bin", tmp_path / "there.bin", tmp_path / "back.bin"
    up.write_bytes(DATA)
    assert (await b.copy("scp", "-O", str(up), f"@:{there}")).status == 0
    assert (await b.copy("scp", "-O", f"@:{there}", str(back))).status == 0
    assert back.read_bytes() == DATA
    one, two = await b.portal.until("transfer", 2)
    assert (one["direction"], two["direction"]) == ("up", "down")
    for told in (one, two):
        assert (told["bytes"], told["sha256"], told["result"], told["tool"]) == (len(DATA), SHA256, "done", "scp")
    assert two["path"] == str(there)


async def test_scp_in_its_old_form_copies_a_tree(b: Bench, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "empty").touch()
    (tree / "x").write_text("x")
    (tmp_path / "out").mkdir()
    assert (await b.copy("scp", "-O", "-r", "-p", str(tree), f"@:{tmp_path}/out")).status == 0
    assert (tmp_path / "out/tree/sub/empty").exists()
    assert {str(told["path"]).rpartition("/out/")[2] for told in b.portal.told("transfer")} == {
        "tree/sub/empty",
        "tree/x",
    }
    assert (await b.copy("scp", "-O", f"@:{tmp_path}/missing", str(tmp_path / "y"))).status != 0


async def test_scp_over_sftp_leaves_a_trail(b: Bench, tmp_path: Path) -> None:
    up, there, back = tmp_path / "up.bin", tmp_path / "there.bin", tmp_path / "back.bin"
    up.write_bytes(DATA)
    assert (await b.copy("scp", "-s", str(up), f"@:{there}")).status == 0
    assert (await b.copy("scp", "-s", f"@:{there}", str(back))).status == 0
    assert back.read_bytes() == DATA
    one, two = await b.portal.until("transfer", 2)
    for told, direction in ((one, "up"), (two, "down")):
        assert told == {
            "path": str(there),
            "direction": direction,
            "bytes": len(DATA),
            "sha256": SHA256,
            "result": "done",
            "tool": "sftp",
            "copy": None,
        }


async def test_sftp_changes_are_told(b: Bench, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("1")
    batch = f"cd {tmp_path}\nmkdir d\nrename old new\nsymlink new link\nchmod 600 new\nrm link\nrmdir d\nls\n-rm none\n"
    ran = await b.copy("sftp", "-b", "-", "@:", given=batch.encode())
    assert ran.status == 0, ran.err
    told = [(one["action"], one["result"]) for one in await b.portal.until("file", 7)]
    assert [one for one in told if one[1] == "done"] == [
        ("mkdir", "done"),
        ("rename", "done"),
        ("symlink", "done"),
        ("setstat", "done"),
        ("remove", "done"),
        ("rmdir", "done"),
    ]


async def test_words_beside_files_move_no_cursor(b: Bench) -> None:
    async with b.connect() as conn:
        process = await conn.create_process(subsystem="sftp", encoding=None)
        await b.portal.until("opened")
        [visit] = b.gateway.visits
        [session] = visit.sessions
        session.obey(Say("Go\x1b[2J home", by="lin"))
        assert await asyncio.wait_for(process.stderr.readline(), 5) == b"lin: Go[2J home\n"


@pytest.mark.parametrize("tool", ["-O", "-s"])
@pytest.mark.parametrize("missing", [Action.UPLOAD, Action.DOWNLOAD])
async def test_upload_and_download_are_rights_of_their_own(
    b: Bench, tmp_path: Path, tool: str, missing: Action
) -> None:
    b.portal.change("web-01", actions=EVERYTHING - {missing})
    here, there, back = tmp_path / "here", tmp_path / "there", tmp_path / "back"
    here.write_text("text")
    up = await b.copy("scp", tool, str(here), f"@:{there}")
    there.write_text("text")
    down = await b.copy("scp", tool, f"@:{there}", str(back))
    assert (up.status == 0, down.status == 0) == (missing is not Action.UPLOAD, missing is not Action.DOWNLOAD)
    assert back.exists() == (missing is not Action.DOWNLOAD)
    [told] = [told for told in b.portal.told("transfer") if told["result"] == "refused"]
    assert told["direction"] == ("up" if missing is Action.UPLOAD else "down")


@pytest.mark.parametrize("flags", [0, asyncssh.FXF_CREAT, asyncssh.FXF_APPEND])
async def test_whoever_opens_without_saying_what_for_reads(b: Bench, tmp_path: Path, flags: int) -> None:
    b.portal.change("web-01", actions=EVERYTHING - {Action.DOWNLOAD})
    secret = tmp_path / "secret"
    secret.write_text("text")
    async with b.connect() as conn, conn.start_sftp_client() as sftp:
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await (await sftp.open(str(secret), flags)).read()
    assert b.portal.told("transfer")[0]["result"] == "refused"


@pytest.mark.parametrize("order", ["lock", "terms"])
async def test_a_download_stops_when_the_right_goes(b: Bench, tmp_path: Path, order: str) -> None:
    there = tmp_path / "there"
    there.write_bytes(DATA)
    async with b.connect() as conn, conn.start_sftp_client() as sftp:
        file = await sftp.open(str(there), "rb")
        assert len(await file.read(1000)) == 1000
        [visit] = b.gateway.visits
        [session] = visit.sessions
        less = replace(session.access, actions=EVERYTHING - {Action.DOWNLOAD})
        session.obey(Lock(True) if order == "lock" else NewTerms(less))
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await file.read(1000, 1000)
        await file.close()
        [told] = await b.portal.until("transfer")
    assert (told["result"], told["bytes"]) == ("failed", 1000)


def sftp_server() -> str:
    places = ("/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec")
    return next((found for place in places if (found := shutil.which("sftp-server", path=place))), "")


needs_sftp_server = pytest.mark.skipif(not sftp_server(), reason="no sftp-server")


@needs_sftp_server
@pytest.mark.parametrize("before", ["", "env "])
async def test_sftp_by_a_command_leaves_a_trail_and_minds_the_rights(b: Bench, tmp_path: Path, before: str) -> None:
    up, there = tmp_path / "up.bin", tmp_path / "there.bin"
    up.write_bytes(DATA)
    words = ["-s", before + sftp_server(), "-b", "-", "@:"]
    ran = await b.copy("sftp", *words, given=f"put {up} {there}\nget {there} {tmp_path}/back\n".encode())
    assert ran.status == 0, ran.err
    assert [(told["direction"], told["sha256"]) for told in await b.portal.until("transfer", 2)] == [
        ("up", SHA256),
        ("down", SHA256),
    ]
    assert [told["text"] for told in b.portal.told("command")] == [before + sftp_server()]
    b.portal.change("web-01", actions=frozenset({Action.CONNECT, Action.DOWNLOAD}))
    assert (await b.copy("sftp", *words, given=f"put {up} {tmp_path}/no\n".encode())).status != 0
    assert not (tmp_path / "no").exists()
    b.portal.change("web-01", actions=frozenset({Action.CONNECT}))
    ran = await b.copy("sftp", *words, given=f"get {there} {tmp_path}/none\n".encode())
    assert (ran.status != 0, (tmp_path / "none").exists()) == (True, False)


@needs_sftp_server
async def test_rules_hold_for_sftp_by_a_command(b: Bench) -> None:
    b.portal.change("web-01", rules=(CommandRule(1, "sftp-server", Verdict.DENY, "Not that way."),))
    ran = await b.copy("sftp", "-s", sftp_server(), "-b", "-", "@:", given=b"ls\n")
    assert ran.status != 0
    assert "Not that way." in ran.err
    assert [(told["verdict"], told["exit"]) for told in await b.portal.until("command")] == [("deny", 126)]


@pytest.mark.parametrize("command", ["env scp -f {0}", "sh -c 'scp -f {0}'", "cd / && scp -f {0}", "/tmp/scp -f {0}"])
async def test_a_way_that_is_not_plain_needs_the_right_too(b: Bench, tmp_path: Path, command: str) -> None:
    b.portal.change("web-01", actions=EVERYTHING - {Action.DOWNLOAD})
    (tmp_path / "secret").write_text("hidden")
    ran = await b.run(command.format(tmp_path / "secret"), given=b"\0\0\0")
    assert (ran.status, b"hidden" in ran.out) == (255, False)
    assert "may not transfer" in ran.err


async def test_scp_in_a_terminal_needs_both_rights(b: Bench, tmp_path: Path) -> None:
    b.portal.change("web-01", actions=EVERYTHING - {Action.UPLOAD})
    (tmp_path / "secret").write_text("hidden")
    async with b.connect() as conn:
        ran = await conn.run(f"scp -f {tmp_path}/secret", term_type="xterm", input="\0\0\0")
    assert "hidden" not in str(ran.stdout)
    assert b.portal.told("refused")[0]["code"] == "no_upload"


async def without(b: Bench, right: Action) -> None:
    """The session that runs loses this right."""
    [visit] = b.gateway.visits
    [session] = visit.sessions
    session.obey(NewTerms(replace(session.access, actions=EVERYTHING - {right})))


async def test_scp_in_its_old_form_ends_when_the_right_goes(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        process = await conn.create_process(f"scp -t {tmp_path}/there", encoding=None)
        assert await process.stdout.read(1) == b"\0"
        process.stdin.write(b"C0644 10 there\n")
        assert await process.stdout.read(1) == b"\0"
        process.stdin.write(b"half")
        await without(b, Action.DOWNLOAD)
        process.stdin.write(b"..")
        await asyncio.sleep(0.2)
        assert not b.portal.told("ended"), "what it does not need may go"
        await without(b, Action.UPLOAD)
        await asyncio.wait_for(process.wait_closed(), 3)
    [told] = await b.portal.until("transfer")
    assert (told["bytes"], told["result"]) == (6, "cut")
    assert b.portal.told("ended")[0]["reason"] == "revoked"
    assert b.portal.told("refused")[0]["code"] == "no_upload"


@needs_rsync
async def test_rsync_ends_when_the_right_goes(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        process = await conn.create_process(f"rsync --server -e.LfxCIvu . {tmp_path}/x", encoding=None)
        assert await asyncio.wait_for(process.stdout.read(4), 5)
        await without(b, Action.UPLOAD)
        await asyncio.wait_for(process.wait_closed(), 3)
    [told] = await b.portal.until("transfer")
    assert (told["tool"], told["result"]) == ("rsync", "cut")
    assert b.portal.told("ended")[0]["reason"] == "revoked"


async def test_without_upload_nothing_on_the_target_is_changed(b: Bench, tmp_path: Path) -> None:
    b.portal.change("web-01", actions=EVERYTHING - {Action.UPLOAD})
    (tmp_path / "old").write_text("1")
    batch = f"-mkdir {tmp_path}/d\n-rename {tmp_path}/old {tmp_path}/new\n-rm {tmp_path}/old\n"
    await b.copy("sftp", "-b", "-", "@:", given=batch.encode())
    assert {one["result"] for one in await b.portal.until("file", 3)} == {"refused"}
    assert (tmp_path / "old").exists()


async def test_a_transfer_that_breaks_off_is_told_as_cut(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        sftp = await conn.start_sftp_client()
        file = await sftp.open(str(tmp_path / "half"), "wb")
        await file.write(b"half")
    [told] = await b.portal.until("transfer")
    assert (told["result"], told["bytes"], told["sha256"]) == ("cut", 4, None)


async def test_git_runs_as_a_command(b: Bench, tmp_path: Path) -> None:
    work, bare = tmp_path / "work", tmp_path / "bare.git"
    command = " ".join(b.ssh()[:-3])
    set_up = f"git init -q --bare {bare}; git init -q {work}; cd {work}; echo 1 > f; git add f; "
    set_up += "git -c user.name=a -c user.email=a@b commit -qm 1; "
    push = f"git push -q 'ssh://chen#web-01@127.0.0.1{bare}' HEAD:main"
    ran = await run(
        ["sh", "-c", f"{set_up} {push.replace('chen#web-01', 'chen%23web-01')}"], env={"GIT_SSH_COMMAND": command}
    )
    assert ran.status == 0, ran.err
    clone = await run(
        ["git", "clone", "-q", "-b", "main", f"ssh://chen%23web-01@127.0.0.1{bare}", str(tmp_path / "copy")],
        env={"GIT_SSH_COMMAND": command},
    )
    assert clone.status == 0, clone.err
    assert (tmp_path / "copy" / "f").read_text() == "1\n"


def rsync(b: Bench, *words: str) -> list[str]:
    shell = " ".join(b.ssh(user="chen#web-01")[:-3])
    return ["rsync", "-a", f"--rsync-path={shutil.which('rsync')}", "-e", shell, *words]


@needs_rsync
async def test_rsync_leaves_its_paths_bytes_and_exit_status(b: Bench, tmp_path: Path) -> None:
    source, there, back = tmp_path / "source", tmp_path / "there", tmp_path / "back"
    source.mkdir()
    (source / "f").write_bytes(random.Random(7).randbytes(300_000))
    place = f"chen#web-01@127.0.0.1:{there}/"
    assert (await run(rsync(b, f"{source}/", place))).status == 0
    assert (await run(rsync(b, place, f"{back}/"))).status == 0
    assert (back / "f").read_bytes() == (source / "f").read_bytes()
    up, down = await b.portal.until("transfer", 2)
    for told, direction in ((up, "up"), (down, "down")):
        assert (told["path"], told["direction"], told["tool"]) == (f"{there}/", direction, "rsync")
        assert (told["result"], told["exit"], told["sha256"]) == ("done", 0, None)
        assert int(str(told["bytes"])) > 300_000 > int(str(told["back"])) > 0
    assert len(b.portal.told("command")) == 2, "what was run stands among the commands as well"


@needs_rsync
async def test_an_rsync_that_fails_is_told_with_its_status(b: Bench, tmp_path: Path) -> None:
    assert (await run(rsync(b, f"chen#web-01@127.0.0.1:{tmp_path}/missing", f"{tmp_path}/"))).status == 23
    [told] = await b.portal.until("transfer")
    assert (told["path"], told["direction"], told["result"]) == (f"{tmp_path}/missing", "down", "failed")
    assert told["exit"] == 23


@needs_rsync
@pytest.mark.parametrize("held", [frozenset({Action.UPLOAD}), frozenset({Action.DOWNLOAD}), frozenset()])
async def test_rsync_minds_the_rights(b: Bench, tmp_path: Path, held: frozenset[Action]) -> None:
    b.portal.change("web-01", actions=frozenset({Action.CONNECT}) | held)
    here, there, back = tmp_path / "here", tmp_path / "there", tmp_path / "back"
    here.write_text("text")
    up = await run(rsync(b, str(here), f"chen#web-01@127.0.0.1:{there}"))
    assert (up.status == 0, there.exists()) == (Action.UPLOAD in held, Action.UPLOAD in held)
    there.write_text("text")
    down = await run(rsync(b, f"chen#web-01@127.0.0.1:{there}", str(back)))
    assert (down.status == 0, back.exists()) == (Action.DOWNLOAD in held, Action.DOWNLOAD in held)
    results = [told["result"] for told in await b.portal.until("transfer", 2)]
    assert results == ["done" if right in held else "refused" for right in (Action.UPLOAD, Action.DOWNLOAD)]


@needs_rsync
async def test_rsync_that_hides_its_words_needs_both_rights(b: Bench, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("text")
    command = rsync(b, "-s", str(tmp_path / "here"), f"chen#web-01@127.0.0.1:{tmp_path}/there")
    assert (await run(command)).status == 0
    b.portal.change("web-01", actions=EVERYTHING - {Action.DOWNLOAD})
    assert (await run(command)).status != 0
    assert [told["result"] for told in await b.portal.until("transfer", 2)] == ["done", "refused"]


@needs_terminal  # ansible asks for one
async def test_ansible_runs(b: Bench, tmp_path: Path) -> None:
    about = f"ansible_host=127.0.0.1 ansible_port={b.gateway.port} ansible_user='chen#web-01'"
    about += f" ansible_python_interpreter={sys.executable}"
    (tmp_path / "hosts").write_text(f"web {about} ansible_ssh_common_args='{' '.join(b.options()[4:])}'\n")
    env = {"HOME": str(tmp_path), "ANSIBLE_REMOTE_TMP": str(tmp_path / "remote"), "LC_ALL": "C.UTF-8"}
    module = ["-m", "copy", "-a", f"content=hello dest={tmp_path}/out"]
    ran = await run([ANSIBLE, "-i", str(tmp_path / "hosts"), "--private-key", str(b.key), "web", *module], env=env)
    assert ran.status == 0, ran.out
    assert (tmp_path / "out").read_text() == "hello"


async def test_many_channels_share_one_connection(b: Bench) -> None:
    async with b.connect() as conn:
        done = await asyncio.gather(*(conn.run(f"echo {number}") for number in range(8)))
    assert [ran.stdout for ran in done] == [f"{number}\n" for number in range(8)]
    await b.portal.until("ended", 8)


async def test_channels_that_are_being_opened_count_too(b: Bench) -> None:
    b.portal.gate = asyncio.Event()
    async with b.connect() as conn:
        opening = [asyncio.ensure_future(conn.run("true")) for _ in range(40)]
        await asyncio.sleep(0.3)
        refused = [one for one in opening if one.done()]
        assert len(refused) == 8
        assert all(isinstance(one.exception(), asyncssh.ChannelOpenError) for one in refused)
        b.portal.gate.set()
        await asyncio.gather(*opening, return_exceptions=True)
        assert (await conn.run("echo in")).stdout == "in\n"


async def test_of_what_a_client_sets_little_is_kept(b: Bench) -> None:
    async with b.connect() as conn:
        await conn.create_process("sleep 5", env={f"X{number}": "y" * 100 for number in range(500)})
        await b.portal.until("opened")
        [visit] = b.gateway.visits
        [session] = visit.sessions
        assert len(session._part.screen._env()) == 64  # type: ignore[union-attr]


class _Quiet(asyncssh.SSHClientSession[bytes]):
    """Wants nothing."""


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
