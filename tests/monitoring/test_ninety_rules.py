"""Every rule fires at exactly its count and recovers by its own condition: one by one, and all through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from accounts import scope
from accounts.models import Customer, User
from monitoring import pipeline
from monitoring.levels import Levels, Override
from monitoring.models import Alert, RuleOverride
from monitoring.plan import Plan, SeriesFacts, build
from monitoring.rules import RULES, SOW_RULES, Comparator, Condition, Form, Rule
from tests.monitoring.samples import START, Sample, batch, server
from tests.monitoring.test_evaluate import Memory

EPS = 1e-6
EVENT_BASE = 1_700_000_000.0


@dataclass(frozen=True)
class Course:
    """What to feed a rule so that it fires at the last of `bad` and recovers at the last of `good`.

    Each point is the values of the rule's metrics. `before` are points that a change is measured against.
    """

    before: Sequence[tuple[float, ...]]
    bad: Sequence[tuple[float, ...]]
    good: Sequence[tuple[float, ...]]


def edge(condition: Condition) -> float:
    """The value nearest to the limit that still satisfies a condition."""
    step = max(abs(condition.limit) * EPS, EPS)
    return {
        Comparator.GE: condition.limit,
        Comparator.LE: condition.limit,
        Comparator.EQ: condition.limit,
        Comparator.GT: condition.limit + step,
        Comparator.LT: condition.limit - step,
        Comparator.NE: condition.limit + 1,
    }[condition.comparator]


def beyond(condition: Condition) -> float:
    """The value nearest to the limit that does not satisfy it any more."""
    step = max(abs(condition.limit) * EPS, EPS)
    return {
        Comparator.GE: condition.limit - step,
        Comparator.LE: condition.limit + step,
        Comparator.EQ: condition.limit + 1,
        Comparator.GT: condition.limit,
        Comparator.LT: condition.limit,
        Comparator.NE: condition.limit,
    }[condition.comparator]


def course(rule: Rule) -> Course:
    first = rule.conditions[0]
    if first.form is Form.CHANGE:
        return restart(rule, first)
    if first.form is Form.INCREASE:
        waits = rule.recovery_after_s // rule.period_s
        return Course([(5.0,)], [(6.0,)] * rule.times, [(6.0,)] * max(waits, rule.recovery_times))
    if first.form is Form.DIFFERENCE:
        margin = 1e6
        return Course(
            [],
            [(margin + edge(first), margin)] * rule.times,
            [(margin + edge(rule.recovery[0]), margin)] * rule.recovery_times,
        )
    bad = tuple(edge(condition) for condition in rule.conditions)
    good = (edge(rule.recovery[0]), *bad[1:])  # the first figure alone is enough to be fine again
    return Course([], [bad] * rule.times, [good] * rule.recovery_times)


def restart(rule: Rule, first: Condition) -> Course:
    """Start times jump forward and stay; uptimes and counters fall and grow again."""
    waits = rule.recovery_after_s // rule.period_s
    if first.comparator is Comparator.GT:
        after = EVENT_BASE + first.limit + 1
        return Course([(EVENT_BASE,)], [(after,)], [(after,)] * waits)
    return Course([(5000.0,)], [(12.0,)], [(12.0 + 60 * at,) for at in range(1, waits + 1)])


def plan_of(rule: Rule) -> Plan:
    facts = [SeriesFacts(at, 7, metric, "", False, "") for at, metric in enumerate(rule.metrics, 1)]
    return build({rule.id: rule}, facts, Levels((Override(rule.id, None, enabled=True),)))


def fed(memory: Memory, rule: Rule, points: Sequence[tuple[float, ...]], *, start: int) -> list[tuple[str, int]]:
    """One batch per point, at the rule's period; what opened and closed, by the number of the point."""
    moves: list[tuple[str, int]] = []
    period = rule.period_s * 1000
    for at, values in enumerate(points, start):
        found = memory.feed(*[(series, at * period, value) for series, value in enumerate(values, 1)])
        moves += [(what, ts // period) for what, ts in found]
    return moves


EVERY = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@EVERY
def test_it_fires_at_exactly_its_count_and_recovers_by_its_condition(rule: Rule) -> None:
    run, memory = course(rule), Memory.of(plan_of(rule))
    points = [*run.before, *run.bad, *run.good]
    opens, closes = len(run.before) + len(run.bad) - 1, len(points) - 1
    assert fed(memory, rule, points, start=0) == [("open", opens), ("close", closes)]


@EVERY
def test_values_just_within_bounds_never_fire(rule: Rule) -> None:
    first = rule.conditions[0]
    fine: list[tuple[float, ...]]
    if first.form is Form.CHANGE:
        fine = [(EVENT_BASE + at * 29.0,) for at in range(6)] if first.comparator is Comparator.GT else [(50.0,)] * 6
    elif first.form is Form.INCREASE:
        fine = [(5.0,)] * 6
    elif first.form is Form.DIFFERENCE:
        fine = [(1e6 + beyond(first), 1e6)] * 6
    else:
        bad = tuple(edge(condition) for condition in rule.conditions)
        fine = [(beyond(first), *bad[1:])] * 6
    assert fed(Memory.of(plan_of(rule)), rule, fine, start=0) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if rule.times > 1], ids=lambda rule: rule.id)
