"""Counting "连续三次": the vectorised evaluation against a plain one that walks point by point."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.evaluate import PATIENCE, SPACING, Points, States, Transitions, fold, judge
from monitoring.levels import Levels, Override
from monitoring.plan import Plan, SeriesFacts, build
from monitoring.rules import RULES, Rule

MINUTE = 60_000
Sample = tuple[int, int, float]
"""series, ts in ms, value"""


def plan_for(*rule_ids: str, overrides: Sequence[Override] = (), per_rule: int = 1, **asset: object) -> Plan:
    """Each rule on its own series: ids 1, 2, … in the order of the rules' metrics."""
    names = [(thing, metric) for thing in range(per_rule) for rule in rule_ids for metric in RULES[rule].metrics]
    seen = list(dict.fromkeys(names))
    facts = [
        SeriesFacts(at + 1, 7, metric, f'thing="{thing}"', bool(asset.get("is_ecs")), str(asset.get("os", "linux")))
        for at, (thing, metric) in enumerate(seen)
    ]
    return build({rule: RULES[rule] for rule in rule_ids}, facts, Levels(overrides))


@dataclass
class Memory:
    """What the pipeline keeps between batches."""

    plan: Plan
    heads: dict[int, tuple[int, float]]
    states: States

    @classmethod
    def of(cls, plan: Plan) -> "Memory":
        return cls(plan, {}, States.none())

    def feed(self, *samples: Sample) -> list[tuple[str, int]]:
        """One batch in, as the pipeline does it; returns ("open" or "close", ts) in order of time."""
        moved = self.transitions(*samples)
        return [("open" if up else "close", int(ts)) for up, ts in zip(moved.opens, moved.ts, strict=True)]

    def transitions(self, *samples: Sample) -> Transitions:
        fresh = sorted({(s, t): v for s, t, v in samples if t > self.heads.get(s, (-1, 0.0))[0]}.items())
        before: dict[int, float] = {series: value for series, (_, value) in self.heads.items()}
        prev = []
        for (series, _), value in fresh:
            prev.append(before.get(series, np.nan))
            before[series] = value
        heads = sorted(self.heads.items())
        points = Points(
            series=np.array([s for (s, _), _ in fresh], dtype=np.int32),
            ts=np.array([t for (_, t), _ in fresh], dtype=np.int64),
            value=np.array([v for _, v in fresh]),
            prev=np.array(prev, dtype=np.float64),
            head_series=np.array([s for s, _ in heads], dtype=np.int32),
            head_ts=np.array([t for _, (t, _) in heads], dtype=np.int64),
            head_value=np.array([v for _, (_, v) in heads], dtype=np.float64),
        )
        touched, transitions = fold(self.plan, judge(self.plan, points), self.states)
        self.states = self.states.replaced(touched)
        for (series, ts), value in fresh:
            self.heads[series] = (ts, value)
        return transitions


def minutes(series: int, *values: float, start: int = 0) -> list[Sample]:
    return [(series, (start + at) * MINUTE, value) for at, value in enumerate(values)]


def test_three_bad_points_in_a_row_open_an_alert() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    assert memory.feed(*minutes(1, 95, 96)) == []
    assert memory.feed(*minutes(1, 97, start=2)) == [("open", 2 * MINUTE)]


def test_two_bad_points_and_a_good_one_open_nothing() -> None:
    assert Memory.of(plan_for("ecs-cpu-util")).feed(*minutes(1, 95, 96, 50, 95, 96)) == []


def test_the_same_point_read_three_times_counts_once() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    for _ in range(3):
        assert memory.feed(*minutes(1, 95)) == []
    assert memory.states.bad.tolist() == [1]


def test_a_late_batch_of_three_points_counts_three() -> None:
    assert Memory.of(plan_for("ecs-cpu-util")).feed(*minutes(1, 95, 95, 95)) == [("open", 2 * MINUTE)]


def test_points_in_the_wrong_order_within_a_batch_are_put_right() -> None:
    assert Memory.of(plan_for("ecs-cpu-util")).feed(*reversed(minutes(1, 50, 95, 95, 95))) == [("open", 3 * MINUTE)]


