"""Replaying the past: the same alerts as live data made, and for each point what became of it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.levels import Levels, Override
from monitoring.plan import Plan, SeriesFacts, build
from monitoring.replay import Step, Verdict, Why, run, trace
from monitoring.rules import RULES
from monitoring.storage import Column
from tests.monitoring.test_evaluate import MINUTE, MIXED, Memory, Sample, plan_for
from tests.monitoring.test_levels import scheduled


def column(values: Sequence[tuple[int, float]]) -> Column:
    return Column(np.array([ts for ts, _ in values], np.int64), np.array([value for _, value in values], np.float64))


def columns(samples: Sequence[Sample]) -> dict[int, Column]:
    found: dict[int, dict[int, float]] = {}
    for series, ts, value in samples:
        found.setdefault(series, {})[ts] = value
    return {series: column(sorted(points.items())) for series, points in found.items()}


def told(steps: Sequence[Step]) -> list[str]:
    return [str(step.why) for step in steps]


def traced(rule: str, *values: float, every: int = MINUTE, levels: Levels | None = None) -> list[Step]:
    metrics = RULES[rule].metrics
    plan = build({rule: RULES[rule]}, [SeriesFacts(1, 7, metrics[0], "", False, "linux")], levels)
    return trace(plan, 0, column([(at * every, value) for at, value in enumerate(values)]))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 10), st.integers(0, 400), st.sampled_from([0.0, 84.0, 87.0, 95.0])), max_size=80)
)
def test_a_replay_makes_the_alerts_that_live_data_made(points: list[tuple[int, int, float]]) -> None:
    plan = plan_for(*MIXED, per_rule=2)
    samples = [(series, at * 30_000, value) for series, at, value in points]
    moved = Memory.of(plan).transitions(*samples)
    live = sorted((int(b), int(ts)) for b, ts, up in zip(moved.binding, moved.ts, moved.opens, strict=True) if up)
    ended = sorted((int(b), int(ts)) for b, ts, up in zip(moved.binding, moved.ts, moved.opens, strict=True) if not up)
    spans = run(plan, columns(samples), dict.fromkeys(range(1, 11), 7))
    assert sorted((span.binding, span.opened) for span in spans) == live
    assert sorted((span.binding, span.closed) for span in spans if span.closed is not None) == ended


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from([0.0, 84.0, 87.0, 95.0])), max_size=60))
def test_a_trace_opens_and_closes_where_a_replay_does(points: list[tuple[int, float]]) -> None:
    plan = plan_for("ecs-cpu-util")
    values = column(sorted({ts * 30_000: value for ts, value in points}.items()))
    steps = trace(plan, 0, values)
    spans = run(plan, {1: values}, {1: 7})
    assert [step.ts for step in steps if step.why is Why.OPENS] == [span.opened for span in spans]
    assert [step.ts for step in steps if step.why is Why.CLOSES] == [s.closed for s in spans if s.closed is not None]
    assert len(steps) == len(values.ts)


def test_a_replay_leaves_nothing_behind() -> None:
    plan = plan_for("ecs-cpu-util")
    figures = columns([(1, at * MINUTE, 95.0) for at in range(10)])
    assert run(plan, figures, {1: 7}) == run(plan, figures, {1: 7})
    assert len(run(plan, figures, {1: 7})) == 1


def test_three_bad_points_are_counted_and_the_third_opens() -> None:
    assert told(traced("ecs-cpu-util", 95, 95, 95, 95)) == ["counted", "counted", "opens", "open_already"]


def test_a_good_point_ends_the_run_and_is_fine_afterwards() -> None:
    assert told(traced("ecs-cpu-util", 95, 95, 50, 50)) == ["counted", "counted", "ends_run", "fine"]


def test_points_closer_than_the_period_do_not_count() -> None:
    steps = traced("ecs-cpu-util", 95, 95, 95, 95, every=15_000)
    assert told(steps) == ["counted", "too_soon", "too_soon", "counted"]
    assert [step.bad for step in steps] == [1, 1, 1, 2]


def test_recovery_is_counted_and_the_margin_between_holds() -> None:
    steps = traced("ecs-cpu-util", 95, 95, 95, 87, 80, 80, 80)
    assert told(steps)[3:] == ["holds", "mends", "mends", "closes"]
    assert steps[3].verdict is Verdict.BETWEEN


def test_a_counter_waits_its_ten_minutes() -> None:
    steps = traced("phpfpm-max-children", 5, 6, *[6] * 10)
    assert told(steps) == ["not_judged", "opens", *["waits"] * 9, "closes"]


def test_a_long_gap_is_shown_and_the_run_begins_anew() -> None:
    plan = plan_for("ecs-cpu-util")
    steps = trace(plan, 0, column([(0, 95.0), (MINUTE, 95.0), (12 * MINUTE, 95.0)]))
    assert told(steps) == ["counted", "counted", "begins_anew"]
    assert [step.gap_ms for step in steps] == [None, None, 11 * MINUTE]


def test_outside_the_schedule_a_full_count_sleeps() -> None:
    steps = trace(scheduled(), 0, column([(at * MINUTE, 95.0) for at in range(4)]))
    assert told(steps) == ["counted", "counted", "asleep", "asleep"]


def test_half_a_pair_is_not_judged() -> None:
    plan = plan_for("host-fs-free-5")
    full = column([(at * MINUTE, 3.0) for at in range(4)])
    bytes_free = column([(at * MINUTE, 4e9) for at in (0, 1, 3)])
    assert told(trace(plan, 0, full, bytes_free)) == ["counted", "counted", "not_judged", "opens"]


@pytest.mark.parametrize(("threshold", "count"), [(90.0, 0), (60.0, 1), (40.0, 2)])
def test_a_threshold_is_tried_before_it_is_set(threshold: float, count: int) -> None:
    facts = [SeriesFacts(1, 7, "ecs.cpu.util", "", True, "linux")]
    tried = Levels((Override("ecs-cpu-util", None, thresholds=(threshold,)),))
    plan: Plan = build({"ecs-cpu-util": RULES["ecs-cpu-util"]}, facts, tried)
    values = [50.0] * 5 + [10.0] * 5 + [70.0] * 5 + [10.0] * 5
    assert len(run(plan, columns([(1, at * MINUTE, value) for at, value in enumerate(values)]), {1: 7})) == count
