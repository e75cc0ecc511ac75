"""What Security Center holds for an attack becomes an alert with an incident, and stays one until it is settled there
(R143).

News are read in every round from shortly before the last one; those that are open are looked for again among what is
open there. What belongs to no asset of ours, a leaked AccessKey say, has an incident of its own, and so has what was
open long before the account was first read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Severity
from assets.aliyun import Client
from assets.aliyun.security import Suspicion, suspicions
from assets.models import Asset, CloudAccount
from assets.words import security_level, security_status
from incidents import locks, timeline
from incidents.models import UNSOLVED_STATES, Incident, IncidentKind, TimelineEntry
from incidents.services import opening
from monitoring import registry
from monitoring.models import Alert, CloudReading, Event
from monitoring.services import events
from notify import live

LATE: Final = timedelta(hours=2)
"""An event carries the moment of what was done, and is listed when that was understood."""
FIRST_LOOK: Final = timedelta(days=30)
NEWS: Final = timedelta(hours=24)
"""What is older when an account is first read is told in one incident together."""
FOLLOW_EVERY: Final = timedelta(minutes=15)
FARTHEST: Final = timedelta(days=180)
"""Security Center keeps its events about so long."""
MOST_TOLD: Final = 20
GONE: Final = 0
"""Stands where the status of an event would that is not listed any more."""
SEVERITIES: Final[Mapping[str, Severity]] = {
    "serious": Severity.HIGH,
    "suspicious": Severity.AVERAGE,
    "remind": Severity.WARNING,
}
KIND: Final = "security-center"


def read(*, account: CloudAccount, client: Client, now: datetime) -> int:
    """News first, then what became of those that are open; returns how many were new. Raises AliyunError: what was
    read before stays."""
    new = _read_news(account, client, now)
    reading = CloudReading.objects.get(cloud_account=account)
    if reading.security_followed_at is None or now - reading.security_followed_at >= FOLLOW_EVERY:
        _follow_open(account, client, now)
    return new


def _read_news(account: CloudAccount, client: Client, now: datetime) -> int:
    reading = CloudReading.objects.get(cloud_account=account)
    is_first = reading.security_until is None
    start = reading.security_until - LATE if reading.security_until else now - FIRST_LOOK
    found = suspicions(client, start, now, language=_language(account))
    listed = {_key(account, one): one for one in found}
    assets = _assets(account, listed.values())
    with transaction.atomic(), translation.override(account.customer.language):
        _hold(account)
        known = _known(account, listed)
        new: list[tuple[Event, Suspicion]] = []
        for key, one in sorted(listed.items(), key=lambda item: (item[1].occurred_at, item[0])):
            if key in known:
                _follow(known[key], one, now)
            else:
                is_old = is_first and now - one.occurred_at >= NEWS
                event = _record(account, key, one, assets.get(one.instance_id), opens_alert=not is_old, now=now)
                new += [(event, one)] if event is not None else []
        _tell_of_old([(event, one) for event, one in new if is_first and now - one.occurred_at >= NEWS], now)
        CloudReading.objects.filter(pk=reading.pk).update(security_until=now)
    return len(new)


def _follow_open(account: CloudAccount, client: Client, now: datetime) -> None:
    """Look for those that are open here among those that are open there; for the others, among what is settled."""
    still = _open_of(account)
    if still:
        moments = [event.occurred_at for event in still.values()]
        start = max(min(moments), now - FARTHEST)
        language = _language(account)
        found = {_key(account, one): one for one in suspicions(client, start, now, language=language, is_settled=False)}
        missing = [still[key].occurred_at for key in still.keys() - found.keys()]
        if missing and max(missing) >= start:
            ends = max(missing) + timedelta(seconds=1)
            settled = suspicions(client, max(min(missing), start), ends, language=language, is_settled=True)
            found |= {_key(account, one): one for one in settled}
        with transaction.atomic(), translation.override(account.customer.language):
            _hold(account)
            for key, event in _open_of(account).items():
                if key in found:
                    _follow(event, found[key], now)
                elif key in still:
                    _miss(event, now)
    CloudReading.objects.filter(cloud_account=account).update(security_followed_at=now)


def _hold(account: CloudAccount) -> None:
    """The ledger before the customer's turn, as everybody who opens alerts."""
    registry.hold_ledger(account.customer_id)
    locks.hold_customer(account.customer)


def _language(account: CloudAccount) -> str:
    return "zh" if account.customer.language.startswith("zh") else "en"


def _known(account: CloudAccount, keys: Iterable[str]) -> dict[str, Event]:
    rows = Event.objects.filter(customer=account.customer, key__in=list(keys))
    return {event.key: event for event in rows.select_related("customer", "asset", "incident")}


def _open_of(account: CloudAccount) -> dict[str, Event]:
    """By key. An account that was registered anew goes on with what its old row had opened."""
    rows = Event.objects.filter(
        customer=account.customer,
        cloud_account__account_uid=account.account_uid,
        source=Event.Source.SECURITY,
        ends_at=None,
    )
    return {event.key: event for event in rows.select_related("customer", "asset", "incident")}


def _key(account: CloudAccount, one: Suspicion) -> str:
    return f"sas:{account.account_uid}:{one.event_id}"


def _assets(account: CloudAccount, listed: Iterable[Suspicion]) -> dict[str, Asset]:
    names = {one.instance_id for one in listed if one.instance_id}
    rows = Asset.objects.filter(cloud_account=account, provider_id__in=names).active()
    return {asset.provider_id: asset for asset in rows}


