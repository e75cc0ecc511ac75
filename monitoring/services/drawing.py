"""The graph of a dry run: the figure of the things that would have alarmed, with bands where they would have."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Final

import numpy as np

from monitoring import storage
from monitoring.levels import Levels, Override, Resolver
from monitoring.models import Series
from monitoring.rules import METRICS, Form, Rule
from monitoring.services import dry_run
from monitoring.services.dry_run import DryRun
from monitoring.wording import labels_shown

CURVES: Final = 3
POINTS: Final = 700


def of(run: DryRun, rule: Rule, known: Levels, override: Override | None) -> list[dict[str, Any]]:
    """One drawing for each of the things that would have fired most often (JSON)."""
    counts = Counter(one.series.pk for one in run.fired)
    by_id = {one.series.pk: one.series for one in run.fired}
    resolver = Resolver(dry_run.proposed(known, rule, override))
    return [_drawing(by_id[pk], run, rule, resolver) for pk, _count in counts.most_common(CURVES)]


def _drawing(series: Series, run: DryRun, rule: Rule, resolver: Resolver) -> dict[str, Any]:
    condition = resolver.of(rule, series.asset_id, series.labels).conditions[0]
    column = storage.read(asset_id=series.asset_id, series_ids=[series.pk], start=run.start, end=run.end)[series.pk]
    ts, low, high = _thinned(column, run.start, run.end)
    detail = labels_shown(series.labels)
    return {
        "name": f"{series.asset.name} ({detail})" if detail else series.asset.name,
        "asset": series.asset_id,
        "unit": METRICS[series.metric].unit,
        "from": _ms(run.start),
        "to": _ms(run.end),
        "t": ts,
        "lo": low,
        "hi": high,
        "limit": condition.limit if condition.form is Form.VALUE else None,
        "bands": [
            [_ms(one.opened_at), _ms(one.closed_at or run.end)] for one in run.fired if one.series.pk == series.pk
        ],
    }


def _thinned(column: storage.Column, start: datetime, end: datetime) -> tuple[list[int], list[float], list[float]]:
    """The least and greatest value of each of a few hundred stretches: what fired must not be averaged away."""
    if not len(column.ts):
        return [], [], []
    width = max(1, (_ms(end) - _ms(start)) // POINTS)
    bucket = (column.ts - _ms(start)) // width
    starts = np.flatnonzero(np.append(True, np.diff(bucket) != 0))
    low, high = np.minimum.reduceat(column.value, starts), np.maximum.reduceat(column.value, starts)
    return column.ts[starts].tolist(), _rounded(low), _rounded(high)


def _rounded(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
