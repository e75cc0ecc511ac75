"""Commands are read off real shells' screens, whatever the person does to the line and the target to the screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.gateway.commands import CommandReader, Entered
from bastion.gateway.redaction import HIDDEN
from tests.bastion.terminal import Program

PROMPT = b"$ "


class Shell:
    """bash in a pty whose keys and screen pass through a reader."""

    def __init__(self, home: Path, cols: int = 80, rows: int = 24) -> None:
        self.reader = CommandReader(cols, rows)
        self.entered: list[Entered] = []
        argv = ["bash", "--norc", "--noprofile", "-i"]
        self.program = Program(argv, self.reader.output, home=home, cols=cols, rows=rows)
        self.program.until(PROMPT)

    def press(self, keys: bytes, then: bytes = b"") -> None:
        self.entered += self.reader.key(keys)
        self.program.send(keys)
        self.program.until(then)

    def run(self, *keys: bytes, then: bytes = PROMPT) -> list[Entered]:
        """Press keys one after another, each with its echo, and Enter; what was entered by it."""
        for key in keys:
            self.press(key, then=b"")
        pending = self.reader.pending()
        before = len(self.entered)
        self.press(b"\r", then=then)
        new = self.entered[before:]
        assert pending == "\n".join(entered.text for entered in new)
        return new

    def resize(self, cols: int, rows: int) -> None:
        self.reader.resize(cols, rows)
        self.program.resize(cols, rows)
        self.program.until(b"")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "interesting-file").write_text("inside\n")
    shell = Shell(tmp_path)
    yield shell
    shell.program.close()


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path, cols=30, rows=6)
    yield shell
    shell.program.close()


def screen(text: str) -> list[Entered]:
    return [Entered(text, "screen")]


def test_a_typed_command(shell: Shell) -> None:
    assert shell.run(b"echo hello") == screen("echo hello")


def test_completion_and_editing_in_the_middle_of_a_line(shell: Shell) -> None:
    assert shell.run(b"cat inter", b"\t") == screen("cat interesting-file")
    assert shell.run(b"cho one", b"\x01", b"e", b"\x05", b" two", b"\x17", b"three") == screen("echo one three")
    assert shell.run(b"echo ab", b"\x1b[D", b"\x1b[D", b"X") == screen("echo Xab")


def test_a_list_of_completions_does_not_get_into_the_command(shell: Shell) -> None:
    shell.run(b"touch interval-file")
    assert shell.run(b"cat int", b"\t", b"\t", b"\t", b"v", b"\t") == screen("cat interval-file")


def test_history_and_search(shell: Shell) -> None:
    shell.run(b"echo first")
    shell.run(b"echo second")
    assert shell.run(b"\x1b[A", b"\x1b[A") == screen("echo first")
    assert shell.run(b"\x12", b"sec") == screen("echo second")
    assert shell.run(b"\x12", b"fir", b"\x05", b" more") == screen("echo first more")


def test_wide_characters(shell: Shell) -> None:
    assert shell.run("echo 中文é".encode(), b"\x7f", "日志".encode()) == screen("echo 中文日志")


def test_a_line_longer_than_the_screen_is_wide(narrow: Shell) -> None:
    text = "echo " + "-".join(str(n) for n in range(30))
    assert narrow.run(text.encode(), b"\t") == screen(text)
    assert narrow.run(b"\x1b[A", b"\x01", b"\x05", b"-x") == screen(text + "-x")


def test_a_wide_character_does_not_fit_at_the_edge(narrow: Shell) -> None:
    text = "echo " + "漢字" * 20 + "a" + "漢字" * 5
    assert narrow.run(text.encode(), b"\t") == screen(text)


def test_the_screen_is_cleared_in_the_middle_of_a_line(shell: Shell) -> None:
    shell.run(b"echo one")
    assert shell.run(b"cat inter", b"\t", b"\x0c", b"| wc") == screen("cat interesting-file | wc")


def test_the_window_changes_its_size_in_the_middle_of_a_line(shell: Shell) -> None:
    for key in (b"cat inter", b"\t"):
        shell.press(key)
    shell.resize(60, 10)
    assert shell.run(b"| wc -l") == screen("cat interesting-file | wc -l")
    shell.press(b"echo one")
    shell.resize(100, 40)
    assert shell.run(b" two") == screen("echo one two")


def test_an_abandoned_line_is_no_command(shell: Shell) -> None:
    shell.press(b"rm -rf /nowhere")
    shell.press(b"\x03", then=PROMPT)
    assert shell.reader.pending() == ""
    assert shell.run(b"echo fine") == screen("echo fine")
    assert [entered.text for entered in shell.entered] == ["echo fine"]


def test_an_empty_line_is_no_command(shell: Shell) -> None:
    assert shell.run() == []


def test_ctrl_o_runs_a_line_too(shell: Shell) -> None:
    shell.press(b"echo sneaky")
    shell.press(b"\x0f", then=PROMPT)
    assert shell.entered == screen("echo sneaky")


def test_a_secret_is_no_command(shell: Shell) -> None:
    shell.run(b"read -s -p 'Geheim ' x", then=b"Geheim ")
    assert shell.run(b"hunter2", then=PROMPT) == [Entered(HIDDEN, "keys")]
    shell.run(b"read -s -p 'Password: ' x", then=b"Password: ")
    shell.press(b"hunter2\r", then=PROMPT)  # pasted with its Enter, nothing can have been echoed
    assert "hunter2" not in str(shell.entered)
    assert shell.run(b'echo "${#x}"') == screen('echo "${#x}"')


def test_a_paste_of_several_lines_gives_each(shell: Shell) -> None:
    shell.press(b"echo one\recho two\recho three\r", then=b"three\r\n")
    assert [entered.text for entered in shell.entered] == ["echo one", "echo two", "echo three"]


def test_a_bracketed_paste_gives_each_line_at_enter(shell: Shell) -> None:
    shell.run(b"bind 'set enable-bracketed-paste on'")
    assert [e.text for e in shell.run(b"\x1b[200~echo one\recho two\x1b[201~")] == ["echo one", "echo two"]


def test_a_continued_line_gives_each_part(shell: Shell) -> None:
    assert shell.run(b"echo 'one", then=b"> ") == screen("echo 'one")
    assert shell.run(b"two'") == screen("two'")


def test_typed_before_the_prompt_is_there(shell: Shell) -> None:
    shell.press(b"sleep 0.4\r", then=b"")
    assert shell.run(b"echo later", then=b"later\r\n") == screen("echo later")


def test_in_vim_the_keys_say_what_was_entered(shell: Shell) -> None:
    shell.run(b"vim -u NONE -n x", then=b"\x1b[?1049h")
    assert [e.text for e in shell.run(b":set number", then=b"")] == [":set number"]
    shell.run(b":q!", then=PROMPT)
    assert shell.run(b"echo back") == screen("echo back")


def test_in_less_the_keys_say_what_was_entered(shell: Shell) -> None:
    shell.run(b"less interesting-file", then=b"\x1b[?1049h")
    assert [e.text for e in shell.run(b"/", b"inside", then=b"")] == ["/inside"]
    shell.press(b"q", then=PROMPT)
    assert shell.run(b"echo back") == screen("echo back")


def test_in_tmux_commands_are_seen_and_secrets_are_not(shell: Shell, tmp_path: Path) -> None:
    shell.run(f"tmux -S {tmp_path}/s -f /dev/null new 'PS1=in:\\$\\  bash --norc'".encode(), then=b"in:")
    assert shell.run(b"echo inside", then=b"inside") == [Entered("echo inside", "keys")]
    shell.run(b"read -s x", then=b"")
    assert shell.run(b"hunter2", then=PROMPT) == [Entered(HIDDEN, "keys")]
    shell.run(b"exit", then=b"[exited]")
    assert shell.run(b"echo back") == screen("echo back")


def test_an_escape_sequence_does_not_switch_reading_off(shell: Shell) -> None:
    shell.run(rb"printf '\033[?1049h\033]2;1\007'")
    assert [e.text for e in shell.run(b"echo unseen")] == ["echo unseen"]
    shell.run(rb"printf '\033[?1049l'")
    shell.run(rb"printf '\033]0;never closed'")
    assert shell.run(b"echo swallowed") == screen("echo swallowed")
    shell.run(rb"printf '\033P'")
    assert shell.run(b"echo swallowed too") == screen("echo swallowed too")


def test_what_is_written_over_the_line_does_not_replace_it() -> None:
    reader = CommandReader(80, 24)
    reader.output(b"$ ")
    for char in b"rm -rf /":
        reader.key(bytes([char]))
        reader.output(bytes([char]))
    reader.output(b"\r\x1b[K$ ls")
    assert [entered.text for entered in reader.key(b"\r")] == ["ls", "rm -rf /"]


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x1b[99999999999999999999999A",
        b"\x1b[?1;2;3q\x1b[>4;2m\x1b[<u\x1b[=0;1u\x1b[!p\x1b[4:3m\x1b[?5W",
        b"\x1b[999999999b\x1b[9999L\x1b[9999@",
        b"\x1b[?3h\x1b[?3l\x1b[20h\x1b[?6h\x1b[3;2r",
        b"\x1b7" * 1000 + b"\x1b8" * 1001,
        b"\xff\xfe\x9b\x9d\x90",
        "\u0085\u009b1\u009d\u200b\u202e".encode(),
        ("e" + "\u0301" * 10_000).encode(),
        b"\x1bP" + b"q" * 300_000 + b"\x1b\\",
        b"\x1b]52;c;" + b"A" * 300_000 + b"\x07",
        b"\x1b[" + b"1;" * 50_000 + b"m",
        b"\x1b#8\x1bc\x1b%@\x1b(0\x0e",
    ],
)
def test_hostile_output_neither_breaks_nor_blinds_the_reader(hostile: bytes) -> None:
    reader = CommandReader(80, 24)
    for start in range(0, len(hostile), 7001):
        reader.output(hostile[start : start + 7001])
    reader.output(b"\r\n$ ")
    for char in b"id -u":
        reader.key(bytes([char]))
        reader.output(bytes([char]))
    assert [entered.text for entered in reader.key(b"\r")] == ["id -u"]


def test_after_a_flood_the_screen_is_right() -> None:
    reader = CommandReader(80, 24)
    for _ in range(200):
        reader.output(b"a line of a flood that goes on and on\r\n" * 500)
    reader.output(b"$ ")
    reader.key(b"ls\t")
    reader.output(b"ls-completed ")
    assert reader.key(b"\r") == screen("ls-completed")
