"""What is read of an account beside figures: system events, planned maintenance, events of Security Center, changes of
resources, the names that CloudMonitor still has, the state of its agents, and what is paid until when.

One row per account says when it is due and what was read until when. Whatever one API refuses does not hold up the
others; a refused AccessKey ends the round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from accounts.errors import DomainError
from accounts.models import Customer, Severity
from assets.aliyun import AliyunError, Client
from assets.aliyun import happenings as api
from assets.models import Asset, CloudAccount, Subscription
from assets.models import Kind as AssetKind
from assets.services import client_for, subscriptions
from monitoring import happenings
from monitoring.collectors import Problem, cms
from monitoring.governor import BEIJING
from monitoring.models import CloudReading, Event
from monitoring.services import cloud, events, security
from notify import live

EVERY: Final = timedelta(minutes=5)
LEASE: Final = timedelta(minutes=10)
LATE: Final = timedelta(minutes=15)
"""System events may be listed a while after they happened."""
FIRST_LOOK: Final = timedelta(days=7)
NEWS: Final = timedelta(hours=24)
"""What is older when it is first seen is written down without an alert."""
PASSES_AFTER: Final = timedelta(hours=1)
"""An event without an end of its own, such as a failover, is over by then."""
NAMES_EVERY: Final = timedelta(hours=24)
AGENTS_EVERY: Final = timedelta(minutes=30)
PAID_EVERY: Final = timedelta(hours=6)
WATCHED: Final = ("spec", "engine", "status", "expires_at")
FIELD_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "spec": ("规格", "specification"),
    "engine": ("引擎版本", "engine version"),
    "status": ("状态", "status"),
    "expires_at": ("到期时间", "expiry"),
}
Source = Event.Source


@transaction.atomic
def claim(*, now: datetime, limit: int = 200) -> list[tuple[int, int]]:
    """Take the accounts that are due: customer and reading. Needs a platform scope."""
    due = CloudReading.objects.claimable(now).exclude(customer__status=Customer.Status.LEFT)
    rows = list(due.select_for_update(skip_locked=True, of=("self",)).order_by("next_due_at")[:limit])
    CloudReading.objects.filter(pk__in=[row.pk for row in rows]).update(
        lease_until=now + LEASE, next_due_at=now + EVERY
    )
    return [(row.customer_id, row.pk) for row in rows]


def read(*, reading_id: int, now: datetime) -> None:
    """One round over an account. Network first, each part in a transaction of its own. Needs the customer's scope."""
    reading = CloudReading.objects.select_related("cloud_account__customer").get(pk=reading_id)
    account = reading.cloud_account
    follow_resources(account=account, now=now)
    cloud.govern(account=account, now=now)
    meter = cloud.Meter(account.account_uid)
    try:
        client = client_for(account, purpose=cloud.PURPOSE, now=now).watched(meter)
    except DomainError:
        client = None
    problem = _round(reading, account, client, now) if client is not None else None
    pass_over(customer=account.customer, now=now)
    cloud.settle(account=account, namespace="", meter=meter, problem=problem, now=now)
    CloudReading.objects.filter(pk=reading_id).update(lease_until=None)


def _round(reading: CloudReading, account: CloudAccount, client: Client, now: datetime) -> Problem | None:
    parts: list[Callable[[], object]] = [
        lambda: read_maintenance(account=account, client=client, now=now),
        lambda: read_events(account=account, client=client, now=now),
        lambda: security.read(account=account, client=client, now=now),
    ]
    if _is_due(reading.names_checked_at, NAMES_EVERY, now):
        parts.append(lambda: check_names(account=account, client=client, now=now))
    if _is_due(reading.agents_checked_at, AGENTS_EVERY, now):
        parts.append(lambda: check_agents(account=account, client=client, now=now))
    newest = Subscription.objects.filter(cloud_account=account).order_by("-seen_at").first()
    if _is_due(newest.seen_at if newest else None, PAID_EVERY, now):
        parts.append(lambda: read_paid(account=account, client=client, now=now))
    found: Problem | None = None
    for part in parts:
        try:
            part()
        except AliyunError as error:
            found = found or cms.problem_of(error)
            if error.is_credential_problem:
                return cms.problem_of(error)
    return found


