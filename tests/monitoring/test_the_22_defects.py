"""The defects of the SOW's rule table, each settled: what its letter would do, and what is done instead.

The numbers are those of the list the reading of the SOW began with: contradictions, lost thresholds, unclear units.
"""

from __future__ import annotations

from typing import Any

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.collectors import places
from monitoring.collectors.products import docker, kubernetes
from monitoring.levels import Override
from monitoring.models import Alert
from monitoring.plan import SeriesFacts, build
from monitoring.rules import METRICS, RULES, SOW_RULES, Kind, NoData, Rule
from monitoring.services import overrides, processes
from monitoring.services.overrides import Wish
from tests.monitoring.products.recordings import answers, jolokia, serving
from tests.monitoring.products.visits import figures, look
from tests.monitoring.samples import START, alerts, feed, minute, server
from tests.monitoring.test_evaluate import MINUTE, Memory, minutes, plan_for

RESTARTS = [rule for rule in RULES.values() if rule.kind is Kind.EVENT]


def override(customer: Customer, actor: User, rule: str, wish: Wish, **place: Any) -> None:
    with scope.customer(customer):
        overrides.override(
            customer=customer, rule=RULES[rule], wish=wish, reason="agreed", actor=actor, now=START, **place
        )


def fired(customer: Customer) -> list[str]:
    return [alert.rule_id for alert in alerts(customer)]


# --- 1 to 5: what could never fire, or always would -------------------------------------------------------------------


@pytest.mark.parametrize("rule", RESTARTS, ids=lambda rule: rule.id)
def test_defect_1_a_restart_is_an_event_and_not_three_negative_changes_in_a_row(rule: Rule) -> None:
    assert (rule.sow.times, rule.sow.conditions[0].comparator, rule.sow.conditions[0].threshold) == (3, "<", 0)
    assert (rule.times, rule.recovery, rule.recovery_after_s) == (1, (), 600)
    starts = rule.conditions[0].comparator == ">"
    points = [1e9, 1e9, 1e9 + 500] if starts else [800.0, 860.0, 10.0]
    assert Memory.of(plan_for(rule.id, os="windows" if "windows" in rule.scope else "linux")).feed(
        *minutes(1, *points)
    ) == [("open", 2 * MINUTE)]


def test_defect_2_a_restart_of_nginx_shows_in_its_counter_and_a_reload_does_not() -> None:
    memory = Memory.of(plan_for("nginx-restarted"))
    assert memory.feed(*minutes(1, 10_000, 10_400, 10_400)) == []  # reloaded: the counter goes on
    assert memory.feed(*minutes(1, 31, start=3)) == [("open", 3 * MINUTE)]


def test_defect_3_the_lost_threshold_of_replication_lag_is_a_parameter_and_off_until_agreed() -> None:
    rule = RULES["mysql-replication-lag"]
    assert (rule.sow.conditions[0].comparator, rule.sow.conditions[0].threshold) == (">=", 0)  # always true
    assert (rule.enabled, rule.conditions[0].threshold) == (False, 30)
    agreed = Override(rule.id, None, enabled=True)
    assert Memory.of(plan_for(rule.id, overrides=[agreed])).feed(*minutes(1, 0, 29, 0, 29)) == []
    assert Memory.of(plan_for(rule.id, overrides=[agreed])).feed(*minutes(1, 30, 31, 45)) == [("open", 2 * MINUTE)]
    own = Override(rule.id, None, enabled=True, thresholds=(5.0,))
    assert Memory.of(plan_for(rule.id, overrides=[own])).feed(*minutes(1, 5, 5, 5)) == [("open", 2 * MINUTE)]


async def test_defect_4_kafkas_milliseconds_are_seconds_before_they_meet_three_seconds() -> None:
    beans = answers("kafka_mbeans")
    queue = "kafka.network:type=RequestMetrics,name=RequestQueueTimeMs,request=Produce"
    beans[queue]["99thPercentile"] = 2900.0
    async with serving({"/jolokia/": jolokia(beans)}) as port:
        outcome = await look("kafka", port)
    assert 2.9 in [value for name, value in figures(outcome).items() if name.startswith("kafka.request_queue_s")]
    assert RULES["kafka-request-queue-time"].conditions[0].unit == "s"
    assert Memory.of(plan_for("kafka-request-queue-time")).feed(*minutes(1, 2.9, 2.9, 2.9)) == []
    assert Memory.of(plan_for("zookeeper-avg-latency")).feed(*minutes(1, 3.1, 3.1, 3.1)) == [("open", 2 * MINUTE)]


