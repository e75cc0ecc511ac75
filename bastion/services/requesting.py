"""Just-in-time access: somebody needs to get in now, for some hours; who looks after the server decides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import administers, can_write, is_administrator
from assets.models import Asset
from bastion import messages
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.models import AccessRequest
from bastion.models.grants import AccessRequestQuerySet
from bastion.permissions import looked_after, works_for
from bastion.services import authorising, granting, living
from bastion.services.granting import Wanted
from notify import live
from timers import services as timers

LAPSE_TASK: Final = "bastion.lapse_request"
SHORTEST, LONGEST = 5, 1440
SHORTEST_REASON: Final = 5
MOST_WAITING: Final = 10
ASKED_FOR: Final = frozenset({Action.CONNECT, Action.UPLOAD, Action.DOWNLOAD, Action.COPY, Action.PASTE})
"""Port forwarding has destinations and sharing lets others in: those are granted, not asked for in a hurry."""
STATES: Final = AccessRequest.State


@dataclass(frozen=True, slots=True)
class Asked:
    account: str
    minutes: int
    reason: str
    actions: Collection[Action] = frozenset({Action.CONNECT})
    protocols: Collection[Protocol] = frozenset({Protocol.SSH})


@transaction.atomic
def ask(*, person: User, asset: Asset, asked: Asked, now: datetime) -> AccessRequest:
    """Raises PermissionDenied for somebody who may only read or works elsewhere; DomainError."""
    audit.hold(asset.customer_id)
    if not can_write(person) or not works_for(person, asset.customer):
        raise PermissionDenied
    _check(person, asset, asked)
    request = AccessRequest.objects.create(
        customer_id=asset.customer_id,
        person=person,
        asset=asset,
        account=asked.account,
        protocols=sorted(asked.protocols),
        actions=sorted({*asked.actions, Action.CONNECT}),
        minutes=asked.minutes,
        reason=" ".join(asked.reason.split())[:300],
        asked_at=now,
    )
    timers.set(
        key=f"bastion:request:{request.pk}:",
        due_at=request.lapses_at,
        task=LAPSE_TASK,
        args={"request_id": request.pk},
        customer=request.customer_id,
    )
    _write(request, "bastion.request", person, now)
    messages.request_made(request, now=now)
    return request


@transaction.atomic
def grant(
    *, request: AccessRequest, words: str, actor: User, now: datetime, minutes: int | None = None
) -> AccessRequest:
    """From now on, for as long as was asked for or less."""
    request = _hold(request)
    if not may_decide(actor, request):
        raise PermissionDenied
    _must_wait(request)
    minutes = request.minutes if minutes is None else min(minutes, request.minutes)
    if minutes < SHORTEST:
        raise DomainError(_("Five minutes are the least."), code="minutes")
    if not request.person.is_active or request.asset.retired_at is not None:
        raise DomainError(_("The person or the server is no longer there. Nothing was granted."), code="gone")
    wanted = Wanted(
        actions=frozenset(Action(action) for action in request.actions),
        protocols=frozenset(Protocol(protocol) for protocol in request.protocols),
        accounts=(request.account,),
        since=now,
        until=now + timedelta(minutes=minutes),
        reason=request.reason,
    )
    request.grant = granting.make(person=request.person, to=request.asset, wanted=wanted, actor=actor, now=now)
    _settle(request, STATES.GRANTED, words, actor, now)
    messages.request_decided(request, now=now)
    living.ask_again(customer_id=request.customer_id, now=now)
    return request


@transaction.atomic
def refuse(*, request: AccessRequest, words: str, actor: User, now: datetime) -> AccessRequest:
    request = _hold(request)
    if not may_decide(actor, request):
        raise PermissionDenied
    _must_wait(request)
    if not words.strip():
        raise DomainError(_("Please say why, so that the person knows what to do."), code="no_words")
    _settle(request, STATES.REFUSED, words, actor, now)
    messages.request_decided(request, now=now)
    return request


@transaction.atomic
def withdraw(*, request: AccessRequest, actor: User, now: datetime) -> AccessRequest:
    request = _hold(request)
    if request.person_id != actor.pk:
        raise PermissionDenied
    _must_wait(request)
    _settle(request, STATES.WITHDRAWN, "", actor, now)
    return request


@transaction.atomic
def lapse(*, request_id: int, now: datetime) -> None:
    """The timer's: nobody has answered. Doing it twice changes nothing."""
    request = AccessRequest.objects.waiting().filter(pk=request_id).first()
    if request is None:
        return
    request = _hold(request)
    if request.is_waiting:
        _settle(request, STATES.LAPSED, "", None, now)
        messages.request_lapsed(request, now=now)


