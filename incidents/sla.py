"""The clock arithmetic of service levels: working time between two moments, and the moment a duration ends.

Pure. Both directions read the same pieces of time, so they cannot disagree:
``elapsed(start, add(start, d, cal, pauses), cal, pauses) == d`` for every calendar and every set of pauses.

Rules:
- every moment is aware; the calendar alone knows the wall clock (its own zone);
- intervals are half-open, ``[start, end)``: two that touch count once, midnight loses nothing;
- pauses belong to the incident and are kept as raw intervals; the calendar clips them when they are summed;
- ``add`` gives the *earliest* moment at which the duration has run, so a deadline at closing time is today's
  closing time and not tomorrow's opening.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from accounts.calendars import Calendar, Interval

# A calendar without an hour of work for this long has none at all.
BARREN_DAYS = 3 * 366


@dataclass(frozen=True, slots=True)
class Pause:
    """A stretch in which the clock stands still; `end` is None while it lasts."""

    start: datetime
    end: datetime | None

    def __post_init__(self) -> None:
        _require_aware(self.start)
        if self.end is not None:
            _require_aware(self.end)
            if self.end < self.start:
                raise ValueError("a pause cannot end before it starts")


class NeverDueError(ValueError):
    """The duration never ends: the clock is paused without end, or the calendar has no working time."""


def elapsed(a: datetime, b: datetime, calendar: Calendar, pauses: Iterable[Pause] = ()) -> timedelta:
    """Working time in ``[a, b)`` without the pauses; zero when b is not after a."""
    _require_aware(a)
    _require_aware(b)
    total = timedelta()
    if b <= a:
        return total
    for start, end in _running(a, calendar, pauses, until=b):
        total += end - start
    return total


def add(start: datetime, duration: timedelta, calendar: Calendar, pauses: Iterable[Pause] = ()) -> datetime:
    """The earliest moment at which `duration` of working time has passed since `start` (UTC).

    Raises NeverDueError when that moment does not exist.
    """
    _require_aware(start)
    if duration < timedelta():
        raise ValueError("a duration cannot be negative")
    if not duration:
        return start.astimezone(UTC)
    left = duration
    for begin, end in _running(start, calendar, pauses, until=None):
        if end - begin >= left:
            return begin + left
        left -= end - begin
    raise NeverDueError("the clock never reaches this duration")


def next_open(moment: datetime, calendar: Calendar) -> datetime:
    """`moment` when the calendar is at work, else its next opening: reminders wait for it, breaches do not (T7)."""
    _require_aware(moment)
    for begin, _end in _running(moment, calendar, (), until=None):
        return begin
    raise NeverDueError("this calendar has no working time")


def end_of_working_day(start: datetime, days: int, calendar: Calendar) -> datetime:
    """Closing time of the `days`-th working day after the local day of `start` (UTC).

    "Two working days" end there (Q5): whoever is asked has the whole of each day (T10). Raises NeverDueError when the
    calendar has not so many.
    """
    _require_aware(start)
    if days < 1:
        raise ValueError("at least one working day is counted")
    day, left, barren = calendar.local_day(start), days, 0
    while barren <= BARREN_DAYS:
        day += timedelta(days=1)
        intervals = calendar.intervals(day)
        barren = 0 if intervals else barren + 1
        left -= bool(intervals)
        if not left:
            return intervals[-1][1]
    raise NeverDueError("this calendar has not so many working days")


def share_of(
    start: datetime, target: timedelta, share: float, calendar: Calendar, pauses: Iterable[Pause] = ()
) -> datetime:
    """When `share` (0..1) of the target is used up, counted on the same calendar as the target itself."""
    if not 0 <= share <= 1:
        raise ValueError("a share lies between 0 and 1")
    return add(start, target * share, calendar, pauses)


def paused(a: datetime, b: datetime, calendar: Calendar, pauses: Iterable[Pause]) -> timedelta:
    """Working time in ``[a, b)`` during which the clock stood still."""
    kept = list(pauses)
    return elapsed(a, b, calendar) - elapsed(a, b, calendar, kept)


def is_provisional(a: datetime, b: datetime, calendar: Calendar) -> bool:
    """True when the answer for ``[a, b]`` rests on a year whose holidays are not known yet (T13)."""
    _require_aware(a)
    _require_aware(b)
    years = range(calendar.local_day(a).year, calendar.local_day(b).year + 1)
    return not calendar.is_always and any(year not in calendar.known_years for year in years)


def _running(
    start: datetime, calendar: Calendar, pauses: Iterable[Pause], until: datetime | None
) -> Iterator[Interval]:
    """The pieces of time from `start` on in which the clock runs, in order, in UTC."""
    stops = _merged(pauses)
    for opening, end in _worked(start.astimezone(UTC), calendar, until.astimezone(UTC) if until else None):
        begin = opening
        for stop_begin, stop_end in stops:
            if stop_end is not None and stop_end <= begin:
                continue
            if stop_begin >= end:
                break
            if stop_begin > begin:
                yield begin, stop_begin
            if stop_end is None:
                return
            begin = min(stop_end, end)
        if begin < end:
            yield begin, end
        if stops and stops[-1][1] is None and stops[-1][0] <= end:
            return


def _worked(start: datetime, calendar: Calendar, until: datetime | None) -> Iterator[Interval]:
    """Working intervals from `start` to `until`; gives up after years without one."""
    if calendar.is_always:
        yield start, until or datetime.max.replace(tzinfo=UTC)
        return
    day = calendar.local_day(start)
    barren = 0
    while until is None or day <= calendar.local_day(until):
        barren += 1
        for opening, closing in calendar.intervals(day):
            begin = max(opening, start)
            end = closing if until is None else min(closing, until)
            if begin < end:
                barren = 0
                yield begin, end
        if until is None and barren > BARREN_DAYS:
            return
        day += timedelta(days=1)


def _merged(pauses: Iterable[Pause]) -> list[tuple[datetime, datetime | None]]:
    """Pauses in UTC, sorted, overlapping ones joined; at most the last has no end."""
    merged: list[tuple[datetime, datetime | None]] = []
    for pause in sorted(pauses, key=lambda each: each.start):
        begin = pause.start.astimezone(UTC)
        end = pause.end.astimezone(UTC) if pause.end else None
        if merged:
            last_begin, last_end = merged[-1]
            if last_end is None:
                break
            if begin <= last_end:
                merged[-1] = (last_begin, None if end is None else max(last_end, end))
                continue
        merged.append((begin, end))
    return merged


def _require_aware(moment: datetime) -> None:
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError("service-level arithmetic needs aware moments")
