"""Rules bound to the series of one customer: thresholds resolved, everything as columns ready for numpy.

A *binding* is one rule on one thing (an asset and a label set). Building the plan costs a little Python per series and
is done when series or overrides change; evaluating a batch against it costs none. No Django here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitoring.rules import Comparator, Condition, Form, Kind, Rule

LT: Final = 1
EQ: Final = 2
GT: Final = 4
"""A comparator is the set of outcomes that satisfy it."""
COMPARATORS: Final[Mapping[Comparator, int]] = {
    Comparator.LT: LT,
    Comparator.LE: LT | EQ,
    Comparator.EQ: EQ,
    Comparator.GE: EQ | GT,
    Comparator.GT: GT,
    Comparator.NE: LT | GT,
}
NEVER: Final = 0
ALWAYS: Final = LT | EQ | GT

VALUE: Final = 0
PAIR: Final = 1
DIFFERENCE: Final = 2
CHANGE: Final = 3
INCREASE: Final = 4
FORMS: Final[Mapping[Form, int]] = {
    Form.VALUE: VALUE,
    Form.DIFFERENCE: DIFFERENCE,
    Form.CHANGE: CHANGE,
    Form.INCREASE: INCREASE,
}


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What binding needs to know of one series: its key and whose asset it belongs to."""

    id: int
    asset_id: int
    metric: str
    labels: str
    is_ecs: bool
    os: str


@dataclass(frozen=True, slots=True)
class Override:
    """What a customer, or one of its assets, wants otherwise. None keeps what was."""

    rule_id: str
    asset_id: int | None
    enabled: bool | None = None
    severity: str | None = None
    times: int | None = None
    period_s: int | None = None
    thresholds: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Effective:
    """A rule as it holds for one asset, after the overrides of the customer and of the asset itself."""

    rule: Rule
    enabled: bool
    severity: str
    times: int
    recovery_times: int
    period_s: float
    conditions: tuple[Condition, ...]
    recovery: tuple[Condition, ...]


def resolve(rule: Rule, overrides: Iterable[Override], period_cap_s: float = 0) -> Effective:
    """Apply overrides, the wider one first. `period_cap_s` shortens the period of checks (a setting, for trials).

    A threshold that moves takes its recovery threshold along: the margin between them stays. An alert recovers after
    as many good points as it took to open (requirements, decision Q18): `times` sets both, unless the rule has its own.
    """
    effective = Effective(
        rule,
        rule.enabled,
        rule.severity,
        rule.times,
        rule.recovery_times,
        rule.period_s,
        rule.conditions,
        rule.recovery,
    )
    for override in overrides:
        effective = _overridden(effective, override)
    if period_cap_s:
        effective = replace(effective, period_s=min(effective.period_s, period_cap_s))
    return effective


