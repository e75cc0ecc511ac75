"""Asking for a signature, taking it, and proving it later: for risk, refusal, quotes, ports, patches and transfer.

Whoever needs one calls `ask` with its own subject and looks at `is_signed` before it goes on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Contact, Customer, User
from accounts.permissions import can_write
from incidents import letters, locks, timeline
from incidents.models import SIGNERS, Attestation, AttestationAnswer, Incident, Purpose, TimelineEntry
from incidents.services import waiting
from incidents.services.marks import touch
from incidents.services.storing import judge_file
from notify import live
from timers import services as timers

EXPIRE_TASK = "incidents.expire_attestation"
MAIL_TASK = "incidents.mail_attestation"
SALT = "incidents.attestation"
LONGEST = 20_000
Outcome = AttestationAnswer.Outcome
Channel = AttestationAnswer.Channel


@dataclass(frozen=True, slots=True)
class Subject:
    """What is signed about: `key` is kind and number ("incident:7"), `url` a path of this site."""

    key: str
    name: str
    url: str
    incident: Incident | None = None

    @classmethod
    def of(cls, incident: Incident) -> Subject:
        return cls(f"incident:{incident.pk}", str(incident)[:250], f"/incidents/{incident.pk}/", incident)


@transaction.atomic
def ask(
    *,
    customer: Customer,
    purpose: Purpose,
    subject: Subject,
    text: str,
    actor: User,
    now: datetime,
    expires_at: datetime | None = None,
    on_answer: str = "",
) -> Attestation:
    """Put a text before the named contacts: they find it in the portal and get a signed link by e-mail.

    `on_answer`: the task that is woken with `attestation_id` once it is answered, whatever the answer.
    """
    if not actor.is_provider:
        raise PermissionDenied
    text = text.strip()
    if not text:
        raise DomainError(_("Please write what is to be signed."), code="text_missing")
    if len(text) > LONGEST:
        raise DomainError(_("This is too long. Nothing was saved: please attach it as a file."), code="too_long")
    audit.hold(customer.pk)
    if not _contacts(customer.pk, purpose):
        raise DomainError(
            _("Nobody is named who may sign this. Nothing was asked: have the customer name a contact first."),
            code="nobody_signs",
        )
    attestation = Attestation.objects.create(
        customer=customer,
        purpose=purpose,
        incident=subject.incident,
        subject=subject.key,
        subject_name=subject.name,
        subject_url=subject.url,
        text=text,
        text_sha256=digest(text),
        asked_by=actor,
        asked_at=now,
        expires_at=expires_at or now + timedelta(days=settings.ATTESTATION_DAYS),
        on_answer=on_answer,
    )
    timers.set(
        key=f"attestation:{attestation.pk}:expire",
        due_at=attestation.expires_at,
        task=EXPIRE_TASK,
        args={"attestation_id": attestation.pk},
        customer=customer,
    )
    for contact in _contacts(customer.pk, purpose):
        timers.set(
            key=f"attestation:{attestation.pk}:mail:{contact.pk}",
            due_at=now,
            task=MAIL_TASK,
            args={"attestation_id": attestation.pk, "contact_id": contact.pk},
            customer=customer,
        )
    detail = {"purpose": purpose.value, "subject": subject.key, "text_sha256": attestation.text_sha256}
    audit.record(action="attestation.ask", actor=actor, customer=customer, obj=attestation, detail=detail, now=now)
    letters.signature_wanted(attestation, [contact.user for contact in _contacts(customer.pk, purpose)], now=now)
    return attestation


@transaction.atomic
def sign(
    *, attestation: Attestation, actor: User, ip: str | None, now: datetime, words: str = "", by_link: bool = False
) -> AttestationAnswer:
    """The named contact signs, by themself: in the portal, or by the link that was mailed to them alone."""
    attestation = _hold(attestation)
    contact = signer_for(attestation, actor)
    channel = Channel.LINK if by_link else Channel.PORTAL
    return _answer(attestation, Outcome.SIGNED, channel, contact=contact, ip=ip, words=words, now=now)


@transaction.atomic
def decline(
    *, attestation: Attestation, actor: User, words: str, ip: str | None, now: datetime, by_link: bool = False
) -> AttestationAnswer:
    """The named contact does not sign, and says why."""
    attestation = _hold(attestation)
    contact = signer_for(attestation, actor)
    if not words.strip():
        raise DomainError(_("Please say why: the service team reads it."), code="text_missing")
    channel = Channel.LINK if by_link else Channel.PORTAL
    return _answer(attestation, Outcome.DECLINED, channel, contact=contact, ip=ip, words=words, now=now)


@transaction.atomic
def record(
    *,
    attestation: Attestation,
    contact: Contact,
    channel: str,
    file: UploadedFile[Any] | None,
    signed_at: datetime,
    actor: User,
    now: datetime,
    words: str = "",
) -> AttestationAnswer:
    """An engineer puts in what a named contact signed on paper or wrote by e-mail. The document itself is needed."""
    if not actor.is_provider:
        raise PermissionDenied
    attestation = _hold(attestation)
    if channel not in (Channel.EMAIL, Channel.PAPER):
        raise DomainError(_("Please say whether it came on paper or by e-mail."), code="channel_missing")
    if contact.customer_id != attestation.customer_id or contact.kind not in attestation.signer_kinds:
        raise DomainError(_("This person is not named to sign it. Nothing was saved."), code="not_the_signer")
    if file is None:
        raise DomainError(_("Please attach the signed document or the mail: without it there is no proof."))
    if signed_at > now + timedelta(minutes=1) or signed_at < attestation.asked_at - timedelta(days=1):
        raise DomainError(_("The time of the signature cannot be right. Nothing was saved: please correct it."))
    return _answer(
        attestation,
        Outcome.SIGNED,
        Channel(channel),
        contact=contact,
        recorded_by=actor,
        file=file,
        words=words,
        at=signed_at,
        now=now,
    )


@transaction.atomic
def withdraw(*, attestation: Attestation, actor: User, words: str, now: datetime) -> AttestationAnswer:
    """The provider no longer asks: the matter is settled otherwise. It stays visible."""
    if not actor.is_provider:
        raise PermissionDenied
    return _answer(_hold(attestation), Outcome.WITHDRAWN, Channel.PORTAL, recorded_by=actor, words=words, now=now)


def lapse(*, attestation: Attestation, actor: User | None, now: datetime) -> AttestationAnswer:
    """What it was about will not be done. The caller holds the incident and saves it."""
    return _answer(_hold(attestation), Outcome.WITHDRAWN, Channel.PLATFORM, recorded_by=actor, now=now, tells=False)


@transaction.atomic
def expire(*, attestation_id: int, now: datetime) -> bool:
    """Nobody answered in time. False when somebody did."""
    found = Attestation.objects.filter(pk=attestation_id).first()
    if found is None:
        return False
    attestation = _locked(found)
    if attestation.given is not None or now < attestation.expires_at:
        return False
    _answer(attestation, Outcome.EXPIRED, Channel.PLATFORM, now=now)
    return True


def is_signed(*, subject: str, purpose: Purpose) -> bool:
    """The gate of whoever asked: the latest that was put before the contacts about this is signed."""
    latest = Attestation.objects.about(subject).filter(purpose=purpose).select_related("answer").first()
    return latest is not None and latest.given is not None and latest.given.outcome == Outcome.SIGNED


def signer_for(attestation: Attestation, person: User) -> Contact:
    """The duty by which a person may sign this. Raises PermissionDenied for everybody else of their company, too."""
    if can_write(person) and person.is_active:
        for contact in _contacts(attestation.customer_id, Purpose(attestation.purpose)):
            if contact.user_id == person.pk and person.customer_id == attestation.customer_id:
                return contact
    raise PermissionDenied


def may_sign(attestation: Attestation, person: User, now: datetime) -> bool:
    if not attestation.is_open(now):
        return False
    try:
        signer_for(attestation, person)
    except PermissionDenied:
        return False
    return True


def named(attestation: Attestation) -> list[Contact]:
    """Who may sign it today."""
    return _contacts(attestation.customer_id, Purpose(attestation.purpose))


def token_for(attestation: Attestation, contact: Contact) -> str:
    """What the mailed link carries; it is stored nowhere and is worth something only while the attestation is open."""
    return signing.dumps([attestation.pk, contact.pk], salt=SALT)


def read_token(token: str) -> tuple[int, int] | None:
    """The numbers of attestation and contact in a link; None when it is not ours."""
    try:
        attestation_id, contact_id = signing.loads(token, salt=SALT)
    except (signing.BadSignature, TypeError, ValueError):
        return None
    return int(attestation_id), int(contact_id)


def digest(text: str) -> str:
    """SHA-256 of the text as it is shown, in UTF-8, as lowercase hex."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found when an attestation was checked. None: there is nothing of the kind to check."""

    text: bool
    signature: bool | None
    file: bool | None
    log: bool

    @property
    def holds(self) -> bool:
        return self.text and self.log and self.signature is not False and self.file is not False


