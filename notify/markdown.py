"""The little markdown of our messages, for readers that know none: mail and the inbox. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")
_MARKS = re.compile(r"(\*\*|__|`)")
_HEADING = re.compile(r"^#{1,6}\s+")
_BULLET = re.compile(r"^\s*[-*]\s+")
_QUOTE = re.compile(r"^\s*>\s?")


@dataclass(frozen=True)
class Block:
    """One line of a message: `kind` is "heading", "item", "quote" or "line"; `link` its first address, if any."""

    kind: str
    text: str
    link: str = ""


def blocks(text: str) -> list[Block]:
    """The lines of a message without their marks. Nothing in the result is markup: templates escape it."""
    return [_block(line) for line in text.splitlines() if line.strip()]


def _block(line: str) -> Block:
    for kind, pattern in (("heading", _HEADING), ("item", _BULLET), ("quote", _QUOTE)):
        if pattern.match(line):
            return _inline(kind, pattern.sub("", line, count=1))
    return _inline("line", line)


def _inline(kind: str, text: str) -> Block:
    link = next((match[2] for match in _LINK.finditer(text) if match[2].startswith(("http://", "https://", "/"))), "")
    return Block(kind, _MARKS.sub("", _LINK.sub(r"\1", text)).strip(), link)


def plain(text: str) -> str:
    """The message as one plain text, line by line."""
    return "\n".join(f"- {block.text}" if block.kind == "item" else block.text for block in blocks(text))
