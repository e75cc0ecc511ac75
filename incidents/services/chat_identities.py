"""Which sender in a chat is which person: a code made while signed in, typed once into the chat (R49)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from django.core.cache import cache
from django.db import transaction
from django.utils.crypto import salted_hmac

from accounts import audit, scope
from accounts.models import User
from incidents.models import ChatCode, ChatIdentity, InboundSource

LIFETIME: Final = timedelta(minutes=10)
DIGITS: Final = 8
WRONG_CODES: Final = 5
WRONG_WINDOW_S: Final = 600
WHY: Final = "a sender in a chat may be anybody's person"


@transaction.atomic
def make_code(*, person: User, now: datetime) -> str:
    """A new code for oneself; the one before it ends. Shown once, only its keyed hash is kept."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    with scope.platform(WHY):
        ChatCode.objects.filter(user=person, used_at=None).delete()
        ChatCode.objects.filter(expires_at__lt=now - LIFETIME).delete()
        ChatCode.objects.filter(code_hash=_hashed(code)).delete()
        ChatCode.objects.create(
            customer=person.customer,
            user=person,
            code_hash=_hashed(code),
            created_at=now,
            expires_at=now + LIFETIME,
        )
    audit.record(action="chat.code", actor=person, customer=person.customer, obj=person, now=now)
    return code


@transaction.atomic
def bind(*, source: InboundSource, sender_id: str, name: str, code: str, now: datetime) -> User | None:
    """Bind a sender to whoever made the code; None when the code is wrong, used, too old, or another customer's.

    Needs a platform scope. Whoever tries codes is soon refused every one.
    """
    if _tries(source, sender_id) > WRONG_CODES:
        return None
    rows = ChatCode.objects.select_for_update(of=("self",)).select_related("user", "user__customer")
    found = rows.filter(code_hash=_hashed(code)).first()
    if found is None or not found.is_open(now) or not found.user.is_active or not _fits(source, found.user):
        return None
    found.used_at = now
    found.save(update_fields=["used_at"])
    ChatIdentity.objects.update_or_create(
        source=source,
        sender_id=sender_id,
        defaults={"customer": source.customer, "name": name[:120], "user": found.user, "bound_at": now},
    )
    detail = {"source": source.pk, "name": name[:120]}
    audit.record(action="chat.bind", actor=found.user, customer=source.customer, obj=found.user, detail=detail, now=now)
    return found.user


@transaction.atomic
def unbind(*, person: User, identity_id: int, now: datetime) -> bool:
    """Forget one of one's own chat accounts; False when there is none of that number."""
    with scope.platform(WHY):
        identity = ChatIdentity.objects.filter(pk=identity_id, user=person).select_related("source__customer").first()
        if identity is None:
            return False
        detail = {"source": identity.source_id, "name": identity.name}
        identity.delete()
        customer = identity.source.customer
        audit.record(action="chat.unbind", actor=person, customer=customer, obj=person, detail=detail, now=now)
        return True


def of(person: User) -> list[ChatIdentity]:
    """One's own chat accounts."""
    with scope.platform(WHY):
        return list(ChatIdentity.objects.filter(user=person).select_related("source"))


def who_is(source: InboundSource, sender_id: str) -> User | None:
    """The person behind a sender, if they are bound and still there. Needs a platform scope."""
    rows = ChatIdentity.objects.filter(source=source, sender_id=sender_id).select_related("user", "user__customer")
    identity = rows.first()
    if identity is None or not identity.user.is_active or not _fits(source, identity.user):
        return None
    return identity.user


def _fits(source: InboundSource, person: User) -> bool:
    """Nobody of another customer gets anything at a customer's own robot."""
    if source.customer_id is None or person.customer_id == source.customer_id:
        return True
    return person.is_provider and scope.of(person).allows(source.customer_id)


def _tries(source: InboundSource, sender_id: str) -> int:
    key = f"chat-codes:{source.pk}:{_hashed(sender_id)[:32]}"
    cache.add(key, 0, timeout=WRONG_WINDOW_S)
    return int(cache.incr(key))


def _hashed(code: str) -> str:
    return salted_hmac("incidents.chat_code", code, algorithm="sha256").hexdigest()
