"""Joint reviews: an incident is proposed as a fault, each side says what it thinks, agreeing they decide it (R65)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import require_write
from incidents import letters, locks, timeline
from incidents.models import Fault, FaultDecision, FaultIncident, Incident, IncidentKind, TimelineEntry
from incidents.services.causes import speaks_for
from incidents.services.marks import allowed, touch
from incidents.states import Verb
from notify import live

Side = FaultDecision.Side
Outcome = Fault.Outcome


@transaction.atomic
def propose(
    *, incident: Incident, title: str, summary: str, actor: User, now: datetime, fault: Fault | None = None
) -> Fault:
    """Begin a review of an incident, or add the incident to a review that runs."""
    incident = locks.hold(incident)
    allowed(Verb.PROPOSE_FAULT, incident, actor)
    if incident.kind == IncidentKind.INTERNAL:
        raise DomainError(_("An internal incident is not reviewed with the customer."), code="internal")
    if fault is None:
        title, summary = " ".join(title.split())[:200], summary.strip()
        if not title or not summary:
            raise DomainError(_("Please give the review a title and say what happened technically."))
        fault = Fault.objects.create(
            customer_id=incident.customer_id, title=title, summary=summary, proposed_by=actor, proposed_at=now
        )
    elif fault.customer_id != incident.customer_id or fault.is_decided:
        raise DomainError(_("%(number)s is decided already: begin a new review.") % {"number": fault.number})
    _made, new = FaultIncident.objects.get_or_create(
        customer_id=incident.customer_id, fault=fault, incident=incident, defaults={"added_at": now}
    )
    if not new:
        raise DomainError(_("%(number)s holds this incident already.") % {"number": fault.number}, code="known")
    _note([incident], fault, {"proposed": fault.number}, "fault.propose", actor=actor, now=now, body=summary)
    letters.fault_proposed(fault, incident, actor, now=now)
    return fault


@transaction.atomic
def decide(*, fault: Fault, verdict: str, words: str, actor: User, now: datetime) -> Fault:
    """Say for one's own side whether it was a fault. A new word replaces the earlier one until both agree."""
    require_write(actor)
    side = side_of(actor)
    if side is None:
        raise PermissionDenied
    audit.hold(fault.customer_id)
    fault = Fault.objects.select_for_update(of=("self",)).select_related("customer").get(pk=fault.pk)
    if fault.is_decided:
        raise DomainError(_("%(number)s is decided: nothing was changed.") % {"number": fault.number}, code="decided")
    if not words.strip():
        raise DomainError(_("Please give your reasons: the other side reads them."), code="text_missing")
    FaultDecision.objects.create(
        customer_id=fault.customer_id,
        fault=fault,
        side=side,
        verdict=FaultDecision.Verdict(verdict),
        words=words.strip(),
        person=actor,
        at=now,
    )
    fault.outcome = _outcome(latest(fault))
    fault.decided_at = now if fault.outcome in (Outcome.FAULT, Outcome.NOT_FAULT) else None
    fault.save(update_fields=["outcome", "decided_at"])
    data: dict[str, object] = {"fault": fault.number, "side": side.value, "verdict": verdict, "outcome": fault.outcome}
    incidents = list(fault.incidents.select_related("customer").order_by("pk"))
    _note(incidents, fault, data, "fault.decide", actor=actor, now=now, body=words)
    letters.fault_judged(fault, incidents, actor, words, now=now)
    return fault


def latest(fault: Fault) -> dict[str, FaultDecision]:
    """The word of each side that counts."""
    return {each.side: each for each in fault.decisions.select_related("person")}


def side_of(person: User) -> FaultDecision.Side | None:
    """The side that somebody speaks for in a review; nobody's for most people of a customer."""
    if person.is_provider:
        return Side.PROVIDER
    return Side.CUSTOMER if speaks_for(person) else None


def _outcome(said: dict[str, FaultDecision]) -> Fault.Outcome:
    verdicts = {decision.verdict for decision in said.values()}
    if len(said) < len(Side):
        return Outcome.REVIEW
    return Outcome(verdicts.pop()) if len(verdicts) == 1 else Outcome.DISAGREED


def _note(
    incidents: Sequence[Incident],
    fault: Fault,
    data: dict[str, object],
    action: str,
    *,
    actor: User,
    now: datetime,
    body: str,
) -> None:
    for incident in incidents:
        touch(incident, now=now)
        told = {**data, "pk": fault.pk}
        timeline.write(incident, TimelineEntry.Kind.FAULT, actor=actor, now=now, body=body.strip(), data=told)
        live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    audit.record(action=action, actor=actor, customer=fault.customer, obj=fault, detail=data, now=now)
