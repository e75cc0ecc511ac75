"""Calendars that other programs subscribe to, as RFC 5545 wants them written. No Django."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

MOST_OCTETS: Final = 75
"""RFC 5545 §3.1: longer lines are folded."""
ESCAPED: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": None})


@dataclass(frozen=True, slots=True)
class Event:
    """`uid` stays the same for the same thing, so that a calendar that is read again changes it and adds nothing."""

    uid: str
    starts_at: datetime
    ends_at: datetime
    summary: str
    description: str = ""


def calendar(name: str, events: Iterable[Event], *, now: datetime) -> bytes:
    """The whole calendar, with CRLF and folded lines."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//RDMP//Roster//ZH",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        "X-PUBLISHED-TTL:PT1H",
    ]
    for event in events:
        lines += _event(event, now)
    lines.append("END:VCALENDAR")
    return b"".join(b"\r\n".join(_folded(line)) + b"\r\n" for line in lines)


def _event(event: Event, now: datetime) -> list[str]:
    lines = [
        "BEGIN:VEVENT",
        f"UID:{_text(event.uid)}",
        f"DTSTAMP:{_moment(now)}",
        f"DTSTART:{_moment(event.starts_at)}",
        f"DTEND:{_moment(event.ends_at)}",
        f"SUMMARY:{_text(event.summary)}",
    ]
    if event.description:
        lines.append(f"DESCRIPTION:{_text(event.description)}")
    return [*lines, "TRANSP:TRANSPARENT", "END:VEVENT"]


def _text(text: str) -> str:
    return "".join(char for char in text.translate(ESCAPED) if char >= " ")


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _folded(line: str) -> Iterator[bytes]:
    """Pieces of at most 75 octets that never cut a character; all but the first begin with a space."""
    piece = b""
    for char in line:
        octets = char.encode("utf-8", "replace")
        if len(piece) + len(octets) > MOST_OCTETS:
            yield piece
            piece = b" "
        piece += octets
    yield piece
