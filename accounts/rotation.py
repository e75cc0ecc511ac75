"""Rotations as pure data: whose turn it is on which day and in which shift (R186). No Django.

A duty day begins at the first slot of its date and may end on the next morning: the night belongs to the day on which
it began. Where a second group is named it takes the days that are not worked, holidays and 调休 as the business
calendar has them. With turns of one day each group then counts its own days, so that nobody of it is left out or comes
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

MINUTES_PER_DAY: Final = 24 * 60
DAY: Final = timedelta(days=1)
Works = Callable[[date], bool]


class BadRotation(ValueError):
    """Slots that overlap or cannot be read, nobody in it, or turns of no length."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A shift in minutes after midnight of the duty day; the end may lie on the next day."""

    start: int
    end: int

    def on(self, day: date, tz: ZoneInfo) -> tuple[datetime, datetime]:
        return _moment(day, self.start, tz), _moment(day, self.end, tz)


@dataclass(frozen=True, slots=True)
class Rota:
    """`people` in their order, by id. In slot number s of turn number t it is the turn of person t + s."""

    first_day: date
    last_day: date | None
    tz: ZoneInfo
    slots: tuple[Slot, ...]
    days_per_turn: int
    people: tuple[int, ...]
    rest_people: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.people or not self.slots or self.days_per_turn < 1:
            raise BadRotation("a rotation needs people, slots and turns of at least a day")
        if any(earlier.end > later.start for earlier, later in pairwise(self.slots)):
            raise BadRotation("slots overlap")
        if self.slots[-1].end - self.slots[0].start > MINUTES_PER_DAY:
            raise BadRotation("the last slot runs into the first one of the next day")

    @property
    def counts_by_kind(self) -> bool:
        return bool(self.rest_people) and self.days_per_turn == 1


@dataclass(frozen=True, slots=True)
class Turn:
    person: int
    starts_at: datetime
    ends_at: datetime


def whole_day(handover: int) -> Slot:
    """From the handover to the handover of the next day."""
    return Slot(handover, handover + MINUTES_PER_DAY)


def slots_of(texts: list[str]) -> tuple[Slot, ...]:
    """`["08:00-20:00", "20:00-08:00"]`; an end that is not after its beginning is on the next day."""
    found = []
    for text in texts:
        start_text, dash, end_text = text.strip().partition("-")
        start, end = _minutes(start_text), _minutes(end_text)
        if not dash or start == MINUTES_PER_DAY:
            raise BadRotation(text)
        found.append(Slot(start, end if end > start else end + MINUTES_PER_DAY))
    return tuple(sorted(found, key=lambda slot: slot.start))


def turns(rota: Rota, first: date, last: date, works: Works) -> Iterator[Turn]:
    """The turns of the duty days from `first` to `last`, both included, in order of their slots.

    Days of one turn that follow each other without a break are one shift. Ask from the first day of a turn on
    (`turn_begins`), or the first one comes shorter than it is.
    """
    first = max(first, rota.first_day)
    last = min(last, rota.last_day) if rota.last_day else last
    for number in range(len(rota.slots)):
        yield from _joined(_days(rota, number, first, last, works))


def turn_begins(rota: Rota, day: date) -> date:
    """The first day of the turn that a day belongs to."""
    return day - timedelta(days=(day - rota.first_day).days % rota.days_per_turn)


_Piece = tuple[int, Turn]


def _days(rota: Rota, number: int, first: date, last: date, works: Works) -> Iterator[_Piece]:
    slot = rota.slots[number]
    done = {True: 0, False: 0}
    day = rota.first_day if rota.counts_by_kind else first
    while day <= last:
        is_work = works(day) or not rota.rest_people
        group = rota.people if is_work else rota.rest_people
        turn = done[is_work] if rota.counts_by_kind else (day - rota.first_day).days // rota.days_per_turn
        done[is_work] += 1
        if day >= first:
            starts_at, ends_at = slot.on(day, rota.tz)
            yield turn, Turn(group[(turn + number) % len(group)], starts_at, ends_at)
        day += DAY


def _joined(pieces: Iterator[_Piece]) -> Iterator[Turn]:
    open_turn, open_number = None, -1
    for number, piece in pieces:
        follows = open_turn is not None and (open_turn.person, open_turn.ends_at) == (piece.person, piece.starts_at)
        if open_turn is not None and follows and number == open_number:
            open_turn = Turn(piece.person, open_turn.starts_at, piece.ends_at)
            continue
        if open_turn is not None:
            yield open_turn
        open_turn, open_number = piece, number
    if open_turn is not None:
        yield open_turn


def _minutes(text: str) -> int:
    hours, colon, minutes = text.strip().partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2 and int(minutes) < 60):
        raise BadRotation(text)
    total = int(hours) * 60 + int(minutes)
    if total > MINUTES_PER_DAY:
        raise BadRotation(text)
    return total


def _moment(day: date, minutes: int, tz: ZoneInfo) -> datetime:
    days, rest = divmod(minutes, MINUTES_PER_DAY)
    return datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), tz)
