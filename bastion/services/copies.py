"""Copies of files that went through a session, where a customer wants them: sealed and kept as recordings are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, secrets
from accounts.errors import DomainError
from accounts.models import User
from bastion.gateway import copies as node_side
from bastion.gateway import wire
from bastion.models import BastionSession, FileCopyPart, FileTransfer, Node, RecordingPurge
from bastion.models.recordings import LARGEST_COPY_MB
from bastion.services import authorising, keeping
from bastion.services.recordings import NoRoom, session_of
from bastion.services.regimes import MEGABYTE

MOST_PARTS: Final = LARGEST_COPY_MB * MEGABYTE // node_side.PART + 1
MOST_COPIES: Final = 1_000_000


@transaction.atomic
def take(*, node: Node, said: wire.CopyPart, data: bytes, now: datetime) -> FileCopyPart:
    """Keep one part; one that is here already stays as it is. Raises DomainError: unknown_session, bad_part, purged.

    Raises NoRoom.
    """
    session = session_of(node, said.session)
    if not (1 <= said.copy <= MOST_COPIES and 1 <= said.part <= MOST_PARTS and len(data) <= node_side.PART):
        raise DomainError(_("This part of a copy cannot be taken."), code="bad_part")
    if RecordingPurge.objects.filter(session=session).exists():
        raise DomainError(_("The recording has gone already."), code="purged")
    known: FileCopyPart | None = FileCopyPart.objects.filter(session=session, copy=said.copy, number=said.part).first()
    if known is not None:
        return known
    part = FileCopyPart(
        customer_id=session.customer_id,
        session=session,
        copy=said.copy,
        number=said.part,
        size=len(data),
        arrived_at=now,
    )
    part.file = f"copies/{session.customer_id}/{session.uid}/{said.copy:06d}-{said.part:06d}.sealed"
    try:
        keeping.store().put(part.file, secrets.key_ring().seal_bytes(data, bound_to=part.bound_to))
    except OSError as problem:
        raise NoRoom(str(problem)) from None
    part.save()
    return part


def may_fetch(person: User, session: BastionSession) -> bool:
    """Whoever may watch somebody else's: a person whose right has ended does not fetch their files here."""
    return session.person_id != person.pk and authorising.may_watch(person, session)


def parts_of(transfer: FileTransfer) -> list[FileCopyPart]:
    """Empty while they have not all arrived, and when they have gone."""
    if not transfer.kept_as.isdecimal() or RecordingPurge.objects.filter(session=transfer.session_id).exists():
        return []
    rows = FileCopyPart.objects.select_related("session").filter(session=transfer.session_id, copy=transfer.kept_as)
    parts = list(rows.order_by("number"))
    is_whole = [part.number for part in parts] == list(range(1, len(parts) + 1))
    return parts if is_whole and sum(part.size for part in parts) == transfer.size else []


def fetch(*, transfer: FileTransfer, actor: User, now: datetime) -> Iterator[bytes]:
    """The file, checked before its first byte is given out. Raises DomainError("gone")."""
    parts = parts_of(transfer)
    digest = hashlib.sha256()
    try:
        for part in parts:
            digest.update(keeping.get(part))
    except keeping.Gone:
        parts = []
    if not parts or digest.hexdigest() != transfer.sha256:
        raise DomainError(_("The copy of this file is not here, or not what passed."), code="gone")
    session = transfer.session
    detail = {"path": transfer.path, "sha256": transfer.sha256}
    audit.record(
        action="bastion.file.fetch", actor=actor, customer=session.customer, obj=session, detail=detail, now=now
    )
    return (keeping.get(part) for part in parts)
