"""Mails to the service address: whose they are, which incident they belong to, and what becomes of them (R50)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from email.utils import parseaddr
from typing import Any, Final

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import scope
from accounts.models import Contact, Customer, Severity, User
from accounts.permissions import can_write
from incidents import timeline
from incidents.models import InboundMessage, Incident, IncidentKind, TimelineEntry
from incidents.models.incident import UNSOLVED_STATES
from incidents.permissions import may
from incidents.services import triage
from incidents.services.enclosures import sort, with_refused
from incidents.services.handling import acknowledge, reopen
from incidents.services.opening import open_from_message
from incidents.services.talking import LONGEST_COMMENT, comment
from incidents.states import Verb
from notify import marking
from notify.inbound import commands, mail, plain
from notify.inbound.commands import Word
from notify.inbound.mail import Mail
from notify.models import Delivery
from notify.services import bounces

Verdict = InboundMessage.Verdict
Reason = InboundMessage.Reason
EMAIL: Final = Incident.Source.EMAIL
INCIDENT_PAGE: Final = re.compile(r"/incidents/(\d{1,12})/")
NUMBER: Final = re.compile(r"INC-0*(\d{1,12})")


def read(message: InboundMessage, now: datetime) -> None:
    """Make of a stored mail what is to be made of it. Raises BadInputError."""
    letter = mail.read(bytes(message.raw))
    if message.data.get("too_large"):
        letter = replace(letter, enclosures=())  # only the beginning was fetched: its files are not whole
    message.sender, message.sender_id = f"{letter.sender_name} <{letter.sender}>"[:200], letter.sender[:200]
    message.subject, message.text = letter.subject, letter.text
    message.conversation = letter.message_id[:200]
    if letter.returned is not None:
        bounces.note(returned=letter.returned, now=now)
    if reason := _not_for_people(message, letter):
        message.verdict, message.reason = Verdict.IGNORED, reason
        return
    people = _people(letter.sender)
    thread = _thread(message, letter)
    person = people[0] if len(people) == 1 else None
    doubt = _doubt(message, letter, people)
    if person is None or doubt is not None:
        _from_nobody(message, letter, doubt or Reason.UNKNOWN_SENDER, person=person, thread=thread, now=now)
        return
    message.person = person
    if person.is_provider:
        _from_provider(message, letter, person, thread, now)
    else:
        assert person.customer is not None  # noqa: S101 - a constraint of the table says so
        _from_customer(message, letter, person, customer=person.customer, thread=thread, now=now)


def _from_customer(
    message: InboundMessage, letter: Mail, person: User, *, customer: Customer, thread: Incident | None, now: datetime
) -> None:
    message.customer = customer
    if thread is not None and thread.kind == IncidentKind.INTERNAL:
        thread = None
    with scope.user(person):
        if thread is not None and thread.customer_id == customer.pk:
            _join(message, letter, thread, person, now)
            return
        incident = _open(message, letter, person, customer, now)
    message.verdict, message.incident = Verdict.OPENED, incident
    if thread is not None:
        message.reason = Reason.FOREIGN_MARK
        _tell_of_foreign_mark(incident, thread, now)


def _from_provider(message: InboundMessage, letter: Mail, person: User, thread: Incident | None, now: datetime) -> None:
    if thread is None or not scope.of(person).allows(thread.customer_id):
        triage.hold(message, Reason.NO_CUSTOMER, now=now)
        return
    message.customer = thread.customer
    with scope.user(person):
        said = plain.without_quotes(letter.text)
        if commands.read(said).word is Word.ACKNOWLEDGE and may(person, Verb.ACKNOWLEDGE, thread):
            acknowledge(incident=thread, actor=person, now=now, via=EMAIL)
            message.verdict, message.incident = Verdict.JOINED, thread
            return
        _join(message, letter, thread, person, now)


def _from_nobody(
    message: InboundMessage,
    letter: Mail,
    reason: InboundMessage.Reason,
    *,
    person: User | None,
    thread: Incident | None,
    now: datetime,
) -> None:
    """At a customer's own mailbox an incident at once, whose sender is not verified, as in its chats (R50).

    At the provider's nobody knows whose it would be; and somebody who may only read is known: a person decides.
    """
    customer = message.source.customer
    if customer is None or reason == Reason.READ_ONLY:
        _hold(message, reason, person, thread, now)
        return
    message.customer = customer
    begun = thread if thread is not None and _began(message, thread) else None
    with scope.customer(customer):
        if begun is not None:
            files, refused = _files(message, letter)
            with translation.override(customer.language):
                body = _reply(letter, refused, has_files=bool(files))
            triage.note_unverified(begun, message, body, now=now, files=files)
            message.verdict, message.incident = Verdict.JOINED, begun
        else:
            message.verdict, message.incident = Verdict.OPENED, _open(message, letter, None, customer, now)
    message.reason = reason


def _began(message: InboundMessage, thread: Incident) -> bool:
    """Whether the same unknown address began this incident here, and it is not done: a mark alone gives no right."""
    if thread.raised_by_id is not None or thread.state not in UNSOLVED_STATES:
        return False
    earlier = InboundMessage.objects.filter(source=message.source, sender_id=message.sender_id, incident=thread)
    return earlier.filter(person=None).exists()


def _join(message: InboundMessage, letter: Mail, incident: Incident, person: User, now: datetime) -> None:
    """A reply is a comment; one from a customer on an incident that is done opens it again."""
    files, refused = _files(message, letter)
    with translation.override(incident.customer.language):
        body = _reply(letter, refused, has_files=bool(files))
    comment(incident=incident, body=body, files=files, actor=person, now=now, via=EMAIL)
    fresh = Incident.objects.get(pk=incident.pk)
    if not person.is_provider and fresh.state not in UNSOLVED_STATES and may(person, Verb.REOPEN, fresh):
        with translation.override(incident.customer.language):
            reopen(incident=fresh, reason=_("The customer wrote again by e-mail."), actor=person, now=now)
    message.verdict, message.incident = Verdict.JOINED, incident


def _reply(letter: Mail, refused: list[str], *, has_files: bool) -> str:
    """What a mail adds to an incident, in the language that is active."""
    body = with_refused(plain.without_quotes(letter.text), refused)[:LONGEST_COMMENT]
    return body or ("" if has_files else _("(a mail without a text)"))


def _open(message: InboundMessage, letter: Mail, person: User | None, customer: Customer, now: datetime) -> Incident:
    said = commands.read(letter.subject)
    files, refused = _files(message, letter)
    with translation.override(customer.language):
        description = with_refused(letter.text[:LONGEST_COMMENT], refused)
        title = (said.text if said.severity else letter.subject) or _("Mail without a subject")
    return open_from_message(
        customer=customer,
        title=title,
        description=description,
        severity=Severity(said.severity or message.source.default_severity),
        source=EMAIL,
        sender=letter.sender,
        person=person,
        began=message.received_at,
        files=files,
        now=now,
    )


def _files(message: InboundMessage, letter: Mail) -> tuple[list[UploadedFile[Any]], list[str]]:
    files, refused = sort(letter.enclosures)
    if message.data.get("too_large"):
        message.reason = Reason.TOO_LARGE
        refused.append(_("all files of this mail"))
    return files, refused


def _not_for_people(message: InboundMessage, letter: Mail) -> InboundMessage.Reason | None:
    own = {parseaddr(settings.DEFAULT_FROM_EMAIL)[1].lower(), str(message.source.config.get("address", "")).lower()}
    if letter.sender in own or marking.delivery_in([letter.message_id]) is not None:
        return Reason.OWN
    return Reason(letter.machine) if letter.machine else None


def _doubt(message: InboundMessage, letter: Mail, people: list[User]) -> InboundMessage.Reason | None:
    """Why it is not certain enough who wrote, or that they may; None: it is."""
    if len(people) != 1:
        return Reason.AMBIGUOUS_SENDER if people else Reason.UNKNOWN_SENDER
    config, person = message.source.config, people[0]
    if not config.get("trusts_from") and not mail.is_vouched_for(letter, str(config.get("authserv", ""))):
        return Reason.UNPROVEN_SENDER
    if message.source.customer_id is not None and person.customer_id not in (None, message.source.customer_id):
        return Reason.UNKNOWN_SENDER  # another customer's person at this customer's own mailbox
    return None if can_write(person) else Reason.READ_ONLY


def _hold(
    message: InboundMessage,
    reason: InboundMessage.Reason,
    person: User | None,
    thread: Incident | None,
    now: datetime,
) -> None:
    """With what speaks for whose it may be, for the person who decides."""
    guess: dict[str, object] = {}
    if person is not None and person.customer_id is not None:
        guess = {"guess_customer": person.customer_id, "guess_person": person.pk}
    elif message.source.customer_id is not None:
        guess = {"guess_customer": message.source.customer_id}
    if thread is not None:
        guess["mark"] = thread.number
    message.data = {**message.data, **guess}
    triage.hold(message, reason, now=now)


def _people(address: str) -> list[User]:
    """Whose address this is: people who sign in with it, and named contacts."""
    found = {person.pk: person for person in User.objects.filter(email__iexact=address, is_active=True)}
    named = Contact.objects.filter(email__iexact=address, user__is_active=True).select_related("user")
    found |= {contact.user.pk: contact.user for contact in named}
    return list(found.values())


def _thread(message: InboundMessage, letter: Mail) -> Incident | None:
    """The incident whose mark it bears, whose message it answers, or whose mails it follows."""
    for reference in marking.references_in(letter.subject, *letter.recipients):
        number = NUMBER.fullmatch(reference)
        if number and (found := Incident.objects.filter(pk=int(number[1])).select_related("customer").first()):
            return found
    delivery_id = marking.delivery_in(letter.references)
    if delivery_id is not None:
        url = Delivery.objects.filter(pk=delivery_id).values_list("url", flat=True).first() or ""
        page = INCIDENT_PAGE.match(url)
        if page and (found := Incident.objects.filter(pk=int(page[1])).select_related("customer").first()):
            return found
    earlier = InboundMessage.objects.filter(source=message.source, conversation__in=letter.references)
    followed = earlier.exclude(incident=None).order_by("-pk").select_related("incident__customer").first()
    return followed.incident if followed else None


def _tell_of_foreign_mark(incident: Incident, foreign: Incident, now: datetime) -> None:
    """A mark of one customer's incident in another's mail: nothing goes there, and both sides' engineers read it."""
    kind = TimelineEntry.Kind.NOTE
    theirs = _("The mail bore the mark of another customer's incident. It was not added there: please find out how.")
    timeline.write(incident, kind, actor=None, now=now, body=theirs, is_internal=True)
    with scope.customer(foreign.customer_id):
        ours = _("A mail with the mark of this incident came from an address of somebody else. It was not added.")
        timeline.write(foreign, kind, actor=None, now=now, body=ours, is_internal=True)
    for person in triage.people_on_duty(now):
        triage.note(incident, person, theirs, now=now)