def _is_due(last: datetime | None, every: timedelta, now: datetime) -> bool:
    return last is None or now - last >= every


# --- events ----------------------------------------------------------------------------------------------------------


def read_events(*, account: CloudAccount, client: Client, now: datetime) -> int:
    """System events since the last round; returns how many were new. The mark moves only when all came."""
    reading = CloudReading.objects.get(cloud_account=account)
    start = reading.events_until - LATE if reading.events_until else now - FIRST_LOOK
    found = sorted(api.system_events(client, start, now), key=lambda event: event.occurred_at)
    assets = _assets(account, [event.resource_id for event in found])
    with transaction.atomic():
        new = sum(_system_event(account, event, assets.get(event.resource_id), now) for event in found)
        CloudReading.objects.filter(pk=reading.pk).update(events_until=now)
    return new


def _system_event(account: CloudAccount, event: api.SystemEvent, asset: Asset | None, now: datetime) -> bool:
    told = happenings.system_event(event, of=asset.name if asset else "")
    of_ecs = str(event.content.get("eventId", ""))
    recorded = events.record(
        customer=account.customer,
        key=f"ecs:{of_ecs}" if of_ecs else f"cms:{event.event_id}",
        source=Source.CLOUD,
        kind=told.kind,
        title_zh=told.title_zh,
        title_en=told.title_en,
        severity=_severity(told.severity),
        opens_alert=now - event.occurred_at < NEWS,
        asset=asset,
        cloud_account=account,
        detail={
            "name": event.name,
            "product": event.product,
            "level": event.level,
            "status": event.status,
            "region": event.region,
            "resource": event.resource_id,
            "content": {str(key): str(value)[:500] for key, value in list(event.content.items())[:30]},
        },
        occurred_at=event.occurred_at,
        now=now,
    )
    if told.ends and asset is not None:
        _end(asset, happenings.slug(told.ends), event.occurred_at, now)
    return recorded is not None


def _end(asset: Asset, kind: str, at: datetime, now: datetime) -> None:
    """What this event ends: the open ones of that kind on the same asset."""
    for event in Event.objects.filter(asset=asset, kind=kind, ends_at=None, occurred_at__lte=at):
        events.close(event=event, at=at, now=now)


def pass_over(*, customer: Customer, now: datetime) -> int:
    """End the alerts of events that have no end of their own, once nobody expects more of them."""
    rows = Event.objects.filter(
        customer=customer, source=Source.CLOUD, ends_at=None, occurred_at__lt=now - PASSES_AFTER
    ).exclude(severity=None)
    lasting = {happenings.slug(known.ends) for known in happenings.EVENTS.values() if known.ends}
    passing = [event for event in rows.exclude(kind__in=lasting) if not event.key.startswith("ecs:")]
    for event in passing:
        events.close(event=event, at=event.occurred_at + PASSES_AFTER, now=now)
    return len(passing)


def read_maintenance(*, account: CloudAccount, client: Client, now: datetime) -> int:
    """Maintenance of ECS in every region that has instances; returns how many events were new or changed."""
    ours = Asset.objects.filter(cloud_account=account, kind=AssetKind.ECS).active()
    changed = 0
    for region in sorted(set(ours.values_list("region", flat=True)) - {""}):
        found = list(api.maintenance(client, region))
        assets = _assets(account, [event.instance_id for event in found])
        with transaction.atomic():
            changed += sum(_maintenance(account, event, assets.get(event.instance_id), now) for event in found)
    return changed


