"""Credentials of hosts, databases and cloud accounts: writing down, setting the secret, using it, retiring."""

import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit, secrets
from accounts.errors import DomainError
from accounts.models import User
from assets import keypairs
from assets.models import AccountPurpose, Asset, Check, CloudAccount, Credential, CredentialKind
from assets.permissions import can_manage_credentials
from assets.services import rotation_due
from notify import live

OF_ASSETS = (CredentialKind.HOST, CredentialKind.DATABASE, CredentialKind.KEY_PAIR)
GENERATED_BYTES = 18  # 24 characters: no dictionary, and it still fits where passwords end at 30


@dataclass(frozen=True)
class Entry:
    """A credential as people write it down; an empty secret is made here for a key pair, and missing otherwise."""

    kind: str
    username: str
    purpose: str = AccountPurpose.OTHER
    secret: str = ""
    access_key_id: str = ""
    has_sudo: bool | None = None
    is_privileged: bool = False
    note: str = ""

    def __repr__(self) -> str:
        return f"<Entry {self.kind} {self.username}>"


def add(*, where: Asset | CloudAccount, entry: Entry, actor: User | None, now: datetime) -> Credential:
    """Write a credential down. The secret, if there is one already, goes straight into the vault."""
    _may_manage(actor)
    is_of_asset = isinstance(where, Asset)
    if is_of_asset != (entry.kind in OF_ASSETS):
        raise DomainError(_("This kind of credential does not belong there."), code="wrong_place")
    if where.retired_at is not None:
        raise DomainError(_("It was retired: nothing new is written down for it."), code="retired")
    credential = Credential(
        customer_id=where.customer_id,
        kind=entry.kind,
        purpose=entry.purpose,
        asset=where if isinstance(where, Asset) else None,
        cloud_account=where if isinstance(where, CloudAccount) else None,
        username=entry.username,
        access_key_id=entry.access_key_id,
        has_sudo=entry.has_sudo,
        is_privileged=entry.is_privileged,
        note=entry.note,
        created_at=now,
    )
    try:
        with transaction.atomic():
            credential.save(force_insert=True)
            detail = {"kind": entry.kind, "user": entry.username, "purpose": str(entry.purpose)}
            _record("credential.add", credential, actor, now, detail)
            value = entry.secret or (keypairs.make() if entry.kind == CredentialKind.KEY_PAIR else "")
            if value:
                store(credential, value, actor=actor, now=now)
            _publish(credential)
    except IntegrityError:
        raise DomainError(
            _("Nothing was saved: %(name)s is written down there already.") % {"name": entry.username}, code="duplicate"
        ) from None
    return credential


@transaction.atomic
def set_secret(*, credential: Credential, value: str, actor: User, now: datetime) -> Credential:
    """Put in a secret that was changed elsewhere. What a cloud account keeps itself is changed on its own page."""
    _may_manage(actor)
    credential = _locked(credential)
    if credential.place[0] != credential:
        raise DomainError(_("Change this one on the page of its cloud account."), code="of_account")
    if not value:
        raise DomainError(_("The secret is missing."), code="missing")
    store(credential, value, actor=actor, now=now)
    secrets.drop(obj=credential, field=Credential.PENDING, actor=actor, now=now)
    return credential


@transaction.atomic
def change(
    *,
    credential: Credential,
    purpose: str,
    has_sudo: bool | None,
    is_privileged: bool,
    note: str,
    actor: User,
    now: datetime,
) -> Credential:
    """What is no secret about it. That it is an administrator's login is taken back by two persons only."""
    _may_manage(actor)
    credential = _locked(credential)
    if credential.kind == CredentialKind.CONSOLE or credential.is_reading_key:
        purpose, is_privileged = credential.purpose, credential.is_privileged  # these two are what the SOW makes them
    if credential.is_privileged and not is_privileged:
        raise DomainError(
            _("That it is an administrator's login is taken back only when a second person agrees: ask one."),
            code="second_person",
        )
    credential.purpose, credential.has_sudo = purpose, has_sudo
    credential.is_privileged, credential.note = is_privileged, note
    credential.save(update_fields=["purpose", "has_sudo", "is_privileged", "note"])
    detail = {"purpose": purpose, "sudo": has_sudo, "administrator": is_privileged, "note": note}
    _record("credential.change", credential, actor, now, detail)
    _publish(credential)
    return credential


