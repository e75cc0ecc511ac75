"""Escalation as pure data: who is called, how, when, and how often again (SOW "问题升级方案", R62, R63). No Django.

A policy counts from the moment in which an incident begins to wait for somebody. Its steps are laid out in full at that
moment, every round of them, so that nothing which is edited later moves a step that is already on its way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from accounts.calendars import Calendar
from incidents import sla

MOST_STEPS: Final = 12
MOST_ROUNDS: Final = 10
LONGEST_MINUTES: Final = 7 * 24 * 60


class Who(StrEnum):
    """Whom a step calls; who that is at the moment is asked of the roster when the step fires."""

    FIRST = "first"
    SECOND = "second"
    MANAGER = "manager"
    PEOPLE = "people"
    CUSTOMER_PM = "customer_pm"
    CUSTOMER_PRIMARY = "customer_primary"
    CUSTOMER_SECONDARY = "customer_secondary"


class Problem(StrEnum):
    """Why a policy cannot be."""

    NO_STEPS = "no_steps"
    TOO_MANY = "too_many"
    TIME = "time"
    NO_MEDIUM = "no_medium"
    NO_PEOPLE = "no_people"
    ROUNDS = "rounds"
    ROUND_TOO_SHORT = "round_too_short"
    DUTY_MISSING = "duty_missing"


OWN_SIDE: Final = (Who.FIRST, Who.SECOND, Who.MANAGER)
"""The three whom the statement of work always wants in it."""
BUSINESS: Final = "5x8"


@dataclass(frozen=True, slots=True)
class Step:
    """`after_minutes` is counted from the beginning of the round; `people` are ids, for PEOPLE alone."""

    after_minutes: int
    who: Who
    media: tuple[str, ...]
    people: tuple[int, ...] = ()

    def as_json(self) -> dict[str, object]:
        said: dict[str, object] = {
            "after_minutes": self.after_minutes,
            "who": self.who.value,
            "media": list(self.media),
        }
        return said | ({"people": list(self.people)} if self.people else {})


@dataclass(frozen=True, slots=True)
class Policy:
    """`hours` as in the contract: "7x24", or "5x8" where minutes count only while the business calendar works."""

    steps: tuple[Step, ...]
    hours: str
    rounds: int
    round_minutes: int


@dataclass(frozen=True, slots=True)
class Due:
    """One step of one round with its moment. Rounds and numbers begin with 1."""

    round: int
    number: int
    step: Step
    at: datetime


def policy_of(said: Mapping[str, object]) -> Policy:
    """A policy out of what `as_json` of its steps and the data file say. Raises ValueError, KeyError or TypeError."""
    steps = said["steps"]
    if not isinstance(steps, list):
        raise TypeError("steps must be a list")
    return Policy(
        tuple(
            Step(int(one["after_minutes"]), Who(one["who"]), tuple(one["media"]), tuple(one.get("people", ())))
            for one in steps
        ),
        str(said["hours"]),
        int(str(said["rounds"])),
        int(str(said["round_minutes"])),
    )


def problems(policy: Policy) -> list[Problem]:
    """What is wrong with a policy; empty when it can be used."""
    steps = policy.steps
    if not steps:
        return [Problem.NO_STEPS]
    found = {
        Problem.TOO_MANY: len(steps) > MOST_STEPS,
        Problem.TIME: any(not 0 <= step.after_minutes <= LONGEST_MINUTES for step in steps),
        Problem.NO_MEDIUM: any(not step.media for step in steps),
        Problem.NO_PEOPLE: any(step.who is Who.PEOPLE and not step.people for step in steps),
        Problem.ROUNDS: not 1 <= policy.rounds <= MOST_ROUNDS,
        Problem.ROUND_TOO_SHORT: policy.rounds > 1
        and not max(step.after_minutes for step in steps) < policy.round_minutes <= LONGEST_MINUTES,
        Problem.DUTY_MISSING: bool(set(OWN_SIDE) - {step.who for step in steps}),
    }
    return [problem for problem, is_so in found.items() if is_so]


def in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """As they will fire; those of one minute stay as they were written."""
    return tuple(sorted(steps, key=lambda step: step.after_minutes))


def schedule(policy: Policy, start: datetime, calendar: Calendar) -> Iterator[Due]:
    """Every step of every round with its moment, counted on the calendar."""
    for turn in range(policy.rounds):
        for number, step in enumerate(policy.steps, 1):
            minutes = turn * policy.round_minutes + step.after_minutes
            at = start if minutes == 0 else sla.add(start, timedelta(minutes=minutes), calendar)
            yield Due(turn + 1, number, step, at)