def verify(attestation: Attestation) -> Proof:
    """Count the sums again, of text and file, and look both acts up in the hash-chained audit log."""
    answer = attestation.given
    asked = {
        "purpose": attestation.purpose,
        "subject": attestation.subject,
        "text_sha256": digest(attestation.text),
    }
    customer = attestation.customer
    log = audit.said(action="attestation.ask", customer=customer, obj=attestation, detail=asked)
    if answer is not None:
        log = log and audit.said(
            action=f"attestation.{answer.outcome}", customer=customer, obj=attestation, detail=_detail(answer)
        )
    return Proof(
        text=digest(attestation.text) == attestation.text_sha256,
        signature=None if answer is None else answer.text_sha256 == attestation.text_sha256,
        file=None if answer is None or not answer.stored_name else _file_digest(answer) == answer.file_sha256,
        log=log,
    )


def _contacts(customer_id: int, purpose: Purpose) -> list[Contact]:
    rows = Contact.objects.filter(customer_id=customer_id, kind__in=SIGNERS[purpose], user__is_active=True)
    return list(rows.select_related("user").order_by("kind", "pk"))


def _locked(attestation: Attestation) -> Attestation:
    audit.hold(attestation.customer_id)
    return Attestation.objects.select_related("customer", "answer", "incident").get(pk=attestation.pk)


