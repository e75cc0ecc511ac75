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
from notify.services.ways import Ways, ways_to
from notify.states import State

logger = logging.getLogger(__name__)
ORDINARY_PRIORITY = 5
PERSONAL_MAIL = 0  # the lane of mails to single people, which hang on no channel
PERSONAL_LANES = {"email": PERSONAL_MAIL, "push": -1, "sms": -2, "voice": -3}
"""Each way to single people has its own lane, so that one in trouble holds up no other."""
WAKE_UP_LIFE_S = 60
PERSONAL = frozenset({"inbox", *PERSONAL_LANES})


@dataclass(frozen=True)
class Message:
    """`text` is markdown, `url` a path of this site ("/incidents/7/"), `topic` one of `notify.models.Topic`.

    Subject and text are in the language of the reader: the caller renders them inside `translation.override`.
    `about` names what it is about for the app that says it ("incident:7"). `asks` ("acknowledge") is what the reader
    may answer by a link in the message or by a key on the telephone (`notify.links`, `notify.services.receipts`).
    """

    topic: str
    subject: str
    text: str = ""
    url: str = ""
    severity: int | None = None
    about: str = ""
    asks: str = ""
    reference: str = ""
    """What people call the affair, "INC-000123": mails bear a mark made of it, by which answers are known again."""

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
    is_internal: bool = False
    """Only for the provider's own channels: the customer hears nothing of it."""

    def hearers(self, active: Sequence[Channel]) -> list[Channel]:
        if self.is_internal:
            active = [channel for channel in active if channel.customer_id is None]
        named = [channel for channel in active if channel.pk in self.channels]
        listening = [one for one in active if one.listens_to(self.message.topic, self.message.severity)]
        return named or listening


@dataclass(frozen=True, slots=True)
class Note:
    """A message to one person, by any of "inbox", "email", "push", "sms" and "voice"; the key makes it one.

    `number` is called and texted instead of the person's own. `not_before` holds all but the in-app message back.
    `without_device` is the way to whoever has no device that takes a push message.
    """

    user: User
    key: str
    message: Message
    channels: Sequence[str] = ("inbox",)
    number: str = ""
    not_before: datetime | None = None
    without_device: str = ""

    def media(self, ways: Ways) -> Sequence[str]:
        stand_in = self.without_device
        if not stand_in or stand_in in self.channels or not ways.lacks_device(self):
            return self.channels
        return (*self.channels, stand_in)


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
    number: str = "",
) -> list[Delivery]:
    """A personal message by any of "inbox", "email", "push", "sms" and "voice"; idempotent by key.

    Mail and push obey the person's preferences. A way that cannot reach them (no number, no device, not set up) is
    written down as skipped; calls and SMS stay within the limits of the number, and calls to one person about one
    customer become one.

    `customer` says whose affair it is; without it the person's own customer or the only one in scope is taken. An
    engineer who loses a customer loses the messages about it too.
    """
    customer_id = _affair_of(user, customer)
    _tell(customer_id, [Note(user, key, message, channels, number)], now)
    with writing_for(customer_id):
        return list(Delivery.objects.filter(key=key, user=user, medium__in=channels))


@transaction.atomic
def tell_many(*, customer: Customer, notes: Sequence[Note], now: datetime) -> None:
    """Personal messages about one customer's affairs, in their order, all at once; each as `tell` has it."""
    _tell(customer.pk, notes, now)


def fates(*, customer: int, keys: Collection[str]) -> list[str]:
    """The states of the personal messages with these keys."""
    with writing_for(customer):
        return list(Delivery.objects.filter(key__in=keys, user__isnull=False).values_list("state", flat=True))


def _tell(customer_id: int | None, notes: Sequence[Note], now: datetime) -> None:
    if unknown := {channel for note in notes for channel in note.channels} - PERSONAL:
        raise ValueError(f"nobody delivers by {sorted(unknown)}")
    ways = ways_to(notes)
    preferences = _preferences({note.user.pk for note in notes if {"email", "push"} & set(note.channels)})
    rows = [
        _personal_row(note, medium, ways, now, customer_id)
        for note in notes
        for medium in note.media(ways)
        if _is_wanted(note, medium, preferences)
    ]
    with writing_for(customer_id):
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    for user_id in dict.fromkeys(row.user_id for row in rows if row.medium == Delivery.Medium.INBOX):
        live.publish_to(user_id=user_id or 0, topic="inbox")
    due = [row for row in rows if row.state == State.PENDING and row.held_until is None]
    wake(PERSONAL_LANES[row.medium] for row in due)


def _personal_row(note: Note, medium: str, ways: Ways, now: datetime, customer_id: int | None) -> Delivery:
    row = _row(note.key, note.message, now, customer_id=customer_id, medium=medium, user_id=note.user.pk)
    row.address = ways.number(note, medium)
    if obstacle := ways.obstacle(note, medium):
        row.state, row.last_code = State.SKIPPED, obstacle
        row.next_attempt_at, row.settled_at = None, now
    elif row.state == State.PENDING and note.not_before is not None and note.not_before > now:
        row.next_attempt_at = row.held_until = note.not_before
    return row


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
        about=message.about,
        asks=message.asks,
        priority=message.priority,
        subject=" ".join(message.subject.split())[:300],
        text=message.text,
        url=message.url,
        reference=message.reference,
        state=State.DELIVERED if in_app else State.PENDING,
        next_attempt_at=None if in_app else now,
        settled_at=now if in_app else None,
        created_at=now,
    )


def lane_of(delivery: Delivery) -> int:
    return delivery.channel_id or PERSONAL_LANES[delivery.medium]


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


def _is_wanted(note: Note, medium: str, preferences: Mapping[int, Preference]) -> bool:
    """Mail and push obey preferences; whoever calls or texts has decided that it must be."""
    if medium not in ("email", "push"):
        return True
    preference = preferences.get(note.user.pk) or Preference(user=note.user)
    asked = preference.wants_mail if medium == "email" else preference.wants_push
    return asked(note.message.topic, note.message.severity)


def written(*, customer: int, key: str) -> dict[tuple[int, str], str]:
    """The people and media that a key has personal messages for, each with what stands in its way, or "".

    What somebody does not want was never written.
    """
    with writing_for(customer):
        rows = Delivery.objects.filter(key=key, user__isnull=False).values_list(
            "user_id", "medium", "state", "last_code"
        )
        return {(user_id or 0, medium): code if state == State.SKIPPED else "" for user_id, medium, state, code in rows}
