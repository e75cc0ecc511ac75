"""Rules over figures of the past: the very code that judges live data, without a database and without consequences.

`run` answers "how often would this have fired", `trace` "why did it, or not, at this moment".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitoring.evaluate import PATIENCE, SPACING, States, Transitions, fold, judge
from monitoring.heads import Columns, Heads
from monitoring.plan import Plan
from monitoring.storage import Column

CHUNK_MS: Final = 3_600_000
"""A batch of the replay. Hours in which nothing breaches cost next to nothing."""


@dataclass(frozen=True, slots=True)
class Span:
    """An alert that would have been: its binding, first bad point, the point that opened it, the one that closed it.
    Unix milliseconds; `closed` None: still open at the end."""

    binding: int
    first: int
    opened: int
    closed: int | None
    value: float


def run(
    plan: Plan, figures: Mapping[int, Column], assets: Mapping[int, int], states: States | None = None
) -> list[Span]:
    """The alerts that this plan makes of these figures (by series; `assets` says whose each is), in order of time."""
    heads, memory = Heads(), states or States.none()
    open_since: dict[int, Span] = {}
    spans: list[Span] = []
    for batch in _batches(figures, assets):
        touched, moved = fold(plan, judge(plan, heads.points(batch)), memory)
        memory = memory.replaced(touched)
        heads.update(batch)
        for at in moved.ts.argsort(kind="stable").tolist():
            binding, ts = int(moved.binding[at]), int(moved.ts[at])
            if moved.opens[at]:
                span = Span(binding, int(moved.first_ts[at]), ts, None, float(moved.value[at]))
                open_since[binding] = span
            elif binding in open_since:
                span = open_since.pop(binding)
                spans.append(Span(binding, span.first, span.opened, ts, span.value))
    return sorted([*spans, *open_since.values()], key=lambda one: (one.opened, one.binding))


def _batches(figures: Mapping[int, Column], assets: Mapping[int, int]) -> Iterator[Columns]:
    """The figures hour by hour, as batches arrive."""
    ids = sorted(one for one, column in figures.items() if len(column.ts))
    if not ids:
        return
    sizes = [len(figures[one].ts) for one in ids]
    series = np.repeat(np.array(ids, dtype=np.int32), sizes)
    asset = np.repeat(np.array([assets[one] for one in ids], dtype=np.int64), sizes)
    ts = np.concatenate([figures[one].ts for one in ids]).astype(np.int64)
    value = np.concatenate([figures[one].value for one in ids]).astype(np.float64)
    hour = ts // CHUNK_MS
    order = np.argsort(hour, kind="stable")  # within an hour they stay in the order of (series, time)
    edges = np.flatnonzero(np.append(True, np.diff(hour[order]) != 0)).tolist()
    for low, high in zip(edges, [*edges[1:], len(order)], strict=True):
        rows = order[low:high]
        nobody = np.zeros(len(rows), np.int64)  # figures that are not stored again
        yield Columns(nobody, series[rows], asset[rows], ts[rows], value[rows])


class Verdict(StrEnum):
    """What a point says by itself."""

    BAD = "bad"
    GOOD = "good"
    BETWEEN = "between"
    NONE = "none"
    """Not judged: no point before it, or the other half of a pair is missing."""


class Why(StrEnum):
    """What became of a point."""

    OPENS = "opens"
    CLOSES = "closes"
    COUNTED = "counted"
    MENDS = "mends"
    TOO_SOON = "too_soon"
    OPEN_ALREADY = "open_already"
    ASLEEP = "asleep"
    ENDS_RUN = "ends_run"
    FINE = "fine"
    HOLDS = "holds"
    WAITS = "waits"
    BEGINS_ANEW = "begins_anew"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True)
class Step:
    """One point, what it says, what became of it, and the counts after it."""

    ts: int
    value: float | None
    other: float | None
    verdict: Verdict
    why: Why
    bad: int
    good: int
    firing: bool
    gap_ms: int | None
    """Since the point before, where that is longer than the rule waits."""


def trace(
    plan: Plan, binding: int, first: Column, second: Column | None = None, *, states: States | None = None
) -> list[Step]:
    """Every point of one binding, judged one by one by the code that judges batches."""
    heads, memory = Heads(), (states or States.none())
    period = int(plan.period[binding])
    steps: list[Step] = []
    last: int | None = None
    for ts, mine, other in _moments(first, second):
        batch = _one(plan, binding, ts, mine, other)
        verdicts = judge(plan, heads.points(batch))
        at = np.flatnonzero(verdicts.binding == binding)
        before = _state(memory, binding)
        touched, moved = fold(plan, verdicts.take(at), memory)
        memory = memory.replaced(touched)
        heads.update(batch)
        after = _state(memory, binding)
        gap = None if last is None or ts - last <= PATIENCE * period else ts - last
        last = ts
        if not len(at):
            steps.append(Step(ts, mine, other, Verdict.NONE, Why.NOT_JUDGED, *after.counts, gap))
            continue
        row = int(at[-1])
        verdict = Verdict.BAD if verdicts.bad[row] else Verdict.GOOD if verdicts.good[row] else Verdict.BETWEEN
        why = _why(_Point(plan, binding, ts, verdict), before, after, moved)
        steps.append(Step(ts, float(verdicts.value[row]), other, verdict, why, *after.counts, gap))
    return steps


@dataclass(frozen=True, slots=True)
class _Count:
    bad: int = 0
    good: int = 0
    firing: bool = False
    counted: int = 0
    last: int = 0

    @property
    def counts(self) -> tuple[int, int, bool]:
        return self.bad, self.good, self.firing


def _state(states: States, binding: int) -> _Count:
    at = np.flatnonzero(states.binding == binding)
    if not len(at):
        return _Count()
    row = int(at[0])
    return _Count(
        int(states.bad[row]),
        int(states.good[row]),
        bool(states.firing[row]),
        int(states.counted_ts[row]),
        int(states.last_ts[row]),
    )


@dataclass(frozen=True, slots=True)
class _Point:
    plan: Plan
    binding: int
    ts: int
    verdict: Verdict

    def is_spaced(self, before: _Count) -> bool:
        return self.ts - before.counted >= SPACING * int(self.plan.period[self.binding])


def _why(point: _Point, before: _Count, after: _Count, moved: Transitions) -> Why:
    if len(moved):
        return Why.OPENS if moved.opens.any() else Why.CLOSES
    if point.verdict is Verdict.BAD:
        return _why_bad(point, before, after)
    if not before.firing:
        return Why.ENDS_RUN if before.bad else Why.FINE
    if point.verdict is Verdict.BETWEEN:
        return Why.HOLDS
    if after.good > before.good and after.good < int(point.plan.rtimes[point.binding]):
        return Why.MENDS
    return Why.WAITS if point.is_spaced(before) or after.good > before.good else Why.TOO_SOON


def _why_bad(point: _Point, before: _Count, after: _Count) -> Why:
    if before.firing:
        return Why.OPEN_ALREADY
    if before.bad and after.bad == 1 and after.counted == point.ts:
        return Why.BEGINS_ANEW
    if after.bad == before.bad:
        return Why.TOO_SOON
    if after.bad >= int(point.plan.times[point.binding]):  # enough of them, and yet it did not open
        return Why.ASLEEP
    return Why.COUNTED


def _moments(first: Column, second: Column | None) -> Iterator[tuple[int, float | None, float | None]]:
    mine = dict(zip(first.ts.tolist(), first.value.tolist(), strict=True))
    others = dict(zip(second.ts.tolist(), second.value.tolist(), strict=True)) if second is not None else {}
    for ts in sorted({*mine, *others}):
        yield ts, mine.get(ts), others.get(ts)


def _one(plan: Plan, binding: int, ts: int, mine: float | None, other: float | None) -> Columns:
    halves: Sequence[tuple[int, float | None]] = sorted(
        [(int(plan.first[binding]), mine), (int(plan.second[binding]), other)]
    )
    there = [(one, value) for one, value in halves if one >= 0 and value is not None]
    ids: NDArray[np.int32] = np.array([one for one, _ in there], dtype=np.int32)
    return Columns(
        np.zeros(len(ids), np.int64),
        ids,
        np.full(len(ids), int(plan.asset[binding]), dtype=np.int64),
        np.full(len(ids), ts, dtype=np.int64),
        np.array([value for _, value in there], dtype=np.float64),
    )
