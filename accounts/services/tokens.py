"""API tokens: shown once, kept as a hash, bound to the person who made them."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts import scope as reach
from accounts.errors import DomainError
from accounts.models import ApiToken, User
from accounts.permissions import can_write

PREFIX = "rdmp_"
LONGEST = timedelta(days=366)
USED_EVERY = timedelta(minutes=1)
PROVIDERS = "tokens of the provider's people belong to no customer"


def hashed(key: str) -> str:
    """SHA-256 of a token; the tokens are 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


@transaction.atomic
def issue(*, actor: User, name: str, scope: str, valid_for: timedelta, now: datetime) -> tuple[ApiToken, str]:
    """Make a token for oneself; returns the row and the key, which is never shown again."""
    if scope != ApiToken.Scope.READ and not can_write(actor):
        raise DomainError(_("A read-only account can only make read-only tokens."))
    if not timedelta() < valid_for <= LONGEST:
        raise DomainError(_("A token lives for at most one year. Choose an earlier end."))
    key = PREFIX + secrets.token_urlsafe(32)
    with reach.platform(PROVIDERS):
        token = ApiToken.objects.create(
            customer=actor.customer,
            user=actor,
            name=name,
            prefix=key[:12],
            token_hash=hashed(key),
            scope=scope,
            created_at=now,
            expires_at=now + valid_for,
        )
    detail = {"scope": scope, "until": token.expires_at}
    audit.record(action="token.issue", actor=actor, customer=actor.customer, obj=token, detail=detail, now=now)
    return token, key


def of(person: User) -> list[ApiToken]:
    """One's own tokens, latest first, ended ones included."""
    with reach.platform(PROVIDERS):
        return list(ApiToken.objects.filter(user=person))


@transaction.atomic
def revoke(*, token: ApiToken, actor: User, now: datetime) -> None:
    """End a token. Doing it twice changes nothing."""
    with reach.platform(PROVIDERS):
        ended = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)
    if ended:
        audit.record(action="token.revoke", actor=actor, customer=token.customer, obj=token, now=now)


def find(key: str, *, now: datetime) -> ApiToken | None:
    """The valid token for a key, or None. Needs a platform scope."""
    token = ApiToken.objects.select_related("user", "user__customer").filter(token_hash=hashed(key)).first()
    if token is None or not token.is_valid(now) or not token.user.is_active:
        return None
    if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token