def test_defect_5_drds_speaks_of_milliseconds_on_both_sides() -> None:
    assert METRICS["drds.logic_rt_ms"].unit == "ms"
    memory = Memory.of(plan_for("drds-logic-rt"))
    assert memory.feed(*minutes(1, 2999, 2999, 2999)) == []
    assert memory.feed(*minutes(1, 3000, 3000, 3000, start=3)) == [("open", 5 * MINUTE)]


# --- 6 to 10: codes, counters, things that end as planned -------------------------------------------------------------


def test_defect_6_red_and_yellow_mean_the_same_in_the_cloud_and_at_home() -> None:
    cloud = ("cloud-es-cluster-status", "cloud-es-cluster-yellow")
    home = ("es-cluster-red", "es-cluster-yellow")
    for red, yellow, codes in ((*cloud, (0, 1, 2)), (*home, (1, 2, 3))):
        green_code, yellow_code, red_code = codes
        for rule, bad in ((yellow, yellow_code), (red, red_code)):
            for code in (green_code, yellow_code, red_code):
                opened = Memory.of(plan_for(rule)).feed(*minutes(1, code, code, code))
                assert bool(opened) == (code == bad), (rule, code)
        assert (RULES[red].severity, RULES[yellow].severity) == ("high", "warning")


def test_defect_7_a_counter_that_is_merely_positive_does_not_alarm_for_ever() -> None:
    memory = Memory.of(plan_for("phpfpm-max-children"))
    assert memory.feed(*minutes(1, 7, 7, 7, 7)) == []
    assert memory.feed(*minutes(1, 8, start=4)) == [("open", 4 * MINUTE)]
    assert memory.feed(*minutes(1, *[8] * 10, start=5)) == [("close", 14 * MINUTE)]


@pytest.mark.parametrize(("reason", "counts"), [("Completed", 0), ("Error", 1), ("OOMKilled", 1)])
def test_defect_8_a_container_that_completed_is_not_terminated(reason: str, counts: int) -> None:
    pod = {"status": {"containerStatuses": [{"state": {"terminated": {"reason": reason}}}]}}
    assert sum(kubernetes.terminated(pod)) == counts


@pytest.mark.django_db
def test_defect_9_failed_pods_are_told_by_workload_and_end_when_they_are_deleted() -> None:
    owner = {"kind": "ReplicaSet", "name": "shop-7f9c", "controller": True}
    pods = [
        {"metadata": {"name": f"shop-7f9c-{at}", "namespace": "prod", "ownerReferences": [owner],
                      "labels": {"pod-template-hash": "7f9c"}}}
        for at in range(3)
    ]  # fmt: skip
    assert {kubernetes.workload(pod) for pod in pods} == {("prod", "shop")}
    job = {"metadata": {"name": "j", "ownerReferences": [{"kind": "Job", "name": "j", "controller": True}]}}
    assert kubernetes.workload(job) is None
    assert RULES["k8s-pod-failed"].no_data is NoData.RESOLVE
    assert METRICS["k8s.workload.failed_pods"].labels == ("namespace", "workload")


async def test_defect_10_active_pods_are_a_share_of_the_wanted_replicas_of_each_deployment() -> None:
    found = answers("kubernetes")
    item = found["/apis/apps/v1/deployments"]["items"][0]
    item["spec"]["replicas"], item["status"]["availableReplicas"] = 10, 6
    async with serving(found) as port:
        outcome = await look("kubernetes", port, password="token", tls=False)
    name = item["metadata"]["name"]
    shares = {one: value for one, value in figures(outcome).items() if one.startswith("k8s.deployment.available_pct")}
    assert [value for one, value in shares.items() if f'deployment="{name}"' in one] == [60.0]
    assert Memory.of(plan_for("k8s-active-pods-low")).feed(*minutes(1, 60, 60, 60)) == [("open", 2 * MINUTE)]


