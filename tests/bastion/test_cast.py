"""Rows are asciicast v2, and no cut of the bytes loses or changes a character."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gateway.recording import cast
from bastion.gateway.recording.cast import Decoder, Row
from tests.bastion.recordings import header


def test_the_header_is_that_of_asciicast_and_comes_back() -> None:
    line = header().line()
    head = json.loads(line)
    assert (head["version"], head["width"], head["height"], head["timestamp"]) == (2, 80, 24, 1_772_416_800)
    assert head["rdmp"]["person"] == "陈工"
    assert cast.read_header(line) == header()


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"width": 1}', b"\xff", b'[1, "o", "x"]'])
def test_what_is_no_header_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        cast.read_header(line)


@pytest.mark.parametrize("line", [b"", b"{}", b'[1, "o"]', b'["1", "o", "x"]', b'[1, "o", 2]'])
def test_what_is_no_row_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        cast.parse(line)


@given(st.text(st.characters(blacklist_categories=["Cs"])), st.integers(1, 400))
def test_text_comes_back(text: str, times: int) -> None:
    """Short and long text are quoted in two ways."""
    for said in (text, text * times, '\r\n\x1b[0m\t"\\' * times + text):
        line = cast.line(1.5, "o", said)
        assert line.count(b"\n") == 1
        assert cast.parse(line) == Row(1.5, "o", said)


@given(st.binary(max_size=200), st.lists(st.integers(0, 9), max_size=60))
def test_any_cut_decodes_as_the_whole(data: bytes, cuts: list[int]) -> None:
    decoder, text, rest = Decoder(), "", data
    for size in cuts:
        text += decoder.feed(rest[:size])
        rest = rest[size:]
    text += decoder.feed(rest) + decoder.close()
    assert text == data.decode("utf-8", "replace")


def test_a_keyframe_becomes_what_any_player_knows() -> None:
    assert cast.redrawn(Row(2.0, "k", "80x24 \x1bc$ ")) == (Row(2.0, "r", "80x24"), Row(2.0, "o", "\x1bc$ "))