def _maintenance(account: CloudAccount, event: api.Maintenance, asset: Asset | None, now: datetime) -> bool:
    begins = event.not_before or event.published_at or now
    key = f"ecs:{event.event_id}"
    known = Event.objects.filter(customer=account.customer, key=key).first()
    detail = {
        "kind": event.kind,
        "status": event.status,
        "reason": event.reason,
        "impact": event.impact,
        "published_at": event.published_at.isoformat() if event.published_at else "",
    }
    if known is not None:
        return _update(known, event, begins, detail, now)
    told = happenings.maintenance(event, of=asset.name if asset else event.instance_id)
    when = f"{begins.astimezone(BEIJING):%Y-%m-%d %H:%M}"
    recorded = events.record(
        customer=account.customer,
        key=key,
        source=Source.MAINTENANCE if happenings.is_planned(event) else Source.CLOUD,
        kind=told.kind,
        title_zh=f"{told.title_zh}（{when}）",
        title_en=f"{told.title_en} ({when} UTC+8)",
        severity=_severity(told.severity),
        asset=asset,
        cloud_account=account,
        detail=detail,
        occurred_at=begins,
        ends_at=max(event.finished_at or begins, begins) if event.is_over else None,
        opens_alert=not event.is_over,
        text_zh=event.reason,
        text_en=event.reason,
        now=now,
    )
    if recorded is not None and event.is_called_off:
        events.close(event=recorded, at=now, now=now, cancelled=True)
    return recorded is not None


def _update(known: Event, event: api.Maintenance, begins: datetime, detail: Mapping[str, Any], now: datetime) -> bool:
    """What was announced is moved, carried out, done or called off."""
    if event.is_over:
        if known.ends_at is not None or known.cancelled_at is not None:
            return False
        Event.objects.filter(pk=known.pk).update(detail=dict(detail))
        events.close(event=known, at=event.finished_at or now, now=now, cancelled=event.is_called_off)
        return True
    if known.detail == detail and known.occurred_at == begins:
        return False
    Event.objects.filter(pk=known.pk).update(detail=dict(detail), occurred_at=begins)
    events.show(known)
    return True


# --- resources -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """A field of a resource that is not what it was."""

    asset: Asset
    field: str
    before: str
    after: str


@transaction.atomic
def follow_resources(*, account: CloudAccount, now: datetime) -> list[Event]:
    """Write down what became of resources since the last look: specification, version, status, expiry; new and gone
    (R42). The first look only remembers."""
    reading = CloudReading.objects.select_for_update().get(cloud_account=account)
    rows = list(Asset.objects.filter(cloud_account=account).active())
    seen: dict[str, list[str]] = {str(asset.pk): [_text(asset, name) for name in WATCHED] for asset in rows}
    before: Mapping[str, list[str]] = reading.resources
    if seen == before:
        return []
    reading.resources = seen
    reading.save(update_fields=["resources"])
    if not before:
        return []
    found = [event for change in _changes(rows, before) if (event := _changed(account, change, now))]
    found += [event for asset in rows if str(asset.pk) not in before and (event := _came(asset, now))]
    gone = Asset.objects.filter(pk__in=[int(pk) for pk in before.keys() - seen.keys()])
    found += [event for asset in gone if (event := _went(asset, now))]
    return found


def _text(asset: Asset, name: str) -> str:
    value = getattr(asset, name)
    return value.isoformat() if isinstance(value, datetime) else str(value or "")


def _changes(rows: Iterable[Asset], before: Mapping[str, list[str]]) -> Iterable[Change]:
    for asset in rows:
        was = before.get(str(asset.pk))
        for name, old in zip(WATCHED, was or (), strict=was is not None):
            if old != (new := _text(asset, name)):
                yield Change(asset, name, old, new)


def _changed(account: CloudAccount, change: Change, now: datetime) -> Event | None:
    zh, en = FIELD_NAMES[change.field]
    old, new = (_shown(change.field, text) for text in (change.before, change.after))
    is_locked = change.field == "status" and change.after == Asset.Status.LOCKED
    asset = change.asset
    event = events.record(
        customer=account.customer,
        key=f"resource:{asset.pk}:{change.field}:{now:%Y%m%d%H%M%S}",
        source=Source.CLOUD,
        kind="resource-locked" if is_locked else "resource-changed",
        severity=Severity.HIGH if is_locked else None,
        title_zh=f"{asset.name}：{zh}由 {old[0]} 变为 {new[0]}",
        title_en=f"{asset.name}: {en} changed from {old[1]} to {new[1]}",
        detail={"field": change.field, "before": change.before, "after": change.after},
        asset=asset,
        cloud_account=account,
        occurred_at=now,
        ends_at=None if is_locked else now,
        now=now,
    )
    if change.field == "status" and change.before == Asset.Status.LOCKED:
        _end(asset, "resource-locked", now, now)
    return event


