"""Reading CloudMonitor from the simulated Alibaba Cloud: no gaps, no doubles, few calls, errors that are ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from assets.aliyun import AliyunError, Datapoint, MetricPage
from monitoring.collectors import Outcome, State, cms
from monitoring.collectors.config import NAMESPACES, CmsConfig
from monitoring.rules import METRICS, Metric
from tests.monitoring.probes import job_for

MINUTE = 60_000
NOON = 1_772_423_400_000
ASSETS = {"i-1": 42, "i-2": 43}


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


def read(cloud: Cloud, minute: int, state: State | None = None, metrics: Sequence[str] = ("ecs.cpu.util",)) -> Outcome:
    job = job_for(CmsConfig(1, "acs_ecs_dashboard"), state=state)
    found: list[Metric] = [METRICS[name] for name in metrics]
    return cms.collect(job, client=cloud, assets=ASSETS, metrics=found, now_ms=NOON + minute * MINUTE)  # type: ignore[arg-type]  # speaks as the client does


def minutes(outcome: Outcome, asset: int = 42) -> list[float]:
    return [value for key, value in zip(outcome.keys, outcome.value, strict=True) if key[1] == asset]


def test_every_point_comes_once_however_often_it_is_asked_for() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", range(-5, 30))
    first = read(cloud, 2)
    second = read(cloud, 4, first.state)
    third = read(cloud, 4, second.state)
    assert minutes(first) == [-5, -4, -3, -2, -1, 0, 1, 2]
    assert minutes(second) == [3, 4]
    assert minutes(third) == []


def test_an_instance_whose_points_come_late_loses_none() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", [0, 1, 2, 3])
    cloud.put("CPUUtilization", [0], "i-2")
    first = read(cloud, 3)
    cloud.put("CPUUtilization", [1, 2, 3], "i-2")
    second = read(cloud, 4, first.state)
    assert minutes(first, 43) == [0]
    assert minutes(second, 43) == [1, 2, 3]
    assert minutes(second, 42) == []


def test_after_an_outage_reading_begins_where_it_stopped() -> None:
    cloud = Cloud()
    cloud.put("CPUUtilization", range(200))
    first = read(cloud, 10)
    after = read(cloud, 150, first.state)
    assert minutes(after) == list(range(11, 151))


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
    assert minutes(read(cloud, 60, state, metrics=["ecs.mem.util"])) == [59]


def test_metrics_that_no_rule_needs_are_read_seldom_and_completely() -> None:
    cloud = Cloud()
    cloud.put("InternetInRate", range(100))
    state: State | None = None
    seen: list[float] = []
    for minute in range(2, 62, 2):
        outcome = read(cloud, minute, state, metrics=["ecs.net.in_bits_per_s"])
        state, seen = outcome.state, seen + minutes(outcome)
    assert len(cloud.asked) <= 5
    assert seen == list(range(round(seen[-1]) + 1))


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
    ],
)
def test_an_error_of_the_cloud_is_a_problem_and_never_a_figure(code: str, problem: str) -> None:
    outcome = read(Cloud(error=AliyunError(code, "said no")), 2, {"last": {"ecs.cpu.util": {"42 ": NOON}}})
    assert outcome.problem is not None
    assert outcome.problem.code == problem
    assert outcome.keys == []
    assert outcome.state is not None
    assert outcome.state["last"] == {"ecs.cpu.util": {"42 ": NOON}}, "the mark stays: nothing is skipped"


def test_a_metric_that_does_not_exist_does_not_hide_the_others() -> None:
    class Partly(Cloud):
        def metric_list(self, namespace: str, metric: str, *args: object, **more: object) -> Iterator[MetricPage]:
            if metric == "CPUUtilization":
                raise AliyunError("InvalidParameterValue", "no such metric")
            return super().metric_list(namespace, metric, *args, **more)  # type: ignore[arg-type]  # as above

    cloud = Partly()
    cloud.put("cpu_total", [1])
    assert minutes(read(cloud, 2)) == [1]


def test_only_namespaces_with_resources_are_wanted() -> None:
    assert cms.wanted_namespaces(["ecs", "rds", "server"]) == ("acs_ecs_dashboard", "acs_rds_dashboard")
    assert cms.wanted_namespaces([]) == ()
    assert set(NAMESPACES.values()) == set(cms.namespaces()), "every namespace of the catalogue has its kind"
