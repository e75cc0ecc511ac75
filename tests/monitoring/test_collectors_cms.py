"""Reading CloudMonitor from the simulated Alibaba Cloud: no gaps, no doubles, few calls, errors that are ours."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

import pytest

from assets.aliyun import AliyunError, Datapoint, MetricPage
from monitoring import gaps
from monitoring.collectors import Outcome, State, cms
from monitoring.collectors.config.cloud import NAMESPACES, CmsConfig
from monitoring.rules import METRICS, Metric
from tests.monitoring.probes import job_for

MINUTE = 60_000
NOON = 1_772_423_400_000
ASSETS = {"i-1": cms.Owner(42, frozenset({"any"})), "i-2": cms.Owner(43, frozenset({"any"}))}


@dataclass
class Cloud:
    """Points as CloudMonitor would hand them out: start exclusive, end inclusive, newest ones not there yet."""

    points: dict[str, list[tuple[int, str, float]]] = field(default_factory=dict)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    error: AliyunError | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def metric_list(
        self, namespace: str, metric: str, start: datetime, end: datetime, period: int, dimensions: object = None
    ) -> Iterator[MetricPage]:
        if self.error is not None:
            raise self.error
        low, high = round(start.timestamp() * 1000), round(end.timestamp() * 1000)
        self.asked.append((metric, low, high))
        found = [point for point in self.points.get(metric, []) if low < point[0] <= high]
        for at in range(0, len(found), 2):  # small pages
            yield MetricPage(period, tuple(self._point(*point) for point in found[at : at + 2]))

    def _point(self, ts: int, instance: str, value: float) -> Datapoint:
        return Datapoint(ts, {"userId": "1", "instanceId": instance, **self.extra}, {"Average": value, "Maximum": 99.0})

    def put(self, metric: str, minutes: Sequence[int], instance: str = "i-1") -> None:
        self.points.setdefault(metric, []).extend(
            (NOON + minute * MINUTE, instance, float(minute)) for minute in minutes
        )


def read(
    cloud: Cloud,
    minute: int,
    state: State | None = None,
    metrics: Sequence[str] = ("ecs.cpu.util",),
    *,
    owners: Mapping[str, cms.Owner] = ASSETS,
    existing: Collection[str] | None = None,
) -> Outcome:
    job = job_for(CmsConfig(1, "acs_ecs_dashboard"), state=state)
    found: list[Metric] = [METRICS[name] for name in metrics]
    return cms.collect(
        job,
        client=cloud,  # type: ignore[arg-type]  # speaks as the client does
        assets=owners,
        metrics=found,
        now_ms=NOON + minute * MINUTE,
        existing=existing,
    )


def minutes(outcome: Outcome, asset: int = 42) -> list[float]:
    return [value for key, value in zip(outcome.keys, outcome.value, strict=True) if key[1] == asset]


def test_windows_reach_back_behind_the_mark_and_leave_no_gap() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", range(-5, 30))
    first = read(cloud, 2)
    second = read(cloud, 4, first.state)
    assert minutes(first) == [-5, -4, -3, -2, -1, 0, 1, 2]
    assert minutes(second) == [-2, -1, 0, 1, 2, 3, 4], "five minutes again: the pipeline knows them by their time"
    windows = [(low, high) for name, low, high in cloud.asked if name == "CPUUtilization"]
    assert windows[1][0] == windows[0][1] - cms.LATE_MS


def test_what_is_remembered_does_not_grow_with_the_instances() -> None:
    def state_of(count: int) -> State:
        cloud = Cloud()
        for number in range(count):
            cloud.put("CPUUtilization", [1], f"i-{number + 1}")
        owners = {f"i-{number + 1}": cms.Owner(number + 1, frozenset({"any"})) for number in range(count)}
        found = read(cloud, 2, owners=owners).state
        assert found is not None
        return {name: value for name, value in found.items() if name != "calls"}

    assert state_of(200) == state_of(2)


def test_an_instance_whose_points_come_late_loses_none() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", [0, 1, 2, 3])
    cloud.put("CPUUtilization", [0], "i-2")
    first = read(cloud, 3)
    cloud.put("CPUUtilization", [1, 2, 3], "i-2")
    second = read(cloud, 4, first.state)
    assert minutes(first, 43) == [0]
    assert minutes(second, 43) == [0, 1, 2, 3]


def test_after_an_outage_reading_begins_where_it_stopped() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", range(200))
    first = read(cloud, 10)
    after = read(cloud, 150, first.state)
    assert sorted(set(minutes(after))) == list(range(5 + 1, 151))


def test_a_long_outage_is_read_in_pieces_oldest_first() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", range(600))
    first = read(cloud, 10)
    after = read(cloud, 590, first.state)
    windows = [(low, high) for name, low, high in cloud.asked[1:]]
    assert len(windows) > 3
    assert windows == sorted(windows)
    assert all(later[0] < earlier[1] for earlier, later in pairwise(windows)), "each piece begins before the last ended"
    assert sorted(set(minutes(after))) == list(range(6, 591))


def test_a_gap_longer_than_a_day_is_not_read_at_all_costs() -> None:
    cloud = Cloud()
    outcome = read(cloud, 5000, {"read": {"ecs.cpu.util": NOON}})
    assert cloud.asked[0][1] == NOON + 5000 * MINUTE - gaps.LONGEST_BACK_MS
    assert outcome.problem is None


def test_pieces_without_points_do_not_hold_the_reading_up() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", [0, 500])
    first = read(cloud, 2)
    after = read(cloud, 501, first.state)
    assert minutes(after) == [0, 500]
    assert after.state is not None
    assert after.state["read"]["ecs.cpu.util"] == NOON + 500 * MINUTE


def test_when_the_cloud_fails_in_the_middle_of_the_pages_all_of_them_are_asked_again() -> None:
    class Breaking(Cloud):
        breaks = False

        def metric_list(
            self, namespace: str, metric: str, start: datetime, end: datetime, period: int, dimensions: object = None
        ) -> Iterator[MetricPage]:
            pages = super().metric_list(namespace, metric, start, end, period)
            for page in pages:
                yield page
                if self.breaks and metric == "CPUUtilization":
                    raise AliyunError("Timeout", "no answer")

    cloud = Breaking()
    cloud.put("CPUUtilization", range(30))
    first = read(cloud, 3)
    cloud.breaks = True
    broken = read(cloud, 20, first.state)
    cloud.breaks = False
    assert broken.problem is not None
    assert broken.state is not None
    assert first.state is not None
    assert broken.state["read"] == first.state["read"], "the mark stays"
    after = read(cloud, 21, broken.state)
    assert set(minutes(after)) >= set(range(4, 22))


def test_the_time_of_a_point_is_the_clouds() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", [1])
    assert read(cloud, 5).ts == [NOON + MINUTE]


def test_resources_that_are_not_ours_are_left_out_and_named() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", [1], "i-foreign")
    outcome = read(cloud, 2)
    assert outcome.keys == []
    assert any("i-foreign" in step.text for step in outcome.steps)


def test_the_older_name_serves_where_the_newer_one_brings_nothing() -> None:
    cloud = Cloud()
    cloud.put("vm.MemoryUtilization", [1], "i-2")
    cloud.put("memory_usedutilization", [1], "i-1")
    outcome = read(cloud, 2, metrics=["ecs.mem.util"])
    assert (minutes(outcome, 42), minutes(outcome, 43)) == ([1], [1])


def test_one_resource_is_not_told_twice_under_two_names() -> None:
    cloud = Cloud()
    cloud.put("memory_usedutilization", [1, 2])
    cloud.put("vm.MemoryUtilization", [1, 2])
    assert minutes(read(cloud, 3, metrics=["ecs.mem.util"])) == [1, 2]


def test_a_name_nobody_answers_to_is_asked_once_an_hour() -> None:
    cloud = Cloud()
    cloud.put("memory_usedutilization", range(200))
    state = None
    for minute in range(2, 122, 2):
        state = read(cloud, minute, state, metrics=["ecs.mem.util"]).state
    names = [name for name, _, _ in cloud.asked]
    assert names.count("memory_usedutilization") == 60
    assert names.count("vm.MemoryUtilization") == 2


def test_a_pause_of_a_name_that_used_to_answer_does_not_silence_it() -> None:
    cloud = Cloud()
    cloud.put("memory_usedutilization", [1])
    state = None
    for minute in range(2, 60, 2):
        state = read(cloud, minute, state, metrics=["ecs.mem.util"]).state
    cloud.put("memory_usedutilization", [59])
    assert 59 in minutes(read(cloud, 60, state, metrics=["ecs.mem.util"]))


def test_metrics_that_no_rule_needs_are_read_seldom_and_completely() -> None:
    cloud = Cloud()
    cloud.put("InternetInRate", range(100))
    state: State | None = None
    seen: list[float] = []
    for minute in range(2, 62, 2):
        outcome = read(cloud, minute, state, metrics=["ecs.net.in_bits_per_s"])
        state, seen = outcome.state, seen + minutes(outcome)
    assert len(cloud.asked) <= 5
    assert sorted(set(seen)) == list(range(round(seen[-1]) + 1))


def test_dimensions_become_our_labels() -> None:
    cloud = Cloud(extra={"device": "/dev/vda1"})
    cloud.put("diskusage_utilization", [1])
    assert read(cloud, 2, metrics=["ecs.disk.util"]).keys == [(7, 42, "ecs.disk.util", 'device="/dev/vda1"')]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("InvalidAccessKeyId.NotFound", "key_invalid"),
        ("Forbidden.RAM", "access_denied"),
        ("Throttling.User", "throttled"),
        ("Unreachable", "provider_error"),
        ("InvalidTimeStamp.Expired", "clock"),
        ("SignatureDoesNotMatch", "key_invalid"),
    ],
)
def test_an_error_of_the_cloud_is_a_problem_and_never_a_figure(code: str, problem: str) -> None:
    outcome = read(Cloud(error=AliyunError(code, "said no")), 2, {"read": {"ecs.cpu.util": NOON}})
    assert outcome.problem is not None
    assert outcome.problem.code == problem
    assert outcome.keys == []
    assert outcome.state is not None
    assert outcome.state["read"] == {"ecs.cpu.util": NOON}, "the mark stays: nothing is skipped"


def test_when_nothing_answers_not_every_metric_waits_for_it() -> None:
    class Silent(Cloud):
        tried = 0

        def metric_list(self, *args: object, **more: object) -> Iterator[MetricPage]:
            self.tried += 1
            raise AliyunError("Timeout", "no answer")

    cloud = Silent()
    names = [metric.name for metric in cms.namespaces()["acs_ecs_dashboard"]]
    outcome = read(cloud, 2, {"read": {"ecs.load1": NOON}}, metrics=names)
    assert cloud.tried <= cms.THREADS < len(names)
    assert outcome.problem is not None
    assert outcome.state is not None
    assert outcome.state["read"] == {"ecs.load1": NOON}
    assert outcome.state["due"] == {}, "all are asked again in the next run"


def test_a_spent_quota_is_told_from_too_many_calls_at_once() -> None:
    outcome = read(Cloud(error=AliyunError("Throttling.User", "user api quota limit")), 2)
    assert outcome.problem is not None
    assert outcome.problem.code == "quota_exhausted"


def test_a_metric_that_does_not_exist_does_not_hide_the_others() -> None:
    class Partly(Cloud):
        def metric_list(self, namespace: str, metric: str, *args: object, **more: object) -> Iterator[MetricPage]:
            if metric == "CPUUtilization":
                raise AliyunError("InvalidParameterValue", "no such metric")
            return super().metric_list(namespace, metric, *args, **more)  # type: ignore[arg-type]  # as above

    cloud = Partly()
    cloud.put("cpu_total", [1])
    assert minutes(read(cloud, 2)) == [1]


def owner(*editions: str) -> cms.Owner:
    return cms.Owner(1, frozenset(editions))


@pytest.mark.parametrize(
    ("metric", "owners", "names"),
    [
        ("redis_cloud.cpu.util", [owner("standard")], ("StandardCpuUsage", "CpuUsage")),
        (
            "redis_cloud.cpu.util",
            [owner("cluster"), owner("rwsplit")],
            ("ShardingCpuUsage", "SplitrwCpuUsage", "CpuUsage"),
        ),
        ("redis_cloud.qps.util", [owner()], ("StandardQPSUsage", "ShardingQPSUsage", "SplitrwQPSUsage")),
        ("mongodb_cloud.cpu.util", [owner("replicate")], ("CPUUtilization",)),
        ("mongodb_cloud.cpu.util", [owner("sharding")], ("ShardingCPUUtilization",)),
        ("mongodb_cloud.cpu.util", [owner("standalone")], ("SingleNodeCPUUtilization",)),
        ("rds.replica.delay_s", [owner("mysql", "primary")], ()),
        ("rds.replica.delay_s", [owner("mysql", "readonly")], ("DataDelay",)),
        ("rds.mysql.qps", [owner("sqlserver", "primary")], ()),
        ("rds.cpu.util", [owner("sqlserver", "primary")], ("CpuUsage",)),
        ("ecs.mem.util", [owner("any")], ("memory_usedutilization", "vm.MemoryUtilization")),
    ],
)
def test_names_are_chosen_by_what_the_instances_are(
    metric: str, owners: list[cms.Owner], names: tuple[str, ...]
) -> None:
    assert cms.names_of(METRICS[metric], owners) == names


def test_a_name_that_cloudmonitor_no_longer_has_costs_no_call() -> None:
    cloud = Cloud()
    cloud.put("vm.MemoryUtilization", [1])
    outcome = read(cloud, 2, metrics=["ecs.mem.util"], existing={"vm.MemoryUtilization"})
    assert [name for name, _, _ in cloud.asked] == ["vm.MemoryUtilization"]
    assert minutes(outcome) == [1]


def test_metrics_without_any_name_left_are_named_as_missing() -> None:
    there = {name for metric in cms.namespaces()["acs_slb_dashboard"] for name in metric.cms_metrics}
    missing = cms.missing_of("acs_slb_dashboard", there - {"DropConnection"})
    assert [metric.name for metric in missing] == ["slb.drop_connections_per_s"]


def test_only_namespaces_with_resources_are_wanted() -> None:
    assert cms.wanted_namespaces(["ecs", "rds", "server"]) == ("acs_ecs_dashboard", "acs_rds_dashboard")
    assert cms.wanted_namespaces([]) == ()
    assert set(NAMESPACES.values()) == set(cms.namespaces()), "every namespace of the catalogue has its kind"
