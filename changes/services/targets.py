"""Requests out of the catalogue: asked for, with the time that the catalogue promises frozen on them, and watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from accounts import audit
from accounts.models import Customer, User
from assets.models import Asset
from changes import target_messages
from changes.catalogue import Operation, Risk
from changes.models import RequestTarget
from incidents import clocks, sla
from incidents.models import Incident, ServiceRequest
from incidents.policy import Policy, calendar_at
from incidents.services import requests
from incidents.services.requests import Wanted
from timers import services as timers

TASK: Final = "changes.watch_target"
AGAIN: Final = timedelta(hours=1)
"""While the request waits for a signature its end is not known: it is looked at again."""
RISKS: Final = {
    Risk.NONE: ServiceRequest.Risk.LOW,
    Risk.LOW: ServiceRequest.Risk.LOW,
    Risk.MEDIUM: ServiceRequest.Risk.NORMAL,
    Risk.HIGH: ServiceRequest.Risk.NORMAL,
    Risk.DANGEROUS: ServiceRequest.Risk.DANGEROUS,
}


@transaction.atomic
def ask(
    *,
    customer: Customer,
    operation: Operation,
    fields: Mapping[str, object],
    title: str,
    description: str,
    assets: Iterable[Asset],
    wished_at: datetime | None,
    actor: User,
    now: datetime,
    files: Sequence[UploadedFile[Any]] = (),
    source: str = Incident.Source.PORTAL,
) -> Incident:
    """Ask for one operation of the catalogue: a service request (R73) with what the catalogue promises for it."""
    incident = requests.raise_request(
        customer=customer,
        title=title,
        description=description,
        assets=assets,
        wanted=Wanted(
            operation=operation.code,
            fields=dict(fields),
            wished_at=wished_at,
            risk=RISKS[operation.risk],
            billing=operation.billing,
            owes_change=operation.changes_something,
        ),
        files=files,
        source=source,
        actor=actor,
        now=now,
    )
    freeze(incident=incident, operation=operation)
    return incident


@transaction.atomic
def freeze(*, incident: Incident, operation: Operation) -> RequestTarget:
    """What the catalogue promises today holds for this request."""
    target = RequestTarget(
        customer_id=incident.customer_id,
        incident=incident,
        operation=operation.code,
        response_minutes=operation.response_minutes,
        completion_hours=operation.completion_hours,
        started_at=incident.clock_started_at,
    )
    target.due_at = _due(target) or target.started_at + timedelta(hours=target.completion_hours)
    target.save(force_insert=True)
    _arm(target, target.due_at)
    return target


@transaction.atomic
def watch(*, target_id: int, now: datetime) -> None:
    """The timer at the end of the time: it may have been moved by waiting for the customer; else it is missed.

    Also what was done meanwhile, should the timer itself have come late.
    """
    rows = RequestTarget.objects.select_for_update(of=("self",)).select_related("incident__customer")
    target = rows.filter(pk=target_id).first()
    if target is None or target.missed_at is not None:
        return
    due, done = _due(target), target.incident.resolved_at
    if not target.is_open and (done is None or due is None or done <= due):
        return
    if due is None or due > now:
        target.due_at = due or target.due_at
        target.save(update_fields=["due_at"])
        _arm(target, due or now + AGAIN)
        return
    target.due_at, target.missed_at = due, now
    target.save(update_fields=["due_at", "missed_at"])
    incident = target.incident
    detail = {"operation": target.operation, "due": due.isoformat()}
    audit.record(
        action="request.target_missed", actor=None, customer=incident.customer, obj=incident, detail=detail, now=now
    )
    if target.is_open:
        target_messages.missed(target, now=now)


def _due(target: RequestTarget) -> datetime | None:
    """None: it stands still, waiting for the customer."""
    incident = target.incident
    calendar = calendar_at(Policy.from_json(incident.policy).calendar_version_id)
    duration = timedelta(hours=target.completion_hours)
    try:
        return sla.add(target.started_at, duration, calendar, clocks.pauses_of(incident))
    except sla.NeverDueError:
        return None


def _arm(target: RequestTarget, at: datetime) -> None:
    timers.set(
        key=f"request-target:{target.pk}:",
        due_at=at,
        task=TASK,
        args={"target_id": target.pk},
        customer=target.customer_id,
    )
