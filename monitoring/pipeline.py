"""A batch of samples in: stored, judged, alerts opened and closed, in one transaction.

Two workers that take in the same batch at once, or one after the other died, give one result: the customer's ledger is
held locked meanwhile, and what was stored is known by its timestamps. All or nothing is committed, so a retry is safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
from django.conf import settings

from accounts import scope
from monitoring import registry, storage
from monitoring.collectors import Batch
from monitoring.evaluate import Points, fold, judge, missing_halves
from monitoring.heads import Columns, Heads
from monitoring.plan import Plan
from monitoring.services import alerts, storms

ASSETS_AT_ONCE: Final = 250
FUTURE_MS: Final = 300_000
"""A clock may be this far ahead of ours; what is further away would block all later points of its series."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a batch: samples stored; known already; refused (no number, no such asset, no such time)."""

    stored: int = 0
    repeated: int = 0
    refused: int = 0
    opened: int = 0
    closed: int = 0

    @property
    def transitions(self) -> int:
        return self.opened + self.closed


def ingest(batch: Batch, *, now: datetime) -> IngestResult:
    """Take a batch in. Raises nothing for bad samples: they are counted as refused."""
    with scope.customer(batch.customer_id):
        columns = _columns(batch, now)
        refused = len(batch) - len(columns)
        columns = _ordered(columns)
        if not len(columns):
            return IngestResult(refused=refused)
        storage.make_days(storage.days_of(columns.ts))
        results = []
        with storms.told_once():
            for part in _parts(columns):
                with registry.held(batch.customer_id) as memory:
                    results.append(_take_in(memory, part, now))
        return _sum(results, refused)


def _columns(batch: Batch, now: datetime) -> Columns:
    ids, assets = registry.resolve(batch.customer_id, batch.keys, now=now)
    now_ms = round(now.timestamp() * 1000)
    oldest = now_ms - settings.RETENTION_DAYS * storage.DAY_MS
    series = ids[batch.index]
    fits = (series != registry.UNKNOWN) & np.isfinite(batch.value)
    fits &= (batch.ts > oldest) & (batch.ts <= now_ms + FUTURE_MS)
    columns = Columns(series, assets[batch.index], batch.ts, batch.value)
    return columns if fits.all() else columns.take(fits)


def _ordered(columns: Columns) -> Columns:
    step = np.diff(columns.series)
    if np.all(step > 0):
        return columns
    columns = columns.take(np.lexsort((columns.ts, columns.series)))
    is_last = np.append((np.diff(columns.series) != 0) | (np.diff(columns.ts) != 0), True)[: len(columns)]
    return columns if is_last.all() else columns.take(is_last)  # the same moment twice in one batch: the last word


def _parts(columns: Columns) -> Iterator[Columns]:
    """Each a transaction of its own: however many alarms come at once, none of them grows without limit."""
    assets = np.unique(columns.asset)
    if len(assets) <= ASSETS_AT_ONCE:
        yield columns
        return
    for low in range(0, len(assets), ASSETS_AT_ONCE):
        yield columns.take(np.isin(columns.asset, assets[low : low + ASSETS_AT_ONCE]))


def _sum(results: Sequence[IngestResult], refused: int) -> IngestResult:
    return IngestResult(
        stored=sum(each.stored for each in results),
        repeated=sum(each.repeated for each in results),
        refused=refused,
        opened=sum(each.opened for each in results),
        closed=sum(each.closed for each in results),
    )


def _take_in(memory: registry.Memory, columns: Columns, now: datetime) -> IngestResult:
    customer_id = memory.customer_id
    plan, heads = memory.current_plan(), memory.heads
    assets = np.unique(columns.asset)
    heads.load(assets)
    newest = heads.newest(columns.series)
    fresh = columns.ts > newest
    new = columns if fresh.all() else columns.take(fresh)
    late = _really_late(columns.take(~fresh & (columns.ts != newest)))
    for part in (new, late):
        if len(part):
            storage.write(customer_id=customer_id, asset=part.asset, ts=part.ts, series=part.series, value=part.value)
    opened = closed = 0
    if len(new):
        points = _with_halves(plan, heads.points(new), heads)
        touched, moved = fold(plan, judge(plan, points), memory.states_under(plan))
        memory.keep_states(plan, touched)
        if len(moved):
            alerts.apply(customer_id=customer_id, plan=plan, moved=moved, now=now)
        opened = int(moved.opens.sum())
        closed = len(moved) - opened
        heads.update(new)
        heads.save(customer_id, assets)
    stored = len(new) + len(late)
    return IngestResult(stored, len(columns) - stored, 0, opened, closed)


def _really_late(columns: Columns) -> Columns:
    """Of points older than the newest of their series, those that are not stored yet."""
    if not len(columns):
        return columns
    return columns.take(~storage.stored(asset=columns.asset, ts=columns.ts, series=columns.series))


def _with_halves(plan: Plan, points: Points, heads: Heads) -> Points:
    """The points, with the stored other halves of those that rules over two figures look at."""
    series, ts = missing_halves(plan, points)
    if not len(series):
        return points
    starts = np.flatnonzero(np.append(True, series[1:] != series[:-1]))
    stretches = np.split(ts, starts[1:])
    at, _ = heads.find(series[starts])
    rows = zip(heads.asset[at].tolist(), series[starts].tolist(), stretches, strict=True)
    spans = [storage.Span(asset_id, one, int(some[0]), int(some[-1])) for asset_id, one, some in rows]
    found = storage.read_spans(spans)
    kept = [np.isin(found[span.series_id].ts, some) for span, some in zip(spans, stretches, strict=True)]
    columns = [found[span.series_id] for span in spans]
    return replace(
        points,
        half_series=np.repeat(series[starts], [int(mask.sum()) for mask in kept]),
        half_ts=np.concatenate([column.ts[mask] for column, mask in zip(columns, kept, strict=True)]),
        half_value=np.concatenate([column.value[mask] for column, mask in zip(columns, kept, strict=True)]),
    )
