"""The twelve months over all customers in reach, kept for ten minutes: they are counted from every clock of a year."""

from hashlib import sha256
from typing import Final

from django.core.cache import cache

from accounts import scope
from incidents import results
from incidents.models import Clock
from incidents.months import Month

KEPT_S: Final = 600

Row = tuple[str, int, dict[str, float | None], float | None]
"""A `results.Point` in plain values: what an older version of the platform kept stays readable."""


def trend(last: Month) -> list[results.Point]:
    """As `results.trend`. Those who reach the same customers share what is kept."""
    customers = sha256(scope.required().setting.encode()).hexdigest()
    key = f"sla-trend:{last}:{customers}"
    rows: list[Row] | None = cache.get(key)
    if rows is None:
        rows = _counted(last)
        cache.set(key, rows, KEPT_S)
    return [
        results.Point(Month.parse(month), incidents, {Clock.Kind(kind): share for kind, share in shares.items()}, mean)
        for month, incidents, shares, mean in rows
    ]


def _counted(last: Month) -> list[Row]:
    return [
        (
            str(point.month),
            point.incidents,
            {kind.value: share for kind, share in point.shares.items()},
            None if point.content is None else float(point.content),
        )
        for point in results.trend(last)
    ]
