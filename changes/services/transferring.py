"""The transfer of ownership at an agreement's end: signed, done step by step, accepted in writing, then erased.

Only the customer's named service contacts sign, both times (R185); without their first signature nothing begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Contact, Customer, User
from accounts.permissions import is_manager, is_provider
from changes import transfer_letters
from changes.models import OwnershipTransfer, TransferStep
from changes.ownership import REMINDED, Method, Step, Trigger, erased_on, steps_of
from changes.services.marks import required
from incidents.models import Attestation, AttestationAnswer, Purpose
from incidents.services import attestations
from incidents.services.attestations import Subject
from notify import live
from timers import services as timers

ANSWERED_TASK: Final = "changes.transfer_answered"
REMIND_TASK: Final = "changes.remind_of_erasure"
MORNING: Final = 9
State = OwnershipTransfer.State
Outcome = AttestationAnswer.Outcome


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was agreed with the customer's project manager."""

    method: Method
    trigger: Trigger
    recipient_name: str
    recipient_email: str
    agreed_with: str
    details: str


@transaction.atomic
def draft(*, customer: Customer, agreed: Agreed, actor: User, now: datetime) -> OwnershipTransfer:
    if not is_manager(actor):
        raise PermissionDenied
    audit.hold(customer.pk)
    transfer = OwnershipTransfer(customer=customer, created_by=actor, created_at=now)
    _describe(transfer, agreed)
    try:
        with transaction.atomic():
            transfer.save()
    except IntegrityError:
        raise DomainError(_("A transfer of this customer is under way already."), code="one_at_a_time") from None
    _record(transfer, "draft", actor, now, {"method": transfer.method})
    return transfer


@transaction.atomic
def edit(*, transfer: OwnershipTransfer, agreed: Agreed, actor: User, now: datetime) -> OwnershipTransfer:
    """Before anybody was asked to sign it."""
    transfer = _hold(transfer, actor, State.DRAFT)
    _describe(transfer, agreed)
    transfer.save()
    _record(transfer, "edit", actor, now, {"method": transfer.method})
    return transfer


@transaction.atomic
def ask(*, transfer: OwnershipTransfer, actor: User, now: datetime) -> OwnershipTransfer:
    """Put the authorisation before the named service contacts."""
    transfer = _hold(transfer, actor, State.DRAFT)
    text = transfer_letters.authorisation_text(transfer)
    transfer.authorisation = _put_before_contacts(transfer, text, actor, now)
    transfer.state = State.AUTHORISING
    transfer.save()
    _record(transfer, "ask", actor, now, {"attestation": transfer.authorisation.pk})
    return transfer


@transaction.atomic
def note_step(
    *, transfer: OwnershipTransfer, code: str, evidence: str, actor: User, now: datetime
) -> TransferStep:  # fmt: skip
    """A step was done. What was written before stays; the last word counts."""
    transfer = _hold(transfer, None, State.UNDER_WAY)
    if not is_provider(actor):
        raise PermissionDenied
    if code not in {step.code for step in steps_of(Method(transfer.method))}:
        raise DomainError(_("There is no such step."), code="unknown_step")
    evidence = required(evidence, _("Please write what shows that it was done."))[:4000]
    step = TransferStep.objects.create(
        customer_id=transfer.customer_id, transfer=transfer, code=code, evidence=evidence, by=actor, at=now
    )
    _record(transfer, "step", actor, now, {"step": code, "evidence": evidence})
    return step


@transaction.atomic
def hand_over(*, transfer: OwnershipTransfer, actor: User, now: datetime) -> OwnershipTransfer:
    """All steps are done: the ten days begin, and the acceptance is put before the named contacts."""
    transfer = _hold(transfer, actor, State.UNDER_WAY)
    missing = [step for step, done in progress(transfer) if done is None]
    if missing:
        names = "; ".join(transfer_letters.name_of(step) for step in missing)
        raise DomainError(_("Not everything is done yet: %(names)s") % {"names": names}, code="steps_missing")
    transfer.transferred_at, transfer.transferred_by = now, actor
    transfer.erase_by = erased_on(timezone.localtime(now).date())
    text = transfer_letters.acceptance_text(transfer, progress(transfer))
    transfer.acceptance = _put_before_contacts(transfer, text, actor, now)
    transfer.state = State.ACCEPTING
    transfer.save()
    _record(transfer, "hand_over", actor, now, {"erase_by": transfer.erase_by.isoformat()})
    _arm(transfer, now)
    return transfer


