"""Making assets, batches and time for tests of the pipeline."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from monitoring import pipeline
from monitoring.collectors import Batch, SeriesKey, labels_text
from monitoring.models import Alert
from monitoring.pipeline import IngestResult

START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)

Sample = tuple[Asset, str, dict[str, str], datetime, float]


def server(customer: Customer, name: str = "web-01", **fields: object) -> Asset:
    with scope.customer(customer):
        values = {"kind": "server", "os": "linux", "created_at": START, "changed_at": START, **fields}
        return Asset.objects.create(customer=customer, name=name, **values)


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def batch(customer: Customer, samples: Iterable[Sample]) -> Batch:
    rows = list(samples)
    keys: dict[SeriesKey, int] = {}
    index = [
        keys.setdefault((customer.pk, asset.pk, metric, labels_text(labels)), len(keys))
        for asset, metric, labels, _, _ in rows
    ]
    return Batch(
        customer_id=customer.pk,
        keys=list(keys),
        index=np.array(index, dtype=np.int32),
        ts=np.array([round(at.timestamp() * 1000) for *_, at, _ in rows], dtype=np.int64),
        value=np.array([value for *_, value in rows], dtype=np.float64),
    )


def feed(
    customer: Customer,
    asset: Asset,
    metric: str,
    values: Iterable[float],
    *,
    start: float = 0,
    labels: dict[str, str] | None = None,
    now: datetime | None = None,
) -> IngestResult:
    """One value a minute from minute `start`, as one batch that arrives with its last point."""
    points = [(asset, metric, labels or {}, minute(start + at), value) for at, value in enumerate(values)]
    return pipeline.ingest(batch(customer, points), now=now or points[-1][3])


def alerts(customer: Customer) -> list[Alert]:
    with scope.customer(customer):
        return list(Alert.objects.order_by("pk"))
