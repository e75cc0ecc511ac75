"""Judging a batch of points against a plan: pure numpy, nothing per sample in Python objects.

How "连续三次" is counted:

* by the timestamps of data points, never by polls: the same point read three times counts once, a late batch of three
  counts three times, a point older than the newest one already judged is not judged;
* a point counts when it comes at least three quarters of the rule's period after the one counted before it, so that
  15-second data does not fire a one-minute rule after 45 seconds, and a poll that comes a little early still counts;
* one point that is not bad ends the run. A missing point neither counts nor ends it; after ten missing periods
  (`PATIENCE`) a run that has not fired begins anew;
* recovery is counted alike, by the recovery condition. Between the two conditions nothing changes: neither good nor
  bad. Silence changes nothing either: missing data never resolves an alert.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from monitoring.plan import CHANGE, DIFFERENCE, EQ, GT, INCREASE, LT, PAIR, VALUE, Plan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPACING: Final = 0.75
PATIENCE: Final = 10


@dataclass(frozen=True, slots=True)
class Points:
    """New points in the order of (series, time), each later than all earlier ones of its series.

    `prev` is the value of the point before, NaN for the first one ever. `head_*` is the newest point that each series
    had before this batch, ascending by series.
    """

    series: NDArray[np.int32]
    ts: Ints
    value: Floats
    prev: Floats
    head_series: NDArray[np.int32]
    head_ts: Ints
    head_value: Floats
    half_series: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """Stored points older than the newest of their series, the other halves of points in this batch
    (`missing_halves`), in the order of (series, time)."""
    half_ts: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    half_value: Floats = field(default_factory=lambda: np.empty(0, np.float64))


@dataclass(slots=True)
class Verdicts:
    """What each point says about each rule that looks at it, in the order of (binding, time)."""

    binding: Ints
    ts: Ints
    value: Floats
    bad: Bools
    good: Bools

    def __len__(self) -> int:
        return len(self.binding)

    def take(self, rows: Ints | Bools) -> Verdicts:
        return Verdicts(self.binding[rows], self.ts[rows], self.value[rows], self.bad[rows], self.good[rows])


@dataclass(slots=True)
class States:
    """Memory of the bindings that are breaching or firing; all others have none. Ascending by binding."""

    binding: Ints
    bad: Ints
    """Bad points counted so far in this run."""
    good: Ints
    """Good points counted so far while firing."""
    firing: Bools
    first_ts: Ints
    """The first bad point of the run that fired, or is about to."""
    counted_ts: Ints
    last_bad_ts: Ints
    last_ts: Ints

    def __len__(self) -> int:
        return len(self.binding)

    @classmethod
    def none(cls, binding: Ints | None = None) -> Self:
        """Blank states for these bindings."""
        rows = np.empty(0, np.int64) if binding is None else binding
        zeros = np.zeros((6, len(rows)), dtype=np.int64)
        firing = np.zeros(len(rows), dtype=np.bool_)
        return cls(rows, zeros[0], zeros[1], firing, zeros[2], zeros[3], zeros[4], zeros[5] + NEVER_TS)

    def take(self, rows: Ints | Bools) -> Self:
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    def replaced(self, touched: Self) -> Self:
        """These states after a fold: those touched come from there, as far as they are worth keeping."""
        rest = self.take(~np.isin(self.binding, touched.binding))
        worth = touched.take(touched.is_worth_keeping)
        merged = type(self)(*(np.concatenate([getattr(rest, f.name), getattr(worth, f.name)]) for f in fields(self)))
        return merged.take(np.argsort(merged.binding))

    @property
    def is_worth_keeping(self) -> Bools:
        return np.asarray(self.firing | (self.bad > 0))


NEVER_TS: Final = -(2**62)


@dataclass(frozen=True, slots=True)
class Transitions:
    """Alerts to open and to close, in the order of time."""

    binding: Ints
    ts: Ints
    value: Floats
    opens: Bools
    first_ts: Ints

    def __len__(self) -> int:
        return len(self.binding)

    @classmethod
    def none(cls) -> Self:
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, np.empty(0), np.empty(0, np.bool_), nothing)

    def take(self, rows: Bools) -> Self:
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))


def compare(op: NDArray[np.int8], value: Floats, limit: Floats) -> Bools:
    """`value op limit`, element by element."""
    outcome = np.where(value < limit, LT, np.where(value == limit, EQ, GT))
    return np.asarray((op & outcome) != 0)


def judge(plan: Plan, points: Points) -> Verdicts:
    """Every rule's verdict on every new point it looks at."""
    at, known = _locate(plan.series, points.series)
    sample, binding = _expand(np.flatnonzero(known), plan.start[at[known]], plan.start[at[known] + 1])
    form = plan.form[binding]
    alone = (form != PAIR) & (form != DIFFERENCE)
    parts = [_judge_alone(plan, points, sample[alone], binding[alone])]
    if len(plan.second_series):
        parts.append(_judge_pairs(plan, points, sample[~alone], binding[~alone]))
    merged = Verdicts(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Verdicts)))
    return merged if _in_order(merged) else merged.take(np.lexsort((merged.ts, merged.binding)))


