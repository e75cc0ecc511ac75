"""What came from somebody unknown: it waits for a person, its clock runs, and nobody may forget it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, Role, Severity, User
from accounts.services import roster
from incidents import locks, messages, timeline
from incidents.models import InboundMessage, Incident, TimelineEntry
from incidents.permissions import may_manage_ways_in
from incidents.services import inbound_alarms
from incidents.services.enclosures import files_of, with_refused
from incidents.services.opening import open_from_message
from incidents.services.storing import keep_files
from notify import live
from notify import services as notify
from notify.inbound.reading import BadInputError
from timers import services as timers

WHY: Final = "what is nobody's yet is seen by all of the provider's people"
RESPONSE: Final = timedelta(minutes=15)
"""SOW table 1, note: what a customer submits is responded to in 15 minutes (R55), also before we know who it was."""
WARN_BEFORE: Final = timedelta(minutes=5)
REMIND_TASK: Final = "incidents.remind_triage"
Verdict = InboundMessage.Verdict
Reason = InboundMessage.Reason


def held_for(person: User) -> QuerySet[InboundMessage]:
    """What waits, as this person may see it. Run it within `seen_by`."""
    reach = scope.of(person)
    rows: QuerySet[InboundMessage] = InboundMessage.objects.for_lists().held()
    if reach.customer_ids is not None:
        rows = rows.filter(customer=None) | rows.filter(customer__in=reach.customer_ids)
    return rows.order_by("received_at", "pk")


def hold(message: InboundMessage, reason: InboundMessage.Reason, *, now: datetime) -> None:
    """Let a message wait for a person, and tell whoever is on duty. The caller saves it."""
    message.verdict, message.reason = Verdict.HELD, reason
    message.due_at = message.received_at + RESPONSE
    _tell(message, people_on_duty(now), "held", now=now)
    timers.set(
        key=_key(message),
        due_at=message.due_at - WARN_BEFORE,
        task=REMIND_TASK,
        args={"message_id": message.pk},
        customer=message.customer,
    )


@transaction.atomic
def remind(*, message_id: int, now: datetime) -> None:
    """Nobody has looked yet: the managers hear of it, by mail too."""
    with scope.platform(WHY):
        message = InboundMessage.objects.held().filter(pk=message_id).select_related("source").first()
        if message is not None:
            _tell(message, _managers(), "late", now=now, channels=("inbox", "email"))


@transaction.atomic
def assign(
    *,
    message: InboundMessage,
    customer: Customer,
    person: User | None,
    severity: Severity,
    actor: User,
    now: datetime,
) -> Incident | None:
    """Say whose it is: it becomes that customer's incident, the response counted from when it reached us.

    `person`: who of the customer it is from, when that is certain now. Alarms may open none, when they have ended.
    """
    if not may_manage_ways_in(actor) or not scope.of(actor).allows(customer.pk):
        raise PermissionDenied
    if person is not None and person.customer_id != customer.pk:
        raise DomainError(_("This person does not belong to the customer. Nothing was changed."))
    with scope.platform(WHY):
        held = _take(message)
        held.customer = customer
        if held.source.is_alarm:
            incident = _open_alarms(held, now)
        else:
            with scope.customer(customer):
                incident = _open(held, customer, person=person, severity=severity, actor=actor, now=now)
        held.incident, held.person = incident, person
        held.verdict = Verdict.ALARMS if held.source.is_alarm else Verdict.OPENED
        _done(held, actor, "inbound.assign", now=now)
        return incident


@transaction.atomic
def reject(*, message: InboundMessage, actor: User, now: datetime) -> None:
    """Nothing of ours: advertising, a wrong number."""
    if not may_manage_ways_in(actor):
        raise PermissionDenied
    with scope.platform(WHY):
        held = _take(message)
        held.verdict = Verdict.REJECTED
        _done(held, actor, "inbound.reject", now=now)


def _open(
    held: InboundMessage,
    customer: Customer,
    *,
    person: User | None,
    severity: Severity,
    actor: User,
    now: datetime,
) -> Incident:
    files, refused = files_of(held)
    with translation.override(customer.language):
        description = with_refused(held.text, refused)
        title = held.subject or _first_line(held.text) or _("Message without a text")
    return open_from_message(
        customer=customer,
        title=title,
        description=description,
        severity=severity,
        source=held.source.kind,
        sender=held.sender,
        person=person,
        actor=actor,
        began=held.received_at,
        files=files,
        now=now,
    )


def _open_alarms(held: InboundMessage, now: datetime) -> Incident | None:
    try:
        outcome = inbound_alarms.take_in(held, now=now)
    except BadInputError as problem:
        raise DomainError(str(problem)) from None
    return next(iter(outcome.incidents), None)


def _take(message: InboundMessage) -> InboundMessage:
    rows = InboundMessage.objects.select_for_update(no_key=True, of=("self",)).select_related("source", "customer")
    held = rows.get(pk=message.pk)
    if held.verdict != Verdict.HELD:
        raise DomainError(_("Somebody has dealt with this message already. Nothing was changed."), code="settled")
    return held


def _done(held: InboundMessage, actor: User, action: str, *, now: datetime) -> None:
    held.handled_by, held.handled_at = actor, now
    held.save()
    timers.cancel(prefix=_key(held))
    audit.record(action=action, actor=actor, customer=held.customer, obj=held, now=now)


def _key(message: InboundMessage) -> str:
    return f"inbound:{message.pk}:triage"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:200]


def note(incident: Incident, person: User, text: str, *, now: datetime) -> None:
    """Tell one person of the provider about an incident that came in oddly."""
    with translation.override(person.language):
        subject = _("Please look at %(number)s") % {"number": incident.number}
        message = notify.Message("incident", subject, text, f"/incidents/{incident.pk}/", incident.severity)
    key = f"incident:{incident.pk}:odd"
    notify.tell(user=person, key=key, message=message, now=now, customer=incident.customer)


def note_unverified(
    incident: Incident, message: InboundMessage, body: str, *, now: datetime, files: Sequence[UploadedFile[Any]] = ()
) -> None:
    """What an unknown sender adds to what they began: on the record, and no reply of the customer."""
    held = locks.hold(incident)
    data: dict[str, object] = {"via": message.source.kind, "sender": message.sender or message.sender_id}
    entry = timeline.write(held, TimelineEntry.Kind.COMMENT, actor=None, now=now, body=body, data=data)
    keep_files(held, entry, files, actor=None, now=now)
    messages.heard(held, entry.pk, str(data["sender"]), body, now=now)
    live.publish(customer_id=held.customer_id, topic="incidents", object_id=held.pk)


def people_on_duty(now: datetime) -> list[User]:
    """The first responders of any customer at this moment; without a roster the managers."""
    people: dict[int, User] = {}
    for customer_id in Customer.objects.filter(status=Customer.Status.IN_SERVICE).values_list("pk", flat=True):
        first = roster.on_duty(customer_id=customer_id, at=now).first
        if first is not None:
            people[first.pk] = first
    return list(people.values()) or _managers()


def _managers() -> list[User]:
    return list(User.objects.filter(role__in=(Role.MANAGER, Role.ADMIN), is_active=True))


def _tell(
    message: InboundMessage,
    people: list[User],
    what: str,
    *,
    now: datetime,
    channels: tuple[str, ...] = ("inbox",),
) -> None:
    for person in people:
        with translation.override(person.language):
            names = {"sender": message.sender or message.source.name}
            subject = _("%(sender)s wrote and is not known: whose is it?") % names
            if what == "late":
                subject = _("Nobody has looked at the message of %(sender)s yet") % names
            note = notify.Message(
                topic="incident",
                subject=subject,
                text=f"{message.subject}\n\n{message.text[:300]}".strip(),
                url=f"/ways-in/unknown/{message.pk}/",
                severity=message.source.default_severity,
            )
        notify.tell(user=person, key=f"inbound:{message.pk}:{what}", message=note, now=now, channels=channels)