@transaction.atomic
def erase(*, transfer: OwnershipTransfer, words: str, actor: User, now: datetime) -> OwnershipTransfer:
    """Somebody has seen that nothing is left. Never before the customer has accepted, or before its days are over."""
    transfer = _hold(transfer, actor, State.ACCEPTED)
    if transfer.erase_by is None or timezone.localtime(now).date() < transfer.erase_by:
        raise DomainError(
            _("Everything is kept until %(day)s, so that the customer can check it.") % {"day": transfer.erase_by},
            code="too_early",
        )
    transfer.erased_words = required(words, _("Please write what was erased, and how you saw it."))[:4000]
    transfer.state, transfer.erased_at, transfer.erased_by = State.ERASED, now, actor
    transfer.save()
    transfer.customer.status = Customer.Status.LEFT
    transfer.customer.save(update_fields=["status"])
    timers.cancel(prefix=_key(transfer))
    _record(transfer, "erase", actor, now, {"words": transfer.erased_words})
    return transfer


@transaction.atomic
def cancel(*, transfer: OwnershipTransfer, reason: str, actor: User, now: datetime) -> OwnershipTransfer:
    """Before the first step is done: the agreement goes on."""
    transfer = _hold(transfer, actor, State.DRAFT, State.AUTHORISING, State.UNDER_WAY)
    if transfer.steps.exists():
        raise DomainError(_("It has begun: what was done cannot be cancelled."), code="begun")
    transfer.cancelled_because = required(reason, _("Please say why."))[:300]
    asked = transfer.authorisation
    if asked is not None and asked.given is None:
        attestations.lapse(attestation=asked, actor=actor, now=now)
    transfer.state = State.CANCELLED
    transfer.save()
    _record(transfer, "cancel", actor, now, {"reason": transfer.cancelled_because})
    return transfer


@transaction.atomic
def answered(*, attestation_id: int, now: datetime) -> None:
    """The timer after a signature, a refusal or the end of the time for it."""
    rows = OwnershipTransfer.objects.unfinished()
    found = (
        rows.filter(authorisation=attestation_id, state=State.AUTHORISING).first()
        or rows.filter(acceptance=attestation_id, state=State.ACCEPTING).first()
    )
    if found is None:
        return
    with scope.customer(found.customer_id):
        transfer = _hold(found, None, State.AUTHORISING, State.ACCEPTING)
        asked = transfer.authorisation if transfer.state == State.AUTHORISING else transfer.acceptance
        if asked is None or asked.pk != attestation_id or asked.given is None:
            return
        given, managers = asked.given, _managers(transfer)
        if given.outcome != Outcome.SIGNED:
            _take_back(transfer)
        elif transfer.state == State.AUTHORISING:
            transfer.state = State.UNDER_WAY
        else:
            transfer.state, transfer.accepted_at = State.ACCEPTED, given.at
        transfer.save()
        detail = {"attestation": asked.pk, "outcome": given.outcome, "state": transfer.state}
        _record(transfer, "answered", given.signer, now, detail)
        transfer_letters.answered(transfer, given, managers, now=now)


@transaction.atomic
def remind(*, transfer_id: int, now: datetime) -> None:
    """The timer rang: both sides hear how long everything is kept, and from that day on that it is to be erased."""
    found = OwnershipTransfer.objects.for_lists().filter(pk=transfer_id).first()
    if found is None or found.state not in (State.ACCEPTING, State.ACCEPTED):
        return
    transfer_letters.erasure_is_near(found, _managers(found), timezone.localtime(now).date(), now=now)
    _arm(found, now)