def _overridden(effective: Effective, override: Override) -> Effective:
    conditions, recovery = effective.conditions, effective.recovery
    if override.thresholds is not None:
        pairs = list(zip(conditions, override.thresholds, strict=True))
        conditions = tuple(replace(condition, threshold=threshold) for condition, threshold in pairs)
        moves = [threshold - condition.threshold for condition, threshold in pairs]
        recovery = tuple(
            replace(condition, threshold=condition.threshold + move)
            for condition, move in zip(recovery, moves, strict=False)
        )
    times = effective.times if override.times is None else override.times
    follows = effective.recovery_times == effective.times
    return replace(
        effective,
        enabled=effective.enabled if override.enabled is None else override.enabled,
        severity=override.severity or effective.severity,
        times=times,
        recovery_times=times if follows else effective.recovery_times,
        period_s=override.period_s or effective.period_s,
        conditions=conditions,
        recovery=recovery,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """The bindings of one customer as columns, ordered by their first series.

    `op`/`limit` are what is bad, `rop`/`rlimit` what is good again; the second pair of each belongs to the second
    figure of a PAIR (bad when both hold, good when either holds). Times are in milliseconds.
    """

    series: NDArray[np.int32]
    """Series that rules look at, ascending."""
    start: NDArray[np.int64]
    """Where the bindings begin whose first series is `series[i]`; one longer than `series`."""
    second_series: NDArray[np.int32]
    second_binding: NDArray[np.int64]
    """Bindings by their second series, ascending."""
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    form: NDArray[np.int8]
    op: NDArray[np.int8]
    limit: NDArray[np.float64]
    op2: NDArray[np.int8]
    limit2: NDArray[np.float64]
    rop: NDArray[np.int8]
    rlimit: NDArray[np.float64]
    rop2: NDArray[np.int8]
    rlimit2: NDArray[np.float64]
    times: NDArray[np.int16]
    rtimes: NDArray[np.int16]
    period: NDArray[np.int64]
    after: NDArray[np.int64]
    asset: NDArray[np.int32]
    effective: Sequence[Effective]
    """Of each binding; shared between bindings of one asset kind, so that there are few objects."""

    def __len__(self) -> int:
        return len(self.first)

    def rule_of(self, binding: int) -> Rule:
        return self.effective[binding].rule

    def find(self, series_id: int, rule_id: str) -> int | None:
        """The binding of a rule whose first series this is."""
        at = int(np.searchsorted(self.series, series_id))
        if at == len(self.series) or self.series[at] != series_id:
            return None
        for binding in range(int(self.start[at]), int(self.start[at + 1])):
            if self.effective[binding].rule.id == rule_id:
                return binding
        return None


def build(
    rules: Mapping[str, Rule],
    series: Iterable[SeriesFacts],
    overrides: Iterable[Override] = (),
    *,
    period_cap_s: float = 0,
) -> Plan:
    """Bind every rule to every series it looks at."""
    by_metric: dict[str, list[Rule]] = {}
    for rule in rules.values():
        by_metric.setdefault(rule.metrics[0], []).append(rule)
    resolver = _Resolver(overrides, period_cap_s)
    facts = sorted(series, key=lambda one: one.id)
    partners = {(one.asset_id, one.metric, one.labels): one.id for one in facts}
    rows: list[tuple[int, int, int, Effective]] = []
    for one in facts:
        for rule in by_metric.get(one.metric, ()):
            if not applies(rule, is_ecs=one.is_ecs, os=one.os):
                continue
            effective = resolver.of(rule, one.asset_id)
            second = -1
            if len(rule.metrics) == 2:
                second = partners.get((one.asset_id, rule.metrics[1], one.labels), -1)
                if second < 0 and rule.kind is not Kind.THRESHOLD:
                    continue  # the other figure has never been seen; a mere guard is done without
            if effective.enabled:
                rows.append((one.id, second, one.asset_id, effective))
    return _columns(rows)


def applies(rule: Rule, *, is_ecs: bool, os: str) -> bool:
    """Whether a rule is meant for such an asset. An unknown operating system is given the benefit of the doubt."""
    if "not_ecs" in rule.scope and is_ecs:
        return False
    wanted = rule.scope & {"linux", "windows"}
    return not (wanted and os and os not in wanted)


class _Resolver:
    """Thresholds of each rule for each asset, computed once per distinct set of overrides."""

    def __init__(self, overrides: Iterable[Override], period_cap_s: float) -> None:
        self._cap = period_cap_s
        self._wide: dict[str, Override] = {}
        self._narrow: dict[tuple[str, int], Override] = {}
        for override in overrides:
            if override.asset_id is None:
                self._wide[override.rule_id] = override
            else:
                self._narrow[override.rule_id, override.asset_id] = override
        self._known: dict[tuple[str, int | None], Effective] = {}

    def of(self, rule: Rule, asset_id: int) -> Effective:
        narrow = self._narrow.get((rule.id, asset_id))
        key = (rule.id, asset_id if narrow else None)
        if key not in self._known:
            wide = self._wide.get(rule.id)
            self._known[key] = resolve(rule, [each for each in (wide, narrow) if each], self._cap)
        return self._known[key]


def _columns(rows: Sequence[tuple[int, int, int, Effective]]) -> Plan:
    effective = [row[3] for row in rows]
    shapes = {id(each): _shape(each) for each in effective}
    columns = [shapes[id(each)] for each in effective]
    first = np.array([row[0] for row in rows], dtype=np.int32)
    second = np.array([row[1] for row in rows], dtype=np.int32)
    series, start = np.unique(first, return_index=True)
    with_second = np.flatnonzero(second >= 0)
    by_second = with_second[np.argsort(second[with_second], kind="stable")]
    table = np.array(columns, dtype=np.float64).reshape(len(rows), len(_SHAPE))
    taken = {name: table[:, at] for at, name in enumerate(_SHAPE)}
    form = taken["form"].astype(np.int8)
    form[(form == PAIR) & (second < 0)] = VALUE  # a guard that has no figure to look at
    return Plan(
        series=series.astype(np.int32),
        start=np.append(start, len(rows)).astype(np.int64),
        second_series=second[by_second],
        second_binding=by_second.astype(np.int64),
        first=first,
        second=second,
        form=form,
        op=taken["op"].astype(np.int8),
        limit=taken["limit"].copy(),
        op2=taken["op2"].astype(np.int8),
        limit2=taken["limit2"].copy(),
        rop=taken["rop"].astype(np.int8),
        rlimit=taken["rlimit"].copy(),
        rop2=taken["rop2"].astype(np.int8),
        rlimit2=taken["rlimit2"].copy(),
        times=taken["times"].astype(np.int16),
        rtimes=taken["rtimes"].astype(np.int16),
        period=taken["period"].astype(np.int64),
        after=taken["after"].astype(np.int64),
        asset=np.array([row[2] for row in rows], dtype=np.int32),
        effective=effective,
    )


_SHAPE: Final = (
    "form", "op", "limit", "op2", "limit2", "rop", "rlimit", "rop2", "rlimit2", "times", "rtimes", "period", "after",
)  # fmt: skip


def _shape(one: Effective) -> tuple[float, ...]:
    first, *rest = one.conditions
    second = rest[0] if rest else None
    good, *more = one.recovery or (None,)
    good2 = more[0] if more else None
    form = PAIR if second else FORMS[first.form]
    return (
        form,
        COMPARATORS[first.comparator],
        first.limit,
        COMPARATORS[second.comparator] if second else ALWAYS,
        second.limit if second else 0.0,
        COMPARATORS[good.comparator] if good else ALWAYS,
        good.limit if good else 0.0,
        COMPARATORS[good2.comparator] if good2 else NEVER,
        good2.limit if good2 else 0.0,
        one.times,
        one.recovery_times,
        int(one.period_s * 1000),
        one.rule.recovery_after_s * 1000,
    )
