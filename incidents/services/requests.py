"""Service requests: received, reviewed, accepted or refused, worked on, done, confirmed (R73, R74, R75)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from accounts.permissions import require_write
from assets.models import Asset
from incidents import clocks, contacting, letters, locks, messages, timeline
from incidents.models import (
    Attestation,
    Incident,
    IncidentKind,
    IncidentState,
    Pause,
    Purpose,
    RequestPhase,
    ServiceRequest,
    TimelineEntry,
)
from incidents.services import attestations, escalating, waiting
from incidents.services.attestations import Subject
from incidents.services.handling import settle
from incidents.services.marks import allowed, move_on, touch
from incidents.services.opening import check_title, create
from incidents.states import Verb
from notify import live

Kind = TimelineEntry.Kind
Source = Incident.Source


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for. `operation` and `fields` are filled from the catalogue; freely described, they are
    empty. `owes_change`: the operation changes something, so that it is done under a change only."""

    operation: str = ""
    fields: Mapping[str, object] | None = None
    wished_at: datetime | None = None
    risk: str = ServiceRequest.Risk.NORMAL
    billing: str = ServiceRequest.Billing.INCLUDED
    owes_change: bool = False


@transaction.atomic
def raise_request(
    *,
    customer: Customer,
    title: str,
    description: str,
    assets: Iterable[Asset],
    actor: User,
    now: datetime,
    wanted: Wanted | None = None,
    severity: Severity = Severity.AVERAGE,
    source: str = Source.PORTAL,
    files: Sequence[UploadedFile[Any]] = (),
) -> Incident:
    """Ask for work. It is an incident of its own kind: a response within 15 minutes, then a review (R55, R73)."""
    require_write(actor)
    if actor.customer_id not in (None, customer.pk):
        raise PermissionDenied
    wanted = wanted or Wanted()
    locks.hold_customer(customer)
    incident = Incident(
        customer=customer,
        kind=IncidentKind.REQUEST,
        phase=RequestPhase.RECEIVED,
        title=check_title(title),
        description=description.strip(),
        severity=Severity(severity),
        category=Incident.Category.OTHER,
        source=source,
        raised_by=actor,
        detected_at=now,
        clock_started_at=now,
    )
    create(incident, assets=assets, actor=actor, data={"request": True}, files=files, now=now)
    ServiceRequest.objects.create(
        customer=customer,
        incident=incident,
        operation=wanted.operation.strip(),
        fields=dict(wanted.fields or {}),
        wished_at=wanted.wished_at,
        risk=ServiceRequest.Risk(wanted.risk),
        billing=ServiceRequest.Billing(wanted.billing),
        owes_change=wanted.owes_change,
    )
    return incident


@transaction.atomic
def judge(
    *, incident: Incident, risk: str, billing: str, is_out_of_scope: bool, actor: User, now: datetime
) -> Incident:
    """The engineer's review: how dangerous it is, how it is charged, whether the contract covers it."""
    incident = locks.hold(incident)
    allowed(Verb.JUDGE, incident, actor)
    request = incident.request
    before = (request.risk, request.billing, request.is_out_of_scope)
    request.risk = ServiceRequest.Risk(risk)
    request.billing = ServiceRequest.Billing(billing)
    request.is_out_of_scope = is_out_of_scope
    if before == (request.risk, request.billing, request.is_out_of_scope):
        return incident
    request.save(update_fields=["risk", "billing", "is_out_of_scope"])
    data: dict[str, object] = {"risk": risk, "billing": billing, "out_of_scope": is_out_of_scope}
    _finish(incident, "judged", "request.judge", actor=actor, now=now, data=data)
    return incident


@transaction.atomic
def warn(*, incident: Incident, text: str, actor: User, now: datetime) -> Attestation:
    """Warn of a dangerous request (R74): it goes on only when the named service contact confirms it in writing (R75).

    The clocks stand still meanwhile. What is signed is the warning together with who bears the consequences.
    """
    incident = locks.hold(incident)
    allowed(Verb.WARN, incident, actor)
    if not text.strip():
        raise DomainError(_("Please write what may happen: the customer signs it."), code="text_missing")
    request = incident.request
    if not request.needs_confirmation:
        request.risk = ServiceRequest.Risk.DANGEROUS
        request.save(update_fields=["risk"])
    waiting.stand_still(incident, Pause.Reason.CONFIRMATION, now=now)
    attestation = attestations.ask(
        customer=incident.customer,
        purpose=Purpose.RISK,
        subject=Subject.of(incident),
        text=letters.risk_text(incident, text.strip()),
        actor=actor,
        now=now,
    )
    _finish(incident, "warned", "request.warn", actor=actor, now=now, body=text, data={"number": attestation.number})
    return attestation


@transaction.atomic
def accept(*, incident: Incident, words: str, actor: User, now: datetime) -> Incident:
    """The review is passed. Work still waits for what has to be signed first."""
    incident = locks.hold(incident)
    move_on(incident, allowed(Verb.ACCEPT, incident, actor))
    _finish(incident, "accepted", "request.accept", actor=actor, now=now, body=words)
    letters.request_decided(incident, actor, words, now=now)
    return incident