def test_one_point_within_bounds_begins_the_count_anew(rule: Rule) -> None:
    first, run, memory = rule.conditions[0], course(rule), Memory.of(plan_of(rule))
    fine = (1e6 + beyond(first), 1e6) if first.form is Form.DIFFERENCE else (beyond(first), *run.bad[0][1:])
    points = [*run.bad[:-1], fine, *run.bad]
    assert fed(memory, rule, points, start=0) == [("open", len(points) - 1)]


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if len(rule.metrics) == 2], ids=lambda rule: rule.id)
def test_both_figures_of_a_pair_are_needed(rule: Rule) -> None:
    run, memory = course(rule), Memory.of(plan_of(rule))
    assert fed(memory, rule, [(values[0],) for values in run.bad], start=0) == []
    assert len(memory.states) == 0


@pytest.mark.django_db
def test_all_of_them_fire_and_recover_through_the_pipeline(jia: Customer, chen: User) -> None:
    """Each rule on an asset of its own, fed all at once: one point short of firing, then the last one, and so back."""
    with scope.customer(jia):
        assets = {rule.id: server(jia, rule.id, os="") for rule in RULES.values()}
        for rule in RULES.values():
            if not rule.enabled:
                RuleOverride.objects.create(
                    customer=jia, rule_id=rule.id, enabled=True, reason="test", changed_at=START, changed_by=chen
                )
    courses = {rule: course(rule) for rule in SOW_RULES.values()}

    def points(rule: Rule, low: int, high: int) -> list[Sample]:
        """Those of the course from one number to another, each at its own moment."""
        run = courses[rule]
        every = [*run.before, *run.bad, *run.good]
        return [
            (assets[rule.id], metric, {}, START + timedelta(seconds=at * rule.period_s), value)
            for at in range(low, high)
            for metric, value in zip(rule.metrics, every[at], strict=True)
        ]

    def told() -> tuple[set[str], set[str]]:
        with scope.customer(jia):
            rows = list(Alert.objects.values_list("rule_id", "asset__name", "recovered_at"))
        own = [(rule_id, over) for rule_id, name, over in rows if rule_id == name]
        return {rule_id for rule_id, _ in own}, {rule_id for rule_id, over in own if over is not None}

    fires = {rule: len(run.before) + len(run.bad) - 1 for rule, run in courses.items()}
    ends = {rule: fires[rule] + len(run.good) for rule, run in courses.items()}
    later = START + timedelta(days=1)
    stages = (
        [(rule, 0, fires[rule]) for rule in courses],
        [(rule, fires[rule], fires[rule] + 1) for rule in courses],
        [(rule, fires[rule] + 1, ends[rule]) for rule in courses],
        [(rule, ends[rule], ends[rule] + 1) for rule in courses],
    )
    expected = [(set(), set()), (set(SOW_RULES), set()), (set(SOW_RULES), set()), (set(SOW_RULES), set(SOW_RULES))]
    for stage, wanted in zip(stages, expected, strict=True):
        samples = [sample for rule, low, high in stage for sample in points(rule, low, high)]
        pipeline.ingest(batch(jia, samples), now=later)
        assert told() == wanted
