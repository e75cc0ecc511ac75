"""Entries of the audit log as they leave for a SIEM: syslog (RFC 5424, framed as RFC 6587 and 5425 want) and JSON.

Pure. An entry's chain and number name it for ever: whoever gets one twice knows it. The hashes go along, so that the
receiver can prove that nothing is missing or changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

PRIORITY: Final = 13 * 8 + 5
"""Facility "log audit", severity "notice" (RFC 5424, 6.2.1)."""
LONGEST_LINE: Final = 8000
"""Bytes. Receivers have to take 2048 and should take 8192 (RFC 5425, 4.3.1)."""
MOST_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """`chain`: the customer's short code, or `platform`. `sequence` 0: a test, which is no entry of the chain."""

    chain: str
    customer_id: int | None
    sequence: int
    at: datetime
    actor: str
    actor_id: int | None
    action: str
    object_type: str
    object_id: str
    object_name: str
    detail: Mapping[str, Any]
    hash: str
    previous_hash: str

    @property
    def is_test(self) -> bool:
        return self.sequence == 0

    def as_json(self, *, with_detail: bool = True) -> dict[str, Any]:
        said = {
            **({"test": True} if self.is_test else {}),
            "chain": self.chain,
            "customer_id": self.customer_id,
            "sequence": self.sequence,
            "at": _moment(self.at),
            "actor": self.actor,
            "actor_id": self.actor_id,
            "action": self.action,
            "object": {"type": self.object_type, "id": self.object_id, "name": self.object_name},
            "hash": self.hash,
            "previous_hash": self.previous_hash,
        }
        return {**said, "detail": self.detail} if with_detail else {**said, "detail_left_out": True}


def line(entry: Entry, *, host: str) -> bytes:
    """One syslog message. What is too long goes without its detail, which stays in the log that the hash names."""
    number = f'[meta sequenceId="{(entry.sequence - 1) % MOST_NUMBER + 1}"]'
    head = f"<{PRIORITY}>1 {_moment(entry.at)} {_word(host, 255)} rdmp - {_word(entry.action, 32)} "
    head += "- " if entry.is_test else f"{number} "
    whole = (head + json.dumps(entry.as_json())).encode("ascii")
    if len(whole) > LONGEST_LINE:
        whole = (head + json.dumps(entry.as_json(with_detail=False))).encode("ascii")
    return whole


def framed(lines: Iterable[bytes]) -> bytes:
    """By octet counting: the one framing that a line break within a message does not break."""
    return b"".join(b"%d %s" % (len(one), one) for one in lines)


def body(entries: Iterable[Entry]) -> bytes:
    """Of a webhook."""
    return json.dumps({"entries": [one.as_json() for one in entries]}, ensure_ascii=False).encode()


def _word(text: str, longest: int) -> str:
    """Printable ASCII without blanks, as the fields of the header are."""
    return "".join(char if "!" <= char <= "~" else "_" for char in text)[:longest] or "-"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
