"""What a process remembers between batches: ids of series, and each customer's plan. All of it can be thrown away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from accounts.models import Severity
from assets.models import Asset, Kind
from monitoring import plan
from monitoring.collectors import SeriesKey
from monitoring.models import RuleOverride, Series
from monitoring.plan import Override, Plan, SeriesFacts
from monitoring.rules import RULES

PLAN_LIFE = timedelta(minutes=10)
"""How long a plan may miss that an asset changed its kind or system; overrides show at once (`Ledger.plan_version`)."""
UNKNOWN = -1


@dataclass(slots=True)
class Registry:
    """Series of one customer as this process knows them."""

    ids: dict[SeriesKey, int] = field(default_factory=dict)
    plan: Plan | None = None
    plan_version: int = 0
    plan_made_at: datetime | None = None


_registries: dict[int, Registry] = {}
_asset_of: NDArray[np.int64] = np.zeros(1024, dtype=np.int64)


def forget(customer_id: int | None = None) -> None:
    """Throw away what is remembered of one customer, or of all."""
    if customer_id is None:
        _registries.clear()
    else:
        _registries.pop(customer_id, None)


def resolve(
    customer_id: int, keys: Sequence[SeriesKey], *, now: datetime
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Series id and asset id of each key, in the customer's scope; UNKNOWN where the asset is not the customer's."""
    registry = _registries.setdefault(customer_id, Registry())
    get: Callable[[SeriesKey], int | None] = registry.ids.get
    found = [get(key) for key in keys]
    if None in found:
        _learn(registry, customer_id, [key for key, one in zip(keys, found, strict=True) if one is None], now)
        found = [registry.ids.get(key, UNKNOWN) for key in keys]
    ids = np.array(found, dtype=np.int32)
    return ids, _asset_of[ids]


def _learn(registry: Registry, customer_id: int, keys: Sequence[SeriesKey], now: datetime) -> None:
    """Fetch series that this process has not met, making those that nobody has met."""
    asset_ids = {key[1] for key in keys if key[0] == customer_id}
    met = len(registry.ids)
    _fetch(registry, customer_id, asset_ids)
    new = [key for key in keys if key not in registry.ids and key[0] == customer_id]
    if new:
        own = set(Asset.objects.filter(pk__in=asset_ids).values_list("pk", flat=True))
        Series.objects.bulk_create(
            [
                Series(customer_id=customer_id, asset_id=asset_id, metric=metric, labels=labels, created_at=now)
                for _, asset_id, metric, labels in sorted(new)
                if asset_id in own
            ],
            ignore_conflicts=True,
            batch_size=5000,
        )
        _fetch(registry, customer_id, asset_ids)
    if len(registry.ids) > met:
        registry.plan = None


def _fetch(registry: Registry, customer_id: int, asset_ids: set[int]) -> None:
    rows = Series.objects.filter(asset_id__in=asset_ids).values_list("pk", "asset_id", "metric", "labels")
    fetched = list(rows)
    registry.ids.update({(customer_id, asset_id, metric, labels): pk for pk, asset_id, metric, labels in fetched})
    if fetched:
        _note_assets(np.array([(pk, asset_id) for pk, asset_id, _, _ in fetched], dtype=np.int64))


def _note_assets(pairs: NDArray[np.int64]) -> None:
    global _asset_of  # noqa: PLW0603 - one growing table for the process
    highest = int(pairs[:, 0].max())
    if highest >= len(_asset_of) - 1:  # the last cell stays zero: UNKNOWN is -1
        grown = np.zeros(max(2 * len(_asset_of), highest + 2), dtype=np.int64)
        grown[: len(_asset_of)] = _asset_of
        _asset_of = grown
    _asset_of[pairs[:, 0]] = pairs[:, 1]


def plan_of(customer_id: int, version: int, *, now: datetime) -> Plan:
    """The customer's plan at this `Ledger.plan_version`, inside the customer's scope."""
    registry = _registries.setdefault(customer_id, Registry())
    is_old = registry.plan_made_at is None or not timedelta() <= now - registry.plan_made_at < PLAN_LIFE
    if registry.plan is None or registry.plan_version != version or is_old:
        registry.plan = load_plan()
        registry.plan_version = version
        registry.plan_made_at = now
    return registry.plan


def load_plan() -> Plan:
    """Read the series, assets and overrides of the customer in scope, and bind the rules."""
    watched = {metric for rule in RULES.values() for metric in rule.metrics}
    rows = Series.objects.filter(metric__in=watched, asset__retired_at=None).values_list(
        "pk", "asset_id", "metric", "labels", "asset__kind", "asset__os"
    )
    facts = [
        SeriesFacts(pk, asset_id, metric, labels, kind == Kind.ECS, os)
        for pk, asset_id, metric, labels, kind, os in rows.iterator(chunk_size=10_000)
    ]
    return plan.build(RULES, facts, overrides(), period_cap_s=settings.CHECK_PERIOD_S)


def overrides() -> list[Override]:
    """The overrides of the customer in scope."""
    return [
        Override(
            rule_id=row.rule_id,
            asset_id=row.asset_id,
            enabled=row.enabled,
            severity=None if row.severity is None else Severity(row.severity).name.lower(),
            times=row.times,
            period_s=row.period_s,
            thresholds=None if row.thresholds is None else tuple(float(each) for each in row.thresholds),
        )
        for row in RuleOverride.objects.filter(rule_id__in=RULES)
    ]
