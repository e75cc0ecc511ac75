"""Administering the ways in: making, changing, trying, renewing addresses, retiring."""

from __future__ import annotations

import hashlib
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit, scope, secrets
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from accounts.vault import VaultError
from incidents.models import InboundKind, InboundSource
from incidents.permissions import may_manage_way_in_of

OLD_ADDRESS_LIVES: Final = timedelta(days=1)
PURPOSE: Final = "read what came in"
SECRETS_OF_KIND: Final[Mapping[str, tuple[str, ...]]] = {
    InboundKind.EMAIL: ("password",),
    InboundKind.DINGTALK: ("app_secret",),
    InboundKind.WECOM: ("token", "aes_key"),
}
"""Names in the vault; all of them are needed before anything can be read."""


@dataclass(frozen=True)
class Details:
    """What may be changed about a way in, secrets and address apart."""

    name: str
    config: dict[str, object] = field(default_factory=dict)
    default_severity: int = Severity.AVERAGE
    is_active: bool = True


@transaction.atomic
def create(
    *,
    customer: Customer | None,
    kind: str,
    details: Details,
    values: Mapping[str, str],
    actor: User | None,
    now: datetime,
) -> tuple[InboundSource, str]:
    """A new way in with its secrets; returns it and its address, which is never shown again (a mailbox has none)."""
    _check_owner(actor, customer.pk if customer else None)
    if any(not values.get(name) for name in SECRETS_OF_KIND.get(kind, ())):
        raise DomainError(_("Nothing was saved: a password or key is missing."), code="secret_missing")
    source = InboundSource(customer=customer, kind=kind, created_at=now)
    _apply(source, details)
    token = _renew(source, now) if kind != InboundKind.EMAIL else ""
    source.save()
    _store(source, values, actor, now)
    audit.record(action="way_in.create", actor=actor, customer=customer, obj=source, detail={"kind": kind}, now=now)
    return source, address_of(token)


@transaction.atomic
def update(
    *, source: InboundSource, details: Details, values: Mapping[str, str], actor: User, now: datetime
) -> InboundSource:
    """Change a way in; a secret left empty stays as it is."""
    source = _held(source, actor)
    old = {name: source.config.get(name) for name in ("host", "username", "folder")}
    _apply(source, details)
    if source.kind == InboundKind.EMAIL and old != {name: source.config.get(name) for name in old}:
        source.uid_validity = source.uid_mark = 0  # another mailbox counts from its own beginning
    source.save()
    _store(source, values, actor, now)
    detail = {"renewed": sorted(name for name, value in values.items() if value), "active": source.is_active}
    audit.record(action="way_in.change", actor=actor, customer=source.customer, obj=source, detail=detail, now=now)
    return source


@transaction.atomic
def rotate(*, source: InboundSource, actor: User, now: datetime) -> str:
    """A new address; the one before it works for another day, so that nothing is lost while the sender is changed."""
    source = _held(source, actor)
    if source.kind == InboundKind.EMAIL:
        raise DomainError(_("A mailbox has no address of ours."))
    source.old_token_hash, source.old_token_until = source.token_hash or "", now + OLD_ADDRESS_LIVES
    token = _renew(source, now)
    source.save()
    audit.record(action="way_in.rotate", actor=actor, customer=source.customer, obj=source, now=now)
    return address_of(token)


@transaction.atomic
def retire(*, source: InboundSource, actor: User, now: datetime) -> None:
    """Shut a way in for good: its address and secrets go, what came by it stays."""
    source = _held(source, actor)
    source.is_active, source.retired_at = False, now
    source.token_hash, source.old_token_hash, source.old_token_until = None, "", None
    source.save()
    for name in SECRETS_OF_KIND.get(source.kind, ()):
        secrets.drop(obj=source, field=name, actor=actor, now=now)
    audit.record(action="way_in.retire", actor=actor, customer=source.customer, obj=source, now=now)


def find(token: str, *, now: datetime) -> InboundSource | None:
    """The way in that listens at an address, or None. Needs a platform scope."""
    if len(token) > 100:
        return None
    known = hashed(token)
    return (
        InboundSource.objects.active()
        .filter(Q(token_hash=known) | Q(old_token_hash=known, old_token_until__gt=now))
        .select_related("customer")
        .first()
    )


def secret_of(source: InboundSource, name: str, *, now: datetime) -> str:
    """A secret of a way in, for the platform's own work; empty when there is none or it does not open."""
    with scope.platform("secrets of ways in") if source.customer_id is None else scope.customer(source.customer_id):
        try:
            return secrets.use(obj=source, field=name, purpose=PURPOSE, now=now)
        except (secrets.Missing, VaultError):
            return ""


def address_of(token: str) -> str:
    return f"{settings.PUBLIC_URL}/in/{token}/" if token else ""


def hashed(token: str) -> str:
    """SHA-256 of an address's token; tokens are 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def note_failure(source: InboundSource, problem: str, *, now: datetime) -> datetime:
    """Write down that a mailbox could not be read; returns since when."""
    since = source.failing_since or now
    InboundSource.objects.filter(pk=source.pk).update(failing_since=since, problem=problem[:300], checked_at=now)
    return since


def note_success(source: InboundSource, *, now: datetime) -> None:
    InboundSource.objects.filter(pk=source.pk).update(failing_since=None, problem="", checked_at=now)


def _renew(source: InboundSource, now: datetime) -> str:
    token = random.token_urlsafe(32)
    source.token_hash, source.token_set_at = hashed(token), now
    return token


def _apply(source: InboundSource, details: Details) -> None:
    source.name, source.config = details.name, details.config
    source.default_severity, source.is_active = Severity(details.default_severity), details.is_active


def _store(source: InboundSource, values: Mapping[str, str], actor: User | None, now: datetime) -> None:
    for name in SECRETS_OF_KIND.get(source.kind, ()):
        if values.get(name):
            secrets.put(obj=source, field=name, value=values[name], actor=actor, now=now)


def _held(source: InboundSource, actor: User) -> InboundSource:
    _check_owner(actor, source.customer_id)
    held = InboundSource.objects.existing().select_for_update(no_key=True, of=("self",)).filter(pk=source.pk).first()
    if held is None:
        raise DomainError(_("This way in is retired. Nothing was changed."))
    return held


def _check_owner(actor: User | None, customer_id: int | None) -> None:
    if actor is not None and not may_manage_way_in_of(actor, customer_id):
        raise PermissionDenied
