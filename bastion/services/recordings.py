"""Pieces of recordings as they arrive: checked against the node's signature and the chain, kept, signed once more."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from bastion.gateway.recording import chain
from bastion.gateway.recording.chain import Signed
from bastion.models import BastionSession, Node, RecordingPiece

LARGEST: Final = 8 * 1024 * 1024
NONE_BEFORE: Final = ""


def take(*, node: Node, link: bytes, data: bytes, now: datetime) -> RecordingPiece:
    """Keep one piece. What was kept already is answered as if it were new.

    Raises DomainError: "bad_piece" for what is not what the node signed or does not follow on what is here,
    "unknown_session".
    """
    try:
        signed = chain.read(link)
    except ValueError:
        raise _bad("link") from None
    session = _session(node, signed.link.session_id)
    _check(node, signed, data)
    known = RecordingPiece.objects.filter(session=session, number=signed.link.number).first()
    if known is not None:
        if known.signature != signed.signature:
            raise _bad("twice")
        return known
    return _keep(session, signed, data, now)


def _session(node: Node, session_id: str) -> BastionSession:
    try:
        key = uuid.UUID(session_id)
    except ValueError:
        raise DomainError(_("There is no such session."), code="unknown_session") from None
    found = BastionSession.objects.filter(node=node, uid=key).first()
    if found is None:
        raise DomainError(_("There is no such session."), code="unknown_session")
    return found


def _check(node: Node, signed: Signed, data: bytes) -> None:
    link = signed.link
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(node.public_key))
    if not signed.is_signed_by(key):
        raise _bad("signature")
    if len(data) > LARGEST or len(data) != link.stored_bytes or hashlib.sha256(data).hexdigest() != link.sha256:
        raise _bad("bytes")


def _keep(session: BastionSession, signed: Signed, data: bytes, now: datetime) -> RecordingPiece:
    link = signed.link
    before = RecordingPiece.objects.filter(session=session).order_by("-number").first()
    expected = (1, NONE_BEFORE) if before is None else (before.number + 1, _hash_of(before))
    if link.number != expected[0] or (before is not None and link.previous != expected[1]):
        raise _bad("chain")
    name = default_storage.save(
        f"recordings/{session.customer_id}/{session.uid}/{link.number:06d}.cast.zst", ContentFile(data)
    )
    piece = RecordingPiece(
        customer_id=session.customer_id,
        session=session,
        number=link.number,
        file=name,
        link=dict(vars(link)),
        signature=signed.signature,
        countersignature=countersign(signed),
        first_s=link.first_s,
        last_s=link.last_s,
        size=link.stored_bytes,
        arrived_at=now,
    )
    try:
        with transaction.atomic():
            piece.save()
    except IntegrityError:
        default_storage.delete(name)
        return RecordingPiece.objects.get(session=session, number=link.number)
    return piece


def countersign(signed: Signed) -> str:
    """The portal's own word that the piece arrived like this: a node's key that leaks later changes nothing here."""
    key = hashlib.sha256(b"bastion.recordings:" + settings.SECRET_KEY.encode()).digest()
    return hmac.new(key, signed.as_json(), hashlib.sha256).hexdigest()


def _hash_of(piece: RecordingPiece) -> str:
    link = chain.Link(**piece.link)
    return link.hash


def _bad(what: str) -> DomainError:
    return DomainError(_("This piece of a recording cannot be taken (%(what)s).") % {"what": what}, code="bad_piece")
