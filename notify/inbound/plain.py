"""Plain text out of HTML mails, and a reply without what it quotes. Pure, and linear in the length of the text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

LONGEST_HTML: Final = 500_000
LONGEST: Final = 100_000
SILENT: Final = frozenset({"script", "style", "head", "title", "template", "noscript", "svg", "object"})
BREAKING: Final = frozenset(
    ("p", "div", "br", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "hr", "blockquote")
)
QUOTED: Final = "> "
VOID: Final = frozenset({"br", "hr", "img", "meta", "link", "input"})


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = [""]
        self._silent = 0
        self._quotes = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self._silent += 1
        if tag in BREAKING:
            self._break()
        if tag == "blockquote":
            self._quotes += 1
        if tag == "li":
            self.handle_data("- ")

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent = max(0, self._silent - 1)
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        if tag in BREAKING and tag not in VOID:
            self._break()

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        words = re.sub(r"\s+", " ", data)
        if not self.lines[-1]:
            words = words.lstrip()
            if words and self._quotes:
                self.lines[-1] = QUOTED
        self.lines[-1] += words

    def _break(self) -> None:
        if self.lines[-1].strip() or (len(self.lines) > 1 and self.lines[-2]):
            self.lines.append("")


def from_html(html: str) -> str:
    """What a person reads of an HTML mail; what it quotes begins with `> `."""
    reader = _Text()
    reader.feed(html[:LONGEST_HTML])
    reader.close()
    text = "\n".join(line.rstrip() for line in reader.lines)
    return re.sub(r"\n{3,}", "\n\n", text).strip()[:LONGEST]


HEADING: Final = re.compile(r"\s*(?:发件人|寄件者|From|\*From|\*发件人)\s*[:：]", re.IGNORECASE)
FOLLOWING: Final = re.compile(
    r"\s*\*?(?:发送时间|发送日期|日期|收件人|主题|抄送|Sent|Date|To|Subject|Cc)\s*[:：]", re.IGNORECASE
)
ORIGINAL: Final = re.compile(
    r"\s*[-_]{2,}\s*(?:original(?: message)?|原始邮件|回复的原邮件|转发的邮件|forwarded message)\s*[-_]*\s*",
    re.IGNORECASE,
)
WROTE: Final = re.compile(r"\s*(?:On\b.{4,200}\bwrote|(?:在|于)?.{4,200}写道)\s*[:：]?\s*", re.IGNORECASE)
RULE: Final = re.compile(r"\s*_{20,}\s*")


def without_quotes(text: str) -> str:
    """What somebody wrote above or between what they quote; the whole text when nothing else would be left."""
    lines = text[:LONGEST].splitlines()
    kept: list[str] = []
    for number, line in enumerate(lines):
        if _begins_quote(lines, number):
            break
        if line.startswith(">") or line == "-- ":
            if line == "-- ":
                break
            continue
        kept.append(line)
    said = "\n".join(kept).strip()
    return said or text.strip()


def _begins_quote(lines: list[str], number: int) -> bool:
    line = lines[number][:300]
    if ORIGINAL.fullmatch(line) or WROTE.fullmatch(line):
        return True
    after = [each for each in lines[number + 1 : number + 4] if each.strip()]
    if line.lstrip().startswith("On ") and after and WROTE.fullmatch(f"{line} {after[0][:200]}"):
        return True
    if RULE.fullmatch(line):
        return bool(after) and HEADING.match(after[0]) is not None
    return HEADING.match(line) is not None and any(FOLLOWING.match(each) for each in after)
