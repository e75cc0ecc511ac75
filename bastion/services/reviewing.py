"""Commands that a session holds back, and sessions, until whoever administers the server has said yes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import administers, is_administrator
from bastion import messages, policy
from bastion.gateway import wire
from bastion.gateway.contract import Judged
from bastion.models import BastionSession, CommandReview, Node, SessionShare
from bastion.models.rules import LOGIN, CommandReviewQuerySet
from bastion.permissions import looked_after
from bastion.services import admitting, authorising, living
from notify import live

STATES: Final = CommandReview.State
LONGEST_TEXT: Final = 100_000
LONGEST_WAIT_S: Final = 3600.0
MARGIN: Final = timedelta(seconds=3)
"""The page closes before the node gives up, so that nobody allows what is denied already."""


@transaction.atomic
def ask(*, node: Node, said: wire.ForReview, now: datetime) -> CommandReview:
    """A node holds a command back, or a whole session that somebody has to let in.

    Raises DomainError for a session that is not the node's, or is over.
    """
    session = _session(node, said.session)
    audit.hold(session.customer_id)
    if said.command == LOGIN:
        text, rule = session.work, None
    else:
        text = said.text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:LONGEST_TEXT]
        rule = policy.judge(text, admitting.rules_of([session.asset])[session.asset_id]).rule
    until = now + timedelta(seconds=min(max(said.timeout_s, 0.0), LONGEST_WAIT_S)) - MARGIN
    review, is_new = CommandReview.objects.get_or_create(
        session=session,
        number=said.command,
        defaults={
            "customer_id": session.customer_id,
            "text": text,
            "rule_id": None if rule is None else rule.id,
            "asked_at": now,
            "until": until,
        },
    )
    if is_new:
        _write(review, f"bastion.{_kind(review)}", session.person, now)
        messages.review_wanted(review, now=now)
    return review


@transaction.atomic
def answer(*, review: CommandReview, is_allowed: bool, words: str, actor: User, now: datetime) -> CommandReview:
    """Of two who answer at once the first counts."""
    review = _hold(review)
    if not may_answer(actor, review):
        raise PermissionDenied
    if not review.is_open(now):
        raise DomainError(_("It is settled already, or the time was up."), code="settled")
    _settle(review, STATES.ALLOWED if is_allowed else STATES.DENIED, words, actor, now)
    living.tell(review.session, Judged(review.number, is_allowed, actor.name, review.words))
    return review


def settle_late(*, now: datetime) -> None:
    """What nobody has answered in time, or whose session is over."""
    late = Q(until__lte=now) | Q(session__state=BastionSession.State.ENDED)
    for review in CommandReview.objects.waiting().filter(late).order_by("pk"):
        _lapse(review, now)


@transaction.atomic
def _lapse(review: CommandReview, now: datetime) -> None:
    review = _hold(review)
    if review.state == STATES.WAITING:
        _settle(review, STATES.LAPSED, "", None, now)


def may_answer(actor: User, review: CommandReview) -> bool:
    """Whoever administers the server. Nobody lets themselves: neither who began the session nor a guest who typed."""
    if review.session.person_id == actor.pk or _typed(actor).filter(session=review.session_id).exists():
        return False
    return administers(actor, review.customer_id) or authorising.administers_a_group_of(actor, review.session.asset_id)


def waiting_for(person: User, *, now: datetime) -> CommandReviewQuerySet:
    """Those that somebody may answer now, as `may_answer`. Within their scope."""
    typed = _typed(person).filter(session=OuterRef("session"))
    return seen_by(person).waiting().filter(~Exists(typed), until__gt=now).exclude(session__person=person)


def _typed(person: User) -> QuerySet[SessionShare]:
    """In whose sessions somebody was a guest who could type."""
    rows: QuerySet[SessionShare] = SessionShare.objects.filter(guest=person, may_type=True).exclude(joined_at=None)
    return rows


def seen_by(person: User) -> CommandReviewQuerySet:
    """Those that one may answer, and those of one's own sessions. Within their scope."""
    rows: CommandReviewQuerySet = CommandReview.objects.all()
    if is_administrator(person):
        return rows
    return rows.filter(Q(session__person=person) | Q(session__asset__in=looked_after(person).values("asset")))


def _session(node: Node, uid: str) -> BastionSession:
    rows = BastionSession.objects.joined().select_related("asset__customer").filter(node=node).called(uid)
    session: BastionSession | None = rows.exclude(state=BastionSession.State.ENDED).first()
    if session is None:
        raise DomainError("no such session", code="unknown_session")
    return session


def _hold(review: CommandReview) -> CommandReview:
    audit.hold(review.customer_id)
    rows = CommandReview.objects.select_for_update(no_key=True, of=("self",)).joined()
    held: CommandReview = rows.get(pk=review.pk)
    return held


def _settle(review: CommandReview, state: str, words: str, actor: User | None, now: datetime) -> None:
    review.state, review.decided_at, review.decided_by, review.words = state, now, actor, words.strip()[:300]
    review.save()
    _write(review, f"bastion.{_kind(review)}.{state}", actor, now)


def _kind(review: CommandReview) -> str:
    return "consent" if review.is_login else "review"


def _write(review: CommandReview, action: str, actor: User | None, now: datetime) -> None:
    what = "work" if review.is_login else "command"
    detail = {what: review.text[:2000], "session": str(review.session.uid), "words": review.words}
    audit.record(action=action, actor=actor, customer=review.customer, obj=review, detail=detail, now=now)
    live.publish(customer_id=review.customer_id, topic="bastion", object_id=review.pk)
