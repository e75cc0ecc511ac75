"""How texts become terms that a search finds them by, Chinese among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents import terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx 502", ["nginx", "502"]),
        ("连接池", ["连接", "接池", "池"]),
        ("Redis内存 OOM-killer", ["redis", "内存", "存", "oom", "killer"]),
        ("ＥＣＳ　宕机", ["ecs", "宕机", "机"]),
        ("ORA-01555: snapshot too old", ["ora", "01555", "snapshot", "too", "old"]),
        ("… !? \x00", []),
    ],
)
def test_a_text_is_words_and_pairs_of_characters(text: str, expected: list[str]) -> None:
    assert terms.terms(text) == expected


def test_a_query_wants_every_term_or_any_and_takes_half_a_word() -> None:
    assert terms.query("nginx 连接池", every=True) == "'nginx':* & '连接' & '接池'"
    assert terms.query("nginx 连接池", every=False) == "'nginx':* | '连接' | '接池'"
    assert terms.query("库", every=True) == "'库':*"
    assert terms.query(" ' & | ! :* ", every=True) == ""


@given(st.text())
def test_no_text_brings_a_mark_of_the_query_language_into_a_query(text: str) -> None:
    for term in terms.terms(text):
        assert term
        assert not set(term) & set("'\\:&|!()*<> \x00")


def test_names_are_kept_once_trimmed_and_in_lower_case() -> None:
    assert terms.words([" MySQL ", "mysql", "", "Ｎginx", "two  words"]) == ["mysql", "nginx", "two words"]
