"""Marks and message ids of our own mails: made when a mail goes out, known again when an answer comes in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from notify.inbound import marks

SALT: Final = "notify.marks"
OWN_ID: Final = re.compile(r"rdmp\.delivery\.(\d{1,15})\.([0-9a-f]{16})@(.+)")


def mark_of(reference: str) -> str:
    """`INC-000123-…` for what people call an incident."""
    return marks.make(_key(), reference)


def references_in(*texts: str) -> list[str]:
    return marks.references_in(_key(), *texts)


def reply_address(reference: str) -> str:
    """Where an answer to a mail about this goes, or nothing when the platform reads no mailbox."""
    return marks.plus_address(settings.SERVICE_ADDRESS, mark_of(reference)) if settings.SERVICE_ADDRESS else ""


def domain() -> str:
    return settings.PUBLIC_URL.partition("://")[2].partition("/")[0].partition(":")[0]


def message_id(delivery: int) -> str:
    """Of a mail, without angle brackets. Nobody can make it up who has not seen the mail."""
    return f"rdmp.delivery.{delivery}.{_seal(delivery)}@{domain()}"


def delivery_in(message_ids: Iterable[str]) -> int | None:
    """The latest of our own deliveries among these message ids."""
    found = [OWN_ID.fullmatch(one) for one in message_ids]
    own = [one for one in found if one and one[3].lower() == domain().lower()]
    numbers = [int(one[1]) for one in own if constant_time_compare(one[2], _seal(int(one[1])))]
    return max(numbers, default=None)


def _seal(delivery: int) -> str:
    return salted_hmac(SALT, f"delivery:{delivery}", algorithm="sha256").hexdigest()[:16]


def _key() -> bytes:
    return salted_hmac(SALT, "key", algorithm="sha256").digest()
