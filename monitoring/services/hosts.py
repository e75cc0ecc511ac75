"""Taking in what agents tell of their hosts: comparing with the reading before, recording each change once (R36).

The first reading of a host is what later ones are compared with and raises nothing. A reading is compared and kept in
one transaction: however often a worker dies, each change is told once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction

from accounts.models import Customer, Severity
from assets.models import Asset
from monitoring.collectors import Outcome
from monitoring.collectors.config.machines import StateConfig
from monitoring.collectors.hoststate import wanted
from monitoring.extra_rules import EXTRA_RULES
from monitoring.hostdiff import Change, Kind, compare, merged
from monitoring.models import Alert, Event, HostReading, Target
from monitoring.services import alerts, events

ALERTS: Final[Mapping[Kind, str]] = {
    Kind.PASSWORD: "host-password",
    Kind.ACCOUNT: "host-account",
    Kind.SUDO: "host-sudo",
    Kind.CONFIG: "host-config",
    Kind.FIREWALL: "host-firewall",
    Kind.HOSTNAME: "host-hostname",
}
"""The changes that raise an alert unless the target leaves them out. What runs and listens is listed only: deployments
change it all day, and rules watch the processes that must be there. A restart has its own rule among the 90."""
OPEN_FOR: Final = timedelta(hours=24)
"""A change is a moment, not a state: its alert ends by itself after a day, if nobody ended it."""


def take(targets: Sequence[Target], outcomes: Sequence[Outcome], *, now: datetime) -> int:
    """Compare and keep the readings of a batch; returns how many changes were new. Needs the customer's scope."""
    return sum(
        _take(target, outcome.reading, now)
        for target, outcome in zip(targets, outcomes, strict=True)
        if outcome.reading is not None and target.asset_id is not None
    )


@transaction.atomic
def _take(target: Target, reading: Mapping[str, Any], now: datetime) -> int:
    asset = Asset.objects.select_related("customer").get(pk=target.asset_id or 0)
    row, is_first = HostReading.objects.select_for_update(of=("self",)).get_or_create(
        asset=asset, defaults={"customer_id": asset.customer_id, "read_at": now}
    )
    facts, texts = reading["facts"], row.kept_texts()
    changes = [] if is_first else compare(row.facts, facts, texts, reading["texts"])
    if changes:
        row.version += 1
        row.changed_at = now
        config = target.parsed_config
        on = config.alerts if isinstance(config, StateConfig) else ()
        for number, change in enumerate(changes):
            _tell(asset, change, f"{row.version}:{number}", raises=change.kind.value in on, facts=facts, now=now)
    row.facts = merged(row.facts, facts)
    kept = {
        digest: text for digest in wanted(row.facts) if (text := {**texts, **reading["texts"]}.get(digest)) is not None
    }
    if kept.keys() != texts.keys():
        row.keep_texts(kept)
    row.read_at = now
    row.save()
    _end_old(asset.customer, asset, now)
    return len(changes)


def _tell(asset: Asset, change: Change, number: str, *, raises: bool, facts: Mapping[str, Any], now: datetime) -> None:
    rule_id = ALERTS.get(change.kind, "")
    severity = Severity[EXTRA_RULES[rule_id].severity.upper()] if rule_id and raises else None
    told_at = datetime.fromtimestamp(float(facts.get("at", now.timestamp())), tz=UTC)
    diff = str(change.detail.get("diff", ""))
    shown = "\n\n" + "\n".join(diff.splitlines()[:40]) if diff else ""
    events.record(
        customer=asset.customer,
        asset=asset,
        key=f"host:{asset.pk}:{number}:{change.kind.value}",
        source=Event.Source.HOST,
        kind=change.kind.value,
        severity=severity,
        title_zh=f"{asset.name}：{change.title_zh}",
        title_en=f"{asset.name}: {change.title_en}",
        text_zh=f"{change.title_zh}{shown}",
        text_en=f"{change.title_en}{shown}",
        detail=dict(change.detail),
        occurred_at=min(told_at, now),
        rule_id=rule_id,
        now=now,
    )


def _end_old(customer: Customer, asset: Asset, now: datetime) -> None:
    old = Alert.objects.open().filter(asset=asset, rule_id__in=ALERTS.values(), opened_at__lte=now - OPEN_FOR)
    prefix = alerts.event_key(customer.pk, "")
    for key in list(old.values_list("open_key", flat=True)):
        alerts.close_event(customer=customer, key=key.removeprefix(prefix), now=now)
