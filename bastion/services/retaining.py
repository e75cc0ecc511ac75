"""How long recordings stay: a customer's rule, holds that somebody has placed, and what goes when its time is over.

The statement of work names no term. The Cybersecurity Law asks for six months of logs (Article 21, 3): nobody can set
less; without a rule it is a year.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import administers, is_admin
from bastion.models import (
    BastionSession,
    FileCopyPart,
    RecordingHold,
    RecordingPiece,
    RecordingPolicy,
    RecordingPurge,
)
from bastion.models.recordings import LARGEST_COPY_MB, LONGEST_DAYS, SHORTEST_DAYS, USUAL_DAYS
from bastion.services import keeping
from bastion.services.keeping import Kept

AT_ONCE = 200
log = logging.getLogger(__name__)


def policy_of(customer: Customer) -> RecordingPolicy:
    """The customer's, or what holds without one (not saved)."""
    found = RecordingPolicy.objects.filter(customer=customer).first()
    return found or RecordingPolicy(customer=customer, keep_days=USUAL_DAYS)


def policies() -> list[RecordingPolicy]:
    """Of all customers in scope, as `policy_of`."""
    kept = {policy.customer_id: policy for policy in RecordingPolicy.objects.select_related("customer")}
    customers = Customer.objects.all()
    return [kept.get(one.pk) or RecordingPolicy(customer=one, keep_days=USUAL_DAYS) for one in customers]


@transaction.atomic
def set_policy(
    *, customer: Customer, keep_days: int, tells_watched: bool, copies_mb: int, actor: User, now: datetime
) -> RecordingPolicy:
    """By the provider's administrators. Running sessions keep to what held before. Raises DomainError: days, copies."""
    if not is_admin(actor):
        raise PermissionDenied
    if not SHORTEST_DAYS <= keep_days <= LONGEST_DAYS:
        text = _("Recordings stay from %(least)s to %(most)s days.")
        raise DomainError(text % {"least": SHORTEST_DAYS, "most": LONGEST_DAYS}, code="days")
    if not 0 <= copies_mb <= LARGEST_COPY_MB:
        raise DomainError(_("Copies are kept of files up to %(most)s MB.") % {"most": LARGEST_COPY_MB}, code="copies")
    before = policy_of(customer)
    wanted = {"keep_days": keep_days, "tells_watched": tells_watched, "copies_mb": copies_mb}
    said = {name: [getattr(before, name), value] for name, value in wanted.items()}
    policy, _made = RecordingPolicy.objects.update_or_create(
        customer=customer, defaults={**wanted, "changed_by": actor, "changed_at": now}
    )
    audit.record(action="bastion.recording.policy", actor=actor, customer=customer, obj=policy, detail=said, now=now)
    return policy


def hold_of(session: BastionSession) -> RecordingHold | None:
    rows = RecordingHold.objects.select_related("placed_by")
    return rows.filter(session=session, lifted_at=None).first()


@transaction.atomic
def hold(*, session: BastionSession, reason: str, actor: User, now: datetime) -> RecordingHold:
    """Raises DomainError("reason", "held", "purged")."""
    if not administers(actor, session.customer_id):
        raise PermissionDenied
    audit.hold(session.customer_id)
    _lock(session)
    reason = " ".join(reason.split())[:300]
    if not reason:
        raise DomainError(_("Please say why the recording has to stay."), code="reason")
    if RecordingPurge.objects.filter(session=session).exists() or not _stays(session):
        raise DomainError(_("The recording has gone already."), code="purged")
    try:
        with transaction.atomic():
            placed = RecordingHold.objects.create(
                customer_id=session.customer_id, session=session, reason=reason, placed_by=actor, placed_at=now
            )
    except IntegrityError:
        raise DomainError(_("The recording is held already."), code="held") from None
    detail = {"reason": reason}
    audit.record(
        action="bastion.recording.hold", actor=actor, customer=session.customer, obj=session, detail=detail, now=now
    )
    return placed


