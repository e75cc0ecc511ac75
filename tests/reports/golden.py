"""A month of synthetic data with answers that are known beforehand: March 2026 in Shanghai."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone, translation
from numpy.typing import NDArray
from pytest_django import DjangoDbBlocker

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from incidents.months import ZONE, Month
from monitoring import registry, storage
from monitoring.collectors import labels_text
from reports import blocks
from reports.blocks import Cell, Chart, Part, Table
from reports.kinds.asking import Asked

MARCH = Month(2026, 3)
STEP = timedelta(minutes=5)
STEPS = 31 * 288
"""Steps of five minutes in the month."""
BEFORE = datetime(2026, 1, 5, tzinfo=ZONE)
Floats = NDArray[np.float64]


def day(number: int, hour: float = 0) -> datetime:
    """A moment of March in Shanghai; the 32nd is the first of April."""
    return datetime(2026, 3, 1, tzinfo=ZONE) + timedelta(days=number - 1, hours=hour)


@contextmanager
def passing_world(blocker: DjangoDbBlocker) -> Generator[None]:
    """A database that forgets at the end: for a month that many tests read."""
    with blocker.unblock(), transaction.atomic():
        registry.forget()
        yield
        transaction.set_rollback(True)
    registry.forget()


def asset_of(customer: Customer, name: str, kind: str = "server", **fields: object) -> Asset:
    values = {"created_at": BEFORE, "changed_at": BEFORE, **fields}
    with scope.customer(customer):
        return Asset.objects.create(customer=customer, name=name, kind=kind, **values)


def write(
    asset: Asset,
    metric: str,
    value: float | Callable[[NDArray[np.int64]], Floats],
    *,
    first: datetime = MARCH.starts_at,
    last: datetime = MARCH.ends_at,
    **labels: str,
) -> None:
    """One point every five minutes; `value` may be a function of the number of the step."""
    ts = np.arange(_ms(first), _ms(last), STEP // timedelta(milliseconds=1), dtype=np.int64)
    values = value(np.arange(len(ts))) if callable(value) else np.full(len(ts), float(value))
    with scope.customer(asset.customer):
        key = (asset.customer_id, asset.pk, metric, labels_text(labels))
        series, owner = registry.resolve(asset.customer_id, [key], now=first)
        storage.make_days(storage.days_of(ts))
        storage.write(
            customer_id=asset.customer_id,
            asset=np.repeat(owner, len(ts)),
            ts=ts,
            series=np.repeat(series, len(ts)),
            value=values,
        )


def one(asset: Asset, metric: str, value: float, at: datetime, **labels: str) -> None:
    write(asset, metric, value, first=at, last=at + STEP, **labels)


def read(customer: Customer, part: Callable[[Asked], Part], *, start: datetime = MARCH.starts_at) -> Part:
    """The part as it is kept and read again, on the 3rd of April."""
    asked = Asked(customer, MARCH, start, MARCH.ends_at, day(34), {})
    with scope.customer(customer), translation.override("zh-hans"), timezone.override(ZONE):
        found = part(asked)
    (kept,) = blocks.read(blocks.written([found]))
    return kept


def figure(part: Part, key: str) -> Cell:
    return next(figure.value for figure in part.figures() if figure.key == key)


def table(part: Part, key: str) -> Table:
    return next(table for table in part.tables() if table.key == key)


def rows(part: Part, key: str) -> dict[Any, tuple[Any, ...]]:
    """Rows by their first cell."""
    return {row[0]: row[1:] for row in table(part, key).rows}


def wide_rows(part: Part, key: str, cells: int = 2) -> dict[Any, tuple[Any, ...]]:
    """Rows by their first cells."""
    return {row[:cells]: row[cells:] for row in table(part, key).rows}


def chart(part: Part, key: str) -> dict[str, dict[str, float | None]]:
    """Curves by name, values by day."""
    found = next(block for block in part.blocks if isinstance(block, Chart) and block.key == key)
    return {curve.name: dict(zip(found.labels, curve.values, strict=True)) for curve in found.curves}


def warnings(part: Part) -> list[str]:
    return [block.text for block in part.blocks if isinstance(block, blocks.Remark) and block.is_warning]


def said(part: Part, tone: str) -> str:
    return "\n".join(finding.text for finding in part.findings if finding.tone == tone)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
