"""The work itself: begun only when every gate is passed, verified, tested by the customer, signed off; or undone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import is_customer_pm
from changes import gates, messages, states
from changes.models import Change, ChangeGate, ChangeKind, ChangeState
from changes.permissions import may_ever, may_overrule
from changes.services import evidence, facts, following, runs
from changes.services.marks import Kind, allowed, finish, hold, required
from changes.states import Verb
from incidents.duty import eligible_assignees
from incidents.services import requests

EMERGENCY_WINDOW: Final = timedelta(hours=2)
"""How long the alarms of an emergency's assets stay quiet when nobody named a window."""


@transaction.atomic
def begin(*, change: Change, actor: User, now: datetime) -> Change:
    """Start the work. The gates are read once more, under the lock: what fell since stops it here."""
    if not may_ever(actor, Verb.BEGIN):
        raise PermissionDenied
    change = hold(change)
    lacks = gates.missing(facts.gather(change, now=now)) if change.stage in states.GATED else ()
    if not lacks and change.stage in states.GATED:
        change.state = ChangeState.READY  # a freeze may have ended since anybody looked
    if lacks:
        raise DomainError(
            _("%(number)s cannot begin: “%(gate)s” is not passed.")
            % {"number": change.number, "gate": ChangeGate(lacks[0].gate).label},
            code="gate_closed",
        )
    transition = allowed(Verb.BEGIN, change, actor)
    if change.kind != ChangeKind.EMERGENCY:
        _in_window(change, now)
    elif change.ends_at is None or change.ends_at <= now:
        change.starts_at, change.ends_at = now, now + EMERGENCY_WINDOW
    change.state = ChangeState(transition.target or change.state)
    change.gate, change.begun_at = "", now
    change.owner = change.owner or actor
    finish(change, Kind.BEGUN, actor=actor, now=now)
    following.go_on(change, now=now)
    messages.begun(change, actor, now=now)
    return change


@transaction.atomic
def finish_work(*, change: Change, result: str, actor: User, now: datetime) -> Change:
    """It is done and verified; now the customer tests (R94)."""
    change = hold(change)
    transition = allowed(Verb.FINISH, change, actor)
    runs.must_have_ended(change)
    evidence.must_be_checked(change)
    change.state = ChangeState(transition.target or change.state)
    change.result = required(result, _("Please write what was done and how it was verified."))
    change.finished_at = now
    finish(change, Kind.FINISHED, actor=actor, now=now, body=change.result)
    following.stop(change, now=now)
    messages.finished(change, actor, now=now)
    return change


@transaction.atomic
def fail(*, change: Change, reason: str, actor: User, now: datetime) -> Change:
    """It went wrong: it has to be undone."""
    change = hold(change)
    transition = allowed(Verb.FAIL, change, actor)
    change.state = ChangeState(transition.target or change.state)
    change.finished_at = change.finished_at or now
    change.failure = reason = required(reason, _("Please write what went wrong."))
    finish(change, Kind.FAILED, actor=actor, now=now, body=reason)
    following.review_later(change, now=now)
    messages.failed(change, actor, reason, now=now)
    return change


@transaction.atomic
def roll_back(*, change: Change, result: str, verified_by: User, actor: User, now: datetime) -> Change:
    """It is as before: all that follows on a failure was looked at, and somebody of either side has verified it."""
    change = hold(change)
    transition = allowed(Verb.ROLL_BACK, change, actor)
    runs.must_have_ended(change)
    evidence.must_be_checked(change)
    if not verifiers(change).filter(pk=verified_by.pk).exists():
        raise DomainError(_("Only one of ours or of the customer's people verifies it."), code="not_theirs")
    change.verified_by = verified_by
    change.state = ChangeState(transition.target or change.state)
    change.result = required(result, _("Please write how it was undone and how you saw that it is as before."))
    change.ended_at = now
    finish(change, Kind.ROLLED_BACK, actor=actor, now=now, body=change.result, data={"verified": verified_by.name})
    following.stop(change, now=now)
    following.review_later(change, now=now)
    messages.rolled_back(change, actor, now=now)
    return change


def verifiers(change: Change) -> QuerySet[User]:
    """Who can say that something is as before: whoever works for the customer, and its own people."""
    theirs = User.objects.filter(customer=change.customer_id, is_active=True)
    ours = eligible_assignees(change.customer_id).values("pk")
    return User.objects.filter(Q(pk__in=ours) | Q(pk__in=theirs.values("pk"))).order_by("-role", "name")