def test_a_point_older_than_the_newest_is_not_judged() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    memory.feed(*minutes(1, 95, 95, start=5))
    assert memory.feed((1, 2 * MINUTE, 95.0)) == []
    assert memory.states.bad.tolist() == [2]


def test_a_missing_period_neither_counts_nor_ends_the_run() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    memory.feed(*minutes(1, 95, 95))
    assert memory.feed((1, 6 * MINUTE, 95.0)) == [("open", 6 * MINUTE)]


def test_after_a_long_gap_the_run_begins_anew() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    memory.feed(*minutes(1, 95, 95))
    assert memory.feed((1, (2 + PATIENCE) * MINUTE, 95.0)) == []
    assert memory.states.bad.tolist() == [1]


def test_silence_never_resolves_an_alert() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    memory.feed(*minutes(1, 95, 95, 95))
    assert memory.feed((1, 600 * MINUTE, 95.0)) == []
    assert memory.states.firing.tolist() == [True]


def test_finer_data_does_not_make_a_minute_rule_fire_sooner_than_three_checks() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    opened = memory.feed(*[(1, at * 15_000, 95.0) for at in range(20)])
    assert opened == [("open", 90_000)]


def test_a_poll_that_comes_a_little_early_still_counts() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    assert memory.feed((1, 0, 95.0), (1, 55_000, 95.0), (1, 118_000, 95.0)) == [("open", 118_000)]


def test_recovery_needs_the_same_count_below_the_margin() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    memory.feed(*minutes(1, 95, 95, 95))
    assert memory.feed(*minutes(1, 84, 84, start=3)) == []
    assert memory.feed(*minutes(1, 84, start=5)) == [("close", 5 * MINUTE)]
    assert len(memory.states) == 0


def test_between_the_two_conditions_a_firing_alert_stays() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    memory.feed(*minutes(1, 95, 95, 95))
    assert memory.feed(*minutes(1, 84, 84, 87, 84, 84, 88, start=3)) == []
    assert memory.feed(*minutes(1, 84, 84, 84, start=9)) == [("close", 11 * MINUTE)]


def test_a_series_that_is_fine_leaves_no_state() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util"))
    memory.feed(*minutes(1, 10, 95, 10))
    assert len(memory.states) == 0


def test_both_conditions_of_a_compound_rule_must_hold_on_the_same_filesystem() -> None:
    memory = Memory.of(plan_for("host-fs-free-5"))
    full, roomy = 4 * 1024.0**3, 400 * 1024.0**3
    assert memory.feed(*minutes(1, 3, 3, 3), *minutes(2, roomy, roomy, roomy)) == []
    assert memory.feed(*minutes(1, 3, 3, 3, start=3), *minutes(2, full, full, full, start=3)) == [("open", 5 * MINUTE)]


def test_a_compound_rule_recovers_when_either_figure_is_fine_again() -> None:
    memory = Memory.of(plan_for("host-fs-free-5"))
    full, roomy = 4 * 1024.0**3, 400 * 1024.0**3
    memory.feed(*minutes(1, 3, 3, 3), *minutes(2, full, full, full))
    after = memory.feed(*minutes(1, 3, 3, 3, start=3), *minutes(2, roomy, roomy, roomy, start=3))
    assert after == [("close", 5 * MINUTE)]


def test_the_halves_of_a_pair_may_come_in_two_batches() -> None:
    memory = Memory.of(plan_for("rabbitmq-disk-free"))
    for at in range(2):
        memory.feed((1, at * MINUTE, 10.0))
        memory.feed((2, at * MINUTE, 50.0))
    memory.feed((2, 2 * MINUTE, 50.0))
    assert memory.feed((1, 2 * MINUTE, 10.0)) == [("open", 2 * MINUTE)]


def test_a_derived_rule_compares_the_difference() -> None:
    memory = Memory.of(plan_for("rabbitmq-mem-limit"))
    moved = memory.transitions(*minutes(1, 100, 100, 100), *minutes(2, 130, 140, 150))
    assert moved.value.tolist() == [-50.0]


