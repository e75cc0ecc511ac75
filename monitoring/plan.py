"""Rules bound to the series of one customer: thresholds resolved, everything as columns ready for numpy.

A *binding* is one rule on one thing (an asset and a label set). Building the plan costs a little Python per series and
is done when series or overrides change; evaluating a batch against it costs none. No Django here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitoring.collectors import labels_text, parse_labels
from monitoring.rules import Comparator, Condition, Form, Kind, Rule
from monitoring.schedules import Schedule

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


MACRO: Final = re.compile(r"\{\$[A-Z][A-Z0-9_.]{0,58}\}")
"""A named value in the place of a threshold, written as {$FS.FREE.MIN}."""
SIZES: Final[Mapping[str, float]] = {"B": 1.0, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3, "TiB": 1024.0**4}
LENGTHS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
ROUND_THE_CLOCK: Final = 0
"""In the place of a schedule: none, whatever the wider level says."""

Threshold = float | str


class Level(IntEnum):
    """How wide an override reaches; the narrower has the last word."""

    TEMPLATE = 0
    CUSTOMER = 1
    GROUP = 2
    ASSET = 3
    SERIES = 4


@dataclass(frozen=True, slots=True)
class Override:
    """What a customer, a group of its assets, an asset, or one part of it wants otherwise. None keeps what was."""

    rule_id: str
    asset_id: int | None
    enabled: bool | None = None
    severity: str | None = None
    times: int | None = None
    period_s: int | None = None
    thresholds: tuple[Threshold, ...] | None = None
    group_id: int | None = None
    labels: str | None = None
    recovery: tuple[Threshold, ...] | None = None
    recovery_times: int | None = None
    schedule: int | None = None
    channels: tuple[int, ...] | None = None
    flap_changes: int | None = None
    flap_window_s: int | None = None
    id: int = 0
    """The row it stands in; 0 for what comes from elsewhere (expected processes) or is only tried."""

    @property
    def level(self) -> Level:
        if self.asset_id is not None:
            return Level.ASSET if self.labels is None else Level.SERIES
        return Level.CUSTOMER if self.group_id is None else Level.GROUP

    @property
    def macros(self) -> tuple[str, ...]:
        """The names it speaks of."""
        texts = [*(self.thresholds or ()), *(self.recovery or ())]
        return tuple(dict.fromkeys(each for each in texts if isinstance(each, str)))


@dataclass(frozen=True, slots=True)
class Macro:
    """A named value of a customer, or, narrower, of a group or an asset."""

    name: str
    value: float
    unit: str = ""
    group_id: int | None = None
    asset_id: int | None = None

    def in_unit(self, unit: str) -> float | None:
        """The value in another unit; None where the two do not measure the same."""
        if not self.unit or self.unit == unit:
            return self.value
        for scale in (SIZES, LENGTHS):
            if self.unit in scale and unit in scale:
                return self.value * scale[self.unit] / scale[unit]
        return None


@dataclass(frozen=True, slots=True)
class Levels:
    """All that makes rules hold otherwise somewhere in one customer."""

    overrides: Sequence[Override] = ()
    groups: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """The groups of each asset; where two contradict each other, the later in this order has the last word."""
    macros: Sequence[Macro] = ()
    schedules: Mapping[int, Schedule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effective:
    """A rule as it holds somewhere, after all overrides that reach there."""

    rule: Rule
    enabled: bool
    severity: str
    times: int
    recovery_times: int
    period_s: float
    conditions: tuple[Condition, ...]
    recovery: tuple[Condition, ...]
    schedule: Schedule | None = None
    channels: tuple[int, ...] = ()
    """Where its alerts are told; empty: wherever alerts are told (R46)."""
    flap_changes: int | None = None
    flap_window_s: int | None = None
    """How often within how long coming and going is flapping; None: as the platform's setting says."""


