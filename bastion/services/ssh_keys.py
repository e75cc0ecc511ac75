"""The public keys with which people sign in at a node."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import User
from accounts.services import people
from assets import keypairs
from bastion import messages
from bastion.models import SshKey
from bastion.services import living

SHORTEST_RSA: Final = 3072
MOST_KEYS: Final = 20
LONGEST: Final = 8000


def of(person: User) -> list[SshKey]:
    """Somebody's keys: a row of the provider's people belongs to no customer."""
    with scope.platform("a person's own keys"):
        return list(SshKey.objects.select_related("person__customer", "customer").filter(person=person))


@transaction.atomic
def add(*, person: User, name: str, public_key: str, now: datetime) -> SshKey:
    """A key of one's own. Raises DomainError for what is no public key, a weak one, or somebody's already."""
    line = checked(public_key)
    if len(of(person)) >= MOST_KEYS:
        raise DomainError(_("Twenty keys are enough: remove one first."), code="too_many")
    try:
        with scope.platform("a person's own key"), transaction.atomic():
            key = SshKey.objects.create(
                customer=person.customer,
                person=person,
                name=(name.strip() or line.rpartition(" ")[0])[:80],
                public_key=line,
                fingerprint=fingerprint(line),
                added_at=now,
            )
    except IntegrityError:
        raise DomainError(_("This key is in use already."), code="in_use") from None
    _write(key, "bastion.key.add", person, now)
    return key


def may_remove(actor: User, person: User) -> bool:
    """One's own, and those of the people whose access somebody keeps."""
    return actor.pk == person.pk or people.may_invite(actor, person.role, person.customer)


@transaction.atomic
def remove(*, key: SshKey, actor: User, now: datetime) -> None:
    """Whatever runs that was signed in to with it ends. A key that somebody else removes is told to its owner.

    Raises PermissionDenied.
    """
    if not may_remove(actor, key.person):
        raise PermissionDenied
    _write(key, "bastion.key.remove", actor, now)
    with scope.platform("a person's own key"):
        if key.person_id != actor.pk:
            messages.key_removed(key, actor=actor, now=now)
        key.delete()
        living.ask_again(person_id=key.person_id, now=now)


def checked(text: str) -> str:
    """As `ssh-ed25519 AAAA…`, without its remark."""
    words = text.split()
    if len(text) > LONGEST or len(words) < 2 or "PRIVATE" in text:
        raise DomainError(_("This is no public key: paste the line of a file like id_ed25519.pub."), code="no_key")
    line = f"{words[0]} {words[1]}"
    try:
        key = load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise DomainError(
            _("This is no public key: paste the line of a file like id_ed25519.pub."), code="no_key"
        ) from None
    is_strong = isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey) or (
        isinstance(key, RSAPublicKey) and key.key_size >= SHORTEST_RSA
    )
    if not is_strong:
        raise DomainError(_("This key is too weak: take ed25519, ECDSA, or RSA of 3072 bits."), code="weak_key")
    return line


def fingerprint(public_key: str) -> str:
    """As OpenSSH writes it; empty for what is no key."""
    try:
        return keypairs.fingerprint(public_key)
    except keypairs.NotAKey:
        return ""


def _write(key: SshKey, action: str, actor: User, now: datetime) -> None:
    detail = {"fingerprint": key.fingerprint, "name": key.name, "of": key.person.name}
    audit.record(action=action, actor=actor, customer=key.customer, obj=key, detail=detail, now=now)
