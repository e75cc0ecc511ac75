"""Every rule of the products without a server fires on documented bad answers and recovers on good ones."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from accounts.models import Customer
from assets.models import Asset
from monitoring import pipeline
from monitoring.collectors import Outcome, State, parse_labels
from monitoring.rules import RULES
from tests.monitoring.products.recordings import Answers, answers, jolokia, page, serving
from tests.monitoring.products.visits import earlier, look
from tests.monitoring.samples import Sample, alerts, batch, minute, server

Change = Callable[[Answers], None]
KAFKA = "kafka.network:type=RequestMetrics,name={}QueueTimeMs,request=Produce"


def set_to(path: str, *keys: str | int, value: object) -> Change:
    """A change of one value inside one answer."""

    def change(found: Answers) -> None:
        inner = found[path]
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = copy.deepcopy(value)

    return change


def text(before: str, after: str) -> Change:
    def change(found: Answers) -> None:
        assert before in found["/metrics"]
        found["/metrics"] = found["/metrics"].replace(before, after)

    return change


def failing_pod(phase: str, reason: str) -> Change:
    def change(found: Answers) -> None:
        status = found["/api/v1/pods"]["items"][0]["status"]
        status["phase"] = phase
        status["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 1, "reason": reason}}

    return change


def busy(container: str, seconds: float) -> Change:
    def change(found: Answers) -> None:
        usage = found[f"/containers/{container}/stats"]["cpu_stats"]["cpu_usage"]
        usage["total_usage"] += round(seconds * 1e9)

    return change


@dataclass(frozen=True)
class Case:
    """A rule, the product it is for, and what makes its recorded answers bad. `each` moves every answer on."""

    rule: str
    product: str
    bad: Change
    each: Change | None = None


STATE = 'windows_service_state{{name="w3svc",state="{}"}} 1'
MODE = 'windows_service_start_mode{{name="w3svc",start_mode="{}"}} 1'
ES_NODES = "/_nodes/stats/process,jvm,fs,thread_pool"
OVER_JOLOKIA = ("kafka", "java")
DEPLOYMENTS = "/apis/apps/v1/deployments"
CASES = (
    Case("es-cluster-yellow", "elasticsearch", set_to("/_cluster/health", "status", value="yellow")),
    Case("es-cluster-red", "elasticsearch", set_to("/_cluster/health", "status", value="red")),
    Case("es-fd-util", "elasticsearch",
         set_to(ES_NODES, "nodes", "aGhY", "process", "open_file_descriptors", value=900)),
    Case("es-cpu-util", "elasticsearch", set_to(ES_NODES, "nodes", "aGhY", "process", "cpu", "percent", value=93)),
    Case("es-heap-util", "elasticsearch",
         set_to(ES_NODES, "nodes", "aGhY", "jvm", "mem", "heap_used_in_bytes", value=1000000000)),
    Case("k8s-deployment-unavailable", "kubernetes",
         set_to(DEPLOYMENTS, "items", 0, "status", "unavailableReplicas", value=1)),
    Case("k8s-active-pods-low", "kubernetes", set_to(DEPLOYMENTS, "items", 0, "status", "availableReplicas", value=2)),
    Case("k8s-node-unschedulable", "kubernetes",
         set_to("/api/v1/nodes", "items", 1, "spec", "unschedulable", value=True)),
    Case("k8s-pod-failed", "kubernetes", failing_pod("Failed", "Evicted")),
    Case("k8s-container-terminated", "kubernetes", failing_pod("Running", "OOMKilled")),
    Case("docker-cpu-util", "docker", busy("aaa111", 29), each=busy("aaa111", 0.3)),
    Case("docker-mem-util", "docker", set_to("/containers/aaa111/stats", "memory_stats", "usage", value=1300000000)),
    Case("kafka-under-replicated", "kafka",
         set_to("kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions", "Value", value=4)),
    Case("kafka-request-queue-time", "kafka", set_to(KAFKA.format("Request"), "99thPercentile", value=3200.0)),
    Case("kafka-response-queue-time", "kafka", set_to(KAFKA.format("Response"), "99thPercentile", value=5000.0)),
    Case("java-cpu-load", "java", set_to("java.lang:type=OperatingSystem", "ProcessCpuLoad", value=0.93)),
    Case("java-heap-util", "java", set_to("java.lang:type=Memory", "HeapMemoryUsage", "used", value=1000000000)),
    Case("java-nonheap-util", "java", set_to("java.lang:type=Memory", "NonHeapMemoryUsage", "used", value=95000000),
         each=set_to("java.lang:type=Memory", "NonHeapMemoryUsage", value={"max": 100000000, "used": 50000000})),
    Case("iis-not-running", "iis", text('"running"} 1', '"running"} 0\n' + STATE.format("start pending"))),
    Case("iis-autostart", "iis", text('"auto"} 1', '"auto"} 0\n' + MODE.format("manual"))),
)  # fmt: skip


def fresh(product: str) -> Answers:
    if product == "iis":
        return {"/metrics": page("windows")}
    return answers("kafka_mbeans" if product in OVER_JOLOKIA else product)


async def _one_look(product: str, found: Answers, state: State | None) -> Outcome:
    served = {"/jolokia/": jolokia(found)} if product in OVER_JOLOKIA else found
    async with serving(served) as port:
        return await look(product, port, password="t", state=state)


def minutes_of(case: Case, verdicts: str) -> list[Outcome]:
    """One look a minute, at bad answers (b) and good ones (g); the counters of each go on from the one before."""
    outcomes: list[Outcome] = []
    grown = fresh(case.product)
    for verdict in verdicts:
        found = fresh(case.product)
        if case.each is not None:
            found = grown
            case.each(found)
        if verdict == "b":
            case.bad(found)
        state = earlier(outcomes[-1]) if outcomes else None
        outcomes.append(asyncio.run(_one_look(case.product, found, state)))
        assert outcomes[-1].problem is None
    return outcomes


def feed(customer: Customer, asset: Asset, outcomes: list[Outcome], *, start: int = 0) -> None:
    for number, outcome in enumerate(outcomes, start=start):
        samples: list[Sample] = [
            (asset, metric, parse_labels(labels), minute(number), value)
            for (_, _, metric, labels), value in zip(outcome.keys, outcome.value, strict=True)
        ]
        pipeline.ingest(batch(customer, samples), now=minute(number))


def host(customer: Customer, case: Case) -> Asset:
    return server(customer, os="windows" if case.product == "iis" else "linux")


@pytest.mark.django_db
@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_a_rule_fires_on_documented_bad_answers_and_recovers(case: Case, jia: Customer) -> None:
    asset = host(jia, case)
    outcomes = minutes_of(case, "gbbbggg" if case.each is None else "ggbbbbgggg")
    feed(jia, asset, outcomes)
    [alert] = [one for one in alerts(jia) if one.rule_id == case.rule]
    assert alert.recovered_at is not None
    assert alert.ending == "recovered"


@pytest.mark.django_db
@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_two_bad_answers_are_not_three(case: Case, jia: Customer) -> None:
    feed(jia, host(jia, case), minutes_of(case, "gbbggg"))
    assert [one.rule_id for one in alerts(jia)] == []


@pytest.mark.django_db
def test_iis_that_was_restarted_is_told_once_and_ends_by_itself(jia: Customer) -> None:
    case = Case("iis-restarted", "iis", text('uptime{site="Default Web Site"} 86400', 'uptime{site="x"} 20'))
    feed(jia, host(jia, case), minutes_of(case, "gbgggggggggggg"))
    told = [one for one in alerts(jia) if one.rule_id == "iis-restarted"]
    assert len(told) == 1
    assert told[0].recovered_at is not None


@pytest.mark.django_db
def test_java_that_was_restarted_is_told_once_and_ends_by_itself(jia: Customer) -> None:
    case = Case("java-restarted", "java", set_to("java.lang:type=Runtime", "StartTime", value=1772000900000))
    feed(jia, host(jia, case), minutes_of(case, "g" + "b" * 13))
    told = [one for one in alerts(jia) if one.rule_id == "java-restarted"]
    assert len(told) == 1
    assert told[0].recovered_at is not None


def test_the_recordings_reach_every_rule_of_their_products() -> None:
    ours = {"Elasticsearch", "Kubernetes", "Docker", "Kafka", "IIS", "Java"}
    wanted = {rule.id for rule in RULES.values() if rule.product in ours}
    assert wanted - {case.rule for case in CASES} == {"iis-restarted", "java-restarted"}
