"""A batch of samples in: stored, judged, alerts opened and closed, in one transaction.

Two workers that take in the same batch at once, or one after the other died, give one result: the customer's ledger is
held locked meanwhile, and what was stored is known by its timestamps. All or nothing is committed, so a retry is safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from django.conf import settings
from django.db import transaction
from numpy.typing import NDArray

from accounts import scope
from monitoring import registry, storage
from monitoring.collectors import Batch
from monitoring.evaluate import NEVER_TS, Points, Transitions, fold, judge
from monitoring.models import Ledger
from monitoring.plan import Plan
from monitoring.services import alerts, states

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


@dataclass(slots=True)
class Columns:
    """Samples with their ids, in the order of (series, time), each moment of a series once."""

    series: NDArray[np.int32]
    asset: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.series)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Columns:
        return Columns(self.series[rows], self.asset[rows], self.ts[rows], self.value[rows])


def ingest(batch: Batch, *, now: datetime) -> IngestResult:
    """Take a batch in. Raises nothing for bad samples: they are counted as refused."""
    with scope.customer(batch.customer_id):
        columns = _columns(batch, now)
        refused = len(batch) - len(columns)
        columns = _ordered(columns)
        if not len(columns):
            return IngestResult(refused=refused)
        storage.make_days(storage.days_of(columns.ts))
        try:
            return _take_in(batch.customer_id, columns, refused, now)
        except BaseException:
            registry.forget(batch.customer_id)  # series made in a transaction that is rolled back do not exist
            raise


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


@transaction.atomic
def _take_in(customer_id: int, columns: Columns, refused: int, now: datetime) -> IngestResult:
    version = lock(customer_id)
    heads = Heads.load(columns.asset)
    at, known = heads.find(columns.series)
    newest = np.where(known, heads.rows["ts"][at], NEVER_TS) if len(heads.rows) else np.full(len(columns), NEVER_TS)
    fresh = columns.ts > newest
    new = columns if fresh.all() else columns.take(fresh)
    late = _really_late(columns.take(~fresh & (columns.ts != newest)))
    for part in (new, late):
        if len(part):
            storage.write(customer_id=customer_id, asset=part.asset, ts=part.ts, series=part.series, value=part.value)
    moved = _judge(customer_id, new, heads, registry.plan_of(customer_id, version, now=now), now)
    heads.update(new)
    heads.save(customer_id)
    stored = len(new) + len(late)
    opened = int(moved.opens.sum())
    return IngestResult(stored, len(columns) - stored, refused, opened, len(moved) - opened)


def lock(customer_id: int) -> int:
    """Hold the customer's ledger until the end of the transaction; returns the version of its plan."""
    row = Ledger.objects.select_for_update(no_key=True).filter(customer_id=customer_id).first()
    if row is None:
        Ledger.objects.bulk_create([Ledger(customer_id=customer_id)], ignore_conflicts=True)
        row = Ledger.objects.select_for_update(no_key=True).get(customer_id=customer_id)
    return row.plan_version


def _really_late(columns: Columns) -> Columns:
    """Of points older than the newest of their series, those that are not stored yet."""
    if not len(columns):
        return columns
    return columns.take(~storage.stored(asset=columns.asset, ts=columns.ts, series=columns.series))


def _judge(customer_id: int, new: Columns, heads: Heads, plan: Plan, now: datetime) -> Transitions:
    verdicts = judge(plan, heads.points(new))
    before = states.load(plan, np.unique(new.asset))
    touched, moved = fold(plan, verdicts, before)
    states.save(customer_id, plan, before, touched)
    if len(moved):
        alerts.apply(customer_id=customer_id, plan=plan, moved=moved, now=now)
    return moved


class Heads:
    """The newest points of the assets of a batch, as one table ordered by series."""

    def __init__(self, rows: NDArray[np.void], asset: NDArray[np.int64]) -> None:
        order = np.argsort(rows["series"], kind="stable")
        self.rows = rows[order]
        self.asset = asset[order]

    @classmethod
    def load(cls, assets: NDArray[np.int64]) -> Heads:
        by_asset = storage.heads(np.unique(assets).tolist())
        rows = np.concatenate([np.empty(0, storage.HEAD), *by_asset.values()])
        sizes = [len(head) for head in by_asset.values()]
        return cls(rows, np.repeat(np.array(list(by_asset), dtype=np.int64), sizes))

    def find(self, series: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where each series stands, and whether it is there."""
        if not len(self.rows):
            return np.zeros(len(series), dtype=np.int64), np.zeros(len(series), dtype=np.bool_)
        table = np.ascontiguousarray(self.rows["series"])
        at = np.minimum(np.searchsorted(table, series), len(table) - 1)
        return at, table[at] == series

    def points(self, new: Columns) -> Points:
        at, known = self.find(new.series)
        before = np.where(known, self.rows["value"][at], np.nan) if len(self.rows) else np.full(len(new), np.nan)
        follows = np.append(False, new.series[1:] == new.series[:-1])[: len(new)]
        prev = np.where(follows, np.append(np.nan, new.value[:-1])[: len(new)], before)
        rows = self.rows
        return Points(
            new.series, new.ts, new.value, prev,
            np.ascontiguousarray(rows["series"]), rows["ts"].astype(np.int64), rows["value"].astype(np.float64),
        )  # fmt: skip

    def update(self, new: Columns) -> None:
        """Take over the last point of each series, and learn how far apart its points are.

        The usual step follows a shorter one at once and at most doubles with a longer one: an outage is no rhythm.
        """
        is_last = np.append(new.series[1:] != new.series[:-1], True)[: len(new)]
        last = new.take(is_last)
        at, known = self.find(last.series)
        at, old = at[known], self.rows[at[known]]
        gap = np.minimum(last.ts[known] - old["ts"], 2**31 - 1)
        step = np.where(old["step"] > 0, np.minimum(gap, np.minimum(old["step"], 2**30) * 2), gap)
        self.rows["ts"][at] = last.ts[known]
        self.rows["value"][at] = last.value[known]
        self.rows["step"][at] = step
        if not known.all():
            self._add(last.take(~known))

    def _add(self, last: Columns) -> None:
        rows = np.zeros(len(last), dtype=storage.HEAD)
        rows["series"], rows["ts"], rows["value"] = last.series, last.ts, last.value
        merged = Heads(np.concatenate([self.rows, rows]), np.concatenate([self.asset, last.asset]))
        self.rows, self.asset = merged.rows, merged.asset

    def save(self, customer_id: int) -> None:
        order = np.argsort(self.asset, kind="stable")
        rows, asset = self.rows[order], self.asset[order]
        starts = np.flatnonzero(np.append(True, asset[1:] != asset[:-1])[: len(asset)])
        ends = np.append(starts[1:], len(asset))
        body, size = rows.tobytes(), storage.HEAD.itemsize
        changed = {
            one: body[low * size : high * size]
            for one, low, high in zip(asset[starts].tolist(), starts.tolist(), ends.tolist(), strict=True)
        }
        storage.save_heads(customer_id=customer_id, changed=changed)
