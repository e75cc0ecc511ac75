"""How values are written in cells and where a source's page is: what the readers of parts have in common."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from reports.blocks import Source
from reports.kinds.asking import Asked
from reports.kinds.readings import listed


def page(asked: Asked, how: str, query: str, route: str) -> Source:
    """A source whose rows are on a list of the portal."""
    return Source(how, query, listed(asked, route))


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def day(at: datetime | None) -> str | None:
    return None if at is None else timezone.localdate(at).isoformat()


def minute(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"
