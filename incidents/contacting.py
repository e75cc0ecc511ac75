"""Telling a customer's contacts as their policy says: messages to all of them at once, calls one after the other.

A call that nobody answers goes to the next contact at once, and after the last one in another round later, until
somebody is reached, the incident is done, or newer news takes its place. The timeline says who was reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import Contact, Customer, User
from incidents import locks, timeline
from incidents.models import ContactCall, Incident, IncidentKind, TimelineEntry
from notify import live
from notify import services as notify
from notify.services import policies, reach
from notify.services.receipts import Answer
from notify.states import State as Sent
from timers import services as timers

Text = Callable[[], tuple[str, str]]
ABOUT = "call:"
TASK = "incidents.go_on_calling"
NO_RECEIPT = timedelta(minutes=12)  # after which a call counts as unanswered, whatever became of its receipt
WITHOUT_DEVICE = "email"  # a push message that no device takes would reach nobody
MOST_ROUNDS = 20  # a number may be called 20 times a day anyway
State = ContactCall.State


class Wishes:
    """The policies and contacts of one customer, read once for all that is said in one go."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self._plans: dict[int, policies.Plan] | None = None
        self._contacts: list[Contact] = []

    def of(self, severity: int) -> tuple[policies.Plan, list[policies.Recipient]]:
        if self._plans is None:
            self._plans = policies.plans_of(self.customer)
            self._contacts = list(Contact.objects.filter(customer=self.customer).select_related("user"))
        plan = self._plans[severity]
        return plan, policies.recipients(self.customer, plan, named=self._contacts)


@dataclass(frozen=True)
class News:
    """What the contacts are to hear: messages now, and perhaps a call."""

    notes: tuple[notify.Note, ...] = ()
    call: Wanted | None = None


@dataclass(frozen=True)
class Wanted:
    """A call that is to begin."""

    incident: Incident
    what: str
    subject: str
    plan: policies.Plan
    people: tuple[policies.Recipient, ...]


def news(
    incident: Incident, what: str, text: Text, wishes: Wishes, *, topic: str, is_progress: bool, now: datetime
) -> News:
    """What the policy of the incident's severity asks for. Nothing about what the provider keeps to itself."""
    if incident.kind == IncidentKind.INTERNAL:
        return News()
    plan, people = wishes.of(incident.severity)
    if not people or (is_progress and not plan.with_progress):
        return News()
    not_before = policies.held_until(incident.customer, plan, now=now)
    made = []
    messages: dict[str, notify.Message] = {}
    for recipient in people if plan.messages else ():
        language = recipient.user.language
        if language not in messages:
            with translation.override(language):
                messages[language] = message_of(incident, topic, text())
        message = messages[language]
        key = f"incident:{incident.pk}:{what}:contact:{recipient.user.pk}"
        made.append(
            notify.Note(recipient.user, key, message, plan.messages, recipient.number, not_before, WITHOUT_DEVICE)
        )
    if not plan.calls or not_before is not None:
        return News(tuple(made))
    with translation.override(incident.customer.language):
        subject, _body = text()
    return News(tuple(made), Wanted(incident, what, subject, plan, tuple(people)))


def start_together(calls: Sequence[Wanted], *, now: datetime) -> None:
    """Begin what several incidents of one moment ask for: one call for all of them."""
    if not calls:
        return
    first = min(calls, key=lambda call: call.incident.severity)
    subject = first.subject if len(calls) == 1 else f"{first.subject} (+{len(calls) - 1})"
    start(first.incident, first.what, subject, first.plan, first.people, now=now)


def message_of(incident: Incident, topic: str, text: tuple[str, str]) -> notify.Message:
    subject, body = text
    return notify.Message(
        topic=topic,
        subject=subject,
        text=body,
        url=f"/incidents/{incident.pk}/",
        severity=incident.severity,
        about=f"incident:{incident.pk}",
    )


def start(
    incident: Incident,
    what: str,
    subject: str,
    plan: policies.Plan,
    people: Sequence[policies.Recipient],
    *,
    now: datetime,
) -> None:
    """Begin to call; what the contacts were being called about before is replaced. The caller holds the incident."""
    if ContactCall.objects.filter(incident=incident, what=what[:60]).exists():
        return
    for older in ContactCall.objects.filter(incident=incident, state=State.SEEKING):
        _end(older, State.SUPERSEDED, now)
    call = ContactCall.objects.create(
        customer_id=incident.customer_id,
        incident=incident,
        what=what[:60],
        subject=subject[:300],
        people=[[recipient.user.pk, recipient.number] for recipient in people],
        until_reached=plan.until_reached,
        repeat_minutes=plan.repeat_minutes,
        started_at=now,
    )
    _ring(call, incident, now)


def stop(incident: Incident, *, now: datetime) -> None:
    """The incident is done: nobody is called about it any more."""
    for call in ContactCall.objects.filter(incident=incident, state=State.SEEKING):
        _end(call, State.SUPERSEDED, now)


def _ring(call: ContactCall, incident: Incident, now: datetime) -> None:
    """Call whoever's turn it is; those who cannot be called are passed over. The row is held, or new."""
    while call.place < len(call.people):
        user_id, number = call.people[call.place]
        person = User.objects.filter(pk=user_id, is_active=True).first()
        if person is not None and _dial(call, incident, person, number, now):
            call.save(update_fields=["place", "round"])
            timers.set(
                key=_timer(call),
                due_at=now + NO_RECEIPT,
                task=TASK,
                args={"call_id": call.pk, "round": call.round, "place": call.place},
                customer=incident.customer_id,
            )
            return
        if person is not None:
            _note(incident, person.name, reached=False, why="cannot_be_called", now=now)
        call.place += 1
    _round_over(call, now)


