"""Looking on at a session while it runs: who may, what they see first, and what is said to whom it is about."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.cache import cache
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from bastion.gateway.contract import Say, Watch
from bastion.models import BastionSession, RecordingPiece
from bastion.services import authorising, keeping, living, retaining

MOST_BEFORE: Final = 8
"""Pieces that are read at most for the first sight: where no screen was drawn, the last of the text."""
AT_ONCE: Final = 16
TOLD_FOR_S: Final = 600
"""Whoever comes back within ten minutes is not announced again."""


@dataclass(frozen=True)
class Part:
    """`offset` of the recording's plain text at which `plain` begins."""

    offset: int
    plain: bytes


def watched(person: User, pk: int) -> BastionSession | None:
    """The session, when it runs and this person may look on. Within their scope."""
    session: BastionSession | None = BastionSession.objects.joined().online().filter(pk=pk).first()
    return session if session is not None and authorising.may_watch(person, session) else None


def exists(person: User, pk: int) -> bool:
    """It is over, and this person may know."""
    session = BastionSession.objects.joined().filter(pk=pk).first()
    return session is not None and authorising.may_watch(person, session)


@transaction.atomic
def begin(*, session: BastionSession, person: User, now: datetime) -> None:
    """Write down that somebody looks on, and say so where the customer's rule wants it."""
    audit.record(action="bastion.session.watch", actor=person, customer=session.customer, obj=session, now=now)
    if person.pk != session.person_id and tells(session) and cache.add(_told(session, person), 1, TOLD_FOR_S):
        with translation.override(session.person.language or None):
            words = _("is looking on at this session.")
        living.tell(session, Say(words, person.name))


def note_view(*, session: BastionSession, person: User, now: datetime) -> None:
    """Somebody reads another's commands, files and events."""
    audit.record(action="bastion.session.view", actor=person, customer=session.customer, obj=session, now=now)


def tells(session: BastionSession) -> bool:
    return retaining.policy_of(session.customer).tells_watched


def order(session: BastionSession, watcher: str, *, is_on: bool, offset: int = 0) -> None:
    living.tell(session, Watch(watcher, is_on, offset))


def name() -> str:
    """Of one look at one session: what the node sends comes back under it."""
    return uuid.uuid4().hex


def group_of(watcher: str) -> str:
    return f"watch.{watcher}"


def first_sight(session: BastionSession) -> list[Part]:
    """What is kept from the last whole screen on; the last of the text where there was none."""
    rows = RecordingPiece.objects.select_related("session").filter(session=session).order_by("-number")
    parts: list[Part] = []
    for piece in rows[:MOST_BEFORE]:
        parts.append(_part(piece))
        if piece.has_keyframe:
            break
    return parts[::-1]


def since(session: BastionSession, offset: int) -> list[Part]:
    """What is kept from this byte on, some at a time."""
    rows = RecordingPiece.objects.select_related("session").filter(session=session)
    first = rows.filter(offset__lte=offset).order_by("-number").first()
    if first is None:
        return []
    return [_part(piece) for piece in rows.filter(number__gte=first.number).order_by("number")[:AT_ONCE]]


def _part(piece: RecordingPiece) -> Part:
    try:
        return Part(piece.offset, keeping.plain(piece))
    except keeping.Gone:
        return Part(piece.offset, b"\n" * piece.plain_bytes)


def _told(session: BastionSession, person: User) -> str:
    return f"bastion-watch-told:{session.pk}:{person.pk}"
