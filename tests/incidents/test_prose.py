"""Markdown that people wrote becomes HTML that harms nobody."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents import prose

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    '<a href="javascript:alert(1)">x</a>',
    "![x](https://tracker.example/pixel.png)",
    '"><svg onload=alert(1)>',
    "<iframe src=//evil.example></iframe>",
    "```<img onerror=x>\n</code><script>x</script>\n```",
]
TAG = re.compile(r"<(/?)([a-zA-Z0-9]+)([^>]*)>")


def is_harmless(html: str) -> bool:
    for _close, name, attributes in TAG.findall(html):
        if (
            name not in prose.TAGS
            or "on" + "error" in attributes
            or re.search(r"(?i)javascript:|data:|vbscript:", attributes)
        ):
            return False
    return True


@pytest.mark.parametrize("text", HOSTILE)
def test_what_would_run_is_shown_or_dropped_and_never_obeyed(text: str) -> None:
    assert is_harmless(prose.html(text))


@given(st.text(alphabet=st.sampled_from("<>\"'()[]!`*_#-|\n javascript:onerror=/x&;\x00\u202e")))
def test_no_mixture_of_marks_gets_through(text: str) -> None:
    assert is_harmless(prose.html(text))


def test_headings_tables_lists_and_code_become_what_they_are() -> None:
    html = prose.html("# A\n\n- one\n- `two`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nfirst\nsecond")
    assert "<h2>A</h2>" in html
    assert "<li><code>two</code></li>" in html
    assert "<td>2</td>" in html
    assert "first<br>\nsecond" in html


def test_links_open_without_telling_where_from_and_relative_ones_are_words_on_paper() -> None:
    assert 'rel="noopener noreferrer nofollow"' in prose.html("[x](https://help.example/)")
    assert 'href="/incidents/1/"' in prose.html("[x](/incidents/1/)")
    assert "href" not in prose.html("[x](/incidents/1/)", for_print=True)


def test_characters_that_deceive_are_taken_out() -> None:
    assert prose.clean("a\x00b\x1b[31m\u202egnp.exe\r\nline\tend") == "ab[31mgnp.exe\nline\tend"
