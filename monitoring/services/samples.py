"""Figures that scripts send from anywhere: named like those of the agent's scripts and judged like them (R33)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from assets.models import Asset
from monitoring import pipeline
from monitoring.collectors import Batch, SeriesKey, labels_text
from monitoring.models import Series
from monitoring.pipeline import IngestResult
from monitoring.rules import CUSTOM

MOST_SERIES: Final = 5000
"""Custom series of one customer; a script that puts a number into a label would make them without end."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of one of the customer's assets, named `custom.<script>.<item>`."""

    asset_id: int
    metric: str
    labels: Mapping[str, str]
    at: datetime
    value: float


class TooManySeriesError(Exception):
    """The samples would make more custom series than a customer may have."""


def assets_named(names: Sequence[str]) -> dict[str, int]:
    """The assets of the customer in scope by name; a name that two of them have is left out."""
    found: dict[str, list[int]] = {}
    for name, pk in Asset.objects.active().filter(name__in=names).values_list("name", "pk"):
        found.setdefault(name, []).append(pk)
    return {name: pks[0] for name, pks in found.items() if len(pks) == 1}


def take_in(*, customer_id: int, samples: Sequence[Sample], now: datetime) -> IngestResult:
    """Store and judge samples, inside the customer's scope. The same sample again changes nothing."""
    keys: dict[SeriesKey, int] = {}
    index = [
        keys.setdefault((customer_id, one.asset_id, one.metric, labels_text(one.labels)), len(keys)) for one in samples
    ]
    _check_room(list(keys))
    batch = Batch(
        customer_id=customer_id,
        keys=list(keys),
        index=np.array(index, dtype=np.int32),
        ts=np.array([round(one.at.timestamp() * 1000) for one in samples], dtype=np.int64),
        value=np.array([one.value for one in samples], dtype=np.float64),
    )
    return pipeline.ingest(batch, now=now)


def _check_room(keys: Sequence[SeriesKey]) -> None:
    metrics = {metric for _, _, metric, _ in keys}
    rows = Series.objects.filter(metric__in=metrics).values_list("asset_id", "metric", "labels")
    new = {key[1:] for key in keys} - set(rows)
    if new and Series.objects.filter(metric__startswith=CUSTOM).count() + len(new) > MOST_SERIES:
        raise TooManySeriesError
