"""The texts that customers sign, and who is told of what has to be signed, judged or acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Contact, User
from incidents import duty
from incidents.models import Attestation, AttestationAnswer, CauseNotice, Fault, Incident, Violation
from notify import services as notify
from notify.services import Message

Text = Callable[[], tuple[str, str]]


def risk_text(incident: Incident, warning: str) -> str:
    """What the service contact signs who insists on dangerous work, in the customer's language (附件一 3.4)."""
    with translation.override(incident.customer.language):
        facts = {"number": incident.number, "title": incident.title, "provider": settings.PROVIDER_NAME}
        return "\n\n".join(
            [
                _("Request %(number)s: %(title)s") % facts,
                _("%(provider)s has warned us of the following:") % facts,
                warning,
                _(
                    "We insist on this request all the same. %(provider)s may carry it out as we ask and bears no "
                    "economic or legal liability for what follows from it (statement of work, annex 1, clause 3.4)."
                )
                % facts,
            ]
        )


def quote_text(
    incident: Incident,
    lines: Sequence[tuple[str, Decimal, Decimal, Decimal]],
    amount: Decimal,
    valid_until: date,
    note: str,
) -> str:
    """What the project manager accepts: every line with its sum, in the customer's language."""
    with translation.override(incident.customer.language):
        facts = {"number": incident.number, "title": incident.title, "amount": f"{amount:,.2f}", "day": valid_until}
        rows = [
            _("%(place)d. %(work)s: %(quantity)s × CNY %(price)s = CNY %(sum)s")
            % {"place": place, "work": work, "quantity": f"{count:f}", "price": f"{price:,.2f}", "sum": f"{total:,.2f}"}
            for place, (work, count, price, total) in enumerate(lines, start=1)
        ]
        closing = _("This work is not part of what the contract includes. We accept the quote and change the contract.")
        parts = [
            _("Quote for %(number)s: %(title)s") % facts,
            "\n".join(rows),
            _("Sum: CNY %(amount)s. Valid until %(day)s.") % facts,
            note,
            closing,
        ]
        return "\n\n".join(part for part in parts if part)