def _record(
    account: CloudAccount, key: str, one: Suspicion, asset: Asset | None, *, opens_alert: bool, now: datetime
) -> Event | None:
    subject = asset.name if asset else one.instance_name or one.instance_id or account.name
    event = events.record(
        customer=account.customer,
        key=key,
        source=Event.Source.SECURITY,
        kind=KIND,
        title_zh=f"{subject}：{one.name}（云安全中心）",
        title_en=f"{subject}: {one.name} (Security Center)",
        severity=_severity(one),
        asset=asset,
        cloud_account=account,
        detail=_detail(one),
        occurred_at=one.occurred_at,
        ends_at=one.occurred_at if one.is_settled else None,
        opens_alert=opens_alert and not one.is_settled,
        text_zh=_text(one),
        text_en=_text(one),
        now=now,
    )
    if event is not None and asset is None and opens_alert and not one.is_settled:
        _open_incident(event, one, now)
    return event


def _follow(event: Event, one: Suspicion, now: datetime) -> None:
    """It is settled, it is open again after all, or somebody has taken it up."""
    if event.detail != _detail(one):
        event.detail = _detail(one)
        Event.objects.filter(pk=event.pk).update(detail=event.detail)
        events.show(event)
    if one.is_settled and event.ends_at is None:
        _settle(event, one.status, now)
    elif not one.is_settled and event.ends_at is not None:
        events.open_again(event=event, text=_text(one), now=now)
        if event.asset_id is None:
            _open_incident(event, one, now)


def _miss(event: Event, now: datetime) -> None:
    """Open, and not listed any more. A page may shift while it is read: only what is missing twice is gone."""
    if event.detail.get("missing"):
        Event.objects.filter(pk=event.pk).update(detail={**event.detail, "status": GONE})
        _settle(event, GONE, now)
    else:
        Event.objects.filter(pk=event.pk).update(detail={**event.detail, "missing": True})


def _settle(event: Event, status: int, now: datetime) -> None:
    said = _("In Security Center: %(how)s.") % {"how": security_status(status)}
    events.close(event=event, at=now, now=now, ending=Alert.Ending.SETTLED, text=said)
    if event.incident is not None:
        data = {"title": event.title, "at": now.isoformat(), "how": str(Alert.Ending.SETTLED.label)}
        timeline.write(event.incident, TimelineEntry.Kind.RECOVERY, actor=None, now=now, body=said, data=data)
        live.publish(customer_id=event.customer_id, topic="incidents", object_id=event.incident.pk)


def _tell_of_old(rows: Sequence[tuple[Event, Suspicion]], now: datetime) -> None:
    """One incident of all that was open long before anybody watched; each of them ends on it."""
    still = [(event, one) for event, one in rows if not one.is_settled]
    if not still:
        return
    told = [f"{one.occurred_at:%Y-%m-%d} {event.title} ({security_level(one.level)})" for event, one in still]
    lines = [*told[:MOST_TOLD], *([f"… +{len(told) - MOST_TOLD}"] if len(told) > MOST_TOLD else [])]
    first = still[0][0]
    title = ngettext(
        "%(account)s: %(count)d event of Security Center was open before",
        "%(account)s: %(count)d events of Security Center were open before",
        len(still),
    ) % {"account": first.cloud_account.name if first.cloud_account else "", "count": len(still)}
    incident = _incident(
        first, title, "\n".join([*lines, "", _how()]), min(_severity(one) for _event, one in still), now
    )
    Event.objects.filter(pk__in=[event.pk for event, _one in still]).update(incident=incident)


def _open_incident(event: Event, one: Suspicion, now: datetime) -> None:
    """Of what happened to no asset. More of the same joins the incident that nobody has solved yet, unless it is worse
    than that: then somebody has to hear of it."""
    severity = _severity(one)
    alike = Event.objects.filter(
        cloud_account=event.cloud_account, source=Event.Source.SECURITY, asset=None, detail__name=one.name
    ).exclude(incident=None)
    unsolved = Incident.objects.filter(
        pk__in=alike.values("incident"), state__in=UNSOLVED_STATES, severity__lte=int(severity)
    )
    incident = unsolved.order_by("pk").first()
    if incident is None:
        incident = _incident(event, event.title, _text(one), severity, now)
    else:
        data = {"title": event.title, "severity": int(severity), "at": event.occurred_at.isoformat()}
        timeline.write(incident, TimelineEntry.Kind.ALERT, actor=None, now=now, body=_text(one), data=data)
        live.publish(customer_id=event.customer_id, topic="incidents", object_id=incident.pk)
    Event.objects.filter(pk=event.pk).update(incident=incident)


def _incident(event: Event, title: str, text: str, severity: Severity, now: datetime) -> Incident:
    """Its clocks run from now: nobody could answer before it was listed."""
    return opening.open_by_platform(
        customer=event.customer,
        kind=IncidentKind.INCIDENT,
        title=title[:200],
        description=text,
        severity=severity,
        detected_at=now,
        now=now,
        category=Incident.Category.ALIYUN,
    )


def _severity(one: Suspicion) -> Severity:
    return SEVERITIES.get(one.level, Severity.AVERAGE)


def _text(one: Suspicion) -> str:
    """In the language that is active."""
    lines = [
        _("Security Center: %(kind)s, %(level)s.") % {"kind": one.kind or one.name, "level": security_level(one.level)},
        one.text,
        _how(),
    ]
    return "\n\n".join(filter(None, lines))


def _how() -> str:
    return _("Find out what happened and settle the event in Security Center: it ends here when it is settled there.")


def _detail(one: Suspicion) -> dict[str, object]:
    return {
        "name": one.name,
        "level": one.level,
        "status": one.status,
        "resource": one.instance_id,
        "reason": one.kind,
    }
