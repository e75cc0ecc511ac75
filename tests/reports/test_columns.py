"""How a printed table is laid out."""

from __future__ import annotations

import pytest

from reports import columns


def given(rows: list[list[str]], heads: list[str] | None = None) -> tuple[columns.Layout, list[float]]:
    """The layout, and how wide its columns are in halves of its type."""
    found = columns.layout(heads or [""] * len(rows[0]), rows)
    space = columns.room(found.is_landscape, found.size)
    return found, [share * space / 100 for share in found.shares]


def wanted(text: str, padding: float = columns.PADDING) -> float:
    return padding + columns.GRACE * columns.width(text)


def test_what_fits_gets_what_it_needs_and_its_share_of_the_rest() -> None:
    short, long = wanted("ab"), wanted("a" * 20)
    assert columns.layout(["", ""], [["ab", "a"], ["a", "a" * 20]]).shares == [
        pytest.approx(100 * short / (short + long), abs=0.01),
        pytest.approx(100 * long / (short + long), abs=0.01),
    ]


def test_the_longest_give_way_down_to_one_width_and_the_short_ones_stay_whole() -> None:
    found, widths = given([["主机", "a" * 300, "b" * 500]])
    assert widths[0] == pytest.approx(wanted("主机"), abs=0.02)
    assert found.shares[1] == found.shares[2]
    assert sum(found.shares) == pytest.approx(100, abs=0.02)
    assert not found.is_tight


def test_a_chinese_character_is_as_wide_as_two_others() -> None:
    assert columns.width("主机") > columns.width("abc")
    assert columns.width("①") == columns.width("机")


def test_letters_are_as_wide_as_the_fonts_are() -> None:
    assert columns.width("mmmm") > columns.width("llllll")
    assert columns.width("Memory", columns.BOLD) > columns.width("Memory")


def test_long_texts_give_way_before_a_word_of_another_column_breaks() -> None:
    words = ("INC-000002", "1,611,000,000", "2026-03-28 13:58", "主机", "i-bp1abcdefghij000001")
    found, widths = given([[*words, "select a from b " * 9, "x" * 64]])
    needed = [wanted(word, columns.LESS_PADDING) for word in words]
    assert all(width >= need - 0.02 for need, width in zip(needed, widths, strict=False))
    assert sum(found.shares) == pytest.approx(100, abs=0.04)


def test_a_table_lies_on_its_side_only_where_it_must() -> None:
    narrow = [["10 %"] * 10]
    assert not columns.layout(["CPU"] * 10, narrow).is_landscape
    broad = columns.layout(["Environment"] * 10, narrow)
    assert broad.is_landscape
    assert not broad.is_tight
    assert not columns.layout(["Environment"] * 7, [["mall-application-server"] * 7]).is_landscape


def test_the_type_gets_smaller_before_a_word_breaks() -> None:
    few = [["payment-gateway-node-01"] * 5]
    found = columns.layout(["x"] * 5, few)
    assert found.size < columns.USUAL
    assert not found.is_tight
    assert columns.layout(["x"] * 12, [["payment-gateway-node-01"] * 12]).is_tight


def test_headings_of_latin_words_may_stand_below_one_another_and_short_chinese_ones_not() -> None:
    assert columns.unbroken("Connections, highest", columns.BOLD) == columns.width("Connections,", columns.BOLD)
    assert columns.unbroken("预计写满日期", columns.BOLD) == columns.width("预计写满日期", columns.BOLD)


def test_a_digest_is_no_word() -> None:
    assert columns.words(f"a {'x' * columns.WORD} {'y' * (columns.WORD + 1)}") == ["a", "x" * columns.WORD]
