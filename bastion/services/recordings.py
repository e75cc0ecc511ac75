"""Pieces of recordings as they arrive: checked against the node's signature and the chain, kept, signed once more."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from bastion.gateway.recording import chain
from bastion.gateway.recording.chain import Link, Signed
from bastion.models import BastionSession, Node, RecordingPiece
from bastion.services import countersigning, keeping

LARGEST: Final = 8 * 1024 * 1024


class NoRoom(Exception):
    """It cannot be kept now: the node keeps it, and sends it again."""


@transaction.atomic
def take(*, node: Node, link: bytes, data: bytes, now: datetime) -> RecordingPiece:
    """Keep one piece. What was kept already is answered as if it were new.

    Raises DomainError: "bad_piece" for what is not what the node signed or does not follow on what is here,
    "unknown_session". Raises NoRoom.
    """
    try:
        signed = chain.read(link)
    except ValueError:
        raise _bad("link") from None
    _check(node, signed, data)
    session = session_of(node, signed.link.session_id)
    known = RecordingPiece.objects.filter(session=session, number=signed.link.number).first()
    if known is not None:
        if known.signature != signed.signature:
            raise _bad("twice")
        return known
    return _keep(session, node, signed, data, now)


def signed_of(piece: RecordingPiece) -> Signed:
    return Signed(Link(**piece.link), piece.signature)


def session_of(node: Node, session_id: str) -> BastionSession:
    """One piece of it at a time; its row stays free for whoever else writes to it while the bytes are put away."""
    found: BastionSession | None = BastionSession.objects.filter(node=node).called(session_id).first()
    if found is None:
        raise DomainError(_("There is no such session."), code="unknown_session")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('recording'), %s)", [found.pk % 2**31])
    return found


def _check(node: Node, signed: Signed, data: bytes) -> None:
    link = signed.link
    if not signed.is_signed_by(countersigning.public_of(node.public_key)):
        raise _bad("signature")
    if len(data) > LARGEST or len(data) != link.stored_bytes or hashlib.sha256(data).hexdigest() != link.sha256:
        raise _bad("bytes")
    if not 0 <= link.plain_bytes <= keeping.MOST_PLAIN or not 0 <= link.first_s <= link.last_s < 1e9:
        raise _bad("size")
    try:
        keeping.unpacked(data, link.plain_bytes)
    except keeping.Gone:
        raise _bad("packing") from None


def _keep(session: BastionSession, node: Node, signed: Signed, data: bytes, now: datetime) -> RecordingPiece:
    link = signed.link
    before = RecordingPiece.objects.filter(session=session).order_by("-number").first()
    if before is None:
        follows = link.number == 1 and link.previous == "" and link.offset == 0
    else:
        last = signed_of(before).link
        follows = (
            link.number == last.number + 1
            and link.previous == last.hash
            and link.offset == last.offset + last.plain_bytes
            and not last.is_last
        )
    if not follows:
        raise _bad("chain")
    try:
        name = keeping.put(session, link.number, data)
    except OSError as problem:
        raise NoRoom(str(problem)) from None
    said = countersigning.statement(signed, node_key=node.public_key, arrived_at=now)
    key, countersignature = countersigning.sign(said, now=now)
    return RecordingPiece.objects.create(
        customer_id=session.customer_id,
        session=session,
        number=link.number,
        file=name,
        link=dict(vars(link)),
        signature=signed.signature,
        node_key=node.public_key,
        countersignature=countersignature,
        portal_key=key,
        first_s=link.first_s,
        last_s=link.last_s,
        offset=link.offset,
        plain_bytes=link.plain_bytes,
        has_keyframe=link.has_keyframe,
        size=link.stored_bytes,
        arrived_at=now,
    )


def _bad(what: str) -> DomainError:
    return DomainError(_("This piece of a recording cannot be taken (%(what)s).") % {"what": what}, code="bad_piece")
