"""Whatever comes in from outside is stored once, then read; what could not be read is read again.

Storing and reading are two transactions: a sender hears "thank you" as soon as the message is kept. A process that dies
in between leaves a stored row, which the sweep finds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from celery import current_app
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import User
from incidents.models import InboundKind, InboundMessage, InboundSource
from incidents.permissions import may_manage_way_in_of
from incidents.services import inbound_alarms, inbound_chat, inbound_mail, triage
from notify import live
from notify.inbound.reading import BadInputError

log = logging.getLogger(__name__)
WHY: Final = "what comes in may be anybody's"
READ_TASK: Final = "incidents.read_inbound"
MOST_TRIES: Final = 5
LEFT_LYING: Final = timedelta(seconds=15)
RAW_KEPT: Final = timedelta(days=90)
PER_MINUTE: Final = 300
MINUTE_S: Final = 60
LISTED: Final = 50
Verdict = InboundMessage.Verdict
Reason = InboundMessage.Reason


class TooManyError(Exception):
    """The way in has brought too much in this minute; `wait_s` until there is room again."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many messages in this minute, wait {wait_s} s")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came. `key` makes it one among those of its way in."""

    key: str
    raw: bytes
    content_type: str = ""
    sender: str = ""
    sender_id: str = ""
    conversation: str = ""
    subject: str = ""
    text: str = ""
    data: dict[str, object] = field(default_factory=dict)
    reply_until: datetime | None = None
    size: int | None = None


def allow(source: InboundSource, *, now: datetime, most: int = PER_MINUTE) -> None:
    """Count a message against the minute of its way in. Raises TooManyError when the minute is full."""
    minute, second = divmod(int(now.timestamp()), MINUTE_S)
    key = f"inbound:{source.pk}:{minute}"
    cache.add(key, 0, timeout=2 * MINUTE_S)
    if cache.incr(key) > most:
        raise TooManyError(MINUTE_S - second)


def store(
    *, source: InboundSource, received: Received, now: datetime, came_at: datetime | None = None
) -> tuple[InboundMessage, bool]:
    """Keep a message; False when it was here before. Whoever calls answers the sender after this has committed."""
    with scope.platform(WHY):
        row = InboundMessage(
            customer=source.customer,
            source=source,
            dedupe_key=received.key[:128],
            received_at=min(came_at, now) if came_at else now,
            content_type=received.content_type[:120],
            raw=received.raw,
            size=len(received.raw) if received.size is None else received.size,
            sender=received.sender[:200],
            sender_id=received.sender_id[:200],
            conversation=received.conversation[:200],
            subject=received.subject[:300],
            text=received.text,
            data=received.data,
            reply_until=received.reply_until,
        )
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            known = InboundMessage.objects.filter(source=source, dedupe_key=row.dedupe_key).first()
            if known is None:
                raise
            return known, False
        InboundSource.objects.filter(pk=source.pk).update(received_at=now)
        return row, True


def read(*, message_id: int, now: datetime) -> InboundMessage:
    """Make of a stored message what is to be made of it; one that is settled stays as it is.

    What is wrong with the message itself is written on it. Any other trouble leaves it stored, and it is read again.
    """
    with scope.platform(WHY):
        InboundMessage.objects.filter(pk=message_id, verdict=Verdict.STORED).update(tries=F("tries") + 1)
        try:
            with transaction.atomic():
                message = _held(message_id)
                if message.verdict == Verdict.STORED:
                    READERS[InboundKind(message.source.kind)](message, now)
                    _settle(message, now)
                return message
        except (BadInputError, DomainError, PermissionDenied) as problem:
            return _fail(message_id, str(problem) or _("not allowed"), now=now)


def note_answered(message: InboundMessage, *, now: datetime) -> None:
    """The answer went out with the response."""
    if message.reply:
        with scope.platform(WHY):
            InboundMessage.objects.filter(pk=message.pk).update(replied_at=now)


def read_later(message: InboundMessage) -> None:
    """Have a worker read it after commit; should that be lost, the sweep brings it back."""
    transaction.on_commit(partial(_send_wake_up, message.pk), robust=True)


def _send_wake_up(message_id: int) -> None:
    current_app.send_task(READ_TASK, args=[message_id], queue="default", expires=MINUTE_S, retry=False)


def sweep(*, now: datetime) -> int:
    """Read again what was left lying; what cannot be read in several tries is marked so that people see it."""
    with scope.platform(WHY):
        lying = InboundMessage.objects.filter(verdict=Verdict.STORED, received_at__lt=now - LEFT_LYING)
        tired = list(lying.filter(tries__gte=MOST_TRIES).values_list("pk", flat=True)[:LISTED])
        waiting = list(lying.filter(tries__lt=MOST_TRIES).order_by("pk").values_list("pk", flat=True)[:LISTED])
    for message_id in tired:
        _fail(message_id, _("Reading it failed several times; the platform's log says why."), now=now)
    for message_id in waiting:
        _send_wake_up(message_id)
    return len(tired) + len(waiting)


def forget(*, now: datetime) -> int:
    """Drop the bytes of old messages; what was made of them stays."""
    with scope.platform(WHY):
        old = InboundMessage.objects.filter(received_at__lt=now - RAW_KEPT).exclude(raw=b"")
        return old.exclude(verdict=Verdict.HELD).update(raw=b"")


@transaction.atomic
def read_again(*, message: InboundMessage, actor: User, now: datetime) -> None:
    """Put a message that could not be read, or that was ignored, back to be read once more."""
    if not may_manage_way_in_of(actor, message.source.customer_id):
        raise PermissionDenied
    with scope.platform(WHY):
        held = _held(message.pk)
        if not held.may_be_read_again:
            raise DomainError(_("Something has been made of this message already. Nothing was changed."))
        held.verdict, held.reason, held.error, held.tries = Verdict.STORED, Reason.NONE, "", 0
        held.data = {**held.data, "again": True}
        held.save(update_fields=["verdict", "reason", "error", "tries", "data"])
        audit.record(action="inbound.again", actor=actor, customer=held.customer, obj=held, now=now)


def _held(message_id: int) -> InboundMessage:
    rows = InboundMessage.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("source", "source__customer", "customer").get(pk=message_id)


def _settle(message: InboundMessage, now: datetime) -> None:
    message.read_at, message.error = now, ""
    message.save()
    if message.customer_id is not None:
        live.publish(customer_id=message.customer_id, topic="inbound", object_id=message.pk)


@transaction.atomic
def _fail(message_id: int, problem: str, *, now: datetime) -> InboundMessage:
    with scope.platform(WHY):
        message = _held(message_id)
        message.verdict, message.error, message.read_at = Verdict.FAILED, problem[:400], now
        message.save(update_fields=["verdict", "error", "read_at"])
        return message


def _read_alarms(message: InboundMessage, now: datetime) -> None:
    outcome = inbound_alarms.take_in(message, now=now)
    numbers = list(dict.fromkeys(incident.number for incident in outcome.incidents))
    message.data = {
        "incidents": numbers[:LISTED],
        "opened": outcome.opened,
        "ended": outcome.ended,
        "unknown_ends": outcome.unknown_ends,
        "homeless": outcome.homeless,
    }
    if outcome.homeless:
        triage.hold(message, Reason.NO_CUSTOMER, now=now)
        return
    message.verdict = Verdict.ALARMS if numbers else Verdict.IGNORED
    if outcome.incidents:
        message.incident = outcome.incidents[0]
        message.customer = message.customer or message.incident.customer


Reader = Callable[[InboundMessage, datetime], None]
READERS: Final[dict[InboundKind, Reader]] = {
    InboundKind.ALERTMANAGER: _read_alarms,
    InboundKind.GRAFANA: _read_alarms,
    InboundKind.CMS: _read_alarms,
    InboundKind.ZABBIX: _read_alarms,
    InboundKind.GENERIC: _read_alarms,
    InboundKind.EMAIL: inbound_mail.read,
    InboundKind.DINGTALK: inbound_chat.read,
    InboundKind.WECOM: inbound_chat.read,
}
