"""Input of commands without a terminal: recorded as it is, but for secrets, and judged where a shell reads it."""

import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from bastion.gateway.contract import CommandRule, Verdict
from bastion.gateway.recording import reader
from bastion.gateway.ssh import relay
from bastion.gateway.ssh.relay import is_bare_shell
from tests.bastion.targets import Bench, KeyTarget, bench, run
from tests.bastion.test_ssh_clients import needs_rsync, rsync


@pytest.fixture
async def b(tmp_path: Path, target: KeyTarget, keys: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, [target.hop()], keys=keys) as made:
        yield made


async def rows(b: Bench, code: str, session: str = "s-1") -> str:
    await b.portal.until("ended")
    return "".join(row.text for row in reader.rows(b.place / "recordings" / session) if row.code == code)


SCRIPT = "echo one\n\n\t# 注释\necho two\n"


@pytest.mark.parametrize("command", ["env bash", "cat | sh", "exec bash -s -- a b", "env FOO=1 nice /bin/bash -eu"])
async def test_a_script_is_recorded_as_it_was_sent(b: Bench, command: str) -> None:
    ran = await b.run(command, given=SCRIPT.encode(), options=["-T"])
    assert ran.out == b"one\ntwo\n"
    assert await rows(b, "i") == SCRIPT


async def test_a_program_of_another_language_is_recorded_too(b: Bench) -> None:
    given = "import sys\nprint('五' * 3)\n"
    assert (await b.run(shutil.which("python3") or "python3", given=given.encode())).status == 0
    assert await rows(b, "i") == given


async def test_of_much_input_is_said_how_much_and_which(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "TEXT_KEPT", 1000)
    given = b"0123456789abcde\n" * 4000
    assert (await b.run("wc -c", given=given)).out.strip() == b"64000"
    assert await rows(b, "i") == given[:1000].decode()
    marks = await rows(b, "m")
    assert "input: only the first 1000 bytes are kept" in marks
    assert f"input: 64000 bytes in all, sha256 {hashlib.sha256(given).hexdigest()}" in marks


async def test_of_input_that_is_no_text_less_is_kept(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "BINARY_KEPT", 500)
    assert (await b.run("cat > /dev/null", given=bytes(range(256)) * 40)).status == 0
    assert len(await rows(b, "i")) == 500
    assert "sha256" in await rows(b, "m")


@needs_rsync
async def test_the_protocol_of_rsync_is_no_text(b: Bench, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("text " * 1000)
    ran = await run(rsync(b, str(tmp_path / "here"), f"chen#web-01@127.0.0.1:{tmp_path}/there"))
    assert ran.status == 0, ran.err
    assert (await rows(b, "i"), await rows(b, "o")) == ("", "")


async def test_what_another_command_says_does_not_hide_behind_rsync(b: Bench) -> None:
    await b.run("echo said; rsync --server --version")
    assert "said" in await rows(b, "o")


ASKS = """printf 'Password: ' >&2; read -r word; echo "got ${#word}"; read -r more; echo "$more" """


async def test_the_answer_to_a_question_for_a_secret_is_masked(b: Bench) -> None:
    async with b.connect() as conn:
        process = await conn.create_process(ASKS)
        assert await process.stderr.read(10) == "Password: "
        process.stdin.write("hunt")
        process.stdin.write("er2\nnot secret\n")
        process.stdin.write_eof()
        assert await process.stdout.read() == "got 7\nnot secret\n"
    assert await rows(b, "i") == "•\nnot secret\n"
    everything = b"".join(path.read_bytes() for path in (b.place / "recordings" / "s-1").iterdir())
    assert b"hunter2" not in everything


async def test_what_sudo_reads_is_masked_though_it_comes_before_the_question(b: Bench) -> None:
    """`sudo` itself need not be there: the words tell."""
    await b.run("true sudo -k -S -p '' id", given=b"hunter2\nmore\n")
    assert await rows(b, "i") == "•\nmore\n"


async def test_a_secret_in_a_script_is_neither_recorded_nor_a_command(b: Bench) -> None:
    given = b"true sudo -S id\nhunter2 || true\necho end\n"
    await b.run("bash -s", given=given, options=["-T"])
    assert await rows(b, "i") == "true sudo -S id\n•\necho end\n"
    assert [told["text"] for told in b.portal.told("command")] == ["true sudo -S id", "echo end", "bash -s"]


async def test_rules_hold_for_a_line_that_is_masked(b: Bench, tmp_path: Path) -> None:
    b.portal.change("web-01", rules=(CommandRule(1, r"^touch .*/denied", Verdict.DENY),))
    await b.run("bash -s", given=f"true sudo -S id\ntouch {tmp_path}/denied\n".encode(), options=["-T"])
    assert not (tmp_path / "denied").exists()


@pytest.mark.parametrize("command", ["env bash", "nice -n 5 bash -s -- argument", "exec /bin/bash"])
async def test_rules_hold_behind_what_stands_before_a_shell(b: Bench, tmp_path: Path, command: str) -> None:
    b.portal.change("web-01", rules=(CommandRule(1, r"^touch .*/denied", Verdict.DENY),))
    ran = await b.run(command, given=f"echo one\ntouch {tmp_path}/denied\n".encode(), options=["-T"])
    assert (ran.out, ran.status) == (b"one\n", 126)
    assert not (tmp_path / "denied").exists()


@pytest.mark.parametrize(
    ("command", "is_shell"),
    [
        ("bash", True),
        ("/bin/sh -eux", True),
        ("sudo bash", True),
        ("sudo -u www -E env A=b 'bash'", True),
        ("sudo -i", True),
        ("sudo -u www -s", True),
        ("su - www", True),
        ("bash -s -- -c x", True),
        ("bash -euo pipefail", True),
        ("bash --norc -", True),
        ("sh /dev/stdin", True),
        ("bash -c id", False),
        ("sudo bash -lc id", False),
        ("su - www -c id", False),
        ("bash script", False),
        ("sudo -l", False),
        ("env", False),
        ("cat", False),
        ("", False),
    ],
)
def test_which_commands_read_their_commands(command: str, is_shell: bool) -> None:
    assert is_bare_shell(command) == is_shell


async def test_git_is_bounded(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "BINARY_KEPT", 300)
    async with b.connect() as conn:
        process: asyncssh.SSHClientProcess[bytes] = await conn.create_process("cat > /dev/null", encoding=None)
        process.stdin.write(b"00a8" + b"1" * 40 + b" refs/heads/main\0report-status" + b"PACK" * 1000)
        process.stdin.write_eof()
        await process.wait()
    assert len(await rows(b, "i")) == 300