@transaction.atomic
def refuse(*, incident: Incident, reason: str, actor: User, now: datetime) -> Incident:
    """Refuse with a reason (R74). A customer who insists reopens it."""
    incident = locks.hold(incident)
    move_on(incident, allowed(Verb.REFUSE, incident, actor))
    if not reason.strip():
        raise DomainError(_("Please give the reason: the customer reads it."), code="text_missing")
    incident.resolution = reason.strip()
    settle(incident, actor=actor, now=now)
    _withdraw_open(incident, actor, now)
    _finish(incident, "refused", "request.refuse", actor=actor, now=now, body=reason)
    letters.request_decided(incident, actor, reason, now=now)
    return incident


@transaction.atomic
def begin(*, incident: Incident, actor: User, now: datetime) -> Incident:
    """Start the work: nothing that has to be signed first may be missing."""
    incident = locks.hold(incident)
    move_on(incident, allowed(Verb.BEGIN, incident, actor))
    missing = missing_signatures(incident)
    if missing:
        raise DomainError(" ".join([_("Work cannot begin yet."), *missing]), code="not_signed")
    _finish(incident, "begun", "request.begin", actor=actor, now=now)
    return incident


@transaction.atomic
def finish(*, incident: Incident, words: str, actor: User, now: datetime, without_change: str = "") -> Incident:
    """The work is done; the customer is asked to confirm.

    What changes something is done under a change. Where none that came of the request is closed, somebody has to say
    why: the customer's own people may have done it, or it turned out to be so already.
    """
    incident = locks.hold(incident)
    move_on(incident, allowed(Verb.FINISH, incident, actor))
    if not words.strip():
        raise DomainError(_("Please write what was done: the customer reads it."), code="text_missing")
    without_change = without_change.strip() if incident.request.owes_change else ""
    if incident.request.owes_change and not without_change:
        raise DomainError(
            _("This work changes something, and no change of this request is closed. Please say why there is none."),
            code="change_missing",
        )
    incident.resolution = words.strip()
    settle(incident, actor=actor, now=now)
    data: dict[str, object] = {"without_change": without_change} if without_change else {}
    _finish(incident, "done", "request.finish", actor=actor, now=now, body=words, data=data)
    messages.resolved(incident, actor, now=now)
    return incident


@transaction.atomic
def note_change(*, incident: Incident, actor: User, now: datetime) -> None:
    """A change that came of it is closed: nothing is owed any more."""
    incident = locks.hold(incident)
    owing = ServiceRequest.objects.filter(incident=incident, owes_change=True)
    if owing.update(owes_change=False):
        audit.record(action="request.changed", actor=actor, customer=incident.customer, obj=incident, now=now)


@transaction.atomic
def withdraw(*, incident: Incident, reason: str, actor: User, now: datetime) -> Incident:
    """It is no longer wanted, and work has not begun."""
    incident = locks.hold(incident)
    move_on(incident, allowed(Verb.WITHDRAW, incident, actor))
    clocks.end_pause(incident, now=now)
    clocks.carry([incident], now=now)
    escalating.stop(customer=incident.customer, incidents=[incident], because=escalating.Because.RESOLVED, now=now)
    contacting.stop(incident, now=now)
    incident.state, incident.closed_at = IncidentState.CLOSED, now
    _withdraw_open(incident, actor, now)
    _finish(incident, "withdrawn", "request.withdraw", actor=actor, now=now, body=reason)
    return incident


def missing_signatures(incident: Incident) -> list[str]:
    """Why work may not begin yet, in sentences; none when it may (R9, R75)."""
    request, subject = incident.request, Subject.of(incident).key
    missing = []
    if request.needs_confirmation and not attestations.is_signed(subject=subject, purpose=Purpose.RISK):
        missing.append(_("The named service contact has not confirmed the risk in writing."))
    if request.needs_quote and not attestations.is_signed(subject=subject, purpose=Purpose.QUOTE):
        missing.append(_("The customer's project manager has not accepted a quote."))
    return missing


def _withdraw_open(incident: Incident, actor: User, now: datetime) -> None:
    """Nothing is left to be signed for what will not be done."""
    by = actor if actor.is_provider else None
    for attestation in Attestation.objects.filter(incident=incident).unanswered().order_by("pk"):
        attestations.lapse(attestation=attestation, actor=by, now=now)


def _finish(
    incident: Incident,
    what: str,
    action: str,
    *,
    actor: User,
    now: datetime,
    body: str = "",
    data: dict[str, object] | None = None,
) -> None:
    touch(incident, now=now)
    told = {"what": what, **(data or {})}
    timeline.write(incident, Kind.REQUEST, actor=actor, now=now, body=body.strip(), data=told)
    audit.record(action=action, actor=actor, customer=incident.customer, obj=incident, detail=told, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
