"""Making, ending and taking up silences. What still fires when one ends is told then, by a durable timer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.windows import Once, Window, as_json, last_end
from assets.models import Asset
from monitoring import registry
from monitoring.matching import Scope
from monitoring.models import Alert, AssetGroup, Silence
from monitoring.services import holding
from monitoring.services.levels import groups_of_assets
from notify import live
from timers import services as timers

Source = Silence.Source
MOST_WINDOWS: Final = 20
ZONE: Final = "Asia/Shanghai"


@transaction.atomic
def create(
    *,
    customer: Customer,
    reason: str,
    windows: Sequence[Window],
    scope: Scope,
    actor: User | None,
    now: datetime,
    timezone: str = ZONE,
    source: str = Source.PERSON,
    key: str = "",
) -> Silence:
    """Silence part of a customer, inside its scope. What fires there already is marked; what was told stays told.

    `actor` is None where the platform itself does it. Raises DomainError when it could never be quiet.
    """
    _may(actor)
    reason = " ".join(reason.split())
    _check(reason, windows, scope, timezone, now)
    registry.hold_ledger(customer.pk)
    silence = Silence.objects.create(
        customer=customer,
        reason=reason[:300],
        source=source,
        key=key,
        asset_ids=sorted(scope.asset_ids),
        group_ids=sorted(scope.group_ids),
        rule_ids=sorted(scope.rule_ids),
        labels=dict(scope.labels),
        windows=[as_json(window) for window in windows],
        timezone=timezone,
        over_at=last_end(windows),
        created_by=actor,
        created_at=now,
    )
    _changed(silence, "silence.create", actor, now, detail=_detail(silence))
    return silence


@transaction.atomic
def end(*, silence: Silence, actor: User | None, now: datetime) -> Silence:
    """End it now. Like running out: what still fires is told. Ending it twice changes nothing."""
    _may(actor)
    silence = _held(silence)
    if not silence.is_standing(now):
        return silence
    silence.ended_at, silence.ended_by = now, actor
    silence.save(update_fields=["ended_at", "ended_by"])
    _changed(silence, "silence.end", actor, now)
    return silence


@transaction.atomic
def resume(*, silence: Silence, actor: User, now: datetime) -> Silence:
    """Take back that it was ended early, as long as it would still be of use."""
    _may(actor)
    silence = _held(silence)
    if silence.ended_at is None:
        return silence
    if silence.over_at is not None and silence.over_at <= now:
        raise DomainError(_("Its time is over. Please make a new silence."), code="silence_over")
    if silence.key and Silence.objects.filter(key=silence.key, ended_at=None).exists():
        raise DomainError(_("The change has another silence already."), code="silence_known")
    silence.ended_at = silence.ended_by = None
    silence.save(update_fields=["ended_at", "ended_by"])
    _changed(silence, "silence.resume", actor, now)
    return silence


def for_change(
    *, change_key: str, assets: Collection[Asset], start: datetime, end: datetime, actor: User | None, now: datetime
) -> Silence:
    """The silence of an approved change over its own assets; a change that moves takes its silence along."""
    if not assets:
        raise DomainError(_("The change names no asset: nothing was silenced."), code="no_assets")
    customers = {asset.customer_id: asset.customer for asset in assets}
    if len(customers) > 1:
        raise DomainError(_("A change belongs to one customer."), code="two_customers")
    (customer,) = customers.values()
    with transaction.atomic():
        end_change(change_key=change_key, customer=customer, actor=actor, now=now)
        return create(
            customer=customer,
            reason=_("Change %(key)s") % {"key": change_key},
            windows=[Once(start, end)],
            scope=Scope(asset_ids=frozenset(asset.pk for asset in assets)),
            actor=actor,
            now=now,
            source=Source.CHANGE,
            key=change_key,
        )


def is_as_said(change_key: str, assets: Collection[Asset], start: datetime, end: datetime) -> bool:
    """Whether the change has just this silence already."""
    standing = Silence.objects.filter(key=change_key, ended_at=None).first()
    if standing is None:
        return False
    said = (standing.windows, standing.asset_ids)
    return said == ([as_json(Once(start, end))], sorted(asset.pk for asset in assets))


def end_change(*, change_key: str, customer: Customer, actor: User | None, now: datetime) -> None:
    """The change is over early, or will not be: so is its silence."""
    for silence in Silence.objects.filter(customer=customer, key=change_key, ended_at=None):
        end(silence=silence, actor=actor, now=now)


@transaction.atomic
def turn(*, silence_id: int, now: datetime) -> None:
    """A window begins or ends: hold back or tell, and wait for the next one."""
    silence = Silence.objects.select_related("customer").filter(pk=silence_id).first()
    if silence is None:
        return
    registry.hold_ledger(silence.customer_id)
    silence = Silence.objects.select_related("customer").get(pk=silence_id)
    holding.settle(customer=silence.customer, now=now)
    _arm(silence, now)
    live.publish(customer_id=silence.customer_id, topic="silences", object_id=silence.pk)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a silence would be about, as things are now."""

    alerts: int
    assets: int
    names: tuple[str, ...]


