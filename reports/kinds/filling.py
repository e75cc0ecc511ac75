"""When a disk will be full, as it looked at the end of a report's stretch (`monitoring.forecast`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from django.utils import timezone

from monitoring.forecast import Confidence, Forecast, to_full
from monitoring.models import Outlook
from reports import figures
from reports.kinds.asking import Asked
from reports.kinds.readings import Reading

FULL: Final = 100.0
SOON_DAYS: Final = 30.0
LOOK_BACK_MS: Final = 14 * figures.DAY_MS
STEP_MS: Final = 3 * 3_600_000
"""Pairs of points grow with the square, and a disk fills in days."""


def forecast(asked: Asked, reading: Reading) -> Forecast | None:
    """Of a share in use, in per cent: the trend of its last two weeks; None with less than three days."""
    kept = reading.rollup
    if not len(kept.ts):
        return None
    recent = kept.ts >= _ms(asked.until) - LOOK_BACK_MS
    ts, used = figures.coarser(kept.ts[recent], kept.mean[recent], kept.count[recent], STEP_MS)
    return to_full(ts, used, limit=FULL)


def days_left(found: Forecast | None, at: datetime) -> float | None:
    """None for what does not fill within a year, and for guesses."""
    if found is None or found.confidence is Confidence.LOW:
        return None
    return found.days_left(_ms(at))


def full_on(found: Forecast | None) -> str | None:
    """The day in Shanghai, ISO 8601."""
    if found is None or found.full is None:
        return None
    return f"{timezone.localtime(datetime.fromtimestamp(found.full / 1000, UTC)):%Y-%m-%d}"


def confidence(found: Forecast | None) -> str:
    if found is None or found.full is None:
        return ""
    return str(Outlook.Confidence(found.confidence.value).label)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
