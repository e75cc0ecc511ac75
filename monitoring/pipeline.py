"""Batches of samples in: stored, judged, alerts opened and closed, in one transaction.

Two workers that take in the same batch at once, or one after the other died, give one result: the customers' ledgers
are held locked meanwhile, and what was stored is known by its timestamps. All or nothing is committed, so a retry is
safe.

A transaction costs milliseconds, however little it brings, so small batches of several customers share one: one COPY,
one pass over all rules, one statement for their states and newest points (docs/adr/0013). Each customer's alerts are
opened in its own scope.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
from django.conf import settings
from django.db import DatabaseError
from numpy.typing import NDArray

from accounts import scope
from monitoring import registry, storage
from monitoring.collectors import Batch
from monitoring.company import Company
from monitoring.evaluate import Points, Transitions, fold, judge, missing_halves
from monitoring.heads import Columns, Heads
from monitoring.plan import Plan
from monitoring.services import alerts, storms

log = logging.getLogger(__name__)

ASSETS_AT_ONCE: Final = 250
SAMPLES_TOGETHER: Final = 15_000
"""So many samples of several customers share a transaction; their ledgers are held for some 30 ms."""
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
    return _ingest([batch], now)[0]


def ingest_many(batches: Sequence[Batch], *, now: datetime) -> list[IngestResult | DatabaseError]:
    """Take in batches of several customers, small ones in common transactions.

    What cannot be stored together is taken in one by one: a batch that fails says why, and costs no other its samples.
    """
    results: list[IngestResult | DatabaseError] = []
    for some in _companies(batches):
        if len(some) == 1:
            results.append(_alone(some[0], now))
            continue
        try:
            results += _ingest(some, now)
        except DatabaseError as error:
            log.warning("samples of %s customers could not be stored together: %s", len(some), error)
            results += [_alone(batch, now) for batch in some]
    return results


def _alone(batch: Batch, now: datetime) -> IngestResult | DatabaseError:
    try:
        return ingest(batch, now=now)
    except DatabaseError as error:
        log.exception("samples of customer %s could not be stored", batch.customer_id)
        return error


def _companies(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """Batches in their order, as many as fit into one transaction, no two of one customer."""
    some: dict[int, Batch] = {}
    for batch in batches:
        if some and (batch.customer_id in some or sum(map(len, some.values())) + len(batch) > SAMPLES_TOGETHER):
            yield list(some.values())
            some = {}
        some[batch.customer_id] = batch
    if some:
        yield list(some.values())


def _ingest(batches: Sequence[Batch], now: datetime) -> list[IngestResult]:
    """Batches of different customers."""
    columns = _ordered(_columns(batches, now))
    tallies: list[_Tally] = []
    with scope.entered(scope.Scope(frozenset(batch.customer_id for batch in batches), "samples that came together")):
        if len(columns):
            storage.make_days(storage.days_of(columns.ts))
        with storms.told_once():
            for part in _parts(columns):
                with registry.held(np.unique(part.customer).tolist()) as memories:
                    tallies.append(_take_in(Company(memories), part, now))
    return [_result(batch, tallies) for batch in batches]


def _columns(batches: Sequence[Batch], now: datetime) -> Columns:
    """The samples that can be taken in."""
    known = []
    for batch in batches:
        with scope.customer(batch.customer_id):
            ids, assets = registry.resolve(batch.customer_id, batch.keys, now=now)
        known.append((ids[batch.index], assets[batch.index]))
    columns = Columns(
        customer=np.repeat(np.array([batch.customer_id for batch in batches]), list(map(len, batches))),
        series=np.concatenate([series for series, _ in known]),
        asset=np.concatenate([asset for _, asset in known]),
        ts=np.concatenate([batch.ts for batch in batches]),
        value=np.concatenate([batch.value for batch in batches]),
    )
    now_ms = round(now.timestamp() * 1000)
    oldest = now_ms - settings.RETENTION_DAYS * storage.DAY_MS
    fits = (columns.series != registry.UNKNOWN) & np.isfinite(columns.value)
    fits &= (columns.ts > oldest) & (columns.ts <= now_ms + FUTURE_MS)
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
        if len(columns):
            yield columns
        return
    for low in range(0, len(assets), ASSETS_AT_ONCE):
        yield columns.take(np.isin(columns.asset, assets[low : low + ASSETS_AT_ONCE]))


@dataclass(frozen=True, slots=True)
class _Tally:
    """Whose each sample is that was stored or came, and each alert that opened or closed: customer ids."""

    stored: NDArray[np.int64]
    came: NDArray[np.int64]
    opened: NDArray[np.int64]
    closed: NDArray[np.int64]


def _result(batch: Batch, tallies: Sequence[_Tally]) -> IngestResult:
    def count(name: str) -> int:
        return sum(int(np.count_nonzero(getattr(tally, name) == batch.customer_id)) for tally in tallies)

    stored, came = count("stored"), count("came")
    return IngestResult(stored, came - stored, len(batch) - came, count("opened"), count("closed"))


def _take_in(company: Company, columns: Columns, now: datetime) -> _Tally:
    assets, first = np.unique(columns.asset, return_index=True)
    owners = columns.customer[first]
    company.load_heads(owners, assets)
    plan, heads = company.plan, company.heads
    newest = heads.newest(columns.series)
    fresh = columns.ts > newest
    new = columns if fresh.all() else columns.take(fresh)
    late = _really_late(columns.take(~fresh & (columns.ts != newest)))
    for part in (new, late):
        if len(part):
            storage.write(customer_id=part.customer, asset=part.asset, ts=part.ts, series=part.series, value=part.value)
    moved, whose = Transitions.none(), np.empty(0, np.int64)
    if len(new):
        states = company.states()
        touched, moved = fold(plan, judge(plan, _with_halves(plan, heads.points(new), heads)), states)
        company.keep_states(states, touched)
        whose = company.owners(moved.binding)
        is_storm = int(moved.opens.sum()) > storms.AT_ONCE
        for one in np.unique(whose).tolist():
            with scope.customer(one):
                alerts.apply(customer_id=one, plan=plan, moved=moved.take(whose == one), is_storm=is_storm, now=now)
        heads.update(new)
        heads.save(owners, assets)
        company.remember_heads()
    stored = np.concatenate([new.customer, late.customer])
    return _Tally(stored, columns.customer, whose[moved.opens], whose[~moved.opens])


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