def preview(*, customer: Customer, scope: Scope) -> Preview:
    """How many open alerts and active assets it covers; the first few assets by name."""
    groups = groups_of_assets(customer) if scope.group_ids else {}
    rows = Asset.objects.active().filter(customer=customer).order_by("name").values_list("pk", "name")
    assets = [name for pk, name in rows if scope.covers_asset(pk, groups.get(pk, ()))]
    open_alerts = Alert.objects.open().filter(customer=customer).values_list("asset_id", "rule_id", "labels")
    alerts = sum(
        scope.covers(asset_id=asset_id, groups=groups.get(asset_id, ()), rule_id=rule_id, labels=labels)
        for asset_id, rule_id, labels in open_alerts
    )
    return Preview(alerts, len(assets), tuple(assets[:5]))


def _may(actor: User | None) -> None:
    if actor is not None and not actor.is_provider:
        raise PermissionDenied


def _check(reason: str, windows: Sequence[Window], scope: Scope, timezone: str, now: datetime) -> None:
    if not reason:
        raise DomainError(_("Please say why: whoever wonders about the quiet reads it."), code="reason_missing")
    if not windows or len(windows) > MOST_WINDOWS:
        raise DomainError(_("A silence has from 1 to %(most)d windows.") % {"most": MOST_WINDOWS}, code="windows")
    over_at = last_end(windows)
    if over_at is not None and over_at <= now:
        raise DomainError(_("All of it lies in the past: nothing would be silenced."), code="in_the_past")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as problem:
        raise DomainError(_("There is no such time zone."), code="timezone") from problem
    known = set(Asset.objects.filter(pk__in=scope.asset_ids).values_list("pk", flat=True))
    groups = set(AssetGroup.objects.filter(pk__in=scope.group_ids).values_list("pk", flat=True))
    if known != scope.asset_ids or groups != scope.group_ids:
        raise DomainError(_("One of the assets or groups does not exist."), code="not_found")


def _held(silence: Silence) -> Silence:
    registry.hold_ledger(silence.customer_id)
    return Silence.objects.select_related("customer").select_for_update(of=("self",)).get(pk=silence.pk)


def _changed(
    silence: Silence, action: str, actor: User | None, now: datetime, detail: dict[str, object] | None = None
) -> None:
    audit.record(action=action, actor=actor, customer=silence.customer, obj=silence, detail=detail, now=now)
    holding.settle(customer=silence.customer, now=now)
    _arm(silence, now)
    live.publish(customer_id=silence.customer_id, topic="silences", object_id=silence.pk)


def _arm(silence: Silence, now: datetime) -> None:
    key, due_at = f"silence:{silence.pk}", silence.next_change(now)
    if due_at is None:
        timers.cancel(prefix=f"{key}.")
        return
    timers.set(
        key=f"{key}.",
        due_at=due_at,
        task="monitoring.silence_turns",
        args={"silence_id": silence.pk},
        customer=silence.customer_id,
    )


def _detail(silence: Silence) -> dict[str, object]:
    return {
        "reason": silence.reason, "assets": silence.asset_ids, "groups": silence.group_ids, "rules": silence.rule_ids,
        "labels": silence.labels, "windows": silence.windows, "timezone": silence.timezone,
    }  # fmt: skip