def resolve(
    rule: Rule,
    overrides: Iterable[Override],
    period_cap_s: float = 0,
    schedules: Mapping[int, Schedule] | None = None,
) -> Effective:
    """Apply overrides, the wider one first. `period_cap_s` shortens the period of checks (a setting, for trials).

    Their macros must have been filled in (`Resolver.chain` does). A threshold that moves takes its recovery threshold
    along: the margin between them stays, unless an override names a recovery of its own. An alert recovers after as
    many good points as it took to open (requirements, decision Q18): `times` sets both, unless told otherwise.
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
        effective = _overridden(effective, override, schedules or {})
    if period_cap_s:
        effective = replace(effective, period_s=min(effective.period_s, period_cap_s))
    return effective


def _overridden(effective: Effective, override: Override, schedules: Mapping[int, Schedule]) -> Effective:
    conditions, recovery = effective.conditions, effective.recovery
    if override.thresholds is not None:
        pairs = list(zip(conditions, map(_number, override.thresholds), strict=True))
        conditions = tuple(replace(condition, threshold=threshold) for condition, threshold in pairs)
        moves = [threshold - condition.threshold for condition, threshold in pairs]
        recovery = tuple(
            replace(condition, threshold=condition.threshold + move)
            for condition, move in zip(recovery, moves, strict=False)
        )
    if override.recovery is not None:
        recovery = tuple(
            replace(condition, threshold=_number(threshold))
            for condition, threshold in zip(recovery, override.recovery, strict=True)
        )
    times = effective.times if override.times is None else override.times
    follows = effective.recovery_times == effective.times
    schedule = effective.schedule
    if override.schedule is not None:
        schedule = schedules.get(override.schedule)
    return replace(
        effective,
        enabled=effective.enabled if override.enabled is None else override.enabled,
        severity=override.severity or effective.severity,
        times=times,
        recovery_times=override.recovery_times or (times if follows else effective.recovery_times),
        period_s=override.period_s or effective.period_s,
        conditions=conditions,
        recovery=recovery,
        schedule=schedule,
        channels=effective.channels if override.channels is None else override.channels,
        flap_changes=override.flap_changes or effective.flap_changes,
        flap_window_s=override.flap_window_s or effective.flap_window_s,
    )


def _number(threshold: Threshold) -> float:
    if isinstance(threshold, str):
        raise ValueError(f"{threshold} has not been filled in")
    return threshold


FIELDS: Final = (
    "enabled", "thresholds", "times", "period_s", "recovery", "recovery_times", "severity", "schedule", "channels",
    "flap_changes", "flap_window_s",
)  # fmt: skip


def origins(chain: Iterable[Override]) -> dict[str, Override]:
    """Which override has the last word on each field; a field that is missing holds as the template says."""
    found: dict[str, Override] = {}
    for override in chain:
        for name in FIELDS:
            if getattr(override, name) is not None:
                found[name] = override
                if name == "thresholds":
                    found.pop("recovery", None)  # the recovery moves along with it
    return found


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
    schedule: NDArray[np.int16]
    """Which of `schedules` says when it may open an alert; -1: always."""
    effective: Sequence[Effective]
    """Of each binding; shared between bindings of one asset kind, so that there are few objects."""
    schedules: Sequence[Schedule] = ()

    def __len__(self) -> int:
        return len(self.first)

    def rule_of(self, binding: int) -> Rule:
        return self.effective[binding].rule

    def may_open(self, binding: NDArray[np.int64], ts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each binding is within its schedule at its moment. Outside it nothing opens; what still breaches
        when it begins does."""
        allowed = np.ones(len(binding), dtype=np.bool_)
        if self.schedules:
            which = self.schedule[binding]
            for at in np.unique(which[which >= 0]).tolist():
                rows = which == at
                allowed[rows] = self.schedules[at].is_active(ts[rows])
        return allowed

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
    levels: Levels | None = None,
    *,
    period_cap_s: float = 0,
) -> Plan:
    """Bind every rule to every series it looks at."""
    by_metric: dict[str, list[Rule]] = {}
    for rule in rules.values():
        by_metric.setdefault(rule.metrics[0], []).append(rule)
    resolver = Resolver(levels or Levels(), period_cap_s)
    facts = sorted(series, key=lambda one: one.id)
    partners = {(one.asset_id, one.metric, one.labels): one.id for one in facts}
    rows: list[tuple[int, int, int, Effective]] = []
    for one in facts:
        for rule in by_metric.get(one.metric, ()):
            if not applies(rule, is_ecs=one.is_ecs, os=one.os) or not _is_meant(rule, one):
                continue
            if rule.product == "Java" and (one.asset_id, twin_of(one.metric), one.labels) in partners:
                continue  # the same process under the Tomcat template: one alarm is enough
            effective = resolver.of(rule, one.asset_id, one.labels)
            second = -1
            if len(rule.metrics) == 2:
                second = partners.get((one.asset_id, rule.metrics[1], one.labels), -1)
                if second < 0 and rule.kind is not Kind.THRESHOLD:
                    continue  # the other figure has never been seen; a mere guard is done without
            if effective.enabled:
                rows.append((one.id, second, one.asset_id, effective))
    return _columns(rows)


