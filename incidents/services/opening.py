"""How people begin an incident: the customer, or an engineer who heard of it by phone. Alarms: `alarms`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
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
from incidents import clocks, locks, messages, timeline
from incidents.models import Incident, IncidentAsset, IncidentState, TimelineEntry
from incidents.policy import freeze
from incidents.services import escalating
from incidents.services.handling import acknowledge
from incidents.services.storing import keep_files
from notify import live

Source = Incident.Source
OLDEST_CALL = timedelta(days=7)


@transaction.atomic
def raise_by_customer(
    *,
    customer: Customer,
    title: str,
    description: str,
    severity: Severity,
    category: str,
    assets: Iterable[Asset],
    actor: User,
    now: datetime,
    source: str = Source.PORTAL,
    files: Sequence[UploadedFile[Any]] = (),
) -> Incident:
    """A customer asks for help: the response clock runs from this moment, 15 minutes whatever the severity (R55)."""
    require_write(actor)
    if actor.customer_id not in (None, customer.pk):
        raise PermissionDenied
    locks.hold_customer(customer)
    incident = Incident(
        customer=customer,
        title=check_title(title),
        description=description.strip(),
        severity=Severity(severity),
        category=category,
        source=source,
        raised_by=actor,
        detected_at=now,
        clock_started_at=now,
    )
    return create(incident, assets=assets, actor=actor, data={}, files=files, now=now)


@transaction.atomic
def log_contact(
    *,
    customer: Customer,
    title: str,
    description: str,
    severity: Severity,
    category: str,
    source: str,
    assets: Iterable[Asset],
    contacted_at: datetime,
    caller: str,
    callee: str,
    actor: User,
    now: datetime,
    files: Sequence[UploadedFile[Any]] = (),
    take: bool = False,
) -> Incident:
    """An engineer logs what a customer said by phone, mail or chat. The clock starts at the call (R51).

    With `take` the engineer has it in hand from now on.
    """
    if not actor.is_provider:
        raise PermissionDenied
    if contacted_at > now + timedelta(minutes=1):
        raise DomainError(_("The time of the call lies in the future. Nothing was saved: please correct it."))
    if contacted_at < now - OLDEST_CALL:
        raise DomainError(_("The call is more than a week ago. Nothing was saved: please check its time."))
    locks.hold_customer(customer)
    began = min(contacted_at, now)
    incident = Incident(
        customer=customer,
        title=check_title(title),
        description=description.strip(),
        severity=Severity(severity),
        category=category,
        source=source,
        raised_by=actor,
        detected_at=began,
        clock_started_at=began,
    )
    data: dict[str, object] = {}
    if caller.strip():
        data = {"caller": caller.strip(), "callee": callee.strip() or actor.name, "called_at": began.isoformat()}
    create(incident, assets=assets, actor=actor, data=data, files=files, now=now)
    return acknowledge(incident=incident, actor=actor, now=now) if take else incident


@transaction.atomic
def open_from_message(
    *,
    customer: Customer,
    title: str,
    description: str,
    severity: Severity,
    source: str,
    sender: str,
    person: User | None,
    began: datetime,
    now: datetime,
    actor: User | None = None,
    files: Sequence[UploadedFile[Any]] = (),
) -> Incident:
    """A mail or a chat message becomes an incident; the response clock runs from when it reached us, `began` (R50).

    `person`: who it is proven to be from, None when nobody is; the timeline then says that the sender is not verified.
    `actor`: whoever said later that it is this customer's.
    """
    if person is not None:
        require_write(person)
        if person.customer_id not in (None, customer.pk):
            raise PermissionDenied
    locks.hold_customer(customer)
    start = max(min(began, now), now - OLDEST_CALL)
    incident = Incident(
        customer=customer,
        title=check_title(title),
        description=description.strip(),
        severity=Severity(severity),
        category=Incident.Category.OTHER,
        source=source,
        raised_by=person,
        detected_at=start,
        clock_started_at=start,
    )
    data: dict[str, object] = {"via": source, "sender": sender, "verified": person is not None}
    if person is None and actor is not None:
        data["by_person"] = True
    return create(incident, assets=(), actor=person or actor, data=data, files=files, now=now)


@transaction.atomic
def open_by_platform(
    *,
    customer: Customer,
    kind: str,
    title: str,
    description: str,
    severity: Severity,
    detected_at: datetime,
    now: datetime,
    assets: Iterable[Asset] = (),
    category: str = Incident.Category.OTHER,
) -> Incident:
    """The platform itself has found something wrong that is no alarm of an asset."""
    locks.hold_customer(customer)
    incident = Incident(
        customer=customer,
        kind=kind,
        title=check_title(title),
        description=description,
        severity=severity,
        category=category,
        source=Source.MONITORING,
        detected_at=detected_at,
        clock_started_at=detected_at,
    )
    return create(incident, assets=assets, actor=None, data={"by_monitoring": True}, now=now)


def create(
    incident: Incident,
    *,
    assets: Iterable[Asset],
    actor: User | None,
    data: dict[str, object],
    now: datetime,
    files: Sequence[UploadedFile[Any]] = (),
) -> Incident:
    """Save an incident that a person begins, with everything that belongs to it. The caller holds the customer."""
    customer = incident.customer
    incident.state = IncidentState.OPEN
    incident.opened_at = incident.changed_at = now
    incident.policy = freeze(customer=customer, severity=incident.level, now=now).as_json()
    planned = clocks.plan(incident, now=now)
    incident.save(force_insert=True)
    clocks.start([(incident, planned)], now=now)
    IncidentAsset.objects.bulk_create(
        IncidentAsset(customer=customer, incident=incident, asset=asset) for asset in dict.fromkeys(assets)
    )
    body = incident.description
    entry = timeline.write(incident, TimelineEntry.Kind.OPENED, actor=actor, now=now, body=body, data=data)
    keep_files(incident, entry, files, actor=actor, now=now)
    detail = {"severity": incident.severity, "source": incident.source, "policy": incident.policy}
    audit.record(action="incident.open", actor=actor, customer=customer, obj=incident, detail=detail, now=now)
    messages.opened(incident, now=now)
    escalating.begin(customer=customer, incidents=[incident], now=now)
    live.publish(customer_id=customer.pk, topic="incidents", object_id=incident.pk)
    return incident


def check_title(title: str) -> str:
    text = " ".join(title.split())
    if not text:
        raise DomainError(_("Please say in one line what is wrong."), code="title_missing")
    return text[:200]
