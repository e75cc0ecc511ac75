"""Every way in which an incident begins: an alert, the customer, or an engineer who heard of it by phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from incidents import clocks, locks, messages, states, timeline
from incidents.models import UNSOLVED_STATES, Incident, IncidentAlert, IncidentAsset, IncidentState, TimelineEntry
from incidents.policy import freeze
from incidents.services.handling import acknowledge
from incidents.services.marks import touch
from incidents.services.talking import keep_files
from incidents.states import Side, Verb
from notify import live

Source = Incident.Source
OLDEST_CALL = RECENT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert as it reaches us."""

    asset: Asset
    severity: Severity
    title: str
    text: str
    key: str
    occurred_at: datetime


@transaction.atomic
def open_from_alert(
    *,
    customer: Customer,
    asset: Asset,
    severity: Severity,
    title: str,
    text: str,
    alert_key: str,
    occurred_at: datetime,
    now: datetime,
) -> Incident:
    """The unsolved incident that gathers this asset's alarms, opened when there is none.

    A storm on one asset is one incident, and an alert that is already on one stays there. A worse alert raises the
    severity and asks for a response again. The provider's duty to respond begins when the alert is raised, `now`.
    """
    locks.hold_customer(customer)
    known = IncidentAlert.objects.filter(customer=customer, alert_key=alert_key, recovered_at=None).first()
    if known is not None:
        return known.incident
    incident = (
        Incident.objects.select_for_update(no_key=True)
        .filter(customer=customer, storm_asset=asset, state__in=UNSOLVED_STATES)
        .first()
    )
    alarm = Alarm(asset, Severity(severity), title.strip()[:200] or asset.name[:200], text, alert_key, occurred_at)
    if incident is not None:
        incident.customer = customer
        _join(incident, alarm, now)
        return incident
    incident = Incident(
        customer=customer,
        title=alarm.title,
        description=text,
        severity=alarm.severity,
        category=Incident.Category.ALIYUN if asset.cloud_account_id else Incident.Category.SYSTEM,
        source=Source.MONITORING,
        storm_asset=asset,
        detected_at=min(occurred_at, now),
        clock_started_at=now,
    )
    _create(incident, assets=[asset], actor=None, data=_by_monitoring(asset, now), now=now)
    _record_alert(incident, alarm, now)
    return incident


@transaction.atomic
def record_recovery(*, incident_id: int, alert_key: str, text: str, occurred_at: datetime, now: datetime) -> None:
    """Write a recovery on the alert's incident and tell the customer. The incident stays: people close it.

    An alert that is not open there any more changes nothing.
    """
    incident = locks.hold(Incident.objects.get(pk=incident_id))
    alert = IncidentAlert.objects.filter(incident=incident, alert_key=alert_key, recovered_at=None).first()
    if alert is None:
        return
    alert.recovered_at = max(occurred_at, alert.occurred_at)
    alert.save(update_fields=["recovered_at"])
    data = {"title": alert.title, "at": occurred_at.isoformat(), "alert": alert.pk}
    timeline.write(incident, TimelineEntry.Kind.RECOVERY, actor=None, now=now, body=text, data=data)
    messages.recovered(incident, alert, text, occurred_at, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)


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
        title=_required_title(title),
        description=description.strip(),
        severity=Severity(severity),
        category=category,
        source=source,
        raised_by=actor,
        detected_at=now,
        clock_started_at=now,
    )
    return _create(incident, assets=assets, actor=actor, data={}, files=files, now=now)


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
        title=_required_title(title),
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
    _create(incident, assets=assets, actor=actor, data=data, files=files, now=now)
    return acknowledge(incident=incident, actor=actor, now=now) if take else incident


def _create(
    incident: Incident,
    *,
    assets: Iterable[Asset],
    actor: User | None,
    data: dict[str, object],
    now: datetime,
    files: Sequence[UploadedFile[Any]] = (),
) -> Incident:
    customer = incident.customer
    incident.state = IncidentState.OPEN
    incident.opened_at = incident.changed_at = now
    incident.policy = freeze(customer=customer, severity=incident.level, now=now).as_json()
    planned = clocks.plan(incident, now=now)
    incident.save(force_insert=True)
    clocks.start(incident, planned, now=now)
    IncidentAsset.objects.bulk_create(
        IncidentAsset(customer=customer, incident=incident, asset=asset) for asset in dict.fromkeys(assets)
    )
    body = "" if incident.source == Source.MONITORING else incident.description
    entry = timeline.write(incident, TimelineEntry.Kind.OPENED, actor=actor, now=now, body=body, data=data)
    if actor is not None:
        keep_files(incident, entry, files, actor=actor, now=now)
    detail = {"severity": incident.severity, "source": incident.source, "policy": incident.policy}
    audit.record(action="incident.open", actor=actor, customer=customer, obj=incident, detail=detail, now=now)
    messages.opened(incident, now=now)
    live.publish(customer_id=customer.pk, topic="incidents", object_id=incident.pk)
    return incident


def _join(incident: Incident, alarm: Alarm, now: datetime) -> None:
    alert = _record_alert(incident, alarm, now)
    messages.alert_joined(incident, alert, alarm.text, now=now)
    if alarm.severity < incident.severity:
        _escalate(incident, alarm.severity, now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)


def _record_alert(incident: Incident, alarm: Alarm, now: datetime) -> IncidentAlert:
    alert = IncidentAlert.objects.create(
        customer_id=incident.customer_id,
        incident=incident,
        asset=alarm.asset,
        alert_key=alarm.key,
        title=alarm.title,
        severity=alarm.severity,
        occurred_at=alarm.occurred_at,
    )
    at = alarm.occurred_at.isoformat()
    data = {"title": alarm.title, "severity": alarm.severity.value, "at": at, "alert": alert.pk}
    timeline.write(incident, TimelineEntry.Kind.ALERT, actor=None, now=now, body=alarm.text, data=data)
    return alert


def _escalate(incident: Incident, severity: Severity, now: datetime) -> None:
    """A worse alert: the new severity's response is due from this alert on, even when somebody has it in hand."""
    old = incident.level
    transition = states.find(Verb.ESCALATE, incident.stage, Side.SYSTEM)
    if transition is not None and transition.target is not None:
        incident.state = transition.target
        clocks.end_pause(incident, now=now)
    incident.severity = severity
    incident.policy = freeze(customer=incident.customer, severity=severity, now=now).as_json()
    clocks.follow_alert(incident, since=now, now=now)
    touch(incident, now=now)
    data = {"old": old.value, "new": severity.value, "by_alert": True}
    timeline.write(incident, TimelineEntry.Kind.SEVERITY, actor=None, now=now, data=data)
    audit.record(action="incident.escalate", actor=None, customer=incident.customer, obj=incident, detail=data, now=now)
    messages.escalated(incident, now=now)


def _by_monitoring(asset: Asset, now: datetime) -> dict[str, object]:
    """With the asset's last incident, when it is recent enough to be the same trouble."""
    recent = Incident.objects.touching(asset.pk).filter(opened_at__gte=now - RECENT)
    previous = recent.order_by("-opened_at").first()
    return {"by_monitoring": True} | ({} if previous is None else {"earlier": previous.number})


def _required_title(title: str) -> str:
    text = " ".join(title.split())
    if not text:
        raise DomainError(_("Please say in one line what is wrong."), code="title_missing")
    return text[:200]
