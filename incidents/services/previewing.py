"""Who would be called, when and how, if an incident began to wait at some moment: asked before it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from accounts.models import Customer
from incidents import duty, escalation
from incidents.escalation import Due, Policy, Who
from incidents.services.policies import calendar_for
from notify import services as notify

SHOWN: Final = 24


@dataclass(frozen=True, slots=True)
class Person:
    """By which of the media of a step somebody can be told, and why not by the others."""

    name: str
    phone: str
    media: tuple[str, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One step as it would fire. `stands_in`: nobody has that duty then, and these people answer for it."""

    due: Due
    people: tuple[Person, ...]
    stands_in: bool

    @property
    def who(self) -> Who:
        return self.due.step.who


def preview(*, policy: Policy, customer: Customer, start: datetime) -> list[Call]:
    """The first calls of a policy; the roster is asked as it is planned now."""
    dues = list(islice(escalation.schedule(policy, start, calendar_for(policy, customer)), SHOWN))
    reached = [
        duty.called(who=due.step.who, people=due.step.people, customer_id=customer.pk, is_internal=False, at=due.at)
        for due in dues
    ]
    nothing = notify.Message("incident", "")
    notes = [
        notify.Note(person, "", nothing, _offered(due), called.numbers.get(person.pk, ""))
        for due, called in zip(dues, reached, strict=True)
        for person in called.people
    ]
    ways = notify.ways_to(notes)
    found = iter(notes)
    return [
        Call(due, tuple(_person(due, next(found), ways) for _one in called.people), called.stands_in)
        for due, called in zip(dues, reached, strict=True)
    ]


def _offered(due: Due) -> list[str]:
    return [medium for medium in due.step.media if medium in notify.PERSONAL]


def _person(due: Due, note: notify.Note, ways: notify.Ways) -> Person:
    obstacles = {
        medium: ways.obstacle(note, medium) if medium in notify.PERSONAL else "not set up" for medium in due.step.media
    }
    media = tuple(medium for medium, obstacle in obstacles.items() if not obstacle)
    missing = {medium: obstacle for medium, obstacle in obstacles.items() if obstacle}
    return Person(note.user.name, note.number or note.user.phone, media, missing)