def _shown(field: str, text: str) -> tuple[str, str]:
    """A value in Chinese and English."""
    if field == "expires_at":
        return (text[:10] or "无", text[:10] or "none")
    if field == "status":
        return (STATUS_WORDS.get(text, text), text)
    return (text or "空", text or "nothing")


STATUS_WORDS: Final[Mapping[str, str]] = {
    "running": "运行中",
    "pending": "变更中",
    "stopped": "已停止",
    "locked": "已锁定",
    "unknown": "未知",
}


def _came(asset: Asset, now: datetime) -> Event | None:
    kind = asset.get_kind_display()
    return _told(asset, "resource-created", (f"新增 {kind}：{asset.name}", f"New {kind}: {asset.name}"), now)


def _went(asset: Asset, now: datetime) -> Event | None:
    kind = asset.get_kind_display()
    return _told(asset, "resource-released", (f"{kind} 已释放：{asset.name}", f"{kind} released: {asset.name}"), now)


def _told(asset: Asset, kind: str, titles: tuple[str, str], now: datetime) -> Event | None:
    return events.record(
        customer=asset.customer,
        key=f"resource:{asset.pk}:{kind}:{now:%Y%m%d%H%M%S}",
        source=Source.CLOUD,
        kind=kind,
        title_zh=titles[0],
        title_en=titles[1],
        asset=asset,
        cloud_account=asset.cloud_account,
        occurred_at=now,
        ends_at=now,
        now=now,
    )


# --- names, agents, subscriptions ------------------------------------------------------------------------------------


def check_names(*, account: CloudAccount, client: Client, now: datetime) -> list[str]:
    """Compare the catalogue with the names that CloudMonitor has today; returns the metrics that are gone."""
    kinds = set(Asset.objects.filter(cloud_account=account).active().values_list("kind", flat=True))
    names: dict[str, list[str]] = {}
    for namespace in cms.wanted_namespaces(kinds):
        found = sorted({meta.name for meta in client.metric_meta(namespace)})
        if found:  # an empty list is no list: better ask for names that may be gone than for none
            names[namespace] = found
    wanted = {name for metrics in cms.namespaces().values() for metric in metrics for name in metric.cms_metrics}
    missing = [metric.name for namespace, found in names.items() for metric in cms.missing_of(namespace, found)]
    with transaction.atomic():
        reading = CloudReading.objects.select_for_update().get(cloud_account=account)
        reading.names = {namespace: [name for name in found if name in wanted] for namespace, found in names.items()}
        reading.missing, reading.names_checked_at = missing, now
        reading.save(update_fields=["names", "missing", "names_checked_at"])
    return missing


def check_agents(*, account: CloudAccount, client: Client, now: datetime) -> dict[str, str]:
    """Ask on which running instances the agent of CloudMonitor speaks; returns the others with their state."""
    rows = Asset.objects.filter(cloud_account=account, kind=AssetKind.ECS, status=Asset.Status.RUNNING).active()
    names = list(rows.order_by("pk").values_list("provider_id", flat=True))
    found = {name: state for name, state in api.agent_states(client, names).items() if state != "running"}
    CloudReading.objects.filter(cloud_account=account).update(agents=found, agents_checked_at=now)
    return found


def read_paid(*, account: CloudAccount, client: Client, now: datetime) -> int:
    found = subscriptions.apply(account=account, paid=api.paid(client), now=now)
    live.publish(customer_id=account.customer_id, topic="assets", object_id=account.pk)
    return found


def _assets(account: CloudAccount, provider_ids: Iterable[str]) -> dict[str, Asset]:
    rows = Asset.objects.filter(cloud_account=account, provider_id__in=set(provider_ids)).select_related("customer")
    return {asset.provider_id: asset for asset in rows}


def _severity(name: str) -> Severity | None:
    return Severity[name.upper()] if name else None
