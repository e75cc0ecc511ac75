"""Trying a rule on stored figures: "would have fired N times in the last 7 days". Nothing is written, nobody is told.

It reads what is stored and judges it with the plan and the code of live data (`monitoring.replay`), asset by asset,
until it is through or its time is up; then it says how far it came.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings

from accounts.models import Customer
from assets.models import Asset, Kind
from monitoring import plan, replay, storage
from monitoring.levels import Levels, Override
from monitoring.models import Series
from monitoring.plan import SeriesFacts
from monitoring.rules import Rule
from monitoring.services import levels

DAYS: Final = 7
LIMIT_S: Final = 8.0
ASSETS_AT_ONCE: Final = 25
SPANS_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert that would have been."""

    series: Series
    opened_at: datetime
    closed_at: datetime | None
    value: float


@dataclass(frozen=True, slots=True)
class DryRun:
    """`assets_seen` of `assets` were looked at before the time was up; `fired` holds the first ones, `count` all."""

    start: datetime
    end: datetime
    count: int
    fired: Sequence[Fired]
    assets: int
    assets_seen: int
    assets_fired: int
    samples: int

    @property
    def is_complete(self) -> bool:
        return self.assets_seen == self.assets

    @property
    def has_data(self) -> bool:
        return self.samples > 0


def try_rule(
    *,
    customer: Customer,
    rule: Rule,
    override: Override | None = None,
    without: Collection[int] = (),
    assets: Collection[int] | None = None,
    days: float = DAYS,
    now: datetime,
    limit_s: float = LIMIT_S,
) -> DryRun:
    """What the rule would have done with this override in the place of the one that stands there, if any.

    `assets` None: all of the customer. `without` leaves out overrides by their row. Needs a scope that reaches the
    customer.
    """
    start = now - timedelta(days=days)
    known = proposed(levels.load(customer), rule, override, without)
    series = _series(customer, rule, assets)
    wanted = list(dict.fromkeys(one.asset_id for one in series))
    began, seen, samples, fired = time.monotonic(), 0, 0, []
    for low in range(0, len(wanted), ASSETS_AT_ONCE):
        if time.monotonic() - began > limit_s:
            break
        part = set(wanted[low : low + ASSETS_AT_ONCE])
        read, found = _look([one for one in series if one.asset_id in part], rule, known, start, now)
        seen, samples = seen + len(part), samples + read
        fired += found
    fired.sort(key=lambda one: one.opened_at, reverse=True)
    return DryRun(
        start=start,
        end=now,
        count=len(fired),
        fired=fired[:SPANS_SHOWN],
        assets=len(wanted),
        assets_seen=seen,
        assets_fired=len({one.series.asset_id for one in fired}),
        samples=samples,
    )


def proposed(known: Levels, rule: Rule, override: Override | None, without: Collection[int] = ()) -> Levels:
    """The levels of a customer with one override put in the place of what stands there."""
    rows = [one for one in known.overrides if one.rule_id == rule.id and one.id not in without]
    if override is not None:
        place = (override.group_id, override.asset_id, override.labels)
        rows = [one for one in rows if not one.id or (one.group_id, one.asset_id, one.labels) != place]
        rows.append(replace(override, id=2**62))
    return replace(known, overrides=rows)


def facts_of(series: Sequence[Series]) -> list[SeriesFacts]:
    return [
        SeriesFacts(one.pk, one.asset_id, one.metric, one.labels, one.asset.kind == Kind.ECS, one.asset.os)
        for one in series
    ]


def _series(customer: Customer, rule: Rule, assets: Collection[int] | None) -> list[Series]:
    rows = Series.objects.filter(customer=customer, metric__in=rule.metrics, asset__retired_at=None)
    if assets is not None:
        rows = rows.filter(asset_id__in=assets)
    return list(rows.select_related("asset").order_by("asset_id", "pk"))


def _look(
    series: Sequence[Series], rule: Rule, known: Levels, start: datetime, end: datetime
) -> tuple[int, list[Fired]]:
    """How many samples there were, and what would have fired, on a few assets."""
    bound = plan.build({rule.id: rule}, facts_of(series), known, period_cap_s=settings.CHECK_PERIOD_S)
    by_asset: dict[int, list[int]] = {}
    for one in series:
        by_asset.setdefault(one.asset_id, []).append(one.pk)
    figures: dict[int, storage.Column] = {}
    for asset_id, ids in by_asset.items():
        figures |= storage.read(asset_id=asset_id, series_ids=ids, start=start, end=end)
    spans = replay.run(bound, figures, {one.pk: one.asset_id for one in series}) if len(bound) else []
    named = {one.pk: one for one in series}
    fired = [
        Fired(
            named[int(bound.first[span.binding])],
            _moment(span.opened),
            None if span.closed is None else _moment(span.closed),
            span.value,
        )
        for span in spans
    ]
    return sum(len(column.ts) for column in figures.values()), fired


def bands(*, asset: Asset, rule: Rule, override: Override | None, start: datetime, end: datetime) -> list[Fired]:
    """Where a rule would have fired on one asset, for its graph."""
    known = proposed(levels.load(asset.customer), rule, override)
    return _look(_series(asset.customer, rule, [asset.pk]), rule, known, start, end)[1]


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
