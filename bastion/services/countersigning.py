"""The portal's own word on what has arrived: an ed25519 signature that anybody can check with the public key alone.

A node's key that leaks later changes nothing in what was countersigned before.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.db import connection, transaction

from accounts import audit, scope, secrets
from accounts.models import User
from bastion.gateway.recording.chain import Signed
from bastion.models import PortalKey, RecordingPiece

FIELD: Final = "private_key"
PURPOSE: Final = "countersign recordings"
_opened: Final[dict[str, Ed25519PrivateKey]] = {}
"""By their public half, those that this process has opened: pieces come every ten seconds of each session."""


def statement(signed: Signed, *, node_key: str, arrived_at: datetime) -> bytes:
    """What is signed: the link, the node's signature and key, and when it came. Canonical JSON."""
    said = {
        "arrived_at": arrived_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "link": dict(vars(signed.link)),
        "node_key": node_key,
        "signature": signed.signature,
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(said: bytes, *, now: datetime) -> tuple[PortalKey, str]:
    """By the key in force; the first one is made when it is needed. Needs the platform's scope."""
    key = current(now=now)
    return key, _private(key.pk, key.public_key, now).sign(said).hex()


def is_signed(said: bytes, signature: str, public_key: str) -> bool:
    try:
        public_of(public_key).verify(bytes.fromhex(signature), said)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_of(text: str) -> Ed25519PublicKey:
    """From base64 of its 32 bytes. Raises ValueError."""
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def statement_of(piece: RecordingPiece, signed: Signed) -> bytes:
    return statement(signed, node_key=piece.node_key, arrived_at=piece.arrived_at)


def current(*, now: datetime) -> PortalKey:
    key = PortalKey.objects.filter(customer=None, retired_at=None).first()
    return key or _first(now)


@transaction.atomic
def rotate(*, actor: User | None, now: datetime) -> PortalKey:
    """Another key signs from now on; what the old one signed is still checked with the old one."""
    with scope.platform("key of the portal"):
        _alone()
        PortalKey.objects.filter(customer=None, retired_at=None).update(retired_at=now)
        return _make(actor, now)


@transaction.atomic
def _first(now: datetime) -> PortalKey:
    _alone()
    return PortalKey.objects.filter(customer=None, retired_at=None).first() or _make(None, now)


def _make(actor: User | None, now: datetime) -> PortalKey:
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    key = PortalKey.objects.create(customer=None, public_key=public, made_at=now)
    secrets.put(obj=key, field=FIELD, value=private.private_bytes_raw().hex(), actor=actor, now=now)
    audit.record(
        action="bastion.portal_key.make", actor=actor, customer=None, obj=key, detail={"public_key": public}, now=now
    )
    return key


def _private(pk: int, public_key: str, now: datetime) -> Ed25519PrivateKey:
    if public_key not in _opened:
        text = secrets.use(obj=PortalKey.objects.get(pk=pk), field=FIELD, purpose=PURPOSE, now=now)
        _opened[public_key] = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    return _opened[public_key]


def _alone() -> None:
    """One at a time makes a key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('bastion.portal_key'))")
