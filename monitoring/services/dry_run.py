"""Trying a rule on stored figures: "would have fired N times in the last 7 days". Nothing is written, nobody is told.

It reads what is stored and judges it with the plan and the code of live data (`monitoring.replay`), some assets at a
time. A trial that takes long is gone on with (`proceed`) for as long as somebody watches (`services.trials`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import QuerySet

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
    """`assets_seen` of `assets` were looked at so far; `fired` holds the latest ones, `count` all."""

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


@dataclass(frozen=True, slots=True)
class Case:
    """What is tried: a rule with an override in the place of the one that stands there, if any.

    `assets` None: all of the customer. `without` leaves out overrides by their row. `beside`: also what the rule would
    have done as it holds now.
    """

    rule: Rule
    override: Override | None = None
    without: Collection[int] = ()
    assets: Collection[int] | None = None
    beside: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """What one reading of the rule fired so far."""

    count: int = 0
    assets: int = 0
    latest: tuple[Fired, ...] = ()

    def with_more(self, fired: Sequence[Fired]) -> _Found:
        latest = sorted((*self.latest, *fired), key=lambda one: one.opened_at, reverse=True)
        assets = len({one.series.asset_id for one in fired})  # an asset is looked at once, in one part
        return _Found(self.count + len(fired), self.assets + assets, tuple(latest[:SPANS_SHOWN]))


@dataclass(frozen=True, slots=True)
class Trial:
    """A dry run that goes on part by part: how far it is, and what it found (as tried; as the rule holds now)."""

    start: datetime
    end: datetime
    wanted: tuple[int, ...]
    seen: int = 0
    samples: int = 0
    found: tuple[_Found, ...] = ()

    @property
    def is_complete(self) -> bool:
        return self.seen == len(self.wanted)

    def results(self) -> list[DryRun]:
        return [
            DryRun(
                start=self.start,
                end=self.end,
                count=one.count,
                fired=one.latest,
                assets=len(self.wanted),
                assets_seen=self.seen,
                assets_fired=one.assets,
                samples=self.samples,
            )
            for one in self.found
        ]


def begin(*, customer: Customer, case: Case, days: float = DAYS, now: datetime) -> Trial:
    """A trial that has looked at nothing yet. Needs a scope that reaches the customer, as `proceed` does."""
    rows = _series(customer, case.rule, case.assets).order_by("asset_id")
    wanted = tuple(rows.values_list("asset_id", flat=True).distinct())
    return Trial(now - timedelta(days=days), now, wanted, found=(_Found(),) * (2 if case.beside else 1))


def proceed(trial: Trial, *, customer: Customer, case: Case, limit_s: float) -> Trial:
    """The trial some parts further: until it is through or the time is up."""
    known = levels.load(customer)
    readings = [proposed(known, case.rule, case.override, case.without)]
    readings += [proposed(known, case.rule, None)] if case.beside else []
    began = time.monotonic()
    while not trial.is_complete and time.monotonic() - began <= limit_s:
        part = trial.wanted[trial.seen : trial.seen + ASSETS_AT_ONCE]
        series = list(_series(customer, case.rule, part).select_related("asset").order_by("asset_id", "pk"))
        read, fired = _look(series, case.rule, readings, trial.start, trial.end)
        trial = replace(
            trial,
            seen=trial.seen + len(part),
            samples=trial.samples + read,
            found=tuple(one.with_more(more) for one, more in zip(trial.found, fired, strict=True)),
        )
    return trial


def try_rule(
    *,
    customer: Customer,
    rule: Rule,
    override: Override | None = None,
    assets: Collection[int] | None = None,
    now: datetime,
    limit_s: float = LIMIT_S,
) -> DryRun:
    """What the rule would have done, as far as the time reaches."""
    case = Case(rule, override, assets=assets)
    trial = proceed(begin(customer=customer, case=case, now=now), customer=customer, case=case, limit_s=limit_s)
    return trial.results()[0]


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


def _series(customer: Customer, rule: Rule, assets: Collection[int] | None) -> QuerySet[Series]:
    rows: QuerySet[Series] = Series.objects.filter(customer=customer, metric__in=rule.metrics, asset__retired_at=None)
    return rows if assets is None else rows.filter(asset_id__in=assets)


def _look(
    series: Sequence[Series], rule: Rule, readings: Sequence[Levels], start: datetime, end: datetime
) -> tuple[int, list[list[Fired]]]:
    """How many samples there were on a few assets, and what would have fired by each reading of the rule."""
    by_asset: dict[int, list[int]] = {}
    for one in series:
        by_asset.setdefault(one.asset_id, []).append(one.pk)
    figures: dict[int, storage.Column] = {}
    for asset_id, ids in by_asset.items():
        figures |= storage.read(asset_id=asset_id, series_ids=ids, start=start, end=end)
    return sum(len(column.ts) for column in figures.values()), [_fired(series, rule, one, figures) for one in readings]


def _fired(series: Sequence[Series], rule: Rule, known: Levels, figures: Mapping[int, storage.Column]) -> list[Fired]:
    bound = plan.build({rule.id: rule}, facts_of(series), known, period_cap_s=settings.CHECK_PERIOD_S)
    spans = replay.run(bound, figures, {one.pk: one.asset_id for one in series}) if len(bound) else []
    named = {one.pk: one for one in series}
    return [
        Fired(
            named[int(bound.first[span.binding])],
            _moment(span.opened),
            None if span.closed is None else _moment(span.closed),
            span.value,
        )
        for span in spans
    ]


def bands(*, asset: Asset, rule: Rule, override: Override | None, start: datetime, end: datetime) -> list[Fired]:
    """Where a rule would have fired on one asset, for its graph."""
    known = proposed(levels.load(asset.customer), rule, override)
    series = list(_series(asset.customer, rule, [asset.pk]).select_related("asset").order_by("pk"))
    return _look(series, rule, [known], start, end)[1][0]


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