def _in_order(verdicts: Verdicts) -> bool:
    step = np.diff(verdicts.binding)
    return bool(np.all(step >= 0) and np.all(np.diff(verdicts.ts)[step == 0] > 0))


def _locate(table: NDArray[np.int32], wanted: NDArray[np.int32]) -> tuple[Ints, Bools]:
    """Where each wanted id stands in an ascending table, and whether it is there."""
    at = np.searchsorted(table, wanted)
    inside = np.minimum(at, max(len(table) - 1, 0))
    known = table[inside] == wanted if len(table) else np.zeros(len(wanted), dtype=np.bool_)
    return inside, np.asarray(known)


def _expand(sample: Ints, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """One row per sample and binding, from the range of bindings of each sample."""
    count = stop - start
    if len(count) and count.max() == 1:  # the usual case: one rule looks at it
        return sample, start
    ends = np.cumsum(count)
    offset = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count, count)
    return np.repeat(sample, count), np.repeat(start, count) + offset


def _judge_alone(plan: Plan, points: Points, sample: Ints, binding: Ints) -> Verdicts:
    value = points.value[sample]
    form = plan.form[binding]
    if np.any(form != VALUE):
        before = points.prev[sample]
        change = value - before
        # a counter that fell has restarted at zero: what it shows has been counted since
        increase = np.where(change < 0, value, change)
        value = np.where(form == CHANGE, change, np.where(form == INCREASE, increase, value))
        seen = ~np.isnan(value)
        value, binding, sample = value[seen], binding[seen], sample[seen]
    bad = compare(plan.op[binding], value, plan.limit[binding])
    good = compare(plan.rop[binding], value, plan.rlimit[binding]) & ~bad
    return Verdicts(binding, points.ts[sample], value, bad, np.asarray(good))


def missing_halves(plan: Plan, points: Points) -> tuple[NDArray[np.int32], Ints]:
    """Series and moments of halves that are neither in this batch nor the newest of their series, but may be stored.

    Two figures of one thing need not arrive together: one may be several points ahead, after an outage by hours.
    """
    nothing = np.empty(0, np.int32), np.empty(0, np.int64)
    if not len(plan.second_series) or not len(points.head_series):
        return nothing
    at, known = _locate(plan.series, points.series)
    sample, binding = _expand(np.flatnonzero(known), plan.start[at[known]], plan.start[at[known] + 1])
    is_pair = (plan.form[binding] == PAIR) | (plan.form[binding] == DIFFERENCE)
    sample2, binding2 = _second_halves(plan, points)
    series = np.concatenate([plan.second[binding[is_pair]], plan.first[binding2]]).astype(np.int32)
    ts = np.concatenate([points.ts[sample[is_pair]], points.ts[sample2]])
    head, has_head = _locate(points.head_series, series)
    may_be = has_head & (points.head_ts[head] > ts)
    if not may_be.any():
        return nothing
    series, ts = series[may_be], ts[may_be]
    absent = _search_pairs(points.series, points.ts, series, ts) < 0
    wanted = np.unique(np.stack([series[absent].astype(np.int64), ts[absent]], axis=1), axis=0)
    return wanted[:, 0].astype(np.int32), wanted[:, 1]


