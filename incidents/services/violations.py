"""Recording work outside the platform, and taking the other side's answer (R76, R77)."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_manager, require_write
from assets.models import Asset
from incidents import letters
from incidents.models import Incident, IncidentKind, Violation
from incidents.services.causes import speaks_for
from incidents.services.storing import judge_file


@transaction.atomic
def record(
    *,
    customer: Customer,
    side: str,
    rule: str,
    who: str,
    what: str,
    happened_at: datetime,
    actor: User,
    now: datetime,
    consequence: str = "",
    evidence: str = "",
    asset: Asset | None = None,
    incident: Incident | None = None,
    file: UploadedFile[Any] | None = None,
) -> Violation:
    """Write down who did what outside the agreed way; the other side is asked to answer."""
    require_write(actor)
    if actor.customer_id not in (None, customer.pk):
        raise PermissionDenied
    audit.hold(customer.pk)
    if not who.strip() or not what.strip():
        raise DomainError(_("Please write who did what."), code="text_missing")
    if happened_at > now + timedelta(minutes=1):
        raise DomainError(_("The time lies in the future. Nothing was saved: please correct it."))
    if any(one is not None and one.customer_id != customer.pk for one in (asset, incident)):
        raise DomainError(_("Asset and incident must be of this customer."), code="other_customer")
    if incident is not None and incident.kind == IncidentKind.INTERNAL:
        raise DomainError(_("An internal incident is not shown to the customer."), code="internal")
    violation = Violation(
        customer=customer,
        side=Violation.Side(side),
        rule=Violation.Rule(rule),
        who=who.strip()[:120],
        what=what.strip(),
        happened_at=happened_at,
        consequence=consequence.strip(),
        evidence=evidence.strip(),
        asset=asset,
        incident=incident,
        recorded_by=actor,
        recorded_at=now,
    )
    if file is not None:
        _keep(violation, file)
    try:
        violation.save(force_insert=True)
    except BaseException:  # whatever went wrong, no byte stays behind without its row
        if violation.stored_name:
            default_storage.delete(violation.stored_name)
        raise
    detail = {"side": side, "rule": rule, "file_sha256": violation.file_sha256}
    audit.record(action="violation.record", actor=actor, customer=customer, obj=violation, detail=detail, now=now)
    letters.violation_recorded(violation, now=now)
    return violation


@transaction.atomic
def answer(*, violation: Violation, answer: str, words: str, actor: User, now: datetime) -> Violation:
    """The side that did not record it acknowledges or disputes. Once."""
    if not may_answer(actor, violation):
        raise PermissionDenied
    audit.hold(violation.customer_id)
    violation = Violation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=violation.pk)
    if violation.answer:
        raise DomainError(_("This is answered already. Nothing was changed."), code="answered")
    chosen = Violation.Answer(answer)
    if chosen is Violation.Answer.DISPUTED and not words.strip():
        raise DomainError(_("Please write what you see otherwise."), code="text_missing")
    violation.answer, violation.words = chosen, words.strip()
    violation.answered_by, violation.answered_at = actor, now
    violation.save(update_fields=["answer", "words", "answered_by", "answered_at"])
    detail = {"answer": chosen.value}
    audit.record(
        action="violation.answer", actor=actor, customer=violation.customer, obj=violation, detail=detail, now=now
    )
    letters.violation_answered(violation, now=now)
    return violation


def may_answer(person: User, violation: Violation) -> bool:
    """A manager of the provider, or somebody who speaks for the customer: of the side that did not record it."""
    if violation.recorded_by.is_provider:
        return person.customer_id == violation.customer_id and speaks_for(person)
    return is_manager(person)


def _keep(violation: Violation, file: UploadedFile[Any]) -> None:
    verdict = judge_file(file)
    sums = hashlib.sha256()
    for chunk in file.chunks():
        sums.update(chunk)
    violation.file_name, violation.file_type, violation.file_size = verdict.name, verdict.content_type, file.size or 0
    violation.file_sha256 = sums.hexdigest()
    file.seek(0)
    violation.stored_name = default_storage.save(f"violations/{violation.customer_id}/{uuid4().hex}", file)
