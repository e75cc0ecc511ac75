"""Writing messages into the outbox. Nothing is sent from here: a row is the message, a worker sends it after commit."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for every channel of a customer that listens to its topic and severity; the key makes it one.

    `channels` names those that hear it instead, whatever they listen to (R46): with none of them active any more it
    goes to all that listen, for nobody must miss an alarm because a robot was taken away."""

    key: str
    message: Message
    channels: tuple[int, ...] = ()

    def hearers(self, active: Sequence[Channel]) -> list[Channel]:
        named = [channel for channel in active if channel.pk in self.channels]
        listening = [one for one in active if one.listens_to(self.message.topic, self.message.severity)]
        return named or listening


@dataclass(frozen=True, slots=True)
class Note:
    """A message to one person, by "inbox", "email" or both; the key makes it one."""

    user: User
    key: str
    message: Message
    channels: Sequence[str] = ("inbox",)


@transaction.atomic
def broadcast(*, customer: Customer, key: str, message: Message, now: datetime) -> list[Delivery]:
    """One delivery for each channel of the customer, and of the provider, that listens to this topic and severity.

    Called again with the same key it changes nothing and returns the same deliveries.
    """
    if not broadcast_many(customer=customer, notices=[Notice(key, message)], now=now):
        return []
    return list(Delivery.objects.filter(key=key, customer=customer, channel__isnull=False, stands_in_for=None))


@transaction.atomic
def broadcast_many(*, customer: Customer, notices: Sequence[Notice], now: datetime) -> int:
    """Broadcast messages of one customer in their order, all at once; returns how many deliveries they make."""
    if not notices:
        return 0
    channels = list(Channel.objects.filter(Q(customer=customer) | Q(customer=None)).active())
    rows = [
        _row(notice.key, notice.message, now, customer_id=customer.pk, medium=channel.kind, channel_id=channel.pk)
        for notice in notices
        for channel in notice.hearers(channels)
    ]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    wake(row.channel_id or PERSONAL_MAIL for row in rows)
    return len(rows)


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
    customer_id = _affair_of(user, customer)
    _tell(customer_id, [Note(user, key, message, channels)], now)
    with writing_for(customer_id):
        return list(Delivery.objects.filter(key=key, user=user, medium__in=channels))


@transaction.atomic
def tell_many(*, customer: Customer, notes: Sequence[Note], now: datetime) -> None:
    """Personal messages about one customer's affairs, in their order, all at once; each as `tell` has it."""
    _tell(customer.pk, notes, now)


def _tell(customer_id: int | None, notes: Sequence[Note], now: datetime) -> None:
    if unknown := {channel for note in notes for channel in note.channels} - PERSONAL:
        raise ValueError(f"nobody delivers by {sorted(unknown)}")
    mail = Delivery.Medium.EMAIL.value
    preferences = _preferences({note.user.pk for note in notes if mail in note.channels})
    rows = [
        _row(note.key, note.message, now, customer_id=customer_id, medium=medium, user_id=note.user.pk)
        for note in notes
        for medium in note.channels
        if medium != mail or _wants_mail(note, preferences)
    ]
    with writing_for(customer_id):
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    for user_id in dict.fromkeys(row.user_id for row in rows if row.medium == Delivery.Medium.INBOX):
        live.publish_to(user_id=user_id or 0, topic="inbox")
    if any(row.medium == mail for row in rows):
        wake([PERSONAL_MAIL])


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


def _preferences(user_ids: Collection[int]) -> Mapping[int, Preference]:
    if not user_ids:
        return {}
    with scope.platform("what people want by mail"):
        return {preference.user_id: preference for preference in Preference.objects.filter(user__in=user_ids)}


def _wants_mail(note: Note, preferences: Mapping[int, Preference]) -> bool:
    preference = preferences.get(note.user.pk) or Preference(user=note.user)
    return preference.wants_mail(note.message.topic, note.message.severity)
