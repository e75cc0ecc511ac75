"""Telling the customer, with proof, that the cause lay in their own application; taking their answer (R69)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Contact, User
from accounts.permissions import can_write
from incidents import letters, locks, timeline
from incidents.models import CauseNotice, Incident, TimelineEntry
from incidents.services.marks import touch
from incidents.services.storing import keep_files
from notify import live

Kind = TimelineEntry.Kind


def required_proof(proof: str) -> str:
    text = proof.strip()
    if not text:
        raise DomainError(
            _("The customer is told that the cause is theirs: please write the proof, and attach files to it."),
            code="proof_missing",
        )
    return text


def tell(
    incident: Incident, proof: str, *, files: Sequence[UploadedFile[Any]], actor: User, now: datetime
) -> CauseNotice:
    """Write the notice and send it to the named contacts, by e-mail too. The caller holds the incident."""
    people = _contacts(incident)
    told = [{"name": contact.user.name, "email": contact.email, "duty": contact.kind} for contact in people]
    entry = timeline.write(incident, Kind.CAUSE, actor=actor, now=now, body=proof, data={"told": len(told)})
    keep_files(incident, entry, files, actor=actor, now=now)
    notice = CauseNotice.objects.create(
        customer_id=incident.customer_id,
        incident=incident,
        entry=entry,
        proof=proof,
        told=told,
        sent_by=actor,
        sent_at=now,
    )
    detail = {"incident": incident.number, "told": [each["email"] for each in told]}
    audit.record(action="cause.tell", actor=actor, customer=incident.customer, obj=notice, detail=detail, now=now)
    letters.cause_told(notice, [contact.user for contact in people], now=now)
    return notice


@transaction.atomic
def answer(*, notice: CauseNotice, answer: str, words: str, actor: User, now: datetime) -> CauseNotice:
    """The customer acknowledges, or disputes with their reasons. Once."""
    incident = locks.hold(notice.incident)
    if not may_answer(actor, notice):
        raise PermissionDenied
    notice = CauseNotice.objects.select_for_update(of=("self",)).get(pk=notice.pk)
    if notice.answer:
        raise DomainError(_("This is answered already. Nothing was changed."), code="answered")
    chosen = CauseNotice.Answer(answer)
    if chosen is CauseNotice.Answer.DISPUTED and not words.strip():
        raise DomainError(_("Please write what you see otherwise."), code="text_missing")
    notice.answer, notice.words = chosen, words.strip()
    notice.answered_by, notice.answered_at = actor, now
    notice.save(update_fields=["answer", "words", "answered_by", "answered_at"])
    touch(incident, now=now)
    data = {"answer": chosen.value}
    timeline.write(incident, Kind.CAUSE, actor=actor, now=now, body=notice.words, data=data)
    audit.record(action="cause.answer", actor=actor, customer=incident.customer, obj=notice, detail=data, now=now)
    letters.cause_answered(notice, incident, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return notice


def may_answer(person: User, notice: CauseNotice) -> bool:
    """The customer's project managers and named contacts, and whoever raised the incident."""
    if person.customer_id != notice.customer_id or not can_write(person):
        return False
    return person.pk == notice.incident.raised_by_id or speaks_for(person)


def speaks_for(person: User) -> bool:
    """Whether somebody speaks for their company: a project manager, or a contact that it named."""
    if person.customer_id is None or not can_write(person):
        return False
    return person.role == "customer_pm" or Contact.objects.filter(user=person, customer=person.customer_id).exists()


def _contacts(incident: Incident) -> list[Contact]:
    named = Contact.objects.filter(customer_id=incident.customer_id, user__is_active=True).select_related("user")
    once: dict[int, Contact] = {}
    for contact in named:
        once.setdefault(contact.user_id, contact)
    return list(once.values())
