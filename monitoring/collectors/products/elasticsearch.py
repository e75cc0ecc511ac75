"""Elasticsearch and OpenSearch run by the customer: cluster health and node statistics.

Status codes are 1 green, 2 yellow, 3 red, as the contract's rules for self-hosted clusters write them (the cloud
product's are 0, 1, 2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from monitoring.collectors.products.frame import CannotReadError, Http, Prerequisite, Product, Visit, share

STATUS: Final = {"green": 1, "yellow": 2, "red": 3}
NODES: Final = "/_nodes/stats/process,jvm,fs,thread_pool"


async def collect(visit: Visit) -> None:
    async with visit.http() as http:
        root = await _json(http, "/")
        health = await _json(http, "/_cluster/health")
        nodes = await _json(http, NODES)
    version = root.get("version", {})
    visit.version(str(version.get("distribution", "Elasticsearch")), str(version.get("number", "")))
    status = health.get("status")
    if status not in STATUS:
        raise CannotReadError("wrong_page", f"_cluster/health: status {status!r}")
    visit.add("es.cluster_status", STATUS[status])
    visit.add("es.unassigned_shards", float(health.get("unassigned_shards", 0)))
    visit.add("es.nodes", float(health.get("number_of_nodes", 0)))
    for node in nodes.get("nodes", {}).values():
        _node(visit, node)


def _node(visit: Visit, node: Mapping[str, Any]) -> None:
    name = str(node.get("name", ""))
    process, memory = node.get("process", {}), node.get("jvm", {}).get("mem", {})
    most = float(process.get("max_file_descriptors", -1))
    if most > 0:  # -1 on Windows
        visit.add("es.fd.util", share(float(process.get("open_file_descriptors", 0)), most), node=name)
    if (percent := float(process.get("cpu", {}).get("percent", -1))) >= 0:
        visit.add("es.cpu.util", percent, node=name)
    if float(memory.get("heap_max_in_bytes", 0)) > 0:
        used = share(float(memory["heap_used_in_bytes"]), float(memory["heap_max_in_bytes"]))
        visit.add("es.heap.util", used, node=name)
    disk = node.get("fs", {}).get("total", {})
    if float(disk.get("total_in_bytes", 0)) > 0:
        free = share(float(disk.get("available_in_bytes", 0)), float(disk["total_in_bytes"]))
        visit.add("es.disk.util", 100 - free, node=name)
    for pool in ("write", "search"):
        rejected = node.get("thread_pool", {}).get(pool, {}).get("rejected")
        if rejected is not None:
            visit.rate("es.rejected_per_s", float(rejected), node=name, pool=pool)


async def _json(http: Http, path: str) -> dict[str, Any]:
    text = await http.get(path)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CannotReadError("wrong_page", f"{path}: {text[:80]!r}")
    return found


PRODUCT: Final = Product(
    slug="elasticsearch",
    name_zh="Elasticsearch",
    name_en="Elasticsearch",
    icon="zoom-scan",
    port=9200,
    collect=collect,
    asks=frozenset({"user", "password", "tls"}),
    needs="Elasticsearch ≥ 6.8, OpenSearch ≥ 1",
    prerequisites=(
        Prerequisite(
            "未开启安全功能时无需账号；开启时建立只有 monitor 权限的用户（在 Kibana 的 Dev Tools 或用 curl 执行）。",
            "Without security no user is needed; with it, make one that has the monitor privilege only "
            "(in Kibana's Dev Tools or by curl).",
            'POST /_security/role/rdmp\n{"cluster": ["monitor"]}\n'
            'POST /_security/user/rdmp\n{"password": "<PASSWORD>", "roles": ["rdmp"]}',
        ),
        Prerequisite(
            "验证：应看到 status。",
            "Verify: it must show the status.",
            "curl -u rdmp https://127.0.0.1:9200/_cluster/health",
        ),
    ),
)
