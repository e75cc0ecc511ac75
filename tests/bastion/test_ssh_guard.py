"""Commands that are denied, warned of or held for review: typed, pasted, chained, and as `ssh host command`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bastion.gateway.contract import CommandRule, Judged, Lock, Verdict
from bastion.gateway.recording import reader
from tests.bastion.targets import Bench, KeyTarget, bench
from tests.bastion.test_ssh_sessions import PROMPT, Shell

RULES = (
    CommandRule(1, r"^reboot", Verdict.DENY, "Never reboot here."),
    CommandRule(2, r"^touch .*/denied", Verdict.DENY),
    CommandRule(3, r"^touch .*/warned", Verdict.WARN),
    CommandRule(4, r"^touch .*/review", Verdict.REVIEW),
)


@pytest.fixture
async def b(tmp_path: Path, target: KeyTarget, keys: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, [target.hop()], keys=keys, change=lambda node: replace(node, review_s=1.0)) as made:
        made.portal.change("web-01", rules=RULES)
        yield made


def verdicts(b: Bench) -> list[tuple[str, object]]:
    """Without those of `Shell.open`."""
    told = [(str(told["text"]), told["verdict"]) for told in b.portal.told("command")]
    return [(text, verdict) for text, verdict in told if not text.startswith(("exec env", "bind"))]


def names(place: Path) -> list[str]:
    return [path.name for path in place.iterdir()]


async def test_a_denied_command_does_not_run(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        assert "not allowed" in await shell.says(f"touch {tmp_path}/denied\n", "^C\r\n" + PROMPT)
        assert "Never reboot here." in await shell.says("reboot\n", "^C\r\n" + PROMPT)
        await shell.says(f"touch {tmp_path}/allowed\n", "\r\n" + PROMPT)
    assert (tmp_path / "allowed").exists()
    assert not (tmp_path / "denied").exists()
    assert [verdict for _, verdict in verdicts(b)] == ["deny", "deny", "allow"]
    assert [told["rule"] for told in b.portal.told("command") if told["text"] == "reboot"] == [1]


async def test_what_was_completed_and_edited_is_judged_as_it_stands(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        await shell.says(f"touch {tmp_path}/denieX\x7fd\r", "^C\r\n" + PROMPT)
        await shell.says("reboo\x01\x05t\r", "^C\r\n" + PROMPT)
    assert not (tmp_path / "denied").exists()


async def test_pasted_lines_are_judged_one_by_one(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        pasted = f"touch {tmp_path}/a\rtouch {tmp_path}/denied\rtouch {tmp_path}/b\r"
        await shell.says(pasted + "echo $((6*7))\r", "42\r\n")
    assert (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()
    assert not (tmp_path / "denied").exists()


async def test_a_bracketed_paste_is_judged_before_any_of_it_passes(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        paste = f"\x1b[200~touch {tmp_path}/a\rtouch {tmp_path}/denied\r\x1b[201~"
        await shell.says(paste, "not allowed")
        await shell.says("\recho $((6*7))\r", "42\r\n")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "denied").exists()


@pytest.mark.parametrize("line", ["true; {}", "true && {}", "true | {}", "echo $({})", "echo `{}`", "(true; {})"])
async def test_chained_commands_are_judged_piece_by_piece(b: Bench, tmp_path: Path, line: str) -> None:
    ran = await b.run(line.format(f"touch {tmp_path}/denied"))
    assert ran.status == 126
    assert "not allowed" in ran.err
    assert not (tmp_path / "denied").exists()
    [told] = b.portal.told("command")
    assert (told["verdict"], told["exit"]) == ("deny", 126)


async def test_a_warned_command_runs(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        assert "recorded and reported" in await shell.says(f"touch {tmp_path}/warned\n", "\r\n" + PROMPT)
        await shell.says("echo $((6*7))\n", "42\r\n")
    assert (tmp_path / "warned").exists()
    assert verdicts(b)[0][1] == "warn"
    ran = await b.run(f"touch {tmp_path}/warned2; echo out")
    assert (ran.status, ran.out) == (0, b"out\n")
    assert "recorded and reported" in ran.err


async def test_a_command_under_review_waits_for_the_answer(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        await shell.says(f"touch {tmp_path}/review\r", "waits for approval")
        assert not (tmp_path / "review").exists()
        number, text = b.portal.reviews[0]
        assert text == f"touch {tmp_path}/review"
        b.portal.order(Judged(number, True, "lin"))
        await shell.until("was approved")
        await shell.says("echo $((6*7))\r", "42\r\n")
        assert (tmp_path / "review").exists()


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_review_that_nobody_grants_cancels_the_command(b: Bench, tmp_path: Path, leaves: bool) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        await shell.says(f"touch {tmp_path}/review\r", "waits for approval")
        began = asyncio.get_running_loop().time()
        await shell.says("\x03" if leaves else "", "not approved")
        assert (asyncio.get_running_loop().time() - began < 0.8) == leaves
        await shell.until(PROMPT)
    assert not (tmp_path / "review").exists()
    assert verdicts(b)[-1][1] == "review"


async def test_a_command_may_be_reviewed_without_a_terminal(b: Bench, tmp_path: Path) -> None:
    b.portal.reviewer = lambda text: "yes" in text
    assert (await b.run(f"touch {tmp_path}/review-yes")).status == 0
    assert (await b.run(f"touch {tmp_path}/review-no")).status == 126
    assert (tmp_path / "review-yes").exists()
    assert not (tmp_path / "review-no").exists()


@pytest.mark.parametrize("command", [(), ("bash -s",), ("/bin/sh",)])
async def test_a_shell_fed_by_a_pipe_is_judged_line_by_line(b: Bench, tmp_path: Path, command: tuple[str]) -> None:
    given = f"echo one\ntouch {tmp_path}/denied\necho two\n"
    ran = await b.run(*command, given=given.encode(), options=["-T"])
    assert not (tmp_path / "denied").exists()
    assert (ran.out, ran.status) == (b"one\n", 126)  # what follows may rest on what did not run
    assert "not allowed" in ran.err


async def test_the_last_line_of_a_pipe_is_judged_without_its_end_too(b: Bench, tmp_path: Path) -> None:
    ran = await b.run("bash -s", given=f"echo one\ntouch {tmp_path}/denied ".encode(), options=["-T"])
    assert ran.out == b"one\n"
    assert not [name for name in names(tmp_path) if "denied" in name]
    ran = await b.run("bash -s", given=f"echo one\ntouch {tmp_path}/fine".encode(), options=["-T"])
    assert (tmp_path / "fine").exists()


async def test_a_command_does_not_hide_in_a_line_that_is_too_long(b: Bench, tmp_path: Path) -> None:
    long = b"true " + b"x" * 70_000 + f"; touch {tmp_path}/denied; true ".encode() + b"x" * 70_000
    ran = await b.run("bash -s", given=long + b"\necho two\n", options=["-T"])
    assert not (tmp_path / "denied").exists()
    assert (ran.out, ran.status) == (b"", 126)
    assert [verdict for text, verdict in verdicts(b) if text.startswith("true")] == ["deny"]


async def test_lines_of_a_pipe_wait_for_no_echo(b: Bench) -> None:
    ran = await b.run("bash -s", given=b":\n" * 400 + b"echo x\n", options=["-T"])
    assert ran.out == b"x\n"  # `run` gives up after half a minute, and so many echoes take a whole one


async def test_a_command_is_noted_once_as_it_was_judged(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        await shell.says(f"touch {tmp_path}/warned\r", "\r\n" + PROMPT)
        await shell.says(f"touch {tmp_path}/review\r", "waits for approval")
        b.portal.order(Judged(b.portal.reviews[0][0], True, "lin"))
        await shell.until("was approved")
        await shell.says("echo $((6*7))\r", "42\r\n")
    assert verdicts(b) == [
        (f"touch {tmp_path}/warned", "warn"),
        (f"touch {tmp_path}/review", "review"),
        ("echo $((6*7))", "allow"),
    ]


async def test_a_lock_stops_lines_that_wait(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        await shell.says(f"touch {tmp_path}/review\rtouch {tmp_path}/next\r", "waits for approval")
        b.portal.order(Lock(True))
        await shell.until("locked")
        b.portal.order(Judged(b.portal.reviews[0][0], True, "lin"))
        await shell.until("was approved")
        await asyncio.sleep(0.3)
        assert not (tmp_path / "review").exists()
        b.portal.order(Lock(False))
        await shell.until("unlocked")
        await shell.says("\x03", "^C\r\n" + PROMPT)
        await shell.says("echo $((6*7))\r", "42\r\n")
    assert not (tmp_path / "next").exists()


async def test_a_lock_in_the_middle_of_a_paste_leaves_the_terminal_usable(b: Bench, tmp_path: Path) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        shell.process.stdin.write(f"\x1b[200~touch {tmp_path}/pasted\r")
        await asyncio.sleep(0.2)
        b.portal.order(Lock(True))
        await shell.until("locked")
        b.portal.order(Lock(False))
        await shell.until("unlocked")
        await shell.says("echo $((6*7))\r", "42\r\n")
    assert not (tmp_path / "pasted").exists()


@pytest.mark.parametrize("command", ["cat", "bash -s"])
async def test_a_pipe_waits_while_it_is_locked_and_misses_nothing(b: Bench, command: str) -> None:
    async with b.connect() as conn:
        process = await conn.create_process(command, encoding=None)
        process.stdin.write(b"echo 1\n")
        assert await asyncio.wait_for(process.stdout.readline(), 5)
        b.portal.order(Lock(True))
        await asyncio.wait_for(process.stderr.readuntil(b"locked"), 5)
        process.stdin.write(b"echo 2\n" * 1000)
        process.stdin.write_eof()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.stdout.read(1), 0.3)
        b.portal.order(Lock(False))
        assert (await asyncio.wait_for(process.stdout.read(), 10)).count(b"2\n") == 1000


async def test_what_a_shell_without_terminal_shows_is_recorded_to_its_end(b: Bench, tmp_path: Path) -> None:
    ran = await b.run("bash -s", given=b"printf '\\0'; yes | head -c 9000000; echo; echo last\n", options=["-T"])
    assert ran.out.endswith(b"last\n")
    await b.portal.until("ended")
    shown = "".join(row.text for row in reader.rows(tmp_path / "recordings" / "s-1") if row.code == "o")
    assert shown.endswith("last\n")


async def test_a_password_is_no_command(b: Bench) -> None:
    async with b.connect() as conn:
        shell = await Shell.open(conn)
        await shell.says("read -s -p 'Password: ' x; echo =$x=\r", "Password: ")
        await shell.says("hunter2\r", "=hunter2=\r\n")
    assert "hunter2" not in str(b.portal.told("command"))