# --- 11 to 15: counts, bases, boundaries ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_defect_11_two_workers_are_no_alarm_and_the_count_is_set_per_process(jia: Customer, chen: User) -> None:
    web = server(jia)
    workers = {"process": "worker"}
    feed(jia, web, "process.count", [2, 2, 2], labels=workers)
    assert fired(jia) == []  # the letter, "!= 1", would alarm
    with scope.customer(jia):
        processes.expect(asset=web, name="worker", minimum=3, maximum=5, actor=chen, now=START)
    feed(jia, web, "process.count", [2, 2, 2, 4, 4, 4, 6, 6, 6], labels=workers, start=3)
    assert fired(jia) == ["process-not-running", "process-too-many"]
    feed(jia, web, "process.count", [0, 0, 0], labels={"process": "nginx"})
    assert fired(jia)[2:] == ["process-not-running"]  # without a word at least one should run


def test_defect_12_a_container_is_measured_against_its_limit_or_else_its_host() -> None:
    assert docker.cores_of({"NanoCpus": 500_000_000}, host=8) == 0.5
    assert docker.cores_of({"CpuQuota": 150_000, "CpuPeriod": 100_000}, host=8) == 1.5
    assert docker.cores_of({"CpusetCpus": "0-1,4"}, host=8) == 3
    assert docker.cores_of({}, host=8) == 8


@pytest.mark.parametrize(("limit", "shown"), [(-1, False), (1000, True)])
async def test_defect_13_non_heap_without_a_limit_is_not_judged(limit: int, shown: bool) -> None:
    beans = answers("kafka_mbeans")
    memory = beans["java.lang:type=Memory"]
    memory["NonHeapMemoryUsage"] = {"init": 0, "used": 900, "committed": 950, "max": limit}
    async with serving({"/jolokia/": jolokia(beans)}) as port:
        outcome = await look("kafka", port)
    assert any(name.startswith("java.nonheap.util") for name in figures(outcome)) == shown


def test_defect_14_a_tomcat_has_the_alarms_of_one_template() -> None:
    facts = [
        SeriesFacts(at, 7, f"{template}.{what}", 'app="shop"', False, "linux")
        for at, (template, what) in enumerate(
            [(template, what) for template in ("java", "tomcat") for what in ("cpu_load", "heap.util", "start_time")], 1
        )
    ]
    bound = build(RULES, facts)
    assert {bound.rule_of(at).product for at in range(len(bound))} == {"Tomcat"}
    alone = build(RULES, facts[:3])
    assert {alone.rule_of(at).product for at in range(len(alone))} == {"Java"}


@pytest.mark.parametrize(
    ("rule", "value", "opens"),
    [
        ("host-mem-util", 90.0, True),  # "大于 90%" in the name, ">= 90%" in the rule
        ("host-cpu-util", 90.0, True),
        ("apache-cpu-load", 80.0, True),
        ("java-heap-util", 80.0, True),
        ("host-load-per-core", 5.0, False),  # "大于 5" in the name, "> 5" in the rule
        ("zookeeper-outstanding", 10.0, False),
    ],
)
def test_defect_15_at_the_boundary_the_rule_column_wins_over_the_name(rule: str, value: float, opens: bool) -> None:
    assert "大于" in RULES[rule].name_zh
    assert bool(Memory.of(plan_for(rule)).feed(*minutes(1, value, value, value))) == opens


# --- 16 to 22: contradictions, scope, names, places -------------------------------------------------------------------


@pytest.mark.django_db
def test_defect_16_rds_fires_once_by_the_table_and_three_times_where_a_customer_has_it_so(
    jia: Customer, yi: Customer, chen: User
) -> None:
    databases = {customer: server(customer, "rm-1", kind="database") for customer in (jia, yi)}
    override(yi, chen, "rds-cpu-usage", Wish(times=3))
    for customer, database in databases.items():
        for at in range(2):
            feed(customer, database, "rds.cpu.util", [85], start=5 * at)
    assert (fired(jia), fired(yi)) == (["rds-cpu-usage"], [])
    feed(yi, databases[yi], "rds.cpu.util", [85], start=10)
    assert fired(yi) == ["rds-cpu-usage"]