def progress(transfer: OwnershipTransfer) -> list[tuple[Step, TransferStep | None]]:
    """Every step of its way with what was written last about it."""
    done = {row.code: row for row in transfer.steps.select_related("by")}
    return [(step, done.get(step.code)) for step in steps_of(Method(transfer.method))]


def signers(transfer: OwnershipTransfer) -> list[Contact]:
    """Who may sign it today."""
    rows = Contact.objects.filter(
        customer=transfer.customer_id, kind__in=(Contact.Kind.PRIMARY, Contact.Kind.SECONDARY), user__is_active=True
    )
    return list(rows.select_related("user").order_by("kind", "pk"))


def _describe(transfer: OwnershipTransfer, agreed: Agreed) -> None:
    transfer.method, transfer.trigger = agreed.method, agreed.trigger
    transfer.recipient_name = required(agreed.recipient_name, _("Please name who takes it over."))[:120]
    transfer.recipient_email = agreed.recipient_email
    transfer.agreed_with = required(agreed.agreed_with, _("Please name with whom it was agreed."))[:120]
    transfer.details = required(agreed.details, _("Please write what exactly is transferred or deleted."))[:8000]


def _put_before_contacts(transfer: OwnershipTransfer, text: str, actor: User, now: datetime) -> Attestation:
    return attestations.ask(
        customer=transfer.customer,
        purpose=Purpose.TRANSFER,
        subject=Subject(f"transfer:{transfer.pk}", str(transfer)[:250], f"/changes/transfers/{transfer.pk}/"),
        text=text,
        actor=actor,
        now=now,
        on_answer=ANSWERED_TASK,
    )


def _take_back(transfer: OwnershipTransfer) -> None:
    """Nobody has signed: what was said of the transfer and its ten days holds no more."""
    transfer.state = State.DRAFT if transfer.state == State.AUTHORISING else State.UNDER_WAY
    transfer.transferred_at = transfer.transferred_by = transfer.erase_by = None
    timers.cancel(prefix=_key(transfer))


def _managers(transfer: OwnershipTransfer) -> Iterable[User]:
    return {person.pk: person for person in (transfer.created_by, transfer.transferred_by) if person}.values()


def _arm(transfer: OwnershipTransfer, now: datetime) -> None:
    """One timer for the next reminder."""
    if transfer.erase_by is None:
        return
    zone = timezone.get_current_timezone()
    last = datetime(transfer.erase_by.year, transfer.erase_by.month, transfer.erase_by.day, MORNING, tzinfo=zone)
    coming = [last - before for before in REMINDED if last - before > now]
    tomorrow = timezone.localtime(now).replace(hour=MORNING, minute=0, second=0, microsecond=0) + timedelta(days=1)
    timers.set(
        key=_key(transfer),
        due_at=min(coming) if coming else tomorrow,
        task=REMIND_TASK,
        args={"transfer_id": transfer.pk},
        customer=transfer.customer_id,
    )


def _key(transfer: OwnershipTransfer) -> str:
    return f"transfer:{transfer.pk}:"


def _hold(transfer: OwnershipTransfer, actor: User | None, *states: OwnershipTransfer.State) -> OwnershipTransfer:
    """As it is now. `actor` must be a manager where one is given; whoever comes too late hears of it."""
    if actor is not None and not is_manager(actor):
        raise PermissionDenied
    audit.hold(transfer.customer_id)
    rows = OwnershipTransfer.objects.select_for_update(no_key=True, of=("self",)).for_lists()
    transfer = rows.get(pk=transfer.pk)
    if transfer.state not in states:
        raise DomainError(
            _("%(number)s is “%(state)s”. Nothing was changed.")
            % {"number": transfer.number, "state": transfer.get_state_display()},
            code="state",
        )
    return transfer


def _record(
    transfer: OwnershipTransfer, verb: str, actor: User | None, now: datetime, detail: Mapping[str, object]
) -> None:
    audit.record(
        action=f"transfer.{verb}", actor=actor, customer=transfer.customer, obj=transfer, detail=detail, now=now
    )
    live.publish(customer_id=transfer.customer_id, topic="changes", object_id=transfer.pk)
