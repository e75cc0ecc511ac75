"""Receipts of calls and SMS: pushed by the provider, or asked for when they do not come, and what follows from them.

Whoever takes receipts gets back the answers that people gave, and acts on them: this floor does not know what a message
was about.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction

from accounts import scope
from notify import personal, providers, states
from notify.channels.outcome import Outcome
from notify.channels.receipt import Report
from notify.models import Attempt, Delivery, Topic
from notify.states import State

logger = logging.getLogger(__name__)
WHY = "receipts of calls and SMS come for every customer"
Medium = Delivery.Medium
MEDIUMS = frozenset({Medium.VOICE.value, Medium.SMS.value})
FIRST_ASKED = {Medium.VOICE.value: timedelta(seconds=60), Medium.SMS.value: timedelta(minutes=2)}
GIVEN_UP = {Medium.VOICE.value: timedelta(minutes=10), Medium.SMS.value: timedelta(hours=24)}
CALL_TRIES = 2  # of one person; who comes next is decided upstairs
CALL_AGAIN = timedelta(seconds=90)
TEXT_TRIES = 4
TEXT_AGAIN = timedelta(seconds=30)  # so that a message with a lost answer is in the provider's list by then
ASKED_AT_ONCE = 50


@dataclass(frozen=True)
class Answer:
    """What a person did. `about`: the messages that the call or SMS said, each with its `about` and `asks`.

    `is_last`: not reached, and nobody tries this person again by itself.
    """

    delivery: Delivery
    about: tuple[Delivery, ...]
    was_reached: bool
    is_last: bool
    key_pressed: str
    code: str


def situation_of(delivery: Delivery) -> states.Situation:
    """What the next step of a delivery depends on."""
    channel = delivery.channel
    is_call, is_text = delivery.medium == Medium.VOICE, delivery.medium == Medium.SMS
    plain = states.Situation(
        priority=delivery.priority,
        tries=delivery.tries,
        has_fallback=bool(channel and channel.fallback_id),
        repeat_is_safe=delivery.medium not in (Medium.DINGTALK, Medium.WECOM, Medium.VOICE),
        is_test=delivery.topic == Topic.TEST,
        has_receipt=is_call or is_text,
    )
    if is_call:
        return replace(plain, most_tries=CALL_TRIES, first_wait=CALL_AGAIN)
    return replace(plain, most_tries=TEXT_TRIES, first_wait=TEXT_AGAIN) if is_text else plain


def await_receipt(delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    """The provider took it. Its receipt may have come before its answer was written down."""
    delivery.state, delivery.lease_until, delivery.settled_at = State.ACCEPTED, None, None
    delivery.next_attempt_at = now + FIRST_ASKED[delivery.medium]
    delivery.last_code, delivery.last_detail = outcome.code[:40], outcome.detail[:600]
    _save(delivery)
    early = Attempt.objects.filter(delivery=delivery, receipt_at__isnull=False).order_by("-number").first()
    if early is not None and early.number == delivery.attempts.count():
        _apply(delivery, early, now)


@transaction.atomic
def take(*, medium: str, reports: Iterable[Report], now: datetime) -> list[Answer]:
    """Write down receipts and take each delivery's next step. A receipt that comes twice counts once."""
    with scope.platform(WHY):
        found = [_take_one(medium, report, now) for report in reports]
    return [answer for answer in found if answer is not None]


def _take_one(medium: str, report: Report, now: datetime) -> Answer | None:
    attempt = _attempt_of(medium, report)
    if attempt is None:
        logger.warning("a receipt for %s names no message of ours", medium)
        return None
    delivery = Delivery.objects.select_for_update(of=("self",)).select_related("user").get(pk=attempt.delivery_id)
    attempt.refresh_from_db()
    if attempt.receipt_at is not None:
        return None
    attempt.receipt_at, attempt.receipt_code, attempt.receipt_detail = now, report.code[:40], report.words[:200]
    attempt.was_reached, attempt.key_pressed = report.was_reached, report.key[:8]
    attempt.provider_id = attempt.provider_id or report.provider_id[:120]
    if attempt.verdict in ("", Attempt.Verdicts.UNCERTAIN):  # the answer was lost: now we know that it was taken
        attempt.verdict, attempt.settled_at = Attempt.Verdicts.ACCEPTED, attempt.settled_at or now
    attempt.save()
    is_latest = not Attempt.objects.filter(delivery=delivery, number__gt=attempt.number).exists()
    is_open = delivery.state in (State.ACCEPTED, State.UNCERTAIN)
    if is_open or (delivery.state == State.PENDING and (is_latest or attempt.was_reached)):
        _apply(delivery, attempt, now)
    about = tuple(delivery.parts.all()) or (delivery,)
    is_last = not attempt.was_reached and delivery.state in states.FINAL
    return Answer(delivery, about, bool(attempt.was_reached), is_last, attempt.key_pressed, attempt.receipt_code)


