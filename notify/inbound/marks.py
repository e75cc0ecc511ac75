"""The mark of a ticket in mails: `[INC-000123-k7f3q2mz]` in the subject and the address that a reply goes to.

The mark says which conversation a mail belongs to and cannot be guessed. It gives no right to anything: who writes is
judged by the sender.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

MARK: Final = re.compile(r"\b([A-Z]{2,5}-\d{6,12})-([a-z2-7]{10})\b", re.IGNORECASE)
LENGTH: Final = 10


def make(key: bytes, reference: str) -> str:
    """`INC-000123-…` for the reference `INC-000123`."""
    digest = hmac.new(key, reference.upper().encode(), hashlib.sha256).digest()
    return f"{reference}-{base64.b32encode(digest).decode().lower()[:LENGTH]}"


def references_in(key: bytes, *texts: str) -> list[str]:
    """The references whose marks stand in these texts and are ours, in their order."""
    found = []
    for text in texts:
        for reference, mark in MARK.findall(text[:4000]):
            expected = make(key, reference.upper()).rsplit("-", 1)[1]
            if hmac.compare_digest(expected.encode(), mark.lower().encode()):
                found.append(reference.upper())
    return list(dict.fromkeys(found))


def plus_address(address: str, mark: str) -> str:
    """`service+inc-000123-…@example.com`: where a reply is sent to."""
    name, _, domain = address.partition("@")
    return f"{name}+{mark.lower()}@{domain}" if domain else address
