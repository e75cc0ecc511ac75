"""Accident reports: opened by an outage or by hand; their facts, and their deadline. Their life: `writing`."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from incidents import duty
from incidents.locks import hold_customer
from incidents.models import Incident, IncidentKind
from incidents.services import interruptions
from notify import live
from reports import facts, messages, parts
from reports.models import AccidentPart, AccidentReport
from reports.services import accident_deadlines, writing
from reports.states import Verb

Trigger = AccidentReport.Trigger


@transaction.atomic
def open_for_outage(*, incident: Incident, now: datetime) -> AccidentReport | None:
    """Open the report that the outage of an incident asks for; None when it was short, or there is one (R115)."""
    if not interruptions.counts(incident):
        return None
    outage = interruptions.of(incident, now=now)
    if outage is None or not outage.has_crossed(now):
        return None
    hold_customer(incident.customer)
    if AccidentReport.objects.filter(incident=incident).exists():
        return None
    return _open(incident, Trigger.OUTAGE, actor=None, now=now)


@transaction.atomic
def open_by_hand(*, incident: Incident, actor: User, now: datetime) -> AccidentReport:
    """Open the report of an incident, whatever its length (R119); the one that is there already when there is."""
    if not actor.is_provider:
        raise PermissionDenied
    if incident.kind == IncidentKind.INTERNAL:
        raise DomainError(_("This incident is the provider's own: there is no customer to report to."), code="internal")
    hold_customer(incident.customer)
    known = AccidentReport.objects.filter(incident=incident).first()
    return known or _open(incident, Trigger.BY_HAND, actor=actor, now=now)


@transaction.atomic
def refresh(*, report: AccidentReport, actor: User, now: datetime) -> list[AccidentPart]:
    """Ask the platform again. Returns the parts whose text stayed although the facts are others."""
    report = writing.hold(report)
    writing.allowed(Verb.EDIT, report, actor)
    report.outage_started_at, report.outage_ended_at = facts.outage_of(report.incident, now)
    writing.touch(report, now)
    kept = writing.follow_facts(report, now)
    audit.record(action="accident.refresh", actor=actor, customer=report.customer, obj=report, now=now)
    return kept


@transaction.atomic
def remind(*, report_id: int, now: datetime) -> bool:
    """The last working day has begun: whoever writes it hears. False when it is not owed any more."""
    report = _owed(report_id)
    if report is None:
        return False
    messages.due_today(report, now=now)
    return True


@transaction.atomic
def miss(*, report_id: int, now: datetime) -> bool:
    """It was due and has not been sent: recorded once, and the manager hears. False when it was sent in time."""
    report = _owed(report_id)
    return report is not None and writing.miss(report, now=now)


def _open(incident: Incident, trigger: str, *, actor: User | None, now: datetime) -> AccidentReport:
    customer = incident.customer
    started_at, ended_at = facts.outage_of(incident, now)
    report = AccidentReport(
        customer=customer,
        incident=incident,
        trigger=trigger,
        language=customer.language,
        author=incident.assignee or actor,
        outage_started_at=started_at,
        outage_ended_at=ended_at,
        opened_by=actor,
        opened_at=now,
        changed_at=now,
        due_at=accident_deadlines.due(customer, now),
    )
    report.save(force_insert=True)
    known = facts.texts(report, now=now)
    AccidentPart.objects.bulk_create(
        AccidentPart(customer=customer, report=report, name=part, text=known.get(part, ""), facts=known.get(part, ""))
        for part in parts.ORDER
    )
    accident_deadlines.arm(report, now)
    detail = {"incident": incident.pk, "trigger": trigger, "due_at": report.due_at.isoformat()}
    audit.record(action="accident.open", actor=actor, customer=customer, obj=report, detail=detail, now=now)
    people = duty.first_to_know(customer_id=customer.pk, assignee=incident.assignee, at=now)
    messages.accident_opened(report, [one for one in people if actor is None or one.pk != actor.pk], now=now)
    live.publish(customer_id=customer.pk, topic="reports", object_id=report.pk)
    return report


def _owed(report_id: int) -> AccidentReport | None:
    found = AccidentReport.objects.filter(pk=report_id).first()
    if found is None:
        return None
    report = writing.hold(found)
    return report if report.is_owed else None