def _dial(call: ContactCall, incident: Incident, person: User, number: str, now: datetime) -> bool:
    message = notify.Message(
        topic="incident",
        subject=call.subject,
        url=f"/incidents/{incident.pk}/",
        severity=incident.severity,
        about=f"{ABOUT}{call.pk}",
    )
    [made] = notify.tell(
        user=person,
        key=_key(call, person.pk),
        message=message,
        now=now,
        channels=("voice",),
        customer=incident.customer,
        number=number,
    )
    return made.state != Sent.SKIPPED


def _round_over(call: ContactCall, now: datetime) -> None:
    """Nobody was reached. Another round follows, unless one is enough or nobody can be called at all."""
    tried = call.round > 1 or _was_dialled(call)
    if not call.until_reached or call.round >= MOST_ROUNDS or not tried:
        _end(call, State.UNREACHED, now)
        _raise_the_alarm(call, now)
        return
    call.place, call.round = 0, call.round + 1
    call.save(update_fields=["place", "round"])
    timers.set(
        key=_timer(call),
        due_at=now + timedelta(minutes=call.repeat_minutes),
        task=TASK,
        args={"call_id": call.pk, "round": call.round, "place": -1},
        customer=call.customer_id,
    )


def _was_dialled(call: ContactCall) -> bool:
    keys = [_key(call, user_id) for user_id, _number in call.people]
    return bool([state for state in notify.fates(customer=call.customer_id, keys=keys) if state != Sent.SKIPPED])


@transaction.atomic
def go_on(*, call_id: int, round_: int, place: int, now: datetime) -> None:
    """The timer: no receipt came, or the next round is due (`place` -1)."""
    held = _hold(call_id)
    if held is None:
        return
    incident, call = held
    if call.round != round_ or (place >= 0 and call.place != place):
        return
    if place >= 0:
        call.place += 1
    _ring(call, incident, now)


@transaction.atomic
def take_answer(answer: Answer, *, now: datetime) -> None:
    """What a call to a contact came to: the timeline says whether they were reached, and who is next."""
    person = answer.delivery.user
    for message in answer.about:
        held = _hold(call_of(message.about))
        if held is None or person is None:
            continue
        incident, call = held
        _note(incident, person.name, reached=answer.was_reached, why=answer.code, now=now)
        if answer.was_reached:
            call.reached = person
            _end(call, State.REACHED, now)
        elif call.place < len(call.people) and call.people[call.place][0] == person.pk:
            call.place += 1  # this person is tried once more by itself; the next one is called meanwhile
            _ring(call, incident, now)
        live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)


def call_of(about: str) -> int | None:
    """The call that a message belongs to; None when it is about something else."""
    number = about.removeprefix(ABOUT)
    return int(number) if about.startswith(ABOUT) and number.isdigit() else None


def _hold(call_id: int | None) -> tuple[Incident, ContactCall] | None:
    """The incident, held, and its call read after that; None when it is over."""
    found = None if call_id is None else ContactCall.objects.select_related("incident").filter(pk=call_id).first()
    if found is None:
        return None
    incident = locks.hold(found.incident)
    call = ContactCall.objects.filter(pk=found.pk, state=State.SEEKING).first()
    return None if call is None else (incident, call)


def _end(call: ContactCall, state: str, now: datetime) -> None:
    call.state, call.ended_at = state, now
    call.save()
    timers.cancel(prefix=_timer(call))
    notify.withdraw(customer=call.customer_id, keys=_keys(call), now=now)


def _raise_the_alarm(call: ContactCall, now: datetime) -> None:
    """Nobody was reached in any round: the provider hears it inside its own house, once (N7, `services.outages`).

    While the incident about it is open, further calls without an answer are noted there.
    """
    known = reach.current(customer=call.customer_id)
    number = known.about.removeprefix("incident:") if known is not None else ""
    alarm = Incident.objects.filter(pk=int(number)).first() if number else None
    if known is not None and alarm is not None and not alarm.is_unsolved:
        reach.end(known, now=now)
        known = None
    if known is None:
        reach.unanswered(customer=call.customer_id, keys=_keys(call), now=now)
    elif alarm is not None:
        with translation.override(settings.LANGUAGE_CODE):
            body = _("Nobody answered the calls about %(number)s either.") % {"number": call.incident.number}
        timeline.write(alarm, TimelineEntry.Kind.NOTE, actor=None, now=now, body=body, is_internal=True)


def _note(incident: Incident, name: str, *, reached: bool, why: str, now: datetime) -> None:
    data: dict[str, object] = {"name": name, "reached": reached, "why": why}
    timeline.write(incident, TimelineEntry.Kind.CALLED, actor=None, now=now, data=data)


def _key(call: ContactCall, user_id: int) -> str:
    return f"call:{call.pk}:{call.round}:{user_id}"


def _keys(call: ContactCall) -> list[str]:
    """Of all its rounds so far."""
    rounds = range(1, call.round + 1)
    return [f"call:{call.pk}:{round_}:{user_id}" for round_ in rounds for user_id, _number in call.people]


def _timer(call: ContactCall) -> str:
    return f"incident:{call.incident_id}:contact-call:{call.pk}."
