"""Secret addresses of the roster for calendar programs: given, read, revoked."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction

from accounts import audit, scope
from accounts.ical import Event
from accounts.models import RosterFeed, User
from accounts.permissions import is_manager
from accounts.services import roster

BACK: Final = timedelta(days=30)
AHEAD: Final = timedelta(days=100)
WHY: Final = "a calendar address belongs to a person of the provider"


@transaction.atomic
def give(*, person: User, what: str, now: datetime) -> tuple[RosterFeed, str]:
    """A new address; its token is in this answer and never again."""
    if not person.is_provider:
        raise PermissionDenied
    token = secrets.token_urlsafe(32)
    with scope.platform(WHY):
        feed = RosterFeed.objects.create(
            user=person, what=RosterFeed.What(what), token_hash=_digest(token), created_at=now
        )
        audit.record(action="feed.give", actor=person, customer=None, obj=feed, detail={"what": what}, now=now)
    return feed, token


def of(person: User) -> list[RosterFeed]:
    """One's own addresses; managers see everybody's, to end one that got about."""
    with scope.platform(WHY):
        rows = RosterFeed.objects.filter(revoked_at=None).select_related("user")
        return list(rows if is_manager(person) else rows.filter(user=person))


@transaction.atomic
def revoke(*, feed: RosterFeed, actor: User, now: datetime) -> None:
    """Nobody reads this address any more. Doing it twice changes nothing."""
    if feed.user_id != actor.pk and not is_manager(actor):
        raise PermissionDenied
    with scope.platform(WHY):
        if RosterFeed.objects.filter(pk=feed.pk, revoked_at=None).update(revoked_at=now):
            audit.record(action="feed.revoke", actor=actor, customer=None, obj=feed, now=now)


def find(token: str, *, now: datetime) -> RosterFeed | None:
    """The feed of a token whose owner still works here; notes that it was read."""
    with scope.platform(WHY):
        rows = RosterFeed.objects.filter(token_hash=_digest(token), revoked_at=None, user__is_active=True)
        feed = rows.select_related("user").first()
        if feed is None or not feed.user.is_provider:
            return None
        RosterFeed.objects.filter(pk=feed.pk).update(last_read_at=now)
        return feed


def events(feed: RosterFeed, *, now: datetime) -> list[Event]:
    """The shifts that the owner of a feed may see: their own, or those of the whole team."""
    with scope.user(feed.user):
        return [
            Event(
                uid=f"{span.shift.pk}-{span.starts_at:%Y%m%d%H%M}@rdmp",
                starts_at=span.starts_at,
                ends_at=span.ends_at,
                summary=_summary(feed, span),
            )
            for span in roster.everywhere(start=now - BACK, end=now + AHEAD)
            if feed.what == RosterFeed.What.TEAM or span.user.pk == feed.user_id
        ]


def _summary(feed: RosterFeed, span: roster.Span) -> str:
    duty = str(span.shift.get_duty_display())
    whose = f" · {span.shift.customer}" if span.shift.customer else ""
    if feed.what == RosterFeed.What.TEAM:
        return f"{duty} · {span.user.name}{whose}"
    return f"{duty}{whose}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