def _attempt_of(medium: str, report: Report) -> Attempt | None:
    """The try that a receipt is about. One for another number than ours is none: somebody made it up."""
    rows = Attempt.objects.select_related("delivery").filter(delivery__medium=medium)
    found = None
    if report.out_id.isascii() and report.out_id.isdigit() and len(report.out_id) < 18:
        found = rows.filter(pk=int(report.out_id)).first()
    elif report.provider_id:
        found = rows.filter(provider_id=report.provider_id).first()
    if found is None:
        return None
    same_call = report.provider_id in ("", found.provider_id) or found.provider_id == ""
    digits = report.number.removeprefix("+").removeprefix("86")
    same_number = digits in ("", found.delivery.address.removeprefix("86"))
    return found if same_call and same_number else None


def _apply(delivery: Delivery, attempt: Attempt, now: datetime) -> None:
    situation = situation_of(delivery)
    if delivery.medium == Medium.SMS or situation.is_test:  # what a network did not deliver a second one will not
        situation = replace(situation, most_tries=0)
    step = states.after_receipt(situation, reached=bool(attempt.was_reached))
    if delivery.withdrawn_at is not None and step.state is State.PENDING:
        step = states.Step(State.WITHDRAWN)
    delivery.state, delivery.lease_until = step.state, None
    delivery.next_attempt_at = now + step.wait if step.state is State.PENDING else None
    delivery.settled_at = now if step.state in states.FINAL else None
    delivery.last_code, delivery.last_detail = attempt.receipt_code, attempt.receipt_detail
    _save(delivery)


def _save(delivery: Delivery) -> None:
    delivery.save(update_fields=["state", "lease_until", "next_attempt_at", "settled_at", "last_code", "last_detail"])


def ask(*, now: datetime) -> list[Answer]:
    """Ask the provider about what it accepted and never reported; runs outside a transaction."""
    answers: list[Answer] = []
    with scope.platform(WHY):
        for delivery in _overdue(now):
            attempt = delivery.attempts.order_by("-number").first()
            if attempt is None:
                continue
            found = personal.look_up(delivery, attempt, now, providers.limits())
            if isinstance(found, Report):
                answers += take(medium=delivery.medium, reports=[replace(found, out_id=str(attempt.pk))], now=now)
            elif now >= attempt.started_at + GIVEN_UP[delivery.medium]:
                answers += _give_up(delivery, attempt, now)
    return answers


@transaction.atomic
def _overdue(now: datetime) -> Sequence[Delivery]:
    """Those to be asked about now; the next time to ask is set at once, later each time."""
    due = Delivery.objects.filter(state=State.ACCEPTED, next_attempt_at__lte=now).order_by("next_attempt_at")
    rows = list(due.select_for_update(skip_locked=True, of=("self",))[:ASKED_AT_ONCE])
    for row in rows:
        age = now - max(row.attempts.values_list("started_at", flat=True), default=row.created_at)
        Delivery.objects.filter(pk=row.pk).update(next_attempt_at=now + max(FIRST_ASKED[row.medium] / 2, age / 2))
    return rows


@transaction.atomic
def _give_up(delivery: Delivery, attempt: Attempt, now: datetime) -> list[Answer]:
    held = Delivery.objects.select_for_update(of=("self",)).get(pk=delivery.pk)
    if held.state != State.ACCEPTED:
        return []
    held.state, held.next_attempt_at, held.settled_at = State.UNCERTAIN, None, now
    held.last_code, held.last_detail = "no receipt", ""
    _save(held)
    return [Answer(held, tuple(held.parts.all()) or (held,), False, True, "", "no receipt")]
