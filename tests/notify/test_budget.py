"""What goes next when a robot may send only so much: pure rules, checked for any backlog."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from notify import budget
from notify.budget import PER_MINUTE, RESERVE, Plan, Waiting, plan
from tests.conftest import NOW

HIGH, LOW = 2, 4


def rows(*priorities: int) -> list[Waiting]:
    return [Waiting(pk, priority) for pk, priority in enumerate(priorities, start=1)]


def test_without_a_limit_everything_goes_alone() -> None:
    assert plan(rows(LOW, LOW), used=10_000, limit=None) == Plan(alone=1)


def test_a_spent_budget_waits() -> None:
    assert plan(rows(1), used=18, limit=18) == Plan()


def test_few_ordinary_messages_go_alone_and_leave_the_reserve() -> None:
    assert plan(rows(LOW, LOW), used=0, limit=18) == Plan(alone=1)
    assert plan(rows(LOW, LOW), used=18 - RESERVE, limit=18) == Plan()


def test_more_ordinary_messages_than_fit_go_as_one() -> None:
    assert plan(rows(*[LOW] * 13), used=0, limit=18) == Plan(merge=tuple(range(1, 14)))


def test_an_urgent_message_uses_the_reserve() -> None:
    assert plan(rows(HIGH, LOW, LOW), used=17, limit=18) == Plan(alone=1)


def test_the_last_place_goes_to_all_urgent_messages_together() -> None:
    assert plan(rows(1, 1, HIGH, LOW), used=17, limit=18) == Plan(merge=(1, 2, 3))


def test_a_digest_is_never_merged_again() -> None:
    waiting = [Waiting(1, 1, may_merge=False), Waiting(2, 1), Waiting(3, 1)]
    assert plan(waiting, used=17, limit=18) == Plan(merge=(2, 3))
    assert plan(waiting[:2], used=17, limit=18) == Plan(alone=1)


@given(st.lists(st.integers(1, 5), max_size=120))
def test_every_backlog_goes_out_within_two_minutes_of_budget_and_nothing_twice(priorities: list[int]) -> None:
    """Urgent ones within the first minute, the rest at the latest when the next one begins."""
    waiting = sorted(rows(*priorities), key=lambda row: (row.priority, row.pk))
    gone: list[int] = []
    for minute in range(2):
        used = 0
        while (choice := plan(waiting, used=used, limit=PER_MINUTE)) != Plan():
            taken = {choice.alone} if choice.alone is not None else set(choice.merge)
            gone += [row.pk for row in waiting if row.pk in taken]
            waiting = [row for row in waiting if row.pk not in taken]
            used += 1
        assert used <= PER_MINUTE
        if minute == 0:
            assert all(row.priority > HIGH for row in waiting)
    assert waiting == []
    assert sorted(gone) == list(range(1, len(priorities) + 1))


@given(
    gaps=st.lists(st.integers(0, 7200), max_size=60),
    limits=st.sampled_from([budget.CALLS, budget.TEXTS]),
)
def test_no_span_ever_holds_more_tries_than_its_limit(gaps: list[int], limits: tuple[budget.Limit, ...]) -> None:
    """Whoever always waits as told never exceeds a limit, however they come."""
    now = NOW
    tries: list[datetime] = []
    for gap in gaps:
        now += timedelta(seconds=gap)
        now += budget.wait_for(limits, tries, now)
        tries.append(now)
    for limit in limits:
        for first, last in zip(tries, tries[limit.most :], strict=False):
            assert last - first > limit.span


def test_a_number_that_is_free_is_not_held_up() -> None:
    assert budget.wait_for(budget.CALLS, [], NOW) == timedelta()
    assert budget.wait_for(budget.CALLS, [NOW - timedelta(seconds=62)], NOW) == timedelta()
    assert budget.wait_for(budget.CALLS, [NOW], NOW) == timedelta(seconds=61)
