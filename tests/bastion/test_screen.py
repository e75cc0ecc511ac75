"""The screen stands whatever a target writes, and its redraw gives the same screen."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.gateway.commands import CommandReader
from bastion.gateway.recording.screen import Screen
from bastion.gateway.recording.terminal import Terminal

COLOURS = ["38", "48;2", "38;5;9", "38;5;999", "48;2;1;2;3", "38;2;999;0;0"]
NUMBERS = st.lists(st.sampled_from(["", *"012345679", "20", "24", "47", "1049", "99999", *COLOURS]), max_size=4)
SEQUENCE = st.builds(
    lambda private, numbers, between, final: f"\x1b[{private}{';'.join(numbers)}{between}{final}",
    st.sampled_from(["", "", "", "?", ">", "<", "="]),
    NUMBERS,
    st.sampled_from(["", "", " ", "$", "!"]),
    st.characters(min_codepoint=0x40, max_codepoint=0x7E),
)
TEXT = st.text(st.sampled_from("ab 中é\u0301\u200d👍\t\r\n\b\x07\x0e\x1b\x9b\x00\x7f"), max_size=12)
SOUP = st.lists(
    st.one_of(
        SEQUENCE,
        TEXT,
        st.sampled_from(["\x1bM", "\x1bD", "\x1b7", "\x1b8", "\x1bc", "\x1b#8", "\x1b]0;t\x07", "\x1bP"]),
    ),
    max_size=30,
).map("".join)


def shown(terminal: Terminal) -> list[str]:
    return [terminal.text(terminal.scrolled + y, terminal.scrolled + y) for y in range(terminal.lines)]


@settings(max_examples=150)
@given(SOUP, st.integers(1, 40), st.integers(1, 12), st.lists(st.integers(1, 9), max_size=9))
def test_soup_neither_raises_nor_depends_on_its_cuts(soup: str, cols: int, rows: int, cuts: list[int]) -> None:
    whole, cut, rest = Screen(cols, rows), Screen(cols, rows), soup.encode()
    whole.feed(rest)
    whole.catch_up()
    for size in [*cuts, len(rest)]:
        cut.feed(rest[:size])
        rest = rest[size:]
    cut.catch_up()
    assert shown(cut.terminal) == shown(whole.terminal)
    terminal = whole.terminal
    assert 0 <= terminal.cursor.x <= terminal.columns
    assert 0 <= terminal.cursor.y < terminal.lines
    whole.resize(rows + 3, cols // 2)
    assert len(shown(terminal)) == terminal.lines


@settings(max_examples=150)
@given(SOUP)
def test_a_redraw_gives_the_same_screen(soup: str) -> None:
    screen, redrawn = Screen(20, 6), Screen(20, 6)
    screen.feed(soup.encode())
    keyframe = screen.keyframe()
    redrawn.feed(keyframe.encode())
    redrawn.catch_up()
    assert shown(redrawn.terminal) == shown(screen.terminal)
    assert redrawn.is_alternate == screen.is_alternate


def test_parameters_that_pyte_does_not_know() -> None:
    screen = Screen(20, 6)
    for final in map(chr, range(0x40, 0x7F)):
        for private in ("", "?"):
            for number in ("", "5", "9", "99999", "38;5;999", "1;2;3;4;5"):
                screen.feed(f"\x1b[{private}{number}{final}".encode())
                screen.catch_up()
    screen.feed(b"\x1bcfine")
    screen.catch_up()
    assert shown(screen.terminal)[0] == "fine"


def test_a_flood_costs_the_screen_a_bounded_share() -> None:
    screen, began = Screen(80, 24), time.process_time()
    for _ in range(3000):
        screen.feed(b"\x1b[32m0123456789\x1b[m\r\n" * 1600)
    screen.feed(b"\r\nlast")
    screen.catch_up()
    assert time.process_time() - began < 20  # drawing all of it takes minutes
    assert shown(screen.terminal)[-1] == "last"


CHEAP = {
    "alignment": b"\x1b#8" * 1365,
    "erased": b"\x1b[2J" * 1000,
    "scrolled": b"\n" * 32_000,
    "inserted": b"\x1b[4h" + b"y" * 32_000,
    "repeated": b"z" + b"\x1b[500b" * 4000,
}


def fill(screen: Screen) -> None:
    for row in range(screen.size[1]):
        screen.terminal.cursor.x, screen.terminal.cursor.y = 0, row
        screen.terminal.draw("x" * (screen.size[0] - 1))


@pytest.mark.parametrize("asked", CHEAP)
def test_what_is_cheap_to_ask_for_and_dear_to_draw_is_drawn_for_a_while_only(asked: str) -> None:
    screen = Screen(500, 300)
    fill(screen)
    began = time.process_time()
    for _ in range(4):
        screen.feed(CHEAP[asked])
        screen.catch_up()
    assert time.process_time() - began < 1.5  # four times that, and up to a minute, without the limit


def test_modes_that_are_switched_in_what_is_not_drawn_hold() -> None:
    screen = Screen(500, 300)
    fill(screen)
    screen.feed(b"\x1b[2J" * 1000 + b"\x1b[?1049h")
    assert screen.is_alternate


def test_a_character_carries_few_marks_however_they_come() -> None:
    screen = Screen(80, 24)
    screen.feed(("\x1b[1;2H" + "\u0316" * 8 + "b").encode() * 200)
    screen.catch_up()
    assert len(screen.terminal.buffer[0][0].data) <= 9


def test_a_window_that_shrinks_again_and_again_costs_little() -> None:
    screen, began = Screen(80, 300), time.process_time()
    for _ in range(200):
        screen.feed(b"\n" * 300)
        screen.resize(80, 1)
        screen.resize(80, 300)
    assert time.process_time() - began < 4  # ten seconds, row by row


def test_a_long_wrapped_line_is_searched_at_its_end_only() -> None:
    reader = CommandReader(500, 300)
    reader.screen.terminal.draw("(i-search)`" * 13_000)
    began = time.process_time()
    reader.key(b"ls")
    reader.pending()
    assert time.process_time() - began < 2


def test_a_screen_that_would_take_megabytes_has_no_redraw() -> None:
    screen = Screen(500, 300)
    for row in range(300):
        screen.terminal.cursor.x, screen.terminal.cursor.y = 0, row
        for column in range(499):
            screen.terminal.select_graphic_rendition(38, 2, column % 256, row % 256, 7)
            screen.terminal.draw("x")
    assert screen.keyframe() == ""
    screen.feed(b"\x1bcfine")
    assert screen.keyframe().endswith("fine\x1b[1;5H\x1b[0m")
