"""The message as adapters get it, and how it is cut to a provider's size without losing its link."""

from __future__ import annotations

from dataclasses import dataclass

ELLIPSIS = "…"


@dataclass(frozen=True)
class Notice:
    """`text` is markdown, `link` an absolute address or empty; `reference` is the same on every try of one delivery."""

    subject: str
    text: str
    link: str = ""
    link_label: str = "RDMP"
    severity: int | None = None
    topic: str = ""
    reference: str = ""
    mention_all: bool = False


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8, cut between characters, the cut marked."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    room = limit - len(ELLIPSIS.encode())
    return raw[:room].decode(errors="ignore") + ELLIPSIS if room > 0 else ""


def fit(head: str, body: str, tail: str, limit: int) -> str:
    """Head, body and tail in `limit` bytes: the body gives way first, then the head; the tail (link, keyword) stays."""
    tail_size = len(tail.encode())
    head = cut(head, max(0, limit - tail_size))
    body = cut(body, max(0, limit - tail_size - len(head.encode())))
    return head + body + tail


def scrub(text: str, secrets: tuple[str, ...], limit: int = 500) -> str:
    """`text` without any of `secrets`, short enough for a log line."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "•••")
    return cut(" ".join(text.split()), limit)
