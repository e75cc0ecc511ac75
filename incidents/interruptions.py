"""How long something was out: stretches in which alerts were open, joined where it was good for a moment. Pure.

The SOW wants an accident report when business is interrupted or abnormal for more than 30 minutes (附件 7, R115).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

REPORTED_FROM: Final = timedelta(minutes=30)
BREATH: Final = timedelta(minutes=5)
"""Good for less than this between two alerts is not good again: "非正常运行" goes on."""

Span = tuple[datetime, datetime | None]


@dataclass(frozen=True, slots=True)
class Interruption:
    """From when to when; without an end it goes on."""

    started_at: datetime
    ended_at: datetime | None

    def length(self, now: datetime) -> timedelta:
        return max((self.ended_at or now) - self.started_at, timedelta(0))

    def has_crossed(self, now: datetime) -> bool:
        """Longer than what a report is owed for."""
        return self.length(now) > REPORTED_FROM


def longest(spans: Iterable[Span], now: datetime) -> Interruption | None:
    """The longest stretch that these spans make together; of two as long the earlier."""
    stretches: list[Interruption] = []
    for started_at, ended_at in sorted(spans, key=lambda span: span[0]):
        last = stretches[-1] if stretches else None
        if last is None or (last.ended_at is not None and started_at > last.ended_at + BREATH):
            stretches.append(Interruption(started_at, ended_at))
        elif last.ended_at is not None:
            later = None if ended_at is None else max(last.ended_at, ended_at)
            stretches[-1] = Interruption(last.started_at, later)
    return max(stretches, key=lambda one: (one.length(now), -one.started_at.timestamp()), default=None)
