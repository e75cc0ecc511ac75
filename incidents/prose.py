"""Markdown that people wrote, as HTML that harms nobody: markdown-it reads it, nh3 lets through only what is listed.

HTML within the text is shown, never obeyed; pictures from elsewhere are not loaded. No Django here.
"""

import unicodedata
from functools import lru_cache
from typing import Literal

import nh3
from markdown_it import MarkdownIt

TAGS = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
    "s", "a", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto"}
KEPT_CONTROLS = "\n\t"


def html(text: str, *, below: int = 1, for_print: bool = False) -> str:
    """The text as HTML whose headings begin one level below the heading `below`.

    On paper there is no site for a relative link to belong to: `for_print` leaves it as words.
    """
    tokens = (reader := _reader()).parse(clean(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + below)}"
    rendered = str(reader.renderer.render(tokens, reader.options, {}))
    relative: Literal["deny", "pass_through"] = "deny" if for_print else "pass_through"
    return nh3.clean(
        rendered,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
        url_relative=relative,
    )


def clean(text: str) -> str:
    """Without control characters and those that turn the direction of writing, which only serve to deceive."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        char
        for char in unified
        if char in KEPT_CONTROLS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    )


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True})
    return reader.enable(["table", "strikethrough"]).disable(["image"])