def may_decide(actor: User, request: AccessRequest) -> bool:
    """Who looks after the server: its groups' administrators and those above them. Never on one's own wish."""
    if request.person_id == actor.pk:
        return False
    return administers(actor, request.customer_id) or authorising.administers_a_group_of(actor, request.asset_id)


def waiting_for(person: User) -> AccessRequestQuerySet:
    """Those that somebody may decide now, as `may_decide`. Within their scope."""
    return seen_by(person).waiting().exclude(person=person)


def seen_by(person: User) -> AccessRequestQuerySet:
    """One's own, and those that one may decide. Within their scope."""
    rows: AccessRequestQuerySet = AccessRequest.objects.all()
    if is_administrator(person):
        return rows
    return rows.filter(Q(person=person) | Q(asset__in=looked_after(person).values("asset")))


def _check(person: User, asset: Asset, asked: Asked) -> None:
    if administers(person, asset.customer_id):
        raise DomainError(_("You administer this server: you need not ask."), code="administers")
    if asset.retired_at is not None or not any(
        asset.kind in authorising.REACHED.get(protocol, ()) for protocol in asked.protocols
    ):
        raise DomainError(_("Nobody connects to this resource through the bastion."), code="unknown_resource")
    names = {row.username for row in authorising.known_accounts(person, [asset])[asset.pk]}
    if asked.account not in names:
        raise DomainError(_("There is no such account on this server for your side."), code="unknown_account")
    if not SHORTEST <= asked.minutes <= LONGEST:
        raise DomainError(_("From five minutes to a day can be asked for."), code="minutes")
    if len(asked.reason.strip()) < SHORTEST_REASON:
        raise DomainError(_("Please say what you need it for: whoever decides reads it."), code="no_reason")
    if not set(asked.actions) <= ASKED_FOR:
        raise DomainError(_("This cannot be asked for: an administrator grants it."), code="actions")
    waiting = AccessRequest.objects.waiting().filter(person=person)
    if waiting.filter(asset=asset, account=asked.account).exists():
        raise DomainError(_("You have asked for this already: it waits for an answer."), code="asked_already")
    if waiting.count() >= MOST_WAITING:
        raise DomainError(_("Ten requests of yours wait already: withdraw one first."), code="too_many")


def _must_wait(request: AccessRequest) -> None:
    if not request.is_waiting:
        raise DomainError(
            _("It is settled already: %(state)s.") % {"state": request.get_state_display()}, code="settled"
        )


def _hold(request: AccessRequest) -> AccessRequest:
    audit.hold(request.customer_id)
    rows = AccessRequest.objects.select_for_update(no_key=True, of=("self",))
    held: AccessRequest = rows.select_related("customer", "person", "asset__customer").get(pk=request.pk)
    return held


def _settle(request: AccessRequest, state: str, words: str, actor: User | None, now: datetime) -> None:
    request.state, request.decided_at, request.decided_by = state, now, actor
    request.words = words.strip()[:300]
    request.save()
    timers.cancel(prefix=f"bastion:request:{request.pk}:")
    _write(request, f"bastion.request.{state}", actor, now)


def _write(request: AccessRequest, action: str, actor: User | None, now: datetime) -> None:
    detail = {
        "person": request.person.name,
        "account": request.account,
        "actions": request.actions,
        "minutes": request.minutes,
        "reason": request.reason,
        "words": request.words,
    }
    audit.record(action=action, actor=actor, customer=request.customer, obj=request, detail=detail, now=now)
    live.publish(customer_id=request.customer_id, topic="bastion", object_id=request.pk)
