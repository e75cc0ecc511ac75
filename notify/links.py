"""The link by which the reader of one message answers it: signed, for one purpose, for one day.

Nothing is stored: the token is a mark of the server's key over the delivery, so it stands in no log of messages. It is
short enough for one variable of an SMS template.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.http import base36_to_int, int_to_base36

from accounts import scope
from notify.models import Delivery

SALT = "notify.links"
LIFE = timedelta(hours=24)
MARK_BYTES = 15
LONGEST = 40
WHY = "a link names its message, whoever's it is"


@dataclass(frozen=True)
class Question:
    """What a valid link leads to. `is_personal`: it came to one person, who need not sign in to answer."""

    delivery: Delivery
    expires_at: datetime

    @property
    def is_personal(self) -> bool:
        return self.delivery.user_id is not None

    def has_expired(self, now: datetime) -> bool:
        return now >= self.expires_at


def token_of(delivery: Delivery) -> str:
    return f"{int_to_base36(delivery.pk)}-{_mark(delivery)}"


def path_of(delivery: Delivery) -> str:
    """Where the reader answers, without the leading slash; "" when nothing is asked."""
    return f"a/{token_of(delivery)}/" if delivery.asks else ""


def find(token: str) -> Question | None:
    """The question behind a link, expired or not; None for anything that we did not sign."""
    number, _, mark = token.partition("-")
    if len(token) > LONGEST or not mark.isascii():
        return None
    try:
        pk = base36_to_int(number)
    except ValueError:
        return None
    with scope.platform(WHY):
        delivery = Delivery.objects.select_related("user", "customer").filter(pk=pk).exclude(asks="").first()
    if delivery is None or not constant_time_compare(mark, _mark(delivery)):
        return None
    return Question(delivery, delivery.created_at + LIFE)


def _mark(delivery: Delivery) -> str:
    bound_to = f"{delivery.pk}|{delivery.asks}|{delivery.about}|{delivery.user_id or '-'}|{delivery.customer_id or '-'}"
    digest = salted_hmac(SALT, bound_to, algorithm="sha256").digest()[:MARK_BYTES]
    return base64.urlsafe_b64encode(digest).decode()
