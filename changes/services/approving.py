"""Approval level by level (R93): a word is given once, in the portal or by a link; who does not answer is reminded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Role, User
from accounts.permissions import can_write, is_customer_pm, is_manager
from changes import approval, messages
from changes.catalogue import Duty, Needs
from changes.gates import Word
from changes.models import ApprovalLevel, ApprovalVote, Change, Delegation, DelegationQuerySet
from changes.services import facts, following
from changes.services.marks import Kind, allowed, finish, hold, required, write
from changes.states import GATED, Verb

Channel = ApprovalVote.Channel


@transaction.atomic
def decide(
    *,
    change: Change,
    is_yes: bool,
    words: str,
    actor: User,
    now: datetime,
    channel: str = Channel.PORTAL,
    ip: str | None = None,
    level_id: int | None = None,
) -> ApprovalVote:
    """Give the word that is wanted of this person now: their own, or that of whoever delegated to them.

    `level_id`: the level that a link was about; it must be the one whose turn it is.
    """
    change = hold(change)
    allowed(Verb.DECIDE, change, actor)
    levels = facts.levels(change)
    rounds = [facts.as_round(level) for level in levels]
    place = approval.open_level(rounds, change.authors)
    if place is None or (level_id is not None and levels[place].pk != level_id):
        raise DomainError(
            _("Nobody is asked to decide on %(number)s now.") % {"number": change.number}, code="not_asked"
        )
    voter = approval.may_decide(rounds, place, actor.pk, change.authors, principals_of(actor, now))
    if voter is None or not can_write(actor):
        raise PermissionDenied
    words = words.strip() if is_yes else required(words, _("Please say why: the service team reads it."))
    vote = ApprovalVote.objects.create(
        customer_id=change.customer_id,
        level=levels[place],
        voter_id=voter,
        person=actor,
        is_yes=is_yes,
        words=words,
        at=now,
        channel=Channel(channel),
        ip=ip,
    )
    spoken_for = "" if voter == actor.pk else vote.voter.name
    data = {"duty": levels[place].duty, "yes": is_yes, "for": spoken_for, "by": channel}
    finish(change, Kind.DECIDED, actor=actor, now=now, body=words, data=data)
    _next(change, now)
    if not is_yes:
        messages.refused(change, actor, words, now=now)
    return vote


@transaction.atomic
def ask_again(*, change: Change, actor: User, now: datetime) -> Change:
    """After a refusal, or when nobody answered: everybody is asked once more. What the customer signed stays signed."""
    change = hold(change)
    allowed(Verb.EDIT, change, actor)
    said = approval.outcome(facts.rounds(change), change.authors)
    if said not in (Word.NO, Word.LAPSED):
        raise DomainError(_("The approvers have been asked already."), code="asked")
    change.approval_round += 1
    finish(change, Kind.ASKED, actor=actor, now=now, data={"again": True})
    following.go_on(change, now=now)
    return change


@transaction.atomic
def remind(*, level_id: int, now: datetime) -> None:
    """The timer of a level: its people are reminded and others may decide as well; the next time it lapses."""
    found = ApprovalLevel.objects.select_related("change").filter(pk=level_id).first()
    if found is None:
        return
    change = hold(found.change)
    levels = facts.levels(change)
    rounds = [facts.as_round(level) for level in levels]
    place = approval.open_level(rounds, change.authors)
    if place is None or levels[place].pk != level_id or change.stage not in GATED:
        return
    level = levels[place]
    if level.asked_at is None or level.due_at is None:
        return
    if level.reminded_at is None:
        _widen(change, level, approval.barred(rounds, place, change.authors), now)
        return
    level.lapsed_at = now
    level.save(update_fields=["lapsed_at"])
    finish(change, Kind.LAPSED, actor=None, now=now, data={"duty": level.duty})
    messages.lapsed(change, level, now=now)
    following.go_on(change, now=now)


def _widen(change: Change, level: ApprovalLevel, barred: Collection[int], now: datetime) -> None:
    """Nobody answered: the second project manager, and on our side every manager, may decide from now on."""
    assert level.due_at is not None and level.asked_at is not None  # noqa: S101, PT018 - the caller has looked
    if level.duty == Duty.CUSTOMER:
        others = following.customer_managers(change.customer_id, both=True)
    else:
        others = following.managers(barred)
    if level.needs == Needs.ANY:
        level.deciders = list(dict.fromkeys([*level.deciders, *others]))
    level.reminded_at = now
    level.due_at = now + (level.due_at - level.asked_at)
    level.save(update_fields=["deciders", "reminded_at", "due_at"])
    following.remind_at(level, level.due_at)
    write(change, Kind.ASKED, actor=None, now=now, data={"duty": level.duty, "people": following.names(level.deciders)})
    messages.decision_wanted(change, level, now=now)


def _next(change: Change, now: datetime) -> None:
    levels = facts.levels(change)
    words = approval.verdicts([facts.as_round(level) for level in levels], change.authors)
    for level, word in zip(levels, words, strict=True):
        if word is not Word.PENDING:
            following.forget(level)
    following.go_on(change, now=now)


def principals_of(person: User, now: datetime) -> list[int]:
    """Those who delegated their word to this person for today, by id."""
    today = timezone.localdate(now)
    with scope.platform("who speaks for whom"):
        rows = Delegation.objects.on(today).filter(delegate=person, principal__is_active=True)
        return list(rows.order_by("pk").values_list("principal_id", flat=True))


def waiting_for(person: User, *, now: datetime) -> list[Change]:
    """The changes that wait for this person's word, the oldest question first."""
    rows = ApprovalLevel.objects.current().filter(change__state__in=sorted(GATED))
    levels_of: dict[int, list[ApprovalLevel]] = defaultdict(list)
    for level in rows.select_related("change__customer").prefetch_related("votes").order_by("position"):
        levels_of[level.change_id].append(level)
    principals, found = principals_of(person, now), []
    for levels in levels_of.values():
        rounds, change = [facts.as_round(level) for level in levels], levels[0].change
        place = approval.open_level(rounds, change.authors)
        asked_at = None if place is None else levels[place].asked_at
        if place is None or asked_at is None:
            continue
        if approval.may_decide(rounds, place, person.pk, change.authors, principals) is not None:
            found.append((asked_at, levels[place].pk, change))
    return [change for _asked_at, _pk, change in sorted(found, key=lambda one: one[:2])]


