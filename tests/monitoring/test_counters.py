"""Counters as rates: growth is never negative, a wrap is growth, a restart begins at zero."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitoring.collectors.counters import LONGEST_S, Counters, increase

COUNTS = st.integers(0, 2**64 - 1)
WIDTHS = st.sampled_from((2**32, 2**64))


@given(COUNTS, COUNTS)
def test_growth_is_never_negative_and_never_more_than_possible(before: int, now: int) -> None:
    grown = increase(before, now)
    assert 0 <= grown < 2**64
    if now >= before:
        assert grown == now - before


@given(WIDTHS, st.integers(1, 2**30), st.integers(0, 2**30 - 1))
def test_a_wrap_is_the_growth_across_it(width: int, below: int, above: int) -> None:
    assert increase(width - below, above) == below + above


@given(st.integers(1, 2**31), st.integers(0, 2**31))
def test_a_counter_that_sank_from_the_middle_began_again(before: int, now: int) -> None:
    assume(now < before)
    assert increase(before, now) == now


@given(COUNTS, COUNTS)
def test_a_known_restart_counts_from_zero(before: int, now: int) -> None:
    assert increase(before, now, restarted=True) == now


@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=20), WIDTHS)
def test_the_rates_of_a_steady_counter_add_up_to_what_was_counted(steps: list[int], width: int) -> None:
    count, total = width - 2**22, 0.0
    state: dict[str, Any] = {}
    for at, step in enumerate([0, *steps]):
        count += step
        counters = Counters(state, at=at * 60.0)
        total += (counters.rate("requests", count % width) or 0.0) * 60
        state = json.loads(json.dumps(counters.state))
    assert total == pytest.approx(sum(steps))


def test_a_new_life_is_told_by_its_epoch_even_when_the_counter_grew() -> None:
    before = Counters({}, at=0)
    before.of_life("boot-1")
    before.rate("requests", 10)
    after = Counters(before.state, at=60)
    after.of_life("boot-2")
    assert after.has_restarted
    assert after.rate("requests", 30) == 0.5


def test_a_first_look_and_one_after_a_long_silence_give_no_rate() -> None:
    first = Counters({}, at=0)
    assert first.rate("requests", 5) is None
    late = Counters(first.state, at=LONGEST_S + 1)
    assert late.rate("requests", 50) is None
    assert Counters(late.state, at=LONGEST_S + 61).rate("requests", 110) == 1.0


def test_a_look_too_soon_keeps_the_earlier_one_to_measure_from() -> None:
    first = Counters({}, at=100)
    first.rate("requests", 5)
    hasty = Counters(first.state, at=100.1)
    assert hasty.rate("requests", 6) is None
    assert hasty.state == first.state


def test_a_counter_that_sank_within_one_life_has_no_rate() -> None:
    before = Counters({}, at=1000)
    before.began_at(500)
    before.rate("cpu_s", 100)
    after = Counters(before.state, at=1060)
    after.began_at(503)
    assert not after.has_restarted
    assert after.rate("cpu_s", 99) is None
    again = Counters(after.state, at=1120)
    again.began_at(1100)
    assert again.has_restarted
    assert again.rate("cpu_s", 3) == 3 / 60
