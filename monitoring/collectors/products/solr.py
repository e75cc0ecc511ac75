"""Solr by its own administration handlers: the JVM, and the cores with their indexes (R34)."""

from __future__ import annotations

import json
from typing import Any, Final

from monitoring.collectors.products.frame import CannotReadError, Http, Prerequisite, Product, Visit, share


async def collect(visit: Visit) -> None:
    root = (visit.config.path or PRODUCT.path).rstrip("/")
    async with visit.http() as http:
        info = await _json(http, f"{root}/admin/info/system?wt=json")
        cores = await _json(http, f"{root}/admin/cores?action=STATUS&wt=json")
    jvm = info.get("jvm", {})
    visit.version("Solr", str(info.get("lucene", {}).get("solr-spec-version", "")))
    raw, jmx = jvm.get("memory", {}).get("raw", {}), jvm.get("jmx", {})
    if not raw:
        raise CannotReadError("wrong_page", "admin/info/system: jvm.memory.raw")
    if float(raw.get("max", -1)) > 0:
        visit.add("java.heap.util", share(float(raw["used"]), float(raw["max"])), app="solr")
    if "upTimeMS" in jmx:  # startTime is written as a local date; the uptime needs no zone
        started = round(visit.counters.at - float(jmx["upTimeMS"]) / 1000)
        known = float(visit.memory.get("started", started))
        started = round(known) if abs(known - started) <= 5 else started
        visit.memory["started"] = started
        visit.add("java.start_time", started, app="solr")
    if (load := float(info.get("system", {}).get("processCpuLoad", -1))) >= 0:
        visit.add("java.cpu_load", load * 100, app="solr")
    for name, core in cores.get("status", {}).items():
        index = core.get("index", {})
        visit.add("solr.docs", float(index.get("numDocs", 0)), core=name)
        visit.add("solr.index_bytes", float(index.get("sizeInBytes", 0)), core=name)
    visit.add("solr.cores_failed", len(cores.get("initFailures", {})))


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
    slug="solr",
    name_zh="Solr",
    name_en="Solr",
    icon="sun-high",
    port=8983,
    path="/solr",
    collect=collect,
    asks=frozenset({"path", "tls", "user", "password"}),
    needs="Solr ≥ 7",
    prerequisites=(
        Prerequisite(
            "对本平台的地址开放 Solr 的端口；开启了认证时建立只读用户。",
            "Let the platform's address reach Solr's port; with authentication, make a read-only user.",
        ),
        Prerequisite(
            "验证：应看到 jvm。",
            "Verify: it must show jvm.",
            "curl 'http://127.0.0.1:8983/solr/admin/info/system?wt=json'",
        ),
    ),
)
