"""The newest point of every series of one customer, as columns; kept per asset in `Newest` rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monitoring import storage
from monitoring.evaluate import NEVER_TS, Points

Rows = NDArray[np.int64]


@dataclass(slots=True)
class Columns:
    """Samples with their ids, in the order of (series, time), each moment of a series once."""

    customer: NDArray[np.int64]
    series: NDArray[np.int32]
    asset: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.series)

    def take(self, rows: NDArray[np.bool_] | Rows) -> Columns:
        return Columns(self.customer[rows], self.series[rows], self.asset[rows], self.ts[rows], self.value[rows])


@dataclass(slots=True)
class Heads:
    """Ascending by series. `step` is the usual number of milliseconds between two points, 0 while unknown."""

    series: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    asset: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    ts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    value: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    step: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    loaded: set[int] = field(default_factory=set)
    """Assets whose row has been read."""

    def load(self, assets: NDArray[np.int64]) -> None:
        """Read the rows of these assets that have not been read yet."""
        missing = set(assets.tolist()) - self.loaded
        if missing:
            self.take_over(missing, storage.heads(sorted(missing)))

    def take_over(self, assets: set[int], rows: Mapping[int, NDArray[np.void]]) -> None:
        """Rows that have been read of these assets, and perhaps of others."""
        if not assets:
            return
        read = [(one, rows[one]) for one in sorted(assets) if one in rows]
        table = np.concatenate([np.empty(0, storage.HEAD), *(rows for _, rows in read)])
        asset = np.repeat(np.array([one for one, _ in read], np.int64), [len(rows) for _, rows in read])
        self._add(Heads(table["series"], asset, table["ts"], table["value"], table["step"]))
        self.loaded |= assets

    def find(self, series: NDArray[np.int32]) -> tuple[Rows, NDArray[np.bool_]]:
        """Where each series stands, and whether it is there. The table must not be empty."""
        at = np.minimum(np.searchsorted(self.series, series), len(self.series) - 1)
        return at, self.series[at] == series

    def newest(self, series: NDArray[np.int32]) -> NDArray[np.int64]:
        """The newest moment of each series, NEVER_TS where there is none."""
        if not len(self.series):
            return np.full(len(series), NEVER_TS)
        at, known = self.find(series)
        return self.ts[at] if known.all() else np.where(known, self.ts[at], NEVER_TS)

    def points(self, new: Columns) -> Points:
        """New samples with the value before each."""
        prev = np.full(len(new), np.nan)
        if len(self.series):
            at, known = self.find(new.series)
            prev[known] = self.value[at[known]]
        follows = np.flatnonzero(new.series[1:] == new.series[:-1]) + 1
        prev[follows] = new.value[follows - 1]
        return Points(new.series, new.ts, new.value, prev, self.series, self.ts.copy(), self.value.copy())

    def update(self, new: Columns) -> None:
        """Take over the last point of each series, and learn how far apart its points are.

        The usual step follows a shorter one at once and at most doubles with a longer one: an outage is no rhythm.
        """
        is_last = np.append(new.series[1:] != new.series[:-1], True)[: len(new)]
        last = new if is_last.all() else new.take(is_last)
        if len(self.series):
            at, known = self.find(last.series)
            fresh, last, at = last.take(known), last.take(~known), at[known]
            gap = np.minimum(fresh.ts - self.ts[at], 2**30)
            usual = self.step[at]
            self.step[at] = np.where(usual > 0, np.minimum(gap, usual.astype(np.int64) * 2), gap)
            self.ts[at], self.value[at] = fresh.ts, fresh.value
        if len(last):
            self._add(Heads(last.series, last.asset, last.ts, last.value, np.zeros(len(last), np.int32)))

    def save(self, customers: NDArray[np.int64], assets: NDArray[np.int64]) -> None:
        """Write the rows of these assets, which are ascending, of these customers."""
        touched = np.isin(self.asset, assets)
        order = np.flatnonzero(touched)
        order = order[np.argsort(self.asset[order], kind="stable")]
        asset = self.asset[order]
        rows = np.empty(len(order), dtype=storage.HEAD)
        rows["series"], rows["ts"] = self.series[order], self.ts[order]
        rows["value"], rows["step"] = self.value[order], self.step[order]
        starts = np.flatnonzero(np.append(True, asset[1:] != asset[:-1])[: len(asset)])
        edges = (np.append(starts, len(asset)) * storage.HEAD.itemsize).tolist()
        body = rows.tobytes()
        parts = [body[low:high] for low, high in pairwise(edges)]
        owners = customers[np.searchsorted(assets, asset[starts])]
        storage.save_heads(customers=owners.tolist(), assets=asset[starts].tolist(), data=parts)

    def _add(self, rows: Heads) -> None:
        for column in ("series", "asset", "ts", "value", "step"):
            setattr(self, column, np.concatenate([getattr(self, column), getattr(rows, column)]))
        order = np.argsort(self.series, kind="stable")
        for column in ("series", "asset", "ts", "value", "step"):
            setattr(self, column, getattr(self, column)[order])