@transaction.atomic
def sign_off(*, change: Change, words: str, actor: User, now: datetime) -> Change:
    """The customer has tested it and is content: it is closed."""
    change = hold(change)
    transition = allowed(Verb.SIGN_OFF, change, actor)
    _may_sign_off(change, actor)
    change.state = ChangeState(transition.target or change.state)
    change.ended_at, change.signed_off_by = now, actor
    finish(change, Kind.SIGNED_OFF, actor=actor, now=now, body=words)
    if change.incident is not None:
        requests.note_change(incident=change.incident, actor=actor, now=now)
    following.stop(change, now=now)
    following.review_later(change, now=now)
    messages.signed_off(change, actor, now=now)
    return change


@transaction.atomic
def object_to(*, change: Change, words: str, actor: User, now: datetime) -> Change:
    """The customer has tested it and it is not right."""
    change = hold(change)
    transition = allowed(Verb.OBJECT, change, actor)
    _may_sign_off(change, actor)
    change.state = ChangeState(transition.target or change.state)
    change.failure = words = required(words, _("Please write what is not right."))
    finish(change, Kind.OBJECTED, actor=actor, now=now, body=words)
    following.review_later(change, now=now)
    messages.failed(change, actor, words, now=now)
    return change


@transaction.atomic
def review(*, change: Change, words: str, actor: User, now: datetime, unsigned: str = "") -> Change:
    """An emergency is looked at again: was it one, and what would spare the next?

    The spoken yes that it began on is signed by then, or `unsigned` says why it never was.
    """
    change = hold(change)
    allowed(Verb.REVIEW, change, actor)
    if not may_overrule(actor):
        raise PermissionDenied
    if not change.needs_review:
        raise DomainError(_("There is nothing to review."), code="nothing_to_review")
    change.review = required(words, _("Please write what the review found."))
    data: dict[str, object] = {}
    if change.lacks_signature:
        if not unsigned.strip():
            raise DomainError(
                _(
                    "The customer's spoken yes is not signed (%(state)s). Ask for the signature, or write why it was "
                    "never given. Nothing was saved."
                )
                % {"state": change.signature_text},
                code="not_signed",
            )
        change.unsigned_reason = unsigned.strip()
        data["unsigned"] = change.unsigned_reason
    change.reviewed_at, change.reviewed_by = now, actor
    finish(change, Kind.REVIEWED, actor=actor, now=now, body=change.review, data=data)
    following.review_later(change, now=now)
    return change


@transaction.atomic
def remind_of_review(*, change_id: int, now: datetime) -> None:
    """The timer of an emergency that was not looked at again: the managers are told, and once more a day later."""
    found = Change.objects.filter(pk=change_id).first()
    if found is None:
        return
    change = hold(found)
    following.review_later(change, now=now)
    if change.needs_review:
        messages.review_wanted(change, following.managers(()), now=now)


@transaction.atomic
def window_is_over(*, change_id: int, now: datetime) -> None:
    """The timer at the end of the window: work that still goes on is told to whoever answers for it."""
    found = Change.objects.filter(pk=change_id).first()
    if found is None:
        return
    change = hold(found)
    if change.ends_at is None or change.ends_at > now:
        return
    if change.state == ChangeState.EXECUTING:
        messages.overran(change, now=now)
    elif change.state in (ChangeState.READY, ChangeState.PREPARING):
        following.go_on(change, now=now)
        messages.missed_window(change, now=now)


def _in_window(change: Change, now: datetime) -> None:
    starts, ends = change.starts_at, change.ends_at
    if starts is None or ends is None or not starts <= now < ends:
        span = "" if starts is None or ends is None else f"{_short(starts)} – {_short(ends)}"
        raise DomainError(
            _("%(number)s may begin within its window only: %(span)s.") % {"number": change.number, "span": span},
            code="outside_window",
        )


def _may_sign_off(change: Change, actor: User) -> None:
    """The person whom the customer named for the test, or one of its project managers."""
    if actor.pk != change.customer_owner_id and not is_customer_pm(actor):
        raise PermissionDenied


def _short(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%m-%d %H:%M}"
