"""Escalation as pure data: order, rounds, calendars, and policies that cannot be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.calendars import ALWAYS, Calendar
from accounts.models import Severity
from incidents.escalation import Policy, Problem, Step, Who, policy_of, problems, schedule
from incidents.services import policies

START = datetime(2026, 3, 6, 9, 50, tzinfo=UTC)
"""A Friday, 17:50 in Shanghai."""
OFFICE = Calendar(ZoneInfo("Asia/Shanghai"), dict.fromkeys(range(5), ((540, 720), (780, 1080))))
MINUTE = timedelta(minutes=1)

FIRST = Step(0, Who.FIRST, ("inbox",))
SECOND = Step(5, Who.SECOND, ("inbox", "email"))
MANAGER = Step(10, Who.MANAGER, ("voice",))
USUAL = Policy((FIRST, SECOND, MANAGER), "7x24", 2, 15)


def test_all_steps_of_all_rounds_are_laid_out_at_once() -> None:
    laid_out = list(schedule(USUAL, START, ALWAYS))
    assert [(due.round, due.number, (due.at - START) // MINUTE) for due in laid_out] == [
        (1, 1, 0), (1, 2, 5), (1, 3, 10), (2, 1, 15), (2, 2, 20), (2, 3, 25),
    ]  # fmt: skip


def test_working_hours_carry_a_step_over_the_weekend() -> None:
    laid_out = list(
        schedule(replace(USUAL, hours="5x8", rounds=1, steps=(FIRST, replace(SECOND, after_minutes=30))), START, OFFICE)
    )
    assert laid_out[0].at == START
    assert laid_out[1].at == datetime(2026, 3, 9, 1, 20, tzinfo=UTC), "10 minutes on Friday, 20 on Monday from nine"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"steps": ()}, Problem.NO_STEPS),
        ({"steps": (FIRST,) * 13}, Problem.TOO_MANY),
        ({"steps": (FIRST, SECOND, replace(MANAGER, after_minutes=-1))}, Problem.TIME),
        ({"steps": (FIRST, SECOND, replace(MANAGER, after_minutes=99999))}, Problem.TIME),
        ({"steps": (FIRST, SECOND, replace(MANAGER, media=()))}, Problem.NO_MEDIUM),
        ({"steps": (FIRST, SECOND, MANAGER, Step(3, Who.PEOPLE, ("inbox",)))}, Problem.NO_PEOPLE),
        ({"rounds": 0}, Problem.ROUNDS),
        ({"rounds": 11}, Problem.ROUNDS),
        ({"round_minutes": 10}, Problem.ROUND_TOO_SHORT),
        ({"steps": (FIRST, MANAGER)}, Problem.DUTY_MISSING),
    ],
)
def test_a_policy_that_cannot_be_says_why(change: dict[str, object], problem: Problem) -> None:
    assert problem in problems(replace(USUAL, **change))  # type: ignore[arg-type]  # fields of the dataclass


def test_a_usable_policy_has_no_problems_and_one_round_needs_no_length() -> None:
    assert problems(USUAL) == []
    assert problems(replace(USUAL, rounds=1, round_minutes=0)) == []


def test_the_policies_that_the_platform_brings_call_all_three_duties_at_every_severity() -> None:
    brought = policies.brought_along()
    assert set(brought) == set(Severity)
    for policy in brought.values():
        assert problems(policy) == []
    worst = [min(step.after_minutes for step in brought[level].steps if step.who is Who.MANAGER) for level in Severity]
    assert worst == sorted(worst), "the worse it is, the sooner the manager knows"
    assert all(wait < 15 for wait in worst[:3]), "within the fifteen minutes of the response"


MEDIA = st.lists(st.sampled_from(["inbox", "email", "sms"]), min_size=1, unique=True).map(tuple)
STEPS = st.builds(Step, st.integers(0, 600), st.sampled_from(Who), MEDIA, st.lists(st.integers(1, 9)).map(tuple))


@given(
    st.builds(
        Policy,
        st.lists(STEPS, min_size=1, max_size=6).map(tuple),
        st.sampled_from(["7x24", "5x8"]),
        st.integers(1, 4),
        st.integers(601, 900),
    )
)
def test_what_is_stored_comes_back_and_no_two_steps_of_a_run_are_one(policy: Policy) -> None:
    stored = {"steps": [step.as_json() for step in policy.steps], "hours": policy.hours}
    assert policy_of(stored | {"rounds": policy.rounds, "round_minutes": policy.round_minutes}) == policy
    laid_out = list(schedule(policy, START, OFFICE if policy.hours == "5x8" else ALWAYS))
    assert len({(due.round, due.number) for due in laid_out}) == policy.rounds * len(policy.steps) == len(laid_out)
    assert all(due.at >= START for due in laid_out)