def test_a_guard_without_traffic_keeps_the_hit_rate_quiet() -> None:
    memory = Memory.of(plan_for("cdn-hit-rate"))
    assert memory.feed(*minutes(1, 0, 0, 0, 0), *minutes(2, 0, 0, 0, 0)) == []
    assert memory.feed(*minutes(1, 5, 5, 5, start=4), *minutes(2, 9, 9, 9, start=4)) == [("open", 6 * MINUTE)]


def test_a_restart_fires_once_and_resolves_itself_after_ten_minutes() -> None:
    memory = Memory.of(plan_for("host-restarted"))
    assert memory.feed((1, 0, 1_700_000_000.0)) == []
    assert memory.feed((1, MINUTE, 1_700_000_001.0)) == []
    assert memory.feed((1, 2 * MINUTE, 1_700_009_000.0)) == [("open", 2 * MINUTE)]
    assert memory.feed(*[(1, at * MINUTE, 1_700_009_000.0) for at in range(3, 12)]) == []
    assert memory.feed((1, 12 * MINUTE, 1_700_009_000.0)) == [("close", 12 * MINUTE)]


def test_an_uptime_that_falls_is_a_restart() -> None:
    assert Memory.of(plan_for("apache-restarted")).feed(*minutes(1, 500, 560, 12, 72)) == [("open", 2 * MINUTE)]


def test_a_counter_alarms_while_it_grows_and_not_because_it_is_positive() -> None:
    memory = Memory.of(plan_for("phpfpm-max-children"))
    assert memory.feed(*minutes(1, 5, 5, 5)) == []
    assert memory.feed(*minutes(1, 6, start=3)) == [("open", 3 * MINUTE)]
    assert memory.feed(*minutes(1, *[6] * 10, start=4)) == [("close", 13 * MINUTE)]


def test_a_counter_that_restarted_at_zero_has_not_grown() -> None:
    assert Memory.of(plan_for("phpfpm-max-children")).feed(*minutes(1, 5, 0, 0)) == []


def test_a_changed_threshold_moves_its_recovery_along() -> None:
    memory = Memory.of(plan_for("ecs-cpu-util", overrides=[Override("ecs-cpu-util", None, thresholds=(50.0,))]))
    assert memory.feed(*minutes(1, 55, 55, 55)) == [("open", 2 * MINUTE)]
    assert memory.feed(*minutes(1, 46, 46, 46, start=3)) == []
    assert memory.feed(*minutes(1, 44, 44, 44, start=6)) == [("close", 8 * MINUTE)]


def test_the_asset_has_the_last_word_over_the_customer() -> None:
    wide = Override("ecs-cpu-util", None, thresholds=(50.0,), times=1)
    narrow = Override("ecs-cpu-util", 7, thresholds=(99.0,))
    plan = plan_for("ecs-cpu-util", overrides=[wide, narrow])
    assert (plan.limit.tolist(), plan.times.tolist(), plan.rtimes.tolist()) == ([99.0], [1], [1])


def test_a_rule_that_is_off_is_not_bound() -> None:
    assert len(plan_for("mysql-replication-lag")) == 0
    assert (
        len(plan_for("mysql-replication-lag", overrides=[Override("mysql-replication-lag", None, enabled=True)])) == 1
    )


def test_host_rules_marked_non_ecs_leave_cloud_servers_to_their_own_rules() -> None:
    assert len(plan_for("host-cpu-util", is_ecs=True)) == 0
    assert len(plan_for("host-mem-available-low", is_ecs=True)) == 1
    assert len(plan_for("host-cpu-iowait", os="windows")) == 0


# --- against the plain implementation ------------------------------------------------------------------------------

MIXED = ("ecs-cpu-util", "slb-drop-connection", "port-not-running", "phpfpm-max-children", "host-restarted")


