"""The ladder of notices before something expires (R41). Pure: dates in, at most one notice out.

Days are calendar days where the customer is. Each rung is told once; when several were passed meanwhile, because the
platform was down, only the nearest is told, and it says that it is late. What is renewed has another end, and with it
a ladder of its own.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

RUNGS = (30, 15, 7, 3, 1)
EXPIRED = 0
"""The rung at the foot of the ladder: the end itself."""
HIGHEST_RUNG = 365
MOST_RUNGS = 12


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be said now. `due_on` is the day on which it should have been said."""

    rung: int
    days_left: int
    due_on: date
    is_late: bool


@dataclass(frozen=True, slots=True)
class Clock:
    """When a customer wants to hear: at which hour of its own day, never earlier."""

    zone: ZoneInfo
    hour: int = 9


def days_left(ends_at: datetime, now: datetime, zone: ZoneInfo) -> int:
    """Nights until the day of the end; negative when it is over."""
    return (ends_at.astimezone(zone).date() - now.astimezone(zone).date()).days


def notice(
    *,
    ends_at: datetime,
    now: datetime,
    clock: Clock,
    rungs: Iterable[int] = RUNGS,
    told: Collection[int] = (),
    known_since: datetime | None = None,
) -> Notice | None:
    """The notice that is due, None when there is nothing (new) to say. ``told`` are the rungs told for this end."""
    local = now.astimezone(clock.zone)
    left = days_left(ends_at, now, clock.zone)
    if now >= ends_at:
        rung = EXPIRED
    else:
        reached = [each for each in rungs if left <= each]
        if not reached:
            return None
        rung = min(reached)
    if any(each <= rung for each in told):
        return None
    if local.hour < clock.hour and rung != EXPIRED and not _ends_before_the_hour(ends_at, local, clock):
        return None
    due_on = ends_at.astimezone(clock.zone).date() - timedelta(days=rung)
    # Where nobody noted since when it is known, an earlier notice of the same end tells that it was.
    knew = bool(told) if known_since is None else known_since.astimezone(clock.zone).date() <= due_on
    return Notice(rung, max(left, 0), due_on, is_late=knew and due_on < local.date())


def _ends_before_the_hour(ends_at: datetime, local: datetime, clock: Clock) -> bool:
    """Waiting for the hour of notices would be too late."""
    return ends_at <= local.replace(hour=clock.hour, minute=0, second=0, microsecond=0)


def checked_rungs(rungs: Iterable[int]) -> list[int]:
    """A ladder as people entered it: each rung once, the highest first. Raises ValueError."""
    found = sorted(set(rungs), reverse=True)
    if not found or len(found) > MOST_RUNGS or found[0] > HIGHEST_RUNG or found[-1] < 1:
        raise ValueError(found)
    return found
