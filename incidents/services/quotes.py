"""Offering extra work: lines and a sum in CNY, accepted by the customer's project manager before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from incidents import letters, locks, timeline
from incidents.models import Incident, Pause, Purpose, Quote, QuoteLine, TimelineEntry
from incidents.services import attestations, waiting
from incidents.services.attestations import Subject
from incidents.services.marks import allowed, touch
from incidents.services.storing import keep_files
from incidents.states import Verb
from notify import live

CENT = Decimal("0.01")
MOST = Decimal("99999999.99")
MOST_LINES = 50


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    quantity: Decimal
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        return (self.quantity * self.unit_price).quantize(CENT, ROUND_HALF_UP)


@transaction.atomic
def offer(
    *,
    incident: Incident,
    lines: Sequence[Line],
    valid_until: date,
    note: str,
    actor: User,
    now: datetime,
    files: Sequence[UploadedFile[Any]] = (),
) -> Quote:
    """Put a quote before the project managers; the clocks stand still until it is answered or its time is over."""
    incident = locks.hold(incident)
    allowed(Verb.QUOTE, incident, actor)
    amount = _checked(lines)
    ends = timezone.make_aware(datetime.combine(valid_until + timedelta(days=1), time()))
    if ends <= now:
        raise DomainError(_("The quote would be over already. Nothing was saved: choose a later day."))
    for earlier in incident.attestations.filter(purpose=Purpose.QUOTE).unanswered():
        attestations.withdraw(attestation=earlier, actor=actor, words=_("Replaced by a new quote."), now=now)
    incident = locks.hold(incident)
    waiting.stand_still(incident, Pause.Reason.QUOTE, now=now)
    attestation = attestations.ask(
        customer=incident.customer,
        purpose=Purpose.QUOTE,
        subject=Subject.of(incident),
        text=letters.quote_text(incident, [(one.text, one.quantity, one.unit_price, one.amount) for one in lines],
                                 amount, valid_until, note.strip()),
        expires_at=ends,
        actor=actor,
        now=now,
    )  # fmt: skip
    data: dict[str, object] = {"amount": str(amount), "until": valid_until.isoformat(), "number": attestation.number}
    entry = timeline.write(incident, TimelineEntry.Kind.QUOTE, actor=actor, now=now, body=note.strip(), data=data)
    keep_files(incident, entry, files, actor=actor, now=now)
    quote = Quote.objects.create(
        customer_id=incident.customer_id,
        incident=incident,
        attestation=attestation,
        entry=entry,
        amount=amount,
        valid_until=valid_until,
        note=note.strip(),
        offered_by=actor,
        offered_at=now,
    )
    QuoteLine.objects.bulk_create(
        QuoteLine(
            customer_id=incident.customer_id,
            quote=quote,
            text=one.text.strip(),
            quantity=one.quantity,
            unit_price=one.unit_price,
        )
        for one in lines
    )
    touch(incident, now=now)
    audit.record(action="quote.offer", actor=actor, customer=incident.customer, obj=quote, detail=data, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return quote


def _checked(lines: Sequence[Line]) -> Decimal:
    if not lines or len(lines) > MOST_LINES:
        raise DomainError(_("A quote has between 1 and %(most)d lines.") % {"most": MOST_LINES}, code="lines")
    for line in lines:
        if not line.text.strip() or line.quantity <= 0 or line.unit_price < 0:
            raise DomainError(_("Each line needs its work, a quantity above zero and a price."), code="lines")
    amount = sum((line.amount for line in lines), Decimal())
    if amount > MOST:
        raise DomainError(_("The sum is too large. Nothing was saved."), code="amount")
    return amount
