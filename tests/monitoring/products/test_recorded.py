"""Products without a server in Debian, against recorded documented answers served over HTTP."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from monitoring.collectors import products
from monitoring.collectors.products.docker import cores_of
from monitoring.rules import METRICS
from tests.monitoring.products.recordings import answers, jolokia, page, serving
from tests.monitoring.products.visits import earlier, figures, look

# --- Elasticsearch ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [("green", 1), ("yellow", 2), ("red", 3)])
async def test_elasticsearch_tells_its_status_in_the_codes_of_the_contract(status: str, code: int) -> None:
    found = answers("elasticsearch")
    found["/_cluster/health"]["status"] = status
    async with serving(found) as port:
        outcome = await look("elasticsearch", port)
    assert outcome.problem is None
    assert figures(outcome)["es.cluster_status"] == code


async def test_elasticsearch_nodes_have_shares_and_what_windows_does_not_know_is_left_out() -> None:
    async with serving(answers("elasticsearch")) as port:
        shown = figures(await look("elasticsearch", port))
    assert shown['es.fd.util{node="es-1"}'] == 50
    assert shown['es.cpu.util{node="es-1"}'] == 37
    assert shown['es.heap.util{node="es-1"}'] == 50
    assert shown['es.disk.util{node="es-1"}'] == 50
    assert 'es.fd.util{node="es-2"}' not in shown
    assert 'es.cpu.util{node="es-2"}' not in shown
    assert shown['es.heap.util{node="es-2"}'] == 25


async def test_elasticsearch_wants_its_user() -> None:
    async with serving({"/": 401}) as port:
        outcome = await look("elasticsearch", port)
    assert outcome.problem is not None
    assert outcome.problem.code == "sign_in"


# --- Kubernetes ------------------------------------------------------------------------------------------------------


async def test_kubernetes_counts_by_workload_and_leaves_out_what_ended_as_planned() -> None:
    seen: list[web.Request] = []
    async with serving(answers("kubernetes"), seen) as port:
        outcome = await look("kubernetes", port, password="a-service-account-token")
    assert outcome.problem is None
    shown = figures(outcome)
    web_labels, db = 'namespace="shop",workload="web"', 'namespace="shop",workload="db"'
    assert shown[f"k8s.workload.failed_pods{{{web_labels}}}"] == 0
    assert shown[f"k8s.workload.failed_pods{{{db}}}"] == 0
    assert shown[f"k8s.workload.terminated_containers{{{web_labels}}}"] == 0, "Completed and past restarts are no fault"
    assert not any("backup" in name for name in shown), "pods of Jobs stay after they end"
    assert shown['k8s.deployment.available_pct{deployment="web",namespace="shop"}'] == 100
    assert 'k8s.deployment.available_pct{deployment="night",namespace="shop"}' not in shown
    assert shown['k8s.deployment.unavailable{deployment="night",namespace="shop"}'] == 0
    assert shown['k8s.node.unschedulable{node="node-1"}'] == 0
    assert {request.headers["Authorization"] for request in seen} == {"Bearer a-service-account-token"}


async def test_kubernetes_reads_long_lists_page_by_page() -> None:
    found = answers("kubernetes")
    first = found["/api/v1/nodes"]

    async def nodes(request: web.Request) -> dict[str, object]:
        if "continue" not in request.query:
            return {**first, "metadata": {"continue": "abc=="}}
        assert request.query["continue"] == "abc=="
        return {"items": [{"metadata": {"name": "node-3"}, "spec": {"unschedulable": True}}], "metadata": {}}

    async with serving(found | {"/api/v1/nodes": nodes}) as port:
        shown = figures(await look("kubernetes", port, password="t"))
    assert shown['k8s.node.unschedulable{node="node-3"}'] == 1
    assert shown['k8s.node.unschedulable{node="node-1"}'] == 0


async def test_kubernetes_says_which_list_it_may_not_read() -> None:
    async with serving(answers("kubernetes") | {"/api/v1/pods": 403}) as port:
        outcome = await look("kubernetes", port, password="t")
    assert outcome.problem is not None
    assert outcome.problem.code == "forbidden"
    assert "/api/v1/pods" in outcome.problem.detail


# --- Docker ----------------------------------------------------------------------------------------------------------


async def test_docker_shares_are_of_the_limit_else_of_the_host() -> None:
    found = answers("docker")
    async with serving(found) as port:
        first = await look("docker", port)
        limited = found["/containers/aaa111/stats"]["cpu_stats"]["cpu_usage"]
        limited["total_usage"] += 27 * 10**9  # 0.45 of its half core
        free = found["/containers/bbb222/stats"]["cpu_stats"]["cpu_usage"]
        free["total_usage"] += 120 * 10**9  # 2 of the host's 4 cores
        second = await look("docker", port, state=earlier(first))
    assert second.problem is None
    shown = figures(second)
    assert shown['docker.cpu.util{container="limited"}'] == pytest.approx(90, rel=0.01)
    assert shown['docker.cpu.util{container="free"}'] == pytest.approx(50, rel=0.01)
    assert shown['docker.mem.util{container="limited"}'] == 50, "without the cache that can be given back"
    assert shown['docker.mem.util{container="free"}'] == 25
    assert shown["docker.containers"] == 3
    assert not any('container="gone"' in name for name in shown)


async def test_a_restarted_container_gives_no_rate_from_its_former_life() -> None:
    found = answers("docker")
    async with serving(found) as port:
        first = await look("docker", port)
        found["/containers/aaa111/json"]["State"]["StartedAt"] = "2026-03-02T00:00:00Z"
        found["/containers/aaa111/stats"]["cpu_stats"]["cpu_usage"]["total_usage"] = 5
        second = await look("docker", port, state=earlier(first))
    assert 'docker.cpu.util{container="limited"}' not in figures(second)


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({"NanoCpus": 1_500_000_000}, 1.5),
        ({"CpuQuota": 50_000, "CpuPeriod": 100_000}, 0.5),
        ({"CpuQuota": 200_000}, 2),
        ({"CpusetCpus": "0-2,5"}, 4),
        ({"NanoCpus": 0, "CpuQuota": -1, "CpusetCpus": ""}, 8),
    ],
)
def test_what_a_container_may_use(limits: dict[str, object], cores: float) -> None:
    assert cores_of(limits, 8) == cores


async def test_cadvisor_gives_the_same_figures() -> None:
    text = page("cadvisor")
    found = {"/metrics": text}
    async with serving(found) as port:
        first = await look("cadvisor", port)
        found["/metrics"] = text.replace('name="limited"} 100\n', 'name="limited"} 127\n')
        second = await look("cadvisor", port, state=earlier(first))
    shown = figures(second)
    assert shown['docker.cpu.util{container="limited"}'] == pytest.approx(90, rel=0.01)
    assert shown['docker.mem.util{container="limited"}'] == 50
    assert shown['docker.mem.util{container="free"}'] == 25, "a limit beyond the machine is none"


# --- Kafka -----------------------------------------------------------------------------------------------------------


async def test_kafka_milliseconds_become_seconds() -> None:
    mbeans = answers("kafka_mbeans")
    mbeans["kafka.network:type=RequestMetrics,name=RequestQueueTimeMs,request=Produce"]["99thPercentile"] = 3500.0
    async with serving({"/jolokia/": jolokia(mbeans)}) as port:
        outcome = await look("kafka", port)
    assert outcome.problem is None
    shown = figures(outcome)
    assert shown['kafka.request_queue_s{broker="3",request="Produce"}'] == 3.5
    assert shown['kafka.request_queue_s{broker="3",request="Fetch"}'] == 0.004
    assert shown['kafka.response_queue_s{broker="3",request="Fetch"}'] == 0.002
    assert shown['kafka.under_replicated{broker="3"}'] == 0
    assert shown['java.heap.util{app="kafka"}'] == 50
    assert 'java.nonheap.util{app="kafka"}' not in shown, "a JVM without a limit has no share of it"


async def test_kafka_message_rates_survive_a_restart_of_the_broker() -> None:
    mbeans = answers("kafka_mbeans")
    async with serving({"/jolokia/": jolokia(mbeans)}) as port:
        first = await look("kafka", port)
        mbeans["java.lang:type=Runtime"]["StartTime"] = 1772086400000
        mbeans["kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec"]["Count"] = 120
        second = await look("kafka", port, state=earlier(first))
    assert figures(second)['kafka.messages_in_per_s{broker="3"}'] == pytest.approx(2, rel=0.01)


async def test_another_java_program_is_not_taken_for_kafka() -> None:
    mbeans = {name: value for name, value in answers("kafka_mbeans").items() if name.startswith("java.lang")}
    async with serving({"/jolokia/": jolokia(mbeans)}) as port:
        outcome = await look("kafka", port)
    assert outcome.problem is not None
    assert outcome.problem.code == "wrong_product"


async def test_consumer_lag_is_summed_over_partitions() -> None:
    async with serving({"/metrics": page("kafka_exporter")}) as port:
        outcome = await look("kafka-lag", port)
    assert figures(outcome) == {
        "kafka.brokers": 3,
        'kafka.consumer_lag{group="billing",topic="orders"}': 150,
        'kafka.consumer_lag{group="search",topic="orders"}': 0,
    }


# --- Windows, IIS, SQL Server ----------------------------------------------------------------------------------------


async def test_a_windows_host_has_the_figures_of_every_host() -> None:
    text = page("windows")
    found = {"/metrics": text}
    async with serving(found) as port:
        first = await look("windows", port)
        grown = text.replace('core="0,0",mode="idle"} 9000', 'core="0,0",mode="idle"} 9010')
        grown = grown.replace('core="0,0",mode="user"} 500', 'core="0,0",mode="user"} 520')
        grown = grown.replace('core="0,0",mode="privileged"} 500', 'core="0,0",mode="privileged"} 510')
        found["/metrics"] = grown.replace('core="0,1",mode="idle"} 9000', 'core="0,1",mode="idle"} 9040')
        second = await look("windows", port, state=earlier(first))
    assert first.problem is None
    shown = figures(second)
    assert shown["host.cpu.cores"] == 2
    assert shown["host.cpu.util"] == pytest.approx(37.5)
    assert shown["host.cpu.user"] == pytest.approx(25)
    assert shown['host.cpu.core_util{core="0,0"}'] == pytest.approx(75)
    assert shown["host.load1_per_core"] == 2
    assert shown["host.mem.util"] == 75
    assert shown["host.boot_time"] == 1.772e9
    assert shown['host.fs.free_pct{device="C:",mountpoint="C:"}'] == 20
    assert not any("HarddiskVolume" in name or "isatap" in name for name in shown)
    assert shown["iis.state"] == 4, "a Windows host with IIS tells of it as well"


@pytest.mark.parametrize(
    ("change", "metric", "value"),
    [
        (("", ""), "iis.state", 4),
        (('state="running"} 1', 'state="running"} 0'), "iis.state", None),
        (('state="stopped"} 0', 'state="stopped"} 1'), "iis.state", 1),
        (("", ""), "iis.startup_mode", 2),
        (('start_mode="manual"} 0', 'start_mode="manual"} 1'), "iis.startup_mode", 3),
        (("", ""), "iis.uptime_s", 86400),
    ],
)
async def test_iis_is_told_in_the_codes_of_the_contract(
    change: tuple[str, str], metric: str, value: float | None
) -> None:
    text = page("windows")
    if change[1].endswith("1"):  # another one of the states is the true one now
        text = text.replace('state="running"} 1', 'state="running"} 0').replace('"auto"} 1', '"auto"} 0')
    async with serving({"/metrics": text.replace(*change) if change[0] else text}) as port:
        assert figures(await look("iis", port)).get(metric) == value


async def test_a_host_without_iis_says_what_is_missing() -> None:
    async with serving({"/metrics": page("sqlserver")}) as port:
        outcome = await look("iis", port)
    assert outcome.problem is not None
    assert outcome.problem.code == "disabled"
    assert "w3svc" in outcome.problem.detail


async def test_the_fourteen_items_of_sql_server() -> None:
    text = page("sqlserver")
    found = {"/metrics": text}
    async with serving(found) as port:
        first = await look("sqlserver", port)
        for before, after in (
            ("full_scans{", "300;360"),
            ("sql_compilations{", "900;1500"),
            ("checkpoint_pages{", "1200;1260"),
            ("genstats_logins{", "600;660"),
            ("batch_requests{", "60000;66000"),
        ):
            old, new = after.split(";")
            line = next(one for one in text.splitlines() if before in one)
            text = text.replace(line, line.replace(f" {old}", f" {new}"))
        text = text.replace('resource="Key"} 60', 'resource="Key"} 120').replace(
            'resource="Key"} 6\n', 'resource="Key"} 12\n'
        )
        text = text.replace('resource="Key"} 180', 'resource="Key"} 240')
        text = text.replace(
            'database="orders",mssql_instance="MSSQLSERVER"} 30000',
            'database="orders",mssql_instance="MSSQLSERVER"} 36000',
        )
        text = text.replace('mode="user"} 500', 'mode="user"} 530').replace('mode="idle"} 9000', 'mode="idle"} 9030')
        text = text.replace('reads_total{volume="C:"} 6000', 'reads_total{volume="C:"} 12000')
        found["/metrics"] = text
        second = await look("sqlserver", port, state=earlier(first))
    assert first.problem is None
    shown = figures(second)
    one = '{instance="MSSQLSERVER"}'
    expected = {
        f"sqlserver.connections{one}": 42,
        f"sqlserver.cache_hit_pct{one}": 99,
        f"sqlserver.full_scans_per_s{one}": 1,
        f"sqlserver.compilations_per_s{one}": 10,
        f"sqlserver.checkpoint_pages_per_s{one}": 1,
        f"sqlserver.logins_per_s{one}": 1,
        f"sqlserver.lock_timeouts_per_s{one}": 1,
        f"sqlserver.deadlocks_per_s{one}": 0.1,
        f"sqlserver.lock_waits_per_s{one}": 1,
        f"sqlserver.qps{one}": 100,
        f"sqlserver.tps{one}": 100,
        "host.cpu.util": 50,
        'host.disk.reads_per_s{device="C:"}': 100,
        'host.fs.used_pct{device="C:",mountpoint="C:"}': 80,
    }
    assert {name: shown.get(name) for name in expected} == pytest.approx(expected, rel=0.01)
    assert any(name.startswith("host.net.in_bytes_per_s") for name in shown), "its network is that of the host"


# --- WebLogic, Solr, Oracle, Resin, Ehcache --------------------------------------------------------------------------


async def test_weblogic_tells_its_threads_heap_and_data_sources() -> None:
    async with serving(answers("weblogic")) as port:
        outcome = await look("weblogic", port, user="rdmp", password="x")
    assert outcome.problem is None
    shown = figures(outcome)
    assert shown['weblogic.state{app="AdminServer"}'] == 0
    assert shown['weblogic.health{app="AdminServer"}'] == 0
    assert shown['java.heap.util{app="AdminServer"}'] == 50
    assert shown['java.start_time{app="AdminServer"}'] == 1772000000
    assert shown['weblogic.threads_stuck{app="AdminServer"}'] == 0
    assert shown['weblogic.queue{app="AdminServer"}'] == 3
    assert shown['weblogic.jdbc.util{app="AdminServer",source="orders"}'] == 40
    assert shown['weblogic.jdbc.waiting{app="AdminServer",source="orders"}'] == 2


async def test_solr_tells_its_jvm_and_cores_and_a_restart() -> None:
    found = answers("solr")
    async with serving(found) as port:
        first = await look("solr", port)
        same = await look("solr", port, state=first.state)
        found["/solr/admin/info/system"]["jvm"]["jmx"]["upTimeMS"] = 60_000
        restarted = await look("solr", port, state=same.state)
    assert first.problem is None
    shown = figures(first)
    assert shown['java.heap.util{app="solr"}'] == pytest.approx(40)
    assert shown['java.cpu_load{app="solr"}'] == 25
    assert shown['solr.docs{core="products"}'] == 12345
    assert shown["solr.cores_failed"] == 1
    start = 'java.start_time{app="solr"}'
    assert figures(same)[start] == shown[start]
    assert figures(restarted)[start] > shown[start] + 30


async def test_oracle_tells_sessions_limits_and_tablespaces() -> None:
    async with serving({"/metrics": page("oracle")}) as port:
        shown = figures(await look("oracle", port))
    assert shown["oracle.up"] == 1
    assert shown['oracle.sessions{status="active"}'] == 49
    assert shown['oracle.resource.util{resource="processes"}'] == 80
    assert 'oracle.resource.util{resource="dml_locks"}' not in shown
    assert shown['oracle.tablespace.util{tablespace="USERS"}'] == 90


async def test_an_oracle_that_is_down_gives_no_old_figures() -> None:
    async with serving({"/metrics": page("oracle").replace("oracledb_up 1", "oracledb_up 0")}) as port:
        assert figures(await look("oracle", port)) == {"oracle.up": 0}


JVM = {name: value for name, value in answers("kafka_mbeans").items() if name.startswith("java.lang")}


async def test_resin_and_ehcache_over_jolokia() -> None:
    mbeans = JVM | {
        "resin:type=ThreadPool": {"ThreadActiveCount": 7, "ThreadIdleCount": 3, "ThreadCount": 10},
        "resin:type=Server,name=default": {"RequestCountTotal": 600, "State": "ACTIVE"},
        "net.sf.ehcache:type=CacheStatistics,CacheManager=m,name=users": {
            "CacheHits": 90,
            "CacheMisses": 10,
            "ObjectCount": 500,
        },
    }
    async with serving({"/jolokia/": jolokia(mbeans)}) as port:
        resin = await look("resin", port)
        first = await look("ehcache", port)
        mbeans["net.sf.ehcache:type=CacheStatistics,CacheManager=m,name=users"] |= {"CacheHits": 180, "CacheMisses": 40}
        second = await look("ehcache", port, state=earlier(first))
    assert resin.problem is None
    assert figures(resin)['resin.threads_active{app="resin"}'] == 7
    assert figures(second)['ehcache.hit_pct{cache="users"}'] == 75
    assert figures(second)['ehcache.objects{cache="users"}'] == 500


# --- all -------------------------------------------------------------------------------------------------------------

OURS = (
    "resin", "ehcache", "weblogic", "windows", "iis", "sqlserver", "oracle", "elasticsearch", "solr", "kafka",
    "kafka-lag", "kubernetes", "docker", "cadvisor",
)  # fmt: skip


@pytest.mark.parametrize("slug", OURS)
async def test_a_page_of_something_else_is_recognised(slug: str) -> None:
    async def anything(_request: web.Request) -> str:
        return "<html>It works!</html>"

    paths = ["/", "/metrics", "/jolokia/", "/version", "/_cluster/health", "/solr/admin/info/system",
             "/management/weblogic/latest/serverRuntime"]  # fmt: skip
    async with serving(dict.fromkeys(paths, anything)) as port:
        outcome = await look(slug, port, user="rdmp")
    assert outcome.problem is not None
    assert outcome.problem.code in ("wrong_page", "not_prometheus")
    assert figures(outcome) == {}


@pytest.mark.parametrize("slug", OURS)
def test_every_product_says_what_to_prepare_in_both_languages(slug: str) -> None:
    product = products.PRODUCTS[slug]
    assert product.prerequisites
    assert all(one.zh and one.en for one in product.prerequisites)
    assert any(one.code for one in product.prerequisites)


async def test_every_figure_is_in_the_catalogue() -> None:
    sources = {
        "elasticsearch": answers("elasticsearch"),
        "kubernetes": answers("kubernetes"),
        "docker": answers("docker"),
        "weblogic": answers("weblogic"),
        "solr": answers("solr"),
        "windows": {"/metrics": page("windows")},
        "sqlserver": {"/metrics": page("sqlserver")},
        "oracle": {"/metrics": page("oracle")},
        "cadvisor": {"/metrics": page("cadvisor")},
        "kafka-lag": {"/metrics": page("kafka_exporter")},
        "kafka": {"/jolokia/": jolokia(answers("kafka_mbeans"))},
    }
    for slug, found in sources.items():
        async with serving(found) as port:
            first = await look(slug, port, password="t")
            second = await look(slug, port, password="t", state=earlier(first))
        for _, _, metric, labels in second.keys:
            assert metric in METRICS, metric
            given = {part.partition("=")[0] for part in labels.split('",') if part}
            assert given == set(METRICS[metric].labels), (metric, labels, json.dumps(sorted(METRICS[metric].labels)))