def _second_halves(plan: Plan, points: Points) -> tuple[Ints, Ints]:
    """The points that are the second half of a pair, one row for each of their bindings."""
    low = np.searchsorted(plan.second_series, points.series, side="left")
    high = np.searchsorted(plan.second_series, points.series, side="right")
    came = np.flatnonzero(high > low)
    sample, at = _expand(came, low[came], high[came])
    binding = plan.second_binding[at]
    is_pair = (plan.form[binding] == PAIR) | (plan.form[binding] == DIFFERENCE)
    return sample[is_pair], binding[is_pair]


def _judge_pairs(plan: Plan, points: Points, sample: Ints, binding: Ints) -> Verdicts:
    """Two figures of one thing at one moment. A pair is judged when its second half arrives, in whatever order.

    Either half may come with this batch, be the newest point from before or be stored; both at the same timestamp.
    """
    second = plan.second[binding]
    value2, found2, _ = _value_at(points, second, points.ts[sample])
    rows = [(binding[found2], points.ts[sample][found2], points.value[sample][found2], value2[found2])]
    sample2, binding2 = _second_halves(plan, points)
    value1, found1, in_batch = _value_at(points, plan.first[binding2], points.ts[sample2])
    late = found1 & ~in_batch  # pairs whose two halves are both here have been taken above
    rows.append((binding2[late], points.ts[sample2][late], value1[late], points.value[sample2][late]))
    where, ts, a, b = (np.concatenate(column) for column in zip(*rows, strict=True))
    is_difference = plan.form[where] == DIFFERENCE
    value = np.where(is_difference, a - b, a)
    bad = compare(plan.op[where], value, plan.limit[where])
    bad &= is_difference | compare(plan.op2[where], b, plan.limit2[where])
    good = compare(plan.rop[where], value, plan.rlimit[where])
    good |= ~is_difference & compare(plan.rop2[where], b, plan.rlimit2[where])
    return Verdicts(where, ts, value, bad, np.asarray(good & ~bad))


def _value_at(points: Points, series: NDArray[np.int32], ts: Ints) -> tuple[Floats, Bools, Bools]:
    """The value of a series at a moment, from this batch or the newest from before; found; found in the batch."""
    value = np.full(len(series), np.nan)
    if not len(series):
        nothing = np.zeros(0, dtype=np.bool_)
        return value, nothing, nothing
    at = _search_pairs(points.series, points.ts, series, ts)
    in_batch = at >= 0
    value[in_batch] = points.value[at[in_batch]]
    head, known = _locate(points.head_series, series)
    in_head = known & ~in_batch
    in_head[known] &= points.head_ts[head[known]] == ts[known]
    value[in_head] = points.head_value[head[in_head]]
    half = _search_pairs(points.half_series, points.half_ts, series, ts)
    is_stored = (half >= 0) & ~in_batch & ~in_head
    value[is_stored] = points.half_value[half[is_stored]]
    return value, np.asarray(in_batch | in_head | is_stored), np.asarray(in_batch)


def _search_pairs(have_series: NDArray[np.int32], have_ts: Ints, series: NDArray[np.int32], ts: Ints) -> Ints:
    """Positions of (series, ts) among points in the order of (series, time); -1 where there is none."""
    if not len(have_ts) or not len(ts):
        return np.full(len(series), -1, dtype=np.int64)
    origin = min(have_ts.min(), ts.min())
    span = max(have_ts.max(), ts.max()) - origin + 1
    keys = have_series.astype(np.int64) * span + (have_ts - origin)  # 2**31 series over 49 days in milliseconds fit
    wanted = series.astype(np.int64) * span + (ts - origin)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)


