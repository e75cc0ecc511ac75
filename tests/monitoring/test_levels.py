"""Which level has the last word: template, customer, group, asset, part. Macros and schedules."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from accounts.calendars import Calendar
from monitoring.levels import ROUND_THE_CLOCK, Level, Levels, Macro, Override, Resolver, origins
from monitoring.plan import Plan, SeriesFacts, build
from monitoring.rules import RULES
from monitoring.schedules import Schedule
from tests.monitoring.test_evaluate import MINUTE, Memory, Sample

CPU = "ecs-cpu-util"
SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 3, 2, tzinfo=SHANGHAI)
OFFICE = Schedule(
    3, "office", Calendar(SHANGHAI, dict.fromkeys(range(5), ((9 * 60, 18 * 60),)), {date(2026, 3, 3): False})
)


def limits(levels: Levels, *, asset: int = 7, labels: str = "") -> tuple[float, ...]:
    effective = Resolver(levels).of(RULES[CPU], asset, labels)
    return (effective.conditions[0].limit, effective.recovery[0].limit)


def facts(*assets: int, metric: str = "ecs.cpu.util", labels: str = "") -> list[SeriesFacts]:
    return [SeriesFacts(at, asset, metric, labels, True, "linux") for at, asset in enumerate(assets, 1)]


# --- levels ----------------------------------------------------------------------------------------------------------

EVERY_LEVEL = (
    Override(CPU, None, thresholds=(80.0,), id=1),
    Override(CPU, None, group_id=5, thresholds=(70.0,), id=2),
    Override(CPU, 7, thresholds=(60.0,), id=3),
    Override(CPU, 7, labels='nodeId="a"', thresholds=(50.0,), id=4),
)
IN_GROUP = {7: (5,), 8: (5,)}


@pytest.mark.parametrize(
    ("count", "asset", "labels", "limit"),
    [
        (0, 7, 'nodeId="a"', 90.0),
        (1, 7, 'nodeId="a"', 80.0),
        (2, 7, 'nodeId="a"', 70.0),
        (3, 7, 'nodeId="a"', 60.0),
        (4, 7, 'nodeId="a"', 50.0),
        (4, 7, 'nodeId="b"', 60.0),
        (4, 8, 'nodeId="a"', 70.0),
        (4, 9, 'nodeId="a"', 80.0),
    ],
)
def test_the_narrower_level_has_the_last_word(count: int, asset: int, labels: str, limit: float) -> None:
    assert limits(Levels(EVERY_LEVEL[:count], IN_GROUP), asset=asset, labels=labels)[0] == limit


def test_the_order_in_which_overrides_were_made_does_not_matter() -> None:
    backwards = Levels(tuple(reversed(EVERY_LEVEL)), IN_GROUP)
    assert limits(backwards, labels='nodeId="a"')[0] == 50.0


def test_of_two_groups_that_contradict_the_later_in_order_wins() -> None:
    both = (
        Override(CPU, None, group_id=5, thresholds=(70.0,), id=1),
        Override(CPU, None, group_id=6, thresholds=(65.0,), id=2),
    )
    assert limits(Levels(both, {7: (5, 6)}))[0] == 65.0
    assert limits(Levels(both, {7: (6, 5)}))[0] == 70.0


def test_each_field_comes_from_the_narrowest_level_that_names_it() -> None:
    levels = Levels(
        (
            Override(CPU, None, thresholds=(80.0,), severity="high", id=1),
            Override(CPU, None, group_id=5, times=1, id=2),
            Override(CPU, 7, severity="warning", id=3),
        ),
        IN_GROUP,
    )
    chain = Resolver(levels).chain(RULES[CPU], 7)
    found = origins(chain)
    assert {name: one.level for name, one in found.items()} == {
        "thresholds": Level.CUSTOMER,
        "times": Level.GROUP,
        "severity": Level.ASSET,
    }
    effective = Resolver(levels).of(RULES[CPU], 7)
    assert (effective.severity, effective.times, effective.recovery_times) == ("warning", 1, 1)


def test_a_recovery_of_its_own_stays_until_a_narrower_threshold_takes_it_along() -> None:
    own = Override(CPU, None, thresholds=(80.0,), recovery=(40.0,), recovery_times=2, id=1)
    assert limits(Levels((own,))) == (80.0, 40.0)
    assert Resolver(Levels((own,))).of(RULES[CPU], 7).recovery_times == 2
    assert limits(Levels((own, Override(CPU, 7, thresholds=(70.0,), id=2)))) == (70.0, 30.0)


def test_a_rule_switched_off_for_one_part_is_not_bound_there() -> None:
    series = [
        SeriesFacts(1, 7, "ecs.disk.util", 'device="a"', True, "linux"),
        SeriesFacts(2, 7, "ecs.disk.util", 'device="b"', True, "linux"),
    ]
    off = Override("ecs-disk-util", 7, enabled=False, labels='device="a"')
    assert build(RULES, series, Levels((off,))).first.tolist() == [2]


def test_rules_without_overrides_share_one_effective_rule() -> None:
    plan = build({CPU: RULES[CPU]}, facts(*range(1, 500)), Levels((Override(CPU, 7, times=1),)))
    assert len({id(each) for each in plan.effective}) == 2


# --- macros ----------------------------------------------------------------------------------------------------------

FREE = "{$FS.FREE.MIN}"
FS = "host-fs-free-5"


def free(levels: Levels, asset: int = 7) -> float:
    return Resolver(levels).of(RULES[FS], asset, "").conditions[1].limit


def test_a_macro_stands_for_a_number_and_is_brought_into_the_conditions_unit() -> None:
    wide = Override(FS, None, thresholds=(5.0, FREE), id=1)
    levels = Levels((wide,), macros=(Macro(FREE, 2048, "MiB"),))
    assert free(levels) == 2 * 1024.0**3


def test_the_narrower_macro_wins_though_the_override_is_wide() -> None:
    wide = Override(FS, None, thresholds=(5.0, FREE), id=1)
    macros = (Macro(FREE, 5, "GiB"), Macro(FREE, 3, "GiB", group_id=5), Macro(FREE, 1, "GiB", asset_id=8))
    levels = Levels((wide,), IN_GROUP, macros)
    assert [free(levels, asset) / 1024**3 for asset in (9, 7, 8)] == [5, 3, 1]


@pytest.mark.parametrize("macros", [(), (Macro(FREE, 5, "s"),)])
def test_a_macro_that_means_nothing_here_leaves_the_wider_value(macros: tuple[Macro, ...]) -> None:
    levels = Levels((Override(FS, None, thresholds=(1.0, FREE), severity="high", id=1),), macros=macros)
    effective = Resolver(levels).of(RULES[FS], 7, "")
    assert effective.conditions == RULES[FS].conditions
    assert effective.severity == "high"


# --- schedules -------------------------------------------------------------------------------------------------------


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "active"),
    [
        ("2026-03-02 08:59:59.999", False),
        ("2026-03-02 09:00:00", True),
        ("2026-03-02 17:59:59.999", True),
        ("2026-03-02 18:00:00", False),
        ("2026-03-03 12:00:00", False),  # a day off
        ("2026-03-07 12:00:00", False),  # Saturday
        ("2026-03-09 12:00:00", True),
    ],
)
def test_a_schedule_holds_in_half_open_stretches_of_local_time(at: str, active: bool) -> None:
    schedule, outside = OFFICE, Schedule(4, "off hours", OFFICE.calendar, outside=True)
    ts = np.array([moment(at)], dtype=np.int64)
    assert schedule.is_active(ts).tolist() == [active]
    assert outside.is_active(ts).tolist() == [not active]


def test_stretches_that_meet_at_midnight_are_one() -> None:
    whole = Schedule(1, "nights", Calendar(SHANGHAI, {0: ((1200, 1440),), 1: ((0, 360),)}))
    ts = np.array([moment("2026-03-02 23:59:59.999"), moment("2026-03-03 00:00:00")], dtype=np.int64)
    assert whole.is_active(ts).tolist() == [True, True]


def scheduled(*more: Override) -> Plan:
    overrides = (Override(CPU, None, schedule=3, id=1), *more)
    return build({CPU: RULES[CPU]}, facts(7, 8), Levels(overrides, schedules={3: OFFICE}))


def from_clock(hour: int, minute: int, *values: float, series: int = 1) -> list[Sample]:
    start = (MONDAY + timedelta(hours=hour, minutes=minute)).astimezone(UTC).timestamp()
    return [(series, round(start * 1000) + at * MINUTE, value) for at, value in enumerate(values)]


def opened(moves: list[tuple[str, int]]) -> list[tuple[str, str]]:
    return [(what, datetime.fromtimestamp(ts / 1000, SHANGHAI).strftime("%H:%M")) for what, ts in moves]


def test_outside_its_schedule_a_rule_opens_nothing() -> None:
    memory = Memory.of(scheduled())
    assert memory.feed(*from_clock(8, 0, *[95] * 30, 20)) == []
    assert memory.feed(*from_clock(18, 0, *[95] * 30)) == []


def test_what_still_breaches_when_the_schedule_begins_opens_then() -> None:
    memory = Memory.of(scheduled())
    assert opened(memory.feed(*from_clock(8, 50, *[95] * 20))) == [("open", "09:00")]


def test_counting_goes_on_outside_so_that_two_of_three_before_nine_count() -> None:
    memory = Memory.of(scheduled())
    assert opened(memory.feed(*from_clock(8, 58, 95, 95, 95))) == [("open", "09:00")]
    good_before = Memory.of(scheduled())
    assert opened(good_before.feed(*from_clock(8, 58, 95, 20, 95, 95, 95))) == [("open", "09:02")]


def test_an_alert_that_is_open_when_the_schedule_ends_stays_until_it_recovers() -> None:
    memory = Memory.of(scheduled())
    assert opened(memory.feed(*from_clock(17, 56, *[95] * 10))) == [("open", "17:58")]
    assert opened(memory.feed(*from_clock(18, 6, 20, 20, 20))) == [("close", "18:08")]


def test_a_narrower_level_may_hold_round_the_clock() -> None:
    memory = Memory.of(scheduled(Override(CPU, 8, schedule=ROUND_THE_CLOCK, id=2)))
    assert memory.feed(*from_clock(3, 0, 95, 95, 95)) == []
    assert opened(memory.feed(*from_clock(3, 0, 95, 95, 95, series=2))) == [("open", "03:02")]
