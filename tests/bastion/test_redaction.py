"""Secrets do not get into the record of what was typed, and nothing else is left out."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gateway.redaction import HIDDEN, WAIT_S, Redactor, asks_for_secret
from tests.bastion.terminal import Program


class Shell:
    def __init__(self, home: Path, *, lag: bool = False) -> None:
        """`lag`: what the program shows reaches the person only when `arrive` is called."""
        self.redactor, self.said, self._lag, self._under_way = Redactor(), "", lag, b""
        self._now = count()
        self.program = Program(["bash", "--norc", "--noprofile", "-i"], self._shown, home=home)
        self.program.until(b"$ ")
        self.arrive()

    def _shown(self, data: bytes) -> None:
        self._under_way += data
        if not self._lag:
            self.arrive()

    def arrive(self) -> None:
        self.said += self.redactor.shown(self._under_way, next(self._now) / 1000)
        self._under_way = b""

    def type(self, keys: bytes, then: bytes = b"") -> None:
        """One key after another, as a person does; `then`: what to wait for."""
        for key in keys.decode():
            self.said += self.redactor.typed(key.encode(), next(self._now) / 1000)
            self.program.send(key.encode())
            self.program.quiet()
        self.program.until(then)

    def taken(self) -> str:
        said, self.said = self.said, ""
        return said


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.program.close()


def test_what_is_echoed_is_recorded(shell: Shell) -> None:
    shell.type("echo hé中\r".encode(), then=b"$ ")
    assert shell.taken() == "echo hé中\r"


def test_no_echo_no_record_and_no_length(shell: Shell) -> None:
    shell.type(b"read -s x\r")
    shell.type(b"hunter2\r", then=b"$ ")
    shell.type(b"read -s x\r")
    shell.type(b"longer hunter22\r", then=b"$ ")
    shell.said += shell.redactor.settle(WAIT_S + 100.0)  # no new line has told that the answer is over
    assert shell.taken() == f"read -s x\r{HIDDEN}\rread -s x\r{HIDDEN}\r"


def test_the_answer_to_a_question_for_a_password_is_hidden_even_if_echoed(shell: Shell) -> None:
    shell.type(b"read -p '[sudo] password for me: ' x\r", then=b"for me: ")
    shell.type(b"hunter2\r", then=b"$ ")
    shell.type(b"echo ok\r", then=b"$ ")
    assert shell.taken().endswith(f"\r{HIDDEN}\recho ok\r")


def test_a_real_password_program(shell: Shell) -> None:
    code = b"python3 -c 'import getpass; getpass.getpass(\"Kennwort> \")'\r"
    shell.type(code, then=b"\rKennwort> ")
    shell.taken()
    shell.type(b"hunter2\r", then=b"$ ")
    assert shell.taken() == f"{HIDDEN}\r"


def test_completion_arrows_and_control_keys_are_recorded_as_typed(shell: Shell) -> None:
    (Path(f"/proc/{shell.program.pid}/cwd") / "interesting").touch()
    for keys in (b"cat int", b"\t", b"\x01", b"\x1b[C", b"\x1bOD", b"\x05", b"\x15"):
        shell.type(keys)
    assert shell.taken() == "cat int\t\x01\x1b[C\x1bOD\x05\x15"


def test_a_slow_echo_is_not_lost(tmp_path: Path) -> None:
    shell = Shell(tmp_path, lag=True)
    shell.type(b"echo 'far away'\recho again\r", then=b"again\r\n")
    assert shell.taken() == ""
    shell.arrive()
    assert shell.taken() == "echo 'far away'\recho again\r"
    shell.program.close()


def test_what_never_comes_back_is_hidden_after_a_bounded_wait() -> None:
    redactor = Redactor()
    assert redactor.typed(b"hunter2\r", 1.0) == ""
    assert redactor.settle(1.0 + WAIT_S - 0.1) == ""
    assert redactor.settle(1.0 + WAIT_S) == f"{HIDDEN}\r"
    assert not redactor.is_waiting


def test_words_of_the_answer_are_no_echo_of_a_secret() -> None:
    redactor = Redactor()
    said = redactor.typed(b"tig\r", 0.0)
    said += redactor.shown(b"got it, no thing is wrong\r\n$ ", 0.1)
    assert said == f"{HIDDEN}\r"


def test_nor_is_a_word_that_begins_as_the_secret_does() -> None:
    redactor = Redactor()
    assert redactor.typed(b"good\r", 0.0) + redactor.shown(b"got it\r\n$ ", 0.1) == f"{HIDDEN}\r"


def test_a_background_line_is_no_echo_of_a_secret() -> None:
    redactor = Redactor()
    said = redactor.typed(b"hu", 0.0)
    said += redactor.shown(b"hu is online\r\n", 0.1)
    said += redactor.typed(b"nter2\r", 0.2) + redactor.shown(b"\r\n", 0.3)
    assert said == f"{HIDDEN}\r"


def test_stars_are_no_echo() -> None:
    redactor = Redactor()
    said = ""
    for _ in range(3):
        said += redactor.typed(b"x", 0.0) + redactor.shown(b"*", 0.0)
    assert said + redactor.typed(b"\r", 0.1) + redactor.shown(b"\r\n", 0.1) == f"{HIDDEN}\r"


def test_a_shell_that_redraws_what_was_typed_echoes_it() -> None:
    redactor = Redactor()
    said = redactor.typed(b"l", 0.0) + redactor.shown(b"\x1b[4ml\x1b[24m", 0.0)
    said += redactor.typed(b"s", 0.1) + redactor.shown(b"\b\x1b[32ml\x1b[32ms\x1b[39m -la\x1b[4D", 0.1)
    assert said == "ls"


def test_a_paste_in_brackets_is_recorded_when_it_is_echoed() -> None:
    redactor = Redactor()
    said = redactor.typed(b"\x1b[200~echo a\recho b\x1b[201~", 0.0)
    said += redactor.shown(b"\x1b[7mecho a\r\necho b\x1b[27m", 0.1)
    assert said == "\x1b[200~echo a\recho b\x1b[201~"


def test_a_key_in_two_pieces_and_an_escape_alone() -> None:
    redactor = Redactor()
    assert redactor.typed(b"\x1b", 0.0) + redactor.typed(b"[A", 0.01) == "\x1b[A"
    assert redactor.typed(b"\x1b", 1.0) == ""
    assert redactor.settle(2.0) == "\x1b"


@pytest.mark.parametrize(
    "prompt",
    [
        "Password: ",
        "[sudo] password for alice: ",
        "Enter passphrase for key '/home/a b/.ssh/id': ",
        "请输入密码：",
        "口令: ",
        "alice@web-01's password: ",
        "New password:",
        "Enter PIN: ",
    ],
)
def test_prompts_that_ask_for_a_secret(prompt: str) -> None:
    assert asks_for_secret(prompt)


@pytest.mark.parametrize("prompt", ["$ ", "password: x$ ", "root@passwords:/etc# ", "mysql> "])
def test_prompts_that_do_not(prompt: str) -> None:
    assert not asks_for_secret(prompt)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=12)), max_size=12))
def test_typing_without_any_output_reveals_no_text(typing: list[tuple[bool, bytes]]) -> None:
    redactor, said, now = Redactor(), "", 0.0
    for is_late, data in typing:
        now += 10.0 if is_late else 0.01
        said += redactor.settle(now) + redactor.typed(data, now)
    said += redactor.close()
    keys = said.replace(HIDDEN, "")
    assert not any(char.isalnum() for char in keys) or "\x1b" in keys


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=30), st.lists(st.integers(1, 9), max_size=20))
def test_whatever_is_echoed_in_any_cuts_is_recorded(text: str, cuts: list[int]) -> None:
    redactor, said = Redactor(), ""
    data = text.encode()
    said += redactor.typed(data, 0.0)
    for size in [*cuts, len(data)]:
        said += redactor.shown(data[:size], 0.1)
        data = data[size:]
    assert said == text


def test_a_long_paste_without_echo_is_bounded() -> None:
    redactor = Redactor()
    for _ in range(12):
        assert set(redactor.typed(b"secret \r" * 2000, 0.0)) <= {HIDDEN, "\r"}
        redactor.shown(b"\x1b[31mnoise\x1b[m " * 3000, 0.0)
    assert set(redactor.close()) == {HIDDEN, "\r"}


def test_a_long_paste_with_its_echo_is_recorded_whole() -> None:
    redactor = Redactor()
    lines = b"".join(b"echo line %d of a script\r" % number for number in range(2000))
    said = redactor.typed(lines, 0.0)
    for start in range(0, len(lines), 1000):
        said += redactor.shown(lines[start : start + 1000].replace(b"\r", b"\r\n"), 0.1)
    assert said == lines.decode()
