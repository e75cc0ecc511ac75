from hypothesis import given
from hypothesis import strategies as st

from bastion.trigrams import LONGEST, trigrams


def test_each_once_in_lower_case() -> None:
    assert trigrams("LsLs") == ["lsl", "sls"]
    assert trigrams("重启服务") == ["启服务", "重启服"]
    assert trigrams("ab") == []


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_whatever_holds_a_word_holds_its_trigrams(before: str, word: str, after: str) -> None:
    whole = before.lower() + word.lower() + after.lower()
    assert set(trigrams(word)) <= set(trigrams(whole)) or word.lower().lower() != word.lower()


def test_a_text_without_end_is_indexed_to_its_limit() -> None:
    assert len(trigrams("".join(chr(0x4E00 + number) for number in range(LONGEST + 50)))) == LONGEST - 2