@transaction.atomic
def delegate(
    *, principal: User, delegate: User, begins_on: date, ends_on: date, actor: User, now: datetime
) -> Delegation:
    """Let somebody of the same side decide in one's place.

    For somebody who is ill a manager of ours does it, or one of the customer's project managers; that person is told.
    Nobody takes another's word for themself.
    """
    if not may_delegate_for(actor, principal):
        raise PermissionDenied
    if actor.pk != principal.pk and actor.pk == delegate.pk:
        raise DomainError(_("Nobody takes another's word for themself: please choose a third person."), code="own_gain")
    if ends_on < begins_on or ends_on < timezone.localdate(now):
        raise DomainError(_("All of it lies in the past, or it ends before it begins."), code="bad_days")
    if principal.customer_id != delegate.customer_id or not can_write(delegate) or not delegate.is_active:
        raise DomainError(_("Only somebody of the same side can decide for you."), code="other_side")
    if principal.pk == delegate.pk:
        raise DomainError(_("Please choose somebody else."), code="same_person")
    with scope.platform("who speaks for whom"):
        made = Delegation.objects.create(
            customer_id=principal.customer_id,
            principal=principal,
            delegate=delegate,
            begins_on=begins_on,
            ends_on=ends_on,
            made_by=actor,
            made_at=now,
        )
        detail = {"of": principal.pk, "to": delegate.pk, "from": str(begins_on), "until": str(ends_on)}
        audit.record(
            action="approval.delegate", actor=actor, customer=principal.customer, obj=made, detail=detail, now=now
        )
        if actor.pk != principal.pk:
            messages.delegated(made, now=now)
    return made


def may_delegate_for(actor: User, principal: User) -> bool:
    """For oneself; else a manager for our own people, and a project manager for the own company's."""
    if not can_write(actor) or not can_write(principal):
        return False
    if actor.pk == principal.pk:
        return True
    leads = is_manager(actor) if principal.is_provider else is_customer_pm(actor)
    return leads and actor.customer_id == principal.customer_id and principal.is_active


def delegations_of(person: User) -> DelegationQuerySet:
    """Those that this person may end: one's own, and of whom one may speak for. Needs the platform's scope."""
    mine = Q(principal=person) | Q(made_by=person)
    leads = is_manager(person) or is_customer_pm(person)
    side = Q(customer=person.customer_id) if person.customer_id else Q(customer__isnull=True)
    rows: DelegationQuerySet = Delegation.objects.filter(mine | side if leads else mine)
    return rows.select_related("principal", "delegate", "made_by")


def delegates_for(person: User) -> QuerySet[User]:
    """Whom this person may speak for when they are ill: everybody of the own side who decides at all."""
    rows = User.objects.filter(is_active=True, customer=person.customer_id).exclude(pk=person.pk)
    if not (is_manager(person) or is_customer_pm(person)):
        return rows.none()
    return rows.exclude(role=Role.CUSTOMER_VIEWER).order_by("name")


@transaction.atomic
def end_delegation(*, delegation: Delegation, actor: User, now: datetime) -> Delegation:
    """Decide by oneself again."""
    if actor.pk != delegation.made_by_id and not may_delegate_for(actor, delegation.principal):
        raise PermissionDenied
    with scope.platform("who speaks for whom"):
        delegation = Delegation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=delegation.pk)
        if delegation.ended_at is None:
            delegation.ended_at = now
            delegation.save(update_fields=["ended_at"])
            audit.record(
                action="approval.end_delegation", actor=actor, customer=delegation.customer, obj=delegation, now=now
            )
    return delegation
