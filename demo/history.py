"""A week of the simulated cloud's figures, so that graphs have a past when people look around for the first time, and
a second one, by the hour, of what says whether a resource is used.

The curves are pure functions of time: what is written here is what CloudMonitor would have answered. It is stored and
not judged; alarms begin with the present.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from accounts.models import Customer
from assets.models import Asset, CloudAccount
from costs import waste
from demo.aliyun.estate import Estate
from demo.aliyun.metrics import CATALOGUE, MINUTE_MS, Metric, MetricStore, series_of
from monitoring import registry, storage
from monitoring.collectors import SeriesKey, labels_text
from monitoring.collectors.cms import LABELS, OWNERS
from monitoring.rules import METRICS

PAST: Final = timedelta(days=7)
STEP_MS: Final = 15 * MINUTE_MS
LONG_PAST: Final = timedelta(days=waste.DAYS + 1)
HOUR_MS: Final = 60 * MINUTE_MS
USE: Final = frozenset(limit.metric for limits in waste.LIMITS.values() for limit in limits)
UNTIL_MS: Final = 20 * MINUTE_MS
"""The collector's first look reaches back ten minutes: nothing is written where it will read."""


def write(*, customer: Customer, account: CloudAccount, estate: Estate, metrics: MetricStore, now: datetime) -> int:
    """Store the past of every series of an account; returns how many samples. Needs the customer's scope."""
    assets = dict(Asset.objects.filter(cloud_account=account).active().values_list("provider_id", "pk"))
    curves = dict(_curves(customer.pk, assets, estate))
    end = round(now.timestamp() * 1000) - UNTIL_MS
    week = end - round(PAST.total_seconds() * 1000)
    longer = {key: found for key, found in curves.items() if key[2] in USE}
    before = _times(end - round(LONG_PAST.total_seconds() * 1000), week, HOUR_MS)
    older = _write(customer.pk, longer, metrics, before, now)
    return older + _write(customer.pk, curves, metrics, _times(week, end, STEP_MS), now)


def _times(start: int, end: int, step: int) -> NDArray[np.int64]:
    return np.arange(start, end, step, dtype=np.int64) // MINUTE_MS * MINUTE_MS


def _write(
    customer_id: int,
    curves: Mapping[SeriesKey, tuple[Metric, Mapping[str, str]]],
    metrics: MetricStore,
    ts: NDArray[np.int64],
    now: datetime,
) -> int:
    keys = list(curves)
    if not keys:
        return 0
    series, asset = registry.resolve(customer_id, keys, now=now)
    storage.make_days(storage.days_of(ts))
    value = [metrics.value(*curves[key], int(at)) or 0.0 for key in keys for at in ts.tolist()]
    storage.write(
        customer_id=customer_id,
        asset=np.repeat(asset, len(ts)),
        ts=np.tile(ts, len(keys)),
        series=np.repeat(series, len(ts)),
        value=np.array(value, dtype=np.float64),
    )
    return len(value)


def _curves(
    customer_id: int, assets: Mapping[str, int], estate: Estate
) -> Iterator[tuple[SeriesKey, tuple[Metric, Mapping[str, str]]]]:
    """Our series and what the cloud draws for each; of a metric with several names, the first that has it."""
    seen: set[SeriesKey] = set()
    for ours in METRICS.values():
        for name in ours.cms_metrics:
            theirs = CATALOGUE.get((ours.cms_namespace, name))
            if theirs is None:
                continue
            for dimensions in series_of(theirs, estate):
                owner = next((dimensions[key] for key in OWNERS if key in dimensions), "")
                labels = {LABELS[key]: value for key, value in dimensions.items() if LABELS.get(key) in ours.labels}
                series = (customer_id, assets.get(owner, 0), ours.name, labels_text(labels))
                if owner in assets and series not in seen:
                    seen.add(series)
                    yield series, (theirs, dimensions)
