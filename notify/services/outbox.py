"""Writing messages into the outbox. Nothing is sent from here: a row is the message, a worker sends it after commit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from celery import current_app
from django.db import transaction
from django.db.models import Q

from accounts import scope
from accounts.models import Customer, User
from notify import live
from notify.models import Channel, Delivery, Preference
from notify.states import State

logger = logging.getLogger(__name__)
ORDINARY_PRIORITY = 5
PERSONAL_MAIL = 0  # the lane of mails to single people, which hang on no channel
WAKE_UP_LIFE_S = 60
PERSONAL = frozenset({Delivery.Medium.INBOX.value, Delivery.Medium.EMAIL.value})


@dataclass(frozen=True)
class Message:
    """`text` is markdown, `url` a path of this site ("/incidents/7/"), `topic` one of `notify.models.Topic`.

    Subject and text are in the language of the reader: the caller renders them inside `translation.override`.
    """

    topic: str
    subject: str
    text: str
    url: str = ""
    severity: int | None = None

    @property
    def priority(self) -> int:
        return self.severity or ORDINARY_PRIORITY


@transaction.atomic
def broadcast(*, customer: Customer, key: str, message: Message, now: datetime) -> list[Delivery]:
    """One delivery for each channel of the customer, and of the provider, that listens to this topic and severity.

    Called again with the same key it changes nothing and returns the same deliveries.
    """
    listening = Channel.objects.listening(message.topic, message.severity)
    channels = listening.filter(Q(customer=customer) | Q(customer=None))
    rows = [
        _row(key, message, now, customer_id=customer.pk, medium=channel.kind, channel_id=channel.pk)
        for channel in channels
    ]
    if not rows:
        return []
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    deliveries = list(Delivery.objects.filter(key=key, customer=customer, channel__isnull=False, stands_in_for=None))
    wake(delivery.channel_id or PERSONAL_MAIL for delivery in deliveries)
    return deliveries


@transaction.atomic
def tell(
    *,
    user: User,
    key: str,
    message: Message,
    now: datetime,
    channels: Sequence[str] = ("inbox",),
    customer: Customer | None = None,
) -> list[Delivery]:
    """A personal message by "inbox", "email" or both; idempotent by key. Mail obeys the person's preferences.

    `customer` says whose affair it is; without it the person's own customer or the only one in scope is taken. An
    engineer who loses a customer loses the messages about it too.
    """
    if unknown := set(channels) - PERSONAL:
        raise ValueError(f"nobody delivers by {sorted(unknown)}")
    customer_id = _affair_of(user, customer)
    with writing_for(customer_id):
        media = [medium for medium in channels if medium != Delivery.Medium.EMAIL or _wants_mail(user, message)]
        rows = [_row(key, message, now, customer_id=customer_id, medium=medium, user_id=user.pk) for medium in media]
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
        deliveries = list(Delivery.objects.filter(key=key, user=user, medium__in=channels))
    if Delivery.Medium.INBOX in media:
        live.publish_to(user_id=user.pk, topic="inbox")
    if Delivery.Medium.EMAIL in media:
        wake([PERSONAL_MAIL])
    return deliveries


def _row(
    key: str,
    message: Message,
    now: datetime,
    *,
    customer_id: int | None,
    medium: str,
    channel_id: int | None = None,
    user_id: int | None = None,
) -> Delivery:
    in_app = medium == Delivery.Medium.INBOX
    return Delivery(
        customer_id=customer_id,
        key=key,
        medium=medium,
        channel_id=channel_id,
        user_id=user_id,
        topic=message.topic,
        severity=message.severity,
        priority=message.priority,
        subject=" ".join(message.subject.split())[:300],
        text=message.text,
        url=message.url,
        state=State.DELIVERED if in_app else State.PENDING,
        next_attempt_at=None if in_app else now,
        settled_at=now if in_app else None,
        created_at=now,
    )


def wake(lanes: Iterable[int]) -> None:
    """Tell the workers after commit. If the queue is down the sweep finds the rows within seconds."""
    for lane in sorted(set(lanes)):
        transaction.on_commit(partial(_send_wake_up, lane), robust=True)


def _send_wake_up(lane: int) -> None:
    current_app.send_task("notify.deliver", args=[lane], queue="notify", expires=WAKE_UP_LIFE_S, retry=False)


def writing_for(customer_id: int | None) -> AbstractContextManager[scope.Scope]:
    """The narrowest scope in which rows of this customer (None: of the platform) can be written."""
    return scope.platform("a message of the platform") if customer_id is None else scope.customer(customer_id)


def _affair_of(user: User, customer: Customer | None) -> int | None:
    if customer is not None:
        return customer.pk
    if user.customer_id is not None:
        return user.customer_id
    reach = scope.required().customer_ids
    return next(iter(reach)) if reach is not None and len(reach) == 1 else None


def _wants_mail(user: User, message: Message) -> bool:
    with scope.platform("what a person wants by mail"):
        preference = Preference.objects.filter(user=user).first()
    return (preference or Preference(user=user)).wants_mail(message.topic, message.severity)
