"""How many series a customer may have of what others name: a mistake, or malice, must not fill the database."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings

from monitoring import registry
from monitoring.collectors import SeriesKey
from monitoring.models import Series


def beyond(customer_id: int, keys: Collection[SeriesKey]) -> set[SeriesKey]:
    """Those of these keys that would be one too many; the series that are there go on. Needs the customer's scope."""
    known = registry.memory_of(customer_id).ids
    strange = [key for key in dict.fromkeys(keys) if key not in known]
    if not strange:
        return set()
    mine = Series.objects.filter(customer_id=customer_id)
    assets = {key[1] for key in strange}
    there = set(mine.filter(asset_id__in=assets).values_list("asset_id", "metric", "labels"))
    new = [key for key in strange if key[1:] not in there]
    return set(new[max(settings.REMOTE_SERIES - mine.count(), 0) :])