def fold(plan: Plan, verdicts: Verdicts, states: States) -> tuple[States, Transitions]:
    """Count the verdicts into the states. Returns the states of all bindings that were touched (those no longer
    `is_worth_keeping` are to be forgotten) and the transitions.

    The loop goes over the points of one series, of which a batch has few; all series go at once.
    """
    rows, first_row = _touched(verdicts, states)
    if not len(rows):
        return States.none(), Transitions.none()
    seen = verdicts.take(rows)
    bindings = seen.binding[first_row]
    table = _brought(bindings, states)
    place = np.cumsum(first_row) - 1
    rank = np.arange(len(seen)) - np.flatnonzero(first_row)[place]
    by_rank = np.argsort(rank, kind="stable")
    edges = np.searchsorted(rank[by_rank], np.arange(rank.max() + 2))
    parts: list[tuple[Ints, Ints, Floats, Bools, Ints]] = []
    for low, high in pairwise(edges):
        now = by_rank[low:high]
        opens, closes, first_ts = _count(plan, table, place[now], seen.take(now))
        moved = opens | closes
        if moved.any():
            at = now[moved]
            parts.append((seen.binding[at], seen.ts[at], seen.value[at], opens[moved], first_ts[moved]))
    if not parts:
        return table, Transitions.none()
    binding, ts, value, opened, begun = (np.concatenate(column) for column in zip(*parts, strict=True))
    return table, Transitions(binding, ts, value, opened, begun)


def _touched(verdicts: Verdicts, states: States) -> tuple[Ints, Bools]:
    """The verdicts that matter: of bindings that have a state, or are bad somewhere in this batch."""
    if not len(verdicts):
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    begins = np.append(True, verdicts.binding[1:] != verdicts.binding[:-1])
    starts = np.flatnonzero(begins)
    matters = np.logical_or.reduceat(verdicts.bad, starts)
    if len(states):
        at = np.minimum(np.searchsorted(states.binding, verdicts.binding[starts]), len(states) - 1)
        matters = matters | (states.binding[at] == verdicts.binding[starts])
    lengths = np.diff(np.append(starts, len(verdicts)))
    keep = np.repeat(matters, lengths)
    return np.flatnonzero(keep), begins[keep]


def _brought(bindings: Ints, states: States) -> States:
    """The states of these bindings, blank where there are none."""
    table = States.none(bindings)
    if len(states):
        at = np.minimum(np.searchsorted(states.binding, bindings), len(states) - 1)
        known = states.binding[at] == bindings
        for column in fields(States):
            getattr(table, column.name)[known] = getattr(states, column.name)[at[known]]
    return table


def _count(plan: Plan, table: States, at: Ints, points: Verdicts) -> tuple[Bools, Bools, Ints]:
    """One more point of each binding at table rows `at`; returns which open, which close, and where their run began."""
    binding, ts = points.binding, points.ts
    period = plan.period[binding]
    is_new = ts > table.last_ts[at]
    firing = table.firing[at]
    bads, goods = table.bad[at], table.good[at]
    counted, begun = table.counted_ts[at], table.first_ts[at]
    is_spaced = ts - counted >= SPACING * period
    is_old_run = ~firing & (bads > 0) & (ts - table.last_ts[at] > PATIENCE * period)
    bads = np.where(is_old_run, 0, bads)

    bad, good = points.bad & is_new, points.good & is_new
    counts = bad & ~firing & ((bads == 0) | is_spaced)
    begun = np.where(counts & (bads == 0), ts, begun)
    bads = np.where(is_new & ~bad & ~firing, 0, bads + counts)
    opens = counts & (bads >= plan.times[binding])
    if plan.schedules:
        opens &= plan.may_open(binding, ts)

    last_bad = np.where(bad, ts, table.last_bad_ts[at])
    mends = good & firing & ((goods == 0) | is_spaced)
    goods = np.where(is_new & ~good, 0, goods + mends)
    closes = good & firing & (goods >= plan.rtimes[binding]) & (ts - last_bad >= plan.after[binding])

    table.counted_ts[at] = np.where(counts | mends, ts, counted)
    table.first_ts[at] = begun
    table.last_bad_ts[at] = last_bad
    table.last_ts[at] = np.where(is_new, ts, table.last_ts[at])
    table.firing[at] = (firing | opens) & ~closes
    table.bad[at] = np.where(closes, 0, bads)
    table.good[at] = np.where(closes | opens, 0, goods)
    return np.asarray(opens), np.asarray(closes), begun