class Walker:
    """The plain reading of the rules, one point at a time."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.newest = -1
        self.prev: float | None = None
        self.bad = self.good = 0
        self.counted = self.last_bad = self.last = 0
        self.firing = False

    def step(self, ts: int, value: float) -> str | None:
        before, self.prev = self.prev, value
        figure = value
        if self.rule.form in ("change", "increase"):
            if before is None:
                return None
            figure = value - before
            if self.rule.form == "increase" and figure < 0:
                figure = value
        condition = self.rule.conditions[0]
        bad = holds(figure, condition.comparator, condition.limit)
        good = not bad and (
            not self.rule.recovery or holds(figure, self.rule.recovery[0].comparator, self.rule.recovery[0].limit)
        )
        period = self.rule.period_s * 1000
        if not self.firing and self.bad and ts - self.last > PATIENCE * period:
            self.bad = 0
        spaced = ts - self.counted >= SPACING * period
        self.last = ts
        if bad:
            self.last_bad, self.good = ts, 0
            if not self.firing and (self.bad == 0 or spaced):
                self.bad, self.counted = self.bad + 1, ts
                if self.bad >= self.rule.times:
                    self.firing = True
                    return "open"
            return None
        if not self.firing:
            self.bad = 0
        elif not good:
            self.good = 0
        else:
            return self.mend(ts, spaced)
        return None

    def mend(self, ts: int, spaced: bool) -> str | None:
        if self.good == 0 or spaced:
            self.good, self.counted = self.good + 1, ts
        if self.good < self.rule.recovery_times or ts - self.last_bad < self.rule.recovery_after_s * 1000:
            return None
        self.firing, self.bad, self.good = False, 0, 0
        return "close"


def holds(value: float, comparator: str, limit: float) -> bool:
    return {
        ">=": value >= limit,
        ">": value > limit,
        "<=": value <= limit,
        "<": value < limit,
        "=": value == limit,
        "!=": value != limit,
    }[comparator]


VALUES = st.sampled_from([0.0, 1.0, 84.0, 87.0, 90.0, 95.0, 200.0])
POINTS = st.tuples(st.integers(1, 10), st.integers(0, 60), VALUES)
BATCHES = st.lists(st.lists(POINTS, max_size=40), max_size=8)


@settings(max_examples=150)
@given(BATCHES)
def test_the_columns_decide_as_the_walk_does(batches: list[list[tuple[int, int, float]]]) -> None:
    plan = plan_for(*MIXED, per_rule=2)
    memory = Memory.of(plan)
    walkers = {int(plan.first[at]): Walker(plan.rule_of(at)) for at in range(len(plan))}
    for batch in batches:
        samples = [(series, at * 20_000, value) for series, at, value in batch]
        expected = []
        for (series, ts), value in sorted({(s, t): v for s, t, v in samples}.items()):
            walker = walkers[series]
            if ts <= walker.newest:
                continue
            walker.newest = ts
            if (verdict := walker.step(ts, value)) is not None:
                expected.append((series, ts, verdict))
        moved = memory.transitions(*samples)
        found = [
            (int(plan.first[b]), int(ts), "open" if up else "close")
            for b, ts, up in zip(moved.binding, moved.ts, moved.opens, strict=True)
        ]
        assert sorted(found) == sorted(expected)


@settings(max_examples=50)
@given(st.lists(POINTS, max_size=60), st.integers(1, 7))
def test_how_points_are_cut_into_batches_changes_nothing(points: list[tuple[int, int, float]], size: int) -> None:
    ordered = sorted({(s, t): v for s, t, v in points}.items(), key=lambda item: (item[0][1], item[0][0]))
    samples = [(series, at * 30_000, value) for (series, at), value in ordered]
    plan = plan_for(*MIXED, per_rule=2)
    whole, parts = Memory.of(plan), Memory.of(plan)
    at_once = whole.feed(*samples)
    piecemeal = [move for at in range(0, len(samples), size) for move in parts.feed(*samples[at : at + size])]
    assert sorted(at_once) == sorted(piecemeal)
    assert whole.states.bad.tolist() == parts.states.bad.tolist()


def test_every_rule_that_ships_can_be_bound() -> None:
    everything = {name: replace(rule, enabled=True) for name, rule in RULES.items()}
    metrics = sorted({metric for rule in RULES.values() for metric in rule.metrics})
    # a Java process that is a Tomcat is judged once: each product has its own asset here
    assets = {product: at + 1 for at, product in enumerate(sorted({name.split(".")[0] for name in metrics}))}
    facts = [
        SeriesFacts(at + 1, assets[metric.split(".")[0]], metric, "", False, "") for at, metric in enumerate(metrics)
    ]
    plan = build(everything, facts)
    assert {each.rule.id for each in plan.effective} == set(RULES)
