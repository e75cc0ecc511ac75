"""Why a rule did, or did not, raise an alert: every point around a moment, and what held it back.

The points are judged one by one by the code that judges live data, beginning some hours before the moment. What the
rule is there, and who said so, is that of today: past wishes are in the history of the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from django.conf import settings
from django.db.models import Q

from accounts import scope
from assets.models import Kind
from monitoring import plan, replay, storage
from monitoring.evaluate import States
from monitoring.levels import Effective, Levels, Override, Resolver
from monitoring.models import Alert, Series
from monitoring.models.custom import custom_rules
from monitoring.plan import Plan, applies
from monitoring.replay import Step, Why
from monitoring.rules import RULES, Rule
from monitoring.services import dry_run, holding, levels

BEFORE_PERIODS: Final = 60
AFTER_PERIODS: Final = 20
STEPS_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """`reasons` why the rule is not bound to the series at all, as codes; then there are no steps."""

    series: Series
    rule: Rule
    at: datetime
    effective: Effective
    chain: Sequence[Override]
    known: Levels
    reasons: Sequence[str]
    steps: Sequence[Step]
    start: datetime
    newest_before: datetime | None
    alert: Alert | None
    is_asleep: bool
    held: Sequence[holding.Reason]
    """What kept people from being told, or would have: silences, causes, flapping."""

    @property
    def is_bound(self) -> bool:
        return not self.reasons

    @property
    def at_moment(self) -> Step | None:
        """The last point up to the moment."""
        ms = round(self.at.timestamp() * 1000)
        before = [step for step in self.steps if step.ts <= ms]
        return before[-1] if before else None

    @property
    def is_silent(self) -> bool:
        """Nothing came for three periods before the moment."""
        step = self.at_moment
        quiet = self.at - timedelta(seconds=3 * self.effective.period_s)
        return step is None or step.ts < quiet.timestamp() * 1000

    @property
    def opened(self) -> bool:
        return any(step.why is Why.OPENS for step in self.steps)

    @property
    def highlights(self) -> list[Step]:
        """The points nearest to the moment."""
        ms = round(self.at.timestamp() * 1000)
        nearest = sorted(self.steps, key=lambda step: abs(step.ts - ms))[:STEPS_SHOWN]
        return sorted(nearest, key=lambda step: step.ts)


def ask(*, series: Series, rule: Rule, at: datetime, now: datetime) -> Answer:
    """Needs a scope that reaches the series."""
    known = levels.load(series.customer)
    resolver = Resolver(known, settings.CHECK_PERIOD_S)
    effective = resolver.of(rule, series.asset_id, series.labels)
    partner = _partner(series, rule)
    pair = [series] if partner is None else [series, partner]
    bound = plan.build({rule.id: rule}, dry_run.facts_of(pair), known, period_cap_s=settings.CHECK_PERIOD_S)
    binding = bound.find(series.pk, rule.id)
    before = timedelta(seconds=min(BEFORE_PERIODS * effective.period_s, 86_400))
    start, end = at - before, min(at + timedelta(seconds=AFTER_PERIODS * effective.period_s), now)
    reasons = _reasons(series, rule, effective, partner) if binding is None else []
    steps = [] if binding is None else _steps(bound, binding, series, partner, (start, end))
    return Answer(
        series=series,
        rule=rule,
        at=at,
        effective=effective,
        chain=resolver.chain(rule, series.asset_id, series.labels),
        known=known,
        reasons=reasons,
        steps=steps,
        start=start,
        newest_before=_newest_before(series, start),
        alert=_alert(series, rule, at),
        is_asleep=effective.schedule is not None and not effective.schedule.active_at(at),
        held=_held(series, rule, at),
    )


def _held(series: Series, rule: Rule, at: datetime) -> list[holding.Reason]:
    with scope.customer(series.customer_id):
        return holding.explain(asset_id=series.asset_id, rule_id=rule.id, labels=series.labels, at=at)


def rules_on(series: Series) -> list[Rule]:
    """The rules that look at a series, as their first figure."""
    rules = [*RULES.values(), *custom_rules(series.customer_id).values()]
    return [rule for rule in rules if rule.metrics[0] == series.metric]


def _partner(series: Series, rule: Rule) -> Series | None:
    if len(rule.metrics) < 2:
        return None
    rows = Series.objects.filter(asset=series.asset, metric=rule.metrics[1], labels=series.labels)
    return rows.select_related("asset").first()


def _reasons(series: Series, rule: Rule, effective: Effective, partner: Series | None) -> list[str]:
    found = []
    if series.asset.retired_at is not None:
        found.append("retired")
    if not effective.enabled:
        found.append("off")
    if "not_ecs" in rule.scope and series.asset.kind == Kind.ECS:
        found.append("ecs")
    elif not applies(rule, is_ecs=series.asset.kind == Kind.ECS, os=series.asset.os):
        found.append("os")
    if len(rule.metrics) == 2 and partner is None:
        found.append("half")
    return found


def _steps(
    bound: Plan, binding: int, series: Series, partner: Series | None, window: tuple[datetime, datetime]
) -> list[Step]:
    start, end = window
    ids = [series.pk] if partner is None else [series.pk, partner.pk]
    figures = storage.read(asset_id=series.asset_id, series_ids=ids, start=start, end=end)
    second = figures[partner.pk] if partner is not None else None
    states = _firing_at(bound, binding, series, start)
    return replay.trace(bound, binding, figures[series.pk], second, states=states)


def _firing_at(bound: Plan, binding: int, series: Series, start: datetime) -> States | None:
    """An alert that was open when the look begins is open in the replay, too."""
    alert = _alert(series, bound.rule_of(binding), start)
    if alert is None:
        return None
    states = States.none(np.array([binding], dtype=np.int64))
    states.firing[:] = True
    states.bad[:] = bound.times[binding]
    begun = round(alert.first_breach_at.timestamp() * 1000)
    states.first_ts[:] = begun
    states.counted_ts[:] = states.last_bad_ts[:] = states.last_ts[:] = round(alert.opened_at.timestamp() * 1000)
    return states


def _alert(series: Series, rule: Rule, at: datetime) -> Alert | None:
    """The alert of this rule on this series that was open at a moment."""
    rows = Alert.objects.filter(series=series, rule_id=rule.id, opened_at__lte=at)
    return rows.filter(Q(recovered_at=None) | Q(recovered_at__gt=at)).order_by("-opened_at").first()


def _newest_before(series: Series, start: datetime) -> datetime | None:
    """The last point before the look, for the word "nothing came since"."""
    column = storage.read(asset_id=series.asset_id, series_ids=[series.pk], start=start - timedelta(days=1), end=start)[
        series.pk
    ]
    return datetime.fromtimestamp(int(column.ts[-1]) / 1000, UTC) if len(column.ts) else None