def _hold(attestation: Attestation) -> Attestation:
    """As it is now; whoever else answers waits. Refuses what is answered or over."""
    found = _locked(attestation)
    answer = found.given
    if answer is None:
        return found
    raise DomainError(
        _("%(number)s is “%(outcome)s” already. Nothing was changed.")
        % {"number": found.number, "outcome": answer.get_outcome_display()},
        code="answered",
    )


def _answer(
    attestation: Attestation,
    outcome: AttestationAnswer.Outcome,
    channel: AttestationAnswer.Channel,
    *,
    now: datetime,
    contact: Contact | None = None,
    recorded_by: User | None = None,
    ip: str | None = None,
    words: str = "",
    file: UploadedFile[Any] | None = None,
    at: datetime | None = None,
    tells: bool = True,
) -> AttestationAnswer:
    if outcome in (Outcome.SIGNED, Outcome.DECLINED) and now >= attestation.expires_at:
        raise DomainError(_("The time to answer is over. Nothing was saved: ask the service team."), code="expired")
    answer = AttestationAnswer(
        customer_id=attestation.customer_id,
        attestation=attestation,
        outcome=outcome,
        at=at or now,
        received_at=now,
        channel=channel,
        signer=None if contact is None else contact.user,
        signer_name="" if contact is None else contact.user.name,
        signer_duty="" if contact is None else contact.kind,
        signer_email="" if contact is None else contact.email,
        recorded_by=recorded_by,
        ip=ip,
        words=words.strip(),
        text_sha256=attestation.text_sha256,
    )
    if file is not None:
        _keep(answer, file)
    try:
        answer.save(force_insert=True)
    except BaseException as problem:  # whatever went wrong, no byte stays behind without its row
        if answer.stored_name:
            default_storage.delete(answer.stored_name)
        if isinstance(problem, IntegrityError):
            raise DomainError(_("Somebody else answered at the same moment. Nothing was changed.")) from problem
        raise
    timers.cancel(prefix=f"attestation:{attestation.pk}:")
    if attestation.on_answer:
        timers.set(
            key=f"attestation:{attestation.pk}:answered",
            due_at=now,
            task=attestation.on_answer,
            args={"attestation_id": attestation.pk},
            customer=attestation.customer_id,
        )
    actor = answer.signer or recorded_by
    audit.record(
        action=f"attestation.{outcome}",
        actor=actor,
        customer=attestation.customer,
        obj=attestation,
        detail=_detail(answer),
        now=now,
    )
    if tells:
        _tell_incident(attestation, answer, actor, now)
    return answer


def _tell_incident(attestation: Attestation, answer: AttestationAnswer, actor: User | None, now: datetime) -> None:
    """What hangs on it goes on, and whoever has it in hand hears of it."""
    if attestation.incident is not None:
        incident = locks.hold(attestation.incident)
        waiting.run_on(incident, now=now)
        touch(incident, now=now)
        data: dict[str, object] = {
            "attestation": attestation.pk,
            "number": attestation.number,
            "outcome": answer.outcome,
            "signer": answer.signer_name,
            "channel": answer.channel,
        }
        kind = TimelineEntry.Kind.ATTESTATION
        timeline.write(incident, kind, actor=actor, now=now, data=data, body=answer.words)
        live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    letters.signature_answered(attestation, answer, now=now)


def _detail(answer: AttestationAnswer) -> dict[str, object]:
    return {
        "channel": answer.channel,
        "signer": answer.signer_id,
        "text_sha256": answer.text_sha256,
        "file_sha256": answer.file_sha256,
    }


def _keep(answer: AttestationAnswer, file: UploadedFile[Any]) -> None:
    verdict = judge_file(file)
    answer.file_name, answer.file_type, answer.file_size = verdict.name, verdict.content_type, file.size or 0
    sums = hashlib.sha256()
    for chunk in file.chunks():
        sums.update(chunk)
    answer.file_sha256 = sums.hexdigest()
    file.seek(0)
    answer.stored_name = default_storage.save(f"attestations/{answer.customer_id}/{uuid4().hex}", file)


def _file_digest(answer: AttestationAnswer) -> str:
    if not default_storage.exists(answer.stored_name):
        return ""
    sums = hashlib.sha256()
    with default_storage.open(answer.stored_name) as stored:
        for chunk in stored.chunks():
            sums.update(chunk)
    return sums.hexdigest()


def open_for(customer_id: int, person: User, now: datetime) -> models.QuerySet[Attestation]:
    """What this person is asked to sign, oldest first."""
    duties = set(Contact.objects.filter(customer_id=customer_id, user=person).values_list("kind", flat=True))
    purposes = [purpose for purpose in Purpose if {kind.value for kind in SIGNERS[purpose]} & duties]
    rows = Attestation.objects.unanswered().filter(customer_id=customer_id, purpose__in=purposes, expires_at__gt=now)
    return rows.order_by("asked_at")
