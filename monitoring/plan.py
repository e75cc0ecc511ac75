"""Rules bound to the series of one customer: thresholds resolved, everything as columns ready for numpy.

A *binding* is one rule on one thing (an asset and a label set). Building the plan costs a little Python per series and
is done when series or overrides change; evaluating a batch against it costs none. No Django here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitoring.collectors import labels_text, parse_labels
from monitoring.levels import Effective, Levels, Resolver
from monitoring.rules import Comparator, Form, Kind, Rule
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
