"""How wide the columns of a printed table are."""

from __future__ import annotations

import pytest

from reports import columns


def test_what_fits_gets_what_it_needs_and_its_share_of_the_rest() -> None:
    short, long = columns.PADDING + columns.width("ab"), columns.PADDING + columns.width("a" * 20)
    assert columns.shares([["ab", "a"], ["a", "a" * 20]], 100.0) == [
        pytest.approx(100 * short / (short + long), abs=0.01),
        pytest.approx(100 * long / (short + long), abs=0.01),
    ]


def test_the_longest_give_way_down_to_one_width_and_the_short_ones_stay_whole() -> None:
    found = columns.shares([["主机", "a" * 300, "b" * 500]], 107.0)
    assert found[0] == pytest.approx(100 * (columns.PADDING + columns.width("主机")) / 107.0, abs=0.01)
    assert found[1] == found[2]
    assert sum(found) == pytest.approx(100, abs=0.02)


def test_more_columns_than_there_is_room_for_are_all_alike() -> None:
    assert columns.shares([["x" * 50] * 8], 107.0) == [12.5] * 8


def test_a_chinese_character_is_as_wide_as_two_others() -> None:
    assert columns.width("主机") > columns.width("abc")
    assert columns.width("①") == columns.width("机")


def test_long_texts_give_way_before_a_word_of_another_column_breaks() -> None:
    words, room = ("INC-000002", "1,611,000,000", "2026-03-28 13:58", "主机"), 107.0
    found = columns.shares([[*words, "select a from b " * 9, "x" * 64]], room)
    for word, share in zip(words, found, strict=False):
        assert share * room / 100 >= columns.PADDING + columns.width(word) - 0.01
    assert sum(found) == pytest.approx(100, abs=0.03)