def may_lift(person: User, session: BastionSession) -> bool:
    """Never on one's own session. What the provider has placed, the provider's administrators lift."""
    if session.person_id == person.pk or not administers(person, session.customer_id):
        return False
    placed = hold_of(session)
    return placed is None or not placed.placed_by.is_provider or is_admin(person)


@transaction.atomic
def lift(*, session: BastionSession, actor: User, now: datetime) -> None:
    """Raises DomainError("not_held")."""
    audit.hold(session.customer_id)
    _lock(session)
    if not may_lift(actor, session):
        raise PermissionDenied
    if not RecordingHold.objects.filter(session=session, lifted_at=None).update(lifted_at=now, lifted_by=actor):
        raise DomainError(_("The recording is not held."), code="not_held")
    audit.record(action="bastion.recording.lift", actor=actor, customer=session.customer, obj=session, now=now)


def due(customer: Customer, *, now: datetime) -> QuerySet[BastionSession]:
    """Sessions whose recording or copies have been kept for long enough, are not held, and are still there.

    A node says when a session ended; by when its pieces arrived, the portal knows better.
    """
    until = now - timedelta(days=policy_of(customer).keep_days)
    of = {"session": OuterRef("pk")}
    rows: QuerySet[BastionSession] = BastionSession.objects.filter(
        Exists(RecordingPiece.objects.filter(**of)) | Exists(FileCopyPart.objects.filter(**of)),
        ~Exists(RecordingPurge.objects.filter(**of)),
        ~Exists(RecordingHold.objects.filter(**of, lifted_at=None)),
        ~Exists(RecordingPiece.objects.filter(**of, arrived_at__gte=until)),
        customer=customer,
        state=BastionSession.State.ENDED,
        ended_at__lt=until,
    )
    return rows.order_by("ended_at", "pk")


def purge(*, customer: Customer, now: datetime) -> int:
    """Some of what is due; how many recordings went. Broken off anywhere, the next run finishes it."""
    keep_days, count = policy_of(customer).keep_days, 0
    for session in due(customer, now=now)[:AT_ONCE]:
        try:
            count += _purge(session, keep_days, now)
        except OSError as problem:
            log.error("the recording of session %s cannot be removed: %s", session.uid, problem)
    return count


def _purge(session: BastionSession, keep_days: int, now: datetime) -> bool:
    """The bytes go first: a row that says so is true whenever it is there. Nobody waits for storage meanwhile."""
    with _going(session) as is_ours:
        if not is_ours or (pieces := _claim(session, now)) is None:
            return False
        keeping.remove_all(pieces)
        _write_purge(session, pieces, keep_days, now)
    return True


@contextmanager
def _going(session: BastionSession) -> Generator[bool]:
    """Until the end of this nobody else purges it or places a hold; the lock ends with a process that dies."""
    key = [session.pk % 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('purge'), %s)", key)
        is_ours = bool(cursor.fetchone()[0])
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('purge'), %s)", key)


def _stays(session: BastionSession) -> bool:
    """It is not about to go, and will not before this transaction is over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('purge'), %s)", [session.pk % 2**31])
        return bool(cursor.fetchone()[0])


@transaction.atomic
def _claim(session: BastionSession, now: datetime) -> list[Kept] | None:
    _lock(session)
    if not due(session.customer, now=now).filter(pk=session.pk).exists():
        return None
    rows = (model.objects.filter(session=session).select_related("session") for model in (RecordingPiece, FileCopyPart))
    return [kept for found in rows for kept in found]


@transaction.atomic
def _write_purge(session: BastionSession, pieces: list[Kept], keep_days: int, now: datetime) -> None:
    audit.hold(session.customer_id)
    size = sum(piece.size for piece in pieces)
    RecordingPurge.objects.create(
        customer_id=session.customer_id,
        session=session,
        keep_days=keep_days,
        pieces=len(pieces),
        size=size,
        purged_at=now,
    )
    detail = {"keep_days": keep_days, "pieces": len(pieces), "bytes": size}
    audit.record(
        action="bastion.recording.purge", actor=None, customer=session.customer, obj=session, detail=detail, now=now
    )


def _lock(session: BastionSession) -> None:
    BastionSession.objects.select_for_update(of=("self",)).get(pk=session.pk)