def signature_wanted(attestation: Attestation, people: Iterable[User], *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": attestation.number, "purpose": attestation.get_purpose_display()}
        until = {"time": f"{timezone.localtime(attestation.expires_at):%Y-%m-%d %H:%M}"}
        subject = _("Please sign %(number)s: %(purpose)s") % names
        return subject, "\n\n".join([attestation.subject_name, _("Until %(time)s. Only you can do this.") % until])

    _tell(attestation, "wanted", people, text, f"/attestations/{attestation.pk}/", now=now)


def signature_answered(attestation: Attestation, answer: AttestationAnswer, *, now: datetime) -> None:
    """To whoever asked, and to whoever has the incident in hand."""

    def text() -> tuple[str, str]:
        names = {"number": attestation.number, "outcome": answer.get_outcome_display(), "name": answer.signer_name}
        if answer.signer_name:
            subject = _("%(number)s: %(outcome)s, %(name)s") % names
        else:
            subject = _("%(number)s: %(outcome)s") % names
        return subject, "\n\n".join(part for part in (attestation.subject_name, answer.words) if part)

    people = {attestation.asked_by_id: attestation.asked_by}
    incident = attestation.incident
    if incident is not None:
        first = duty.first_to_know(customer_id=incident.customer_id, assignee=incident.assignee, at=now)
        people |= {person.pk: person for person in first}
    _tell(attestation, "answered", people.values(), text, f"/attestations/{attestation.pk}/", now=now)


def request_decided(incident: Incident, actor: User, words: str, *, now: datetime) -> None:
    """Accepted or refused: whoever asked for it hears."""

    def text() -> tuple[str, str]:
        names = {"number": incident.number, "phase": incident.get_phase_display()}
        subject = _("Request %(number)s: %(phase)s") % names
        return subject, "\n\n".join(part for part in (incident.title, words.strip()) if part)

    person = incident.raised_by
    people = [] if person is None or person.pk == actor.pk else [person]
    _tell(incident, f"decided:{incident.version}", people, text, f"/incidents/{incident.pk}/", now=now)


def cause_told(notice: CauseNotice, people: Iterable[User], *, now: datetime) -> None:
    """By e-mail too, so that there is a receipt."""
    incident = notice.incident

    def text() -> tuple[str, str]:
        subject = _("%(number)s: the cause was in your application") % {"number": incident.number}
        ask = _("Please acknowledge this, or write what you see otherwise.")
        return subject, "\n\n".join([incident.title, notice.proof[:4000], ask])

    url = f"/incidents/{incident.pk}/"
    _tell(notice, "told", people, text, url, now=now, channels=("inbox", "email"))


def cause_answered(notice: CauseNotice, incident: Incident, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": incident.number, "answer": notice.get_answer_display()}
        subject = _("%(number)s, cause at the customer: %(answer)s") % names
        return subject, "\n\n".join(part for part in (incident.title, notice.words) if part)

    people = {notice.sent_by_id: notice.sent_by}
    if notice.answer == CauseNotice.Answer.DISPUTED:
        also = duty.also_when_missed(customer_id=incident.customer_id, at=now)
        people |= {person.pk: person for person in also}
    _tell(notice, "answered", people.values(), text, f"/incidents/{incident.pk}/", now=now)


def fault_proposed(fault: Fault, incident: Incident, actor: User, *, now: datetime) -> None:
    """To the side that did not propose it."""

    def text() -> tuple[str, str]:
        names = {"name": actor.name, "number": incident.number}
        subject = _("%(name)s proposes %(number)s as a fault: please review it") % names
        return subject, "\n\n".join([str(fault), fault.summary[:1000]])

    people = other_side(fault.customer_id, incident.assignee, actor, now=now)
    _tell(fault, f"proposed:{incident.pk}", people, text, f"/faults/{fault.pk}/", now=now)


def fault_judged(fault: Fault, incidents: Sequence[Incident], actor: User, words: str, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": fault.number, "outcome": fault.get_outcome_display(), "name": actor.name}
        return _("%(number)s: %(outcome)s, after the word of %(name)s") % names, f"{fault.title}\n\n{words.strip()}"

    assignee = next((one.assignee for one in incidents if one.assignee is not None), None)
    people = other_side(fault.customer_id, assignee, actor, now=now)
    _tell(fault, f"judged:{now:%Y%m%d%H%M%S%f}", people, text, f"/faults/{fault.pk}/", now=now)


def violation_recorded(violation: Violation, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": violation.number, "rule": violation.get_rule_display()}
        return _("%(number)s is recorded: %(rule)s") % names, f"{violation.who}\n\n{violation.what[:1000]}"

    people = other_side(violation.customer_id, None, violation.recorded_by, now=now)
    _tell(violation, "recorded", people, text, f"/violations/{violation.pk}/", now=now)


def violation_answered(violation: Violation, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": violation.number, "answer": violation.get_answer_display()}
        return _("%(number)s: %(answer)s") % names, violation.words or violation.what[:300]

    _tell(violation, "answered", [violation.recorded_by], text, f"/violations/{violation.pk}/", now=now)


def other_side(customer_id: int, assignee: User | None, actor: User, *, now: datetime) -> list[User]:
    """Who reads for the other side: the customer's named contacts, or whoever of the provider is on duty."""
    if not actor.is_provider:
        return duty.first_to_know(customer_id=customer_id, assignee=assignee, at=now)
    named = Contact.objects.filter(customer_id=customer_id, user__is_active=True).select_related("user")
    return list({contact.user_id: contact.user for contact in named}.values())


def _tell(
    about: Attestation | CauseNotice | Fault | Incident | Violation,
    what: str,
    people: Iterable[User],
    text: Text,
    url: str,
    *,
    now: datetime,
    channels: tuple[str, ...] = ("inbox",),
) -> None:
    notes = []
    for person in people:
        with translation.override(person.language):
            subject, body = text()
        key = f"{about._meta.model_name}:{about.pk}:{what}:{person.pk}"
        message = Message(topic="incident", subject=subject, text=body, url=url)
        notes.append(notify.Note(person, key, message, channels))
    notify.tell_many(customer=about.customer, notes=notes, now=now)
