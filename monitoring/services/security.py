"""What Security Center holds for an attack becomes an alert with an incident, and stays one until it is settled there
(R143).

News are read in every round from shortly before the last one; events that are open are looked up again from the oldest
of them on. What belongs to no asset of ours, a leaked AccessKey say, has an incident of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.models import Severity
from assets.aliyun import Client
from assets.aliyun.security import Suspicion, suspicions
from assets.models import Asset, CloudAccount
from assets.words import security_level, security_status
from incidents import locks, timeline
from incidents.models import UNSOLVED_STATES, Incident, IncidentKind, TimelineEntry
from incidents.services import opening
from monitoring.models import Alert, CloudReading, Event
from monitoring.services import events
from notify import live

LATE: Final = timedelta(hours=2)
"""An event carries the moment of what was done, and is listed when that was understood."""
FIRST_LOOK: Final = timedelta(days=30)
FOLLOW_EVERY: Final = timedelta(minutes=15)
SEVERITIES: Final[Mapping[str, Severity]] = {
    "serious": Severity.HIGH,
    "suspicious": Severity.AVERAGE,
    "remind": Severity.WARNING,
}
KIND: Final = "security-center"


def read(*, account: CloudAccount, client: Client, now: datetime) -> int:
    """News, and what became of those that are open; returns how many were new. Raises AliyunError."""
    reading = CloudReading.objects.get(cloud_account=account)
    still = _open_of(account)
    follows = bool(still) and (
        reading.security_followed_at is None or now - reading.security_followed_at >= FOLLOW_EVERY
    )
    start = reading.security_until - LATE if reading.security_until else now - FIRST_LOOK
    if follows:
        start = min(start, *(event.occurred_at for event in still.values()))
    language = "zh" if account.customer.language.startswith("zh") else "en"
    listed = {_key(one): one for one in suspicions(client, start, now, language=language)}
    assets = _assets(account, listed.values())
    with transaction.atomic(), translation.override(account.customer.language):
        locks.hold_customer(account.customer)
        still = _open_of(account)
        known = {event.key: event for event in Event.objects.filter(customer=account.customer, key__in=list(listed))}
        new = 0
        for key, one in sorted(listed.items(), key=lambda item: (item[1].occurred_at, item[0])):
            if key in known:
                _follow(known[key], one, now)
            else:
                new += _record(account, key, one, assets.get(one.instance_id), now)
        if follows:
            for key in still.keys() - listed.keys():
                _miss(still[key], now)
        marks = {"security_until": now} | ({"security_followed_at": now} if follows else {})
        CloudReading.objects.filter(pk=reading.pk).update(**marks)
    return new


def _open_of(account: CloudAccount) -> dict[str, Event]:
    rows = Event.objects.filter(cloud_account=account, source=Event.Source.SECURITY, ends_at=None)
    return {event.key: event for event in rows.select_related("customer", "asset", "incident")}


def _key(one: Suspicion) -> str:
    return f"sas:{one.event_id}"


def _assets(account: CloudAccount, listed: Iterable[Suspicion]) -> dict[str, Asset]:
    names = {one.instance_id for one in listed if one.instance_id}
    rows = Asset.objects.filter(cloud_account=account, provider_id__in=names)
    return {asset.provider_id: asset for asset in rows}


def _record(account: CloudAccount, key: str, one: Suspicion, asset: Asset | None, now: datetime) -> bool:
    subject = asset.name if asset else one.instance_name or one.instance_id or account.name
    event = events.record(
        customer=account.customer,
        key=key,
        source=Event.Source.SECURITY,
        kind=KIND,
        title_zh=f"{subject}：{one.name}（云安全中心）",
        title_en=f"{subject}: {one.name} (Security Center)",
        severity=SEVERITIES.get(one.level, Severity.AVERAGE),
        asset=asset,
        cloud_account=account,
        detail=_detail(one),
        occurred_at=one.occurred_at,
        ends_at=one.occurred_at if one.is_settled else None,
        opens_alert=not one.is_settled,
        text_zh=_text(one),
        text_en=_text(one),
        now=now,
    )
    if event is not None and asset is None and not one.is_settled:
        _open_incident(event, one, now)
    return event is not None


def _follow(event: Event, one: Suspicion, now: datetime) -> None:
    """It is settled, it is open again after all, or somebody has taken it up."""
    if one.is_settled and event.ends_at is None:
        _settle(event, security_status(one.status), one.status, now)
    elif not one.is_settled and event.ends_at is not None:
        events.open_again(event=event, text=_text(one), now=now)
        if event.asset_id is None:
            _open_incident(event, one, now)
    if event.detail != _detail(one):
        Event.objects.filter(pk=event.pk).update(detail=_detail(one))
        events.show(event)


def _miss(event: Event, now: datetime) -> None:
    """Open, and not listed any more. A page may shift while it is read: only what is missing twice is gone."""
    if event.detail.get("missing"):
        _settle(event, pgettext("security event", "no longer listed"), 0, now)
    else:
        Event.objects.filter(pk=event.pk).update(detail={**event.detail, "missing": True})


def _settle(event: Event, how: str, status: int, now: datetime) -> None:
    said = _("In Security Center: %(how)s.") % {"how": how}
    events.close(event=event, at=now, now=now, ending=Alert.Ending.SETTLED, text=said)
    if event.incident is not None:
        data = {"title": event.title, "at": now.isoformat(), "how": str(Alert.Ending.SETTLED.label)}
        timeline.write(event.incident, TimelineEntry.Kind.RECOVERY, actor=None, now=now, body=said, data=data)
        live.publish(customer_id=event.customer_id, topic="incidents", object_id=event.incident.pk)


def _open_incident(event: Event, one: Suspicion, now: datetime) -> None:
    """Of what happened to no asset. More of the same joins the incident that nobody has solved yet."""
    severity = SEVERITIES.get(one.level, Severity.AVERAGE)
    alike = Event.objects.filter(
        cloud_account=event.cloud_account, source=Event.Source.SECURITY, asset=None, detail__name=one.name
    ).exclude(incident=None)
    unsolved = Incident.objects.filter(pk__in=alike.values("incident"), state__in=UNSOLVED_STATES)
    incident = unsolved.order_by("pk").first()
    if incident is None:
        incident = opening.open_by_platform(
            customer=event.customer,
            kind=IncidentKind.INCIDENT,
            title=event.title[:200],
            description=_text(one),
            severity=severity,
            detected_at=min(event.occurred_at, now),
            now=now,
            category=Incident.Category.ALIYUN,
        )
    else:
        data = {"title": event.title, "severity": int(severity), "at": event.occurred_at.isoformat()}
        timeline.write(incident, TimelineEntry.Kind.ALERT, actor=None, now=now, body=_text(one), data=data)
        live.publish(customer_id=event.customer_id, topic="incidents", object_id=incident.pk)
    Event.objects.filter(pk=event.pk).update(incident=incident)


def _text(one: Suspicion) -> str:
    """In the language that is active."""
    lines = [
        _("Security Center: %(kind)s, %(level)s.") % {"kind": one.kind or one.name, "level": security_level(one.level)},
        one.text,
        _("Find out what happened and settle the event in Security Center: it ends here when it is settled there."),
    ]
    return "\n\n".join(filter(None, lines))


def _detail(one: Suspicion) -> dict[str, object]:
    return {
        "name": one.name,
        "level": one.level,
        "status": one.status,
        "resource": one.instance_id,
        "reason": one.kind,
    }
