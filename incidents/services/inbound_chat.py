"""Messages from chats: commands of people who are bound, and what anybody else has to say (R49, R128, R134)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from accounts.permissions import can_write
from incidents import timeline
from incidents.models import InboundMessage, Incident
from incidents.models.incident import UNSOLVED_STATES
from incidents.permissions import may_ever
from incidents.services import chat_identities, triage
from incidents.services.handling import acknowledge
from incidents.services.opening import open_from_message
from incidents.services.talking import LONGEST_COMMENT, comment
from incidents.states import Verb
from notify.inbound import commands
from notify.inbound.commands import Command, Word

CONVERSATION: Final = timedelta(minutes=30)
"""What somebody adds within this time belongs to what they wrote before."""
LISTED: Final = 10
TITLE: Final = 80
Verdict = InboundMessage.Verdict
Reason = InboundMessage.Reason


def read(message: InboundMessage, now: datetime) -> None:
    """Make of a stored chat message what is to be made of it, and write down what to answer."""
    command = commands.read(message.text)
    person = chat_identities.who_is(message.source, message.sender_id)
    with translation.override(_language(message, person)):
        if command.word is Word.BIND:
            _bind(message, command, now)
        elif person is None:
            _unbound(message, command, now)
        else:
            message.person = person
            message.customer = message.source.customer or person.customer
            _bound(message, command, person, now)


def _bind(message: InboundMessage, command: Command, now: datetime) -> None:
    person = chat_identities.bind(
        source=message.source,
        sender_id=message.sender_id,
        name=message.sender,
        code=commands.code_in(command.text),
        now=now,
    )
    message.verdict, message.person = Verdict.ANSWERED, person
    message.text = message.text.replace(command.text, "••••••••")
    if person is None:
        message.reply = _("This code is not valid (any more). Make a new one: %(address)s") % {"address": _profile()}
        return
    with translation.override(person.language):
        message.reply = _("You are %(name)s from now on. “help” says what you can do here.") % {"name": person.name}


def _unbound(message: InboundMessage, command: Command, now: datetime) -> None:
    """Somebody we do not know: an emergency is kept all the same, a command is not obeyed."""
    how = _("I do not know you yet. Make a code at %(address)s and write to me: bind CODE") % {"address": _profile()}
    if command.word not in (Word.SAY, Word.NEW, Word.COMMENT) or not command.text:
        message.verdict, message.reason, message.reply = Verdict.ANSWERED, Reason.UNKNOWN_SENDER, how
        return
    message.reason = Reason.UNKNOWN_SENDER
    customer = message.source.customer
    if customer is None:
        triage.hold(message, Reason.UNKNOWN_SENDER, now=now)
        message.reply = _("Your message is kept, and somebody looks at it now.") + "\n" + how
        return
    with scope.customer(customer):
        incident = _going_on(message, customer, now) if command.word is Word.SAY else None
        if incident is not None:
            triage.note_unverified(incident, message, command.text[:LONGEST_COMMENT], now=now)
            message.verdict = Verdict.JOINED
        else:
            incident = _open(message, command, customer, None, now)
            message.verdict = Verdict.OPENED
    message.incident = incident
    message.reply = _("Your message is %(number)s, and somebody looks at it now.") % {"number": incident.number}
    message.reply += "\n" + how


def _bound(message: InboundMessage, command: Command, person: User, now: datetime) -> None:
    try:
        with scope.user(person):
            match command.word:
                case Word.LIST:
                    _list(message, person)
                case Word.ACKNOWLEDGE:
                    _acknowledge(message, command, person, now)
                case Word.COMMENT:
                    _comment(message, command, _named(message, command.incident), person, now)
                case Word.HELP:
                    message.verdict, message.reply = Verdict.ANSWERED, _help(person)
                case _:
                    _said(message, command, person, now)
    except PermissionDenied:
        message.verdict, message.reply = Verdict.ANSWERED, _("You may not do this.")
    except DomainError as refusal:
        message.verdict, message.reply = Verdict.ANSWERED, refusal.message


def _list(message: InboundMessage, person: User) -> None:
    message.verdict = Verdict.ANSWERED
    if person.is_provider and message.source.customer_id is None and message.data.get("is_group"):
        message.reply = _("Others read here, too. Ask me in a chat of our own.")
        return
    rows = Incident.objects.unsolved().for_both_sides()
    if message.source.customer_id is not None:
        rows = rows.filter(customer=message.source.customer_id)
    found = list(rows.by_urgency().select_related("customer")[: LISTED + 1])
    if not found:
        message.reply = _("No incident is open.")
        return
    lines = [
        f"- [{one.number}]({_page(one)}) {one.level.label} · {one.title} · {one.get_state_display()}" for one in found
    ]
    more = [_("… and more: %(address)s") % {"address": f"{settings.PUBLIC_URL}/incidents/?state=unsolved"}]
    message.reply = "\n".join(lines[:LISTED] + (more if len(found) > LISTED else []))


def _acknowledge(message: InboundMessage, command: Command, person: User, now: datetime) -> None:
    if not may_ever(person, Verb.ACKNOWLEDGE):
        raise PermissionDenied
    incident = _named(message, command.incident) if command.incident else _last(message, now)
    if incident is None:
        raise DomainError(_("Which one? Write its number: ack 12"))
    acknowledge(incident=incident, actor=person, now=now, via=message.source.kind)
    message.verdict, message.incident = Verdict.JOINED, incident
    message.customer = incident.customer
    message.reply = _("%(number)s is yours: the response clock has stopped.") % {"number": incident.number}


def _comment(message: InboundMessage, command: Command, incident: Incident | None, person: User, now: datetime) -> None:
    incident = incident or _last(message, now)
    if incident is None:
        raise DomainError(_("Which one? Write its number: comment 12 …"))
    comment(incident=incident, body=command.text[:LONGEST_COMMENT], actor=person, now=now, via=message.source.kind)
    message.verdict, message.incident, message.customer = Verdict.JOINED, incident, incident.customer
    message.reply = _("Written on %(number)s.") % {"number": incident.number}


def _said(message: InboundMessage, command: Command, person: User, now: datetime) -> None:
    """No command: it goes to the incident that it names or that the conversation is about, or it is a new one."""
    if not command.text:
        message.verdict, message.reply = Verdict.ANSWERED, _help(person)
        return
    if not can_write(person):
        raise PermissionDenied
    if command.word is Word.SAY:
        incident = _named(message, command.incident) if command.incident else _last(message, now)
        if incident is not None and (command.incident or incident.state in UNSOLVED_STATES):
            _comment(message, command, incident, person, now)
            return
    customer = message.source.customer or person.customer
    if customer is None or (person.is_provider and command.word is Word.SAY):
        message.verdict, message.reply = Verdict.ANSWERED, _help(person)
        return
    incident = _open(message, command, customer, person, now)
    message.verdict, message.incident = Verdict.OPENED, incident
    due = incident.response.due_at if incident.response else None
    message.reply = _("[%(number)s](%(address)s) is open. We answer by %(time)s.") % {
        "number": incident.number,
        "address": _page(incident),
        "time": timeline.clock_time(due) if due else "—",
    }


def _open(
    message: InboundMessage, command: Command, customer: Customer, person: User | None, now: datetime
) -> Incident:
    text = command.text[:LONGEST_COMMENT]
    first = next((line.strip() for line in text.splitlines() if line.strip()), text)
    return open_from_message(
        customer=customer,
        title=first if len(first) <= TITLE else f"{first[:TITLE]}…",
        description=text,
        severity=Severity(command.severity or message.source.default_severity),
        source=message.source.kind,
        sender=message.sender or message.sender_id,
        person=person,
        began=message.received_at,
        now=now,
    )


def _named(message: InboundMessage, number: int | None) -> Incident | None:
    """The incident of this number within reach of person and robot. Raises DomainError when there is none."""
    if number is None:
        return None
    rows = Incident.objects.for_both_sides().filter(pk=number).select_related("customer")
    if message.source.customer_id is not None:
        rows = rows.filter(customer=message.source.customer_id)
    found: Incident | None = rows.first()
    if found is None:
        raise DomainError(_("There is no incident %(number)s for you.") % {"number": f"INC-{number:06d}"})
    return found


def _last(message: InboundMessage, now: datetime) -> Incident | None:
    """What the conversation is about: the incident of the sender's last message here, for half an hour."""
    with scope.platform(triage.WHY):
        earlier = InboundMessage.objects.filter(
            source=message.source,
            sender_id=message.sender_id,
            conversation=message.conversation,
            received_at__gte=message.received_at - CONVERSATION,
            pk__lt=message.pk,
        )
        last = earlier.exclude(incident=None).order_by("-pk").values_list("incident_id", flat=True).first()
    if last is None:
        return None
    return Incident.objects.for_both_sides().filter(pk=last).select_related("customer").first()


def _going_on(message: InboundMessage, customer: Customer, now: datetime) -> Incident | None:
    found = _last(message, now)
    is_theirs = found is not None and found.customer_id == customer.pk and found.raised_by_id is None
    return found if is_theirs and found is not None and found.state in UNSOLVED_STATES else None


def _help(person: User) -> str:
    lines = [_("- list: the open incidents"), _("- comment 12 …: write on INC-000012")]
    if person.is_provider:
        lines.append(_("- ack 12: take INC-000012 in hand"))
    else:
        lines.append(_("- anything else: raises an incident, or goes to the one we talk about"))
    lines.append(_("- new …: raises an incident in any case"))
    return "\n".join(lines)


def _language(message: InboundMessage, person: User | None) -> str:
    if person is not None:
        return person.language
    return message.source.customer.language if message.source.customer else settings.LANGUAGE_CODE


def _profile() -> str:
    return f"{settings.PUBLIC_URL}/ways-in/chat/"


def _page(incident: Incident) -> str:
    return f"{settings.PUBLIC_URL}/incidents/{incident.pk}/"
