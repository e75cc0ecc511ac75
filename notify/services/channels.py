"""Administering channels: making, changing, trying and retiring them. Tokens go into the vault and never come back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, scope, secrets
from accounts.errors import DomainError
from accounts.models import Customer, User
from notify import states
from notify.models import Attempt, Channel, Delivery, Topic, all_topics
from notify.permissions import may_manage_channel_of
from notify.providers import FINGERPRINTED, SECRET_FIELDS, fingerprint
from notify.services import delivering
from notify.services.outbox import lane_of, wake
from notify.states import State


@dataclass(frozen=True)
class Details:
    """What may be changed about a channel, secrets apart."""

    name: str
    purpose: str = ""
    topics: list[str] = field(default_factory=all_topics)
    min_severity: int | None = None
    is_active: bool = True
    is_standby: bool = False
    fallback: Channel | None = None
    keyword: str = ""
    mentions_all: bool = False
    recipients: list[str] = field(default_factory=list)


@transaction.atomic
def create(
    *,
    customer: Customer | None,
    kind: str,
    details: Details,
    values: Mapping[str, str],
    actor: User | None,
    now: datetime,
) -> Channel:
    """A new channel with its secrets (`values`: access_token, secret, key, url; empty ones are left out)."""
    _check_owner(actor, customer.pk if customer else None)
    missing = [entry.name for entry in SECRET_FIELDS[kind] if entry.required and not values.get(entry.name)]
    if missing:
        raise DomainError(_("The channel was not saved: its token, key or address is missing."), code="secret_missing")
    channel = Channel(customer=customer, kind=kind, created_at=now)
    _apply(channel, details)
    _save(channel, values)
    _store(channel, values, actor, now)
    audit.record(action="channel.create", actor=actor, customer=customer, obj=channel, detail={"kind": kind}, now=now)
    return channel


@transaction.atomic
def update(*, channel: Channel, details: Details, values: Mapping[str, str], actor: User, now: datetime) -> Channel:
    """Change a channel; a secret left empty stays as it is. A new token also ends the mute of the old one."""
    _check_owner(actor, channel.customer_id)
    channel = Channel.objects.existing().select_for_update(no_key=True).get(pk=channel.pk)
    _apply(channel, details)
    _save(channel, values)
    _store(channel, values, actor, now)
    renewed = sorted(name for name, value in values.items() if value)
    if renewed:
        Channel.objects.filter(pk=channel.pk).update(muted_until=None, muted_code="")
    detail = {"renewed": renewed, "active": channel.is_active}
    audit.record(action="channel.change", actor=actor, customer=channel.customer, obj=channel, detail=detail, now=now)
    return channel


@transaction.atomic
def retire(*, channel: Channel, actor: User, now: datetime) -> None:
    """Take a channel out of use for good. Its history stays, its secrets go, nothing falls back on it any more."""
    _check_owner(actor, channel.customer_id)
    channel = Channel.objects.select_for_update(no_key=True).get(pk=channel.pk)
    if channel.retired_at is not None:
        return
    Channel.objects.filter(fallback=channel).update(fallback=channel.fallback_id)
    channel.is_active, channel.retired_at = False, now
    channel.save(update_fields=["is_active", "retired_at"])
    for entry in SECRET_FIELDS[channel.kind]:
        secrets.drop(obj=channel, field=entry.name, actor=actor, now=now)
    audit.record(action="channel.retire", actor=actor, customer=channel.customer, obj=channel, now=now)


@transaction.atomic
def unmute(*, channel: Channel, actor: User, now: datetime) -> None:
    """Let a muted robot speak again before its time; the provider may refuse once more."""
    _check_owner(actor, channel.customer_id)
    with scope.platform("a robot is muted for all who use it"):
        same = {"robot": channel.robot} if channel.robot else {"pk": channel.pk}
        Channel.objects.filter(**same).update(muted_until=None, muted_code="")
        Delivery.objects.filter(channel=channel, state=State.PENDING, next_attempt_at__gt=now).update(
            next_attempt_at=now
        )
    audit.record(action="channel.unmute", actor=actor, customer=channel.customer, obj=channel, now=now)
    wake([channel.pk])


def send_test(*, channel: Channel, actor: User, now: datetime) -> Attempt:
    """Send one message now and return the attempt with the provider's own answer. Counts against the budget.

    Runs outside a transaction, because it calls the provider. Raises DomainError when the robot may not send now.
    """
    _check_owner(actor, channel.customer_id)
    with transaction.atomic():
        delivery = Delivery.objects.create(
            customer=channel.customer,
            key=f"test:{channel.pk}:{uuid.uuid4().hex}",
            medium=channel.kind,
            channel=channel,
            topic=Topic.TEST,
            subject=_("Test message"),
            text=_("%(person)s sent this test of the channel “%(channel)s”.") % {"person": actor, "channel": channel},
            url=f"/notify/channels/{channel.pk}/",
            next_attempt_at=now,
            created_at=now,
        )
        claim = delivering.claim_one(delivery_id=delivery.pk, now=now)
        if claim is None:
            raise DomainError(
                _("No test was sent: the robot is muted or has used up its messages of this minute. Try again later."),
                code="budget_spent",
            )
        audit.record(action="channel.test", actor=actor, customer=channel.customer, obj=channel, now=now)
    with scope.platform("a test by hand"):
        delivering.send(claim, clock=timezone.now)
        return Attempt.objects.get(pk=claim.attempt.pk)


@transaction.atomic
def resend(*, delivery: Delivery, actor: User, now: datetime) -> None:
    """Put a failed or uncertain delivery back into the outbox with all its tries."""
    if delivery.channel is not None:
        _check_owner(actor, delivery.channel.customer_id)
    delivery = Delivery.objects.select_for_update().get(pk=delivery.pk)
    if not states.may_become(delivery.state, State.PENDING) or delivery.state == State.SENDING:
        raise DomainError(_("Only failed or uncertain messages can be sent again; this one is as it was."))
    delivery.state, delivery.tries = State.PENDING, 0
    delivery.next_attempt_at, delivery.settled_at = now, None
    delivery.save(update_fields=["state", "tries", "next_attempt_at", "settled_at"])
    audit.record(action="delivery.resend", actor=actor, customer=delivery.customer, obj=delivery, now=now)
    wake([lane_of(delivery)])


def _check_owner(actor: User | None, customer_id: int | None) -> None:
    if actor is not None and not may_manage_channel_of(actor, customer_id):
        raise PermissionDenied


def _apply(channel: Channel, details: Details) -> None:
    _check_fallback(channel, details.fallback)
    if channel.kind == Channel.Kind.EMAIL and not details.recipients:
        raise DomainError(_("The channel was not saved: enter at least one recipient."), code="no_recipient")
    for name in Details.__dataclass_fields__:
        setattr(channel, name, getattr(details, name))


def _check_fallback(channel: Channel, fallback: Channel | None) -> None:
    """The chain of next channels stays within one owner and ends."""
    step, seen = fallback, {channel.pk}
    while step is not None:
        if step.pk in seen or step.customer_id != channel.customer_id:
            raise DomainError(
                _("The channel was not saved: the next channels lead back to it. Choose another one."), code="fallback"
            )
        seen.add(step.pk)
        step = step.fallback


def _save(channel: Channel, values: Mapping[str, str]) -> None:
    token = values.get(FINGERPRINTED.get(Channel.Kind(channel.kind), ""), "")
    if token:
        channel.robot = fingerprint(channel.kind, token)
    if channel.kind == Channel.Kind.WEBHOOK and values.get("url"):
        channel.host = (urlsplit(values["url"]).hostname or "")[:255]
    try:
        with transaction.atomic():
            channel.save()
    except IntegrityError as problem:
        if "robot_once_per_customer" not in str(problem):
            raise
        raise DomainError(
            _("This robot is a channel of this customer already. Change that one."), code="robot_taken"
        ) from None


def _store(channel: Channel, values: Mapping[str, str], actor: User | None, now: datetime) -> None:
    for entry in SECRET_FIELDS[channel.kind]:
        if values.get(entry.name):
            secrets.put(obj=channel, field=entry.name, value=values[entry.name], actor=actor, now=now)