def test_defect_17_six_host_rules_leave_ecs_to_the_cloud_and_three_are_for_all_hosts() -> None:
    host = [rule for rule in SOW_RULES.values() if rule.product == "Linux/Windows"]
    for rule in host:
        assert ("非 ECS" in rule.name_zh) == ("not_ecs" in rule.scope)
        assert len(plan_for(rule.id, is_ecs=True)) == int("非 ECS" not in rule.name_zh)
        assert len(plan_for(rule.id, is_ecs=False)) == 1
    assert sum("not_ecs" in rule.scope for rule in host) == 6


@pytest.mark.parametrize(
    ("rule", "new", "old"),
    [
        ("ecs-disk-util", "diskusage_utilization", "vm.DiskUtilization"),
        ("ecs-mem-util", "memory_usedutilization", "vm.MemoryUtilization"),
        ("ecs-cpu-iowait", "cpu_wait", ""),
        ("ecs-inode-util", "fs_inodeutilization", ""),
    ],
)
def test_defect_18_the_new_names_of_ecs_figures_are_asked_first(rule: str, new: str, old: str) -> None:
    names = METRICS[RULES[rule].metrics[0]].cms_metrics
    assert names[0] == new
    assert not old or old in names[1:]


def test_defect_19_redis_figures_have_a_name_for_each_edition() -> None:
    names = METRICS["redis_cloud.cpu.util"].cms_metrics
    assert {"Standard", "Sharding", "Splitrw"} <= {
        edition for edition in ("Standard", "Sharding", "Splitrw") if any(name.startswith(edition) for name in names)
    }
    assert "CpuUsage" in names


@pytest.mark.parametrize(("failed", "down"), [(0, False), (1, False), (2, True), (3, True)])
def test_defect_20_a_site_is_down_when_two_of_its_three_places_say_so(failed: int, down: bool) -> None:
    found = [places.Answer(f"p{at}", 1 if at < failed else 0, 10.0) for at in range(3)]
    said = places.verdict(found, points=3)
    assert (said.failed, said.is_down) == (failed, down)
    code = float(bool(said.is_down))
    assert bool(Memory.of(plan_for("website-failed")).feed(*minutes(1, code, code, code))) == down


@pytest.mark.django_db
def test_defect_21_a_noisy_listener_has_a_threshold_of_its_own(jia: Customer, chen: User) -> None:
    balancer = server(jia, "lb-1", kind="load_balancer")
    listeners = [{"port": port, "protocol": "tcp", "vip": "1.2.3.4"} for port in ("80", "443")]
    rule = "slb-drop-connection"
    for labels in listeners:
        feed(jia, balancer, "slb.drop_connections_per_s", [0], labels=labels, start=-1)
    override(jia, chen, rule, Wish(thresholds=(10.0,)), asset=balancer, labels='port="80",protocol="tcp",vip="1.2.3.4"')
    for labels in listeners:
        feed(jia, balancer, "slb.drop_connections_per_s", [4, 4, 4], labels=labels)
    (alert,) = alerts(jia)
    assert 'port="443"' in alert.labels


def test_defect_22_every_rule_has_a_severity_a_recovery_and_a_word_on_silence() -> None:
    for rule in RULES.values():
        assert rule.severity in ("disaster", "high", "average", "warning")
        assert rule.recovery or rule.recovery_after_s
        assert rule.no_data in NoData
    restarts = {rule.severity for rule in RESTARTS}
    assert restarts == {"warning"}
    unreachable = ("ping-unreachable", "website-failed", "port-not-running", "es-cluster-red")
    assert {RULES[name].severity for name in unreachable} == {"high"}


@pytest.mark.django_db
def test_silence_does_not_end_an_alert_of_any_rule_that_keeps(jia: Customer) -> None:
    web: Asset = server(jia)
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    feed(jia, web, "host.cpu.util", [95], start=600)
    with scope.customer(jia):
        alert = Alert.objects.get()
    assert (alert.recovered_at, alert.opened_at) == (None, minute(2))