@transaction.atomic
def retire(*, credential: Credential, actor: User, now: datetime) -> None:
    """The account is gone or no longer ours: its secrets are destroyed, its history stays."""
    _may_manage(actor)
    credential = _locked(credential)
    if credential.place[0] != credential:
        raise DomainError(_("This one is retired together with its cloud account."), code="of_account")
    if credential.retired_at is not None:
        return
    credential.retired_at = now
    credential.save(update_fields=["retired_at"])
    for field in (Credential.SECRET, Credential.PENDING):
        secrets.drop(obj=credential, field=field, actor=actor, now=now)
    rotation_due.keep(credential)
    _record("credential.retire", credential, actor, now, {})
    _publish(credential)


def use(*, credential: Credential, reason: str, now: datetime, actor: User | None = None) -> str:
    """The secret for the platform's own work; never shown. Every use is audited with whom and what it is for.

    Raises DomainError when there is none.
    """
    if not reason.strip():
        raise ValueError("a use needs its reason")
    obj, field = credential.place
    try:
        value = secrets.use(obj=obj, field=field, purpose=reason.strip(), actor=actor, now=now, every_time=True)
    except secrets.Missing:
        raise DomainError(_("No secret was entered for %(name)s.") % {"name": credential}, code="no_secret") from None
    Credential.objects.filter(pk=credential.pk).update(last_used_at=now)
    return value


@transaction.atomic
def note_check(
    *, credential: Credential, state: Check, words: str, actor: User | None, now: datetime, has_sudo: bool | None = None
) -> None:
    """Keep how a look at the credential ended; people note by hand what the platform cannot try itself."""
    credential = _locked(credential)
    credential.check_state, credential.check_words, credential.checked_at = state, words[:300], now
    if has_sudo is not None:
        credential.has_sudo = has_sudo
    credential.save(update_fields=["check_state", "check_words", "checked_at", "has_sudo"])
    _record("credential.check", credential, actor, now, {"result": str(state), "words": words[:300]})
    _publish(credential)


def note_check_by_hand(*, credential: Credential, works: bool, words: str, actor: User, now: datetime) -> None:
    _may_manage(actor)
    if not words.strip():
        raise DomainError(_("Please say how it was checked."), code="reason_missing")
    state = Check.WORKS if works else Check.REFUSED
    note_check(credential=credential, state=state, words=words.strip(), actor=actor, now=now)


def has_secret(credential: Credential) -> bool:
    obj, field = credential.place
    return secrets.is_set(obj, field)


def generate() -> str:
    return randomness.token_urlsafe(GENERATED_BYTES)


def store(credential: Credential, value: str, *, actor: User | None, now: datetime) -> None:
    """Seal a secret that counts from now on, with what follows from it. In the caller's transaction."""
    if credential.kind == CredentialKind.KEY_PAIR:
        try:
            credential.public_key = keypairs.public_half(value)
        except keypairs.NotAKey:
            raise DomainError(
                _("This is not a private key in OpenSSH's format without a passphrase."), code="not_a_key"
            ) from None
        credential.fingerprint = keypairs.fingerprint(credential.public_key)
    obj, field = credential.place
    secrets.put(obj=obj, field=field, value=value, actor=actor, now=now)
    credential.secret_set_at = now
    credential.check_state, credential.check_words, credential.checked_at = Check.NEVER, "", None
    credential.save(
        update_fields=[
            "public_key", "fingerprint", "secret_set_at", "check_state", "check_words", "checked_at",
        ]
    )  # fmt: skip
    rotation_due.keep(credential)
    _publish(credential)


def _may_manage(actor: User | None) -> None:
    """None is the set-up itself."""
    if actor is not None and not can_manage_credentials(actor):
        raise PermissionDenied


def _locked(credential: Credential) -> Credential:
    audit.hold(credential.customer_id)
    return Credential.objects.select_for_update(of=("self",)).joined().get(pk=credential.pk)


def _record(
    action: str, credential: Credential, actor: User | None, now: datetime, detail: Mapping[str, object]
) -> None:
    audit.record(action=action, actor=actor, customer=credential.customer, obj=credential, detail=detail, now=now)


def _publish(credential: Credential) -> None:
    live.publish(customer_id=credential.customer_id, topic="assets", object_id=credential.pk)