def _is_meant(rule: Rule, one: SeriesFacts) -> bool:
    """Whether a customer's own rule is meant for this asset and these labels; rules that ship are for all."""
    if rule.only_asset is not None and rule.only_asset != one.asset_id:
        return False
    pairs = (
        {labels_text({name: text}) for name, text in parse_labels(one.labels).items()} if rule.only_labels else set()
    )
    return rule.only_labels <= pairs


def twin_of(metric: str) -> str:
    """The same figure of a Java process under the Tomcat template."""
    return metric.replace("java.", "tomcat.", 1)


def applies(rule: Rule, *, is_ecs: bool, os: str) -> bool:
    """Whether a rule is meant for such an asset. An unknown operating system is given the benefit of the doubt."""
    if "not_ecs" in rule.scope and is_ecs:
        return False
    wanted = rule.scope & {"linux", "windows"}
    return not (wanted and os and os not in wanted)


class Resolver:
    """What reaches each place, and the rule as it holds there; computed once per distinct set of overrides."""

    def __init__(self, levels: Levels, period_cap_s: float = 0) -> None:
        self._cap = period_cap_s
        self._levels = levels
        self._rows: dict[tuple[str, int | None, int | None, str | None], list[Override]] = {}
        for override in sorted(levels.overrides, key=lambda one: one.id):
            place = (override.rule_id, override.group_id, override.asset_id, override.labels)
            self._rows.setdefault(place, []).append(override)
        self._touched = {override.rule_id for override in levels.overrides}
        self._macros = {(one.name, one.group_id, one.asset_id): one for one in levels.macros}
        self._known: dict[tuple[object, ...], Effective] = {}

    def of(self, rule: Rule, asset_id: int, labels: str = "") -> Effective:
        chain = self.chain(rule, asset_id, labels)
        key: tuple[object, ...] = (rule.id, chain)
        if key not in self._known:
            self._known[key] = resolve(rule, chain, self._cap, self._levels.schedules)
        return self._known[key]

    def wide(self, rule: Rule) -> Effective:
        """The rule as it holds for the customer as a whole."""
        return resolve(rule, self.chain(rule, None), self._cap, self._levels.schedules)

    def chain(self, rule: Rule, asset_id: int | None, labels: str = "") -> tuple[Override, ...]:
        """The overrides that reach a place, the widest first, with their macros filled in."""
        if rule.id not in self._touched:
            return ()
        reach: list[tuple[int | None, int | None, str | None]] = [(None, None, None)]
        if asset_id is not None:
            reach += [(group, None, None) for group in self._levels.groups.get(asset_id, ())]
            reach += [(None, asset_id, None), (None, asset_id, labels)]
        found = [each for place in reach for each in self._rows.get((rule.id, *place), ())]
        return tuple(self._filled(rule, each, asset_id) if each.macros else each for each in found)

    def macro(self, name: str, asset_id: int | None, group_id: int | None = None) -> Macro | None:
        """What a name stands for at a place: the asset's word before that of its groups, theirs before all."""
        groups = self._levels.groups.get(asset_id, ()) if asset_id is not None else ()
        narrow = [(name, None, asset_id)] if asset_id is not None else []
        wide = [(name, group, None) for group in reversed(groups)] + ([(name, group_id, None)] if group_id else [])
        places: list[tuple[str, int | None, int | None]] = [*narrow, *wide, (name, None, None)]
        return next((self._macros[place] for place in places if place in self._macros), None)

    def _filled(self, rule: Rule, override: Override, asset_id: int | None) -> Override:
        """Thresholds as numbers. One that cannot be filled in here leaves the wider value: the form refuses such."""
        thresholds = self._numbers(override.thresholds, rule.conditions, override, asset_id)
        recovery = self._numbers(override.recovery, rule.recovery, override, asset_id)
        return replace(override, thresholds=thresholds, recovery=recovery)

    def _numbers(
        self,
        given: tuple[Threshold, ...] | None,
        conditions: Sequence[Condition],
        override: Override,
        asset_id: int | None,
    ) -> tuple[Threshold, ...] | None:
        if given is None:
            return None
        found: list[Threshold] = []
        for threshold, condition in zip(given, conditions, strict=True):
            value: float | None
            if isinstance(threshold, str):
                macro = self.macro(threshold, asset_id, override.group_id)
                value = macro.in_unit(condition.unit) if macro else None
            else:
                value = threshold
            if value is None:
                return None
            found.append(value)
        return tuple(found)


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
    schedules = list({id(each.schedule): each.schedule for each in effective if each.schedule is not None}.values())
    place = {id(schedule): at for at, schedule in enumerate(schedules)}
    place[id(None)] = -1
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
        schedule=np.array([place[id(each.schedule)] for each in effective], dtype=np.int16),
        effective=effective,
        schedules=schedules,
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
