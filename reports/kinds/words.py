"""How values are written in cells and where a source's page is: what the readers of parts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.urls import reverse
from django.utils import timezone

from assets.models import Asset
from reports.blocks import Source
from reports.kinds.asking import Asked

MOST_NAMES: Final = 10


def page(asked: Asked, how: str, query: str, route: str) -> Source:
    """A source whose rows are on a list of the portal."""
    return Source(how, query, f"{reverse(route)}?customer={asked.customer.pk}")


def names_of(assets: Sequence[Asset]) -> str:
    shown = ", ".join(asset.name for asset in assets[:MOST_NAMES])
    more = len(assets) - MOST_NAMES
    return shown if more <= 0 else f"{shown} +{more}"


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def day(at: datetime | None) -> str | None:
    return None if at is None else timezone.localdate(at).isoformat()


def minute(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"
