"""WebLogic by its RESTful management interface (12.2.1 and later), as a user of the Monitors group."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from monitoring.collectors.products.frame import CannotReadError, Http, Prerequisite, Product, Visit, share

ROOT: Final = "/management/weblogic/latest/serverRuntime"
STATES: Final = {"RUNNING": 0, "ADMIN": 1, "RESUMING": 2, "SUSPENDING": 3, "STARTING": 4, "SHUTTING_DOWN": 5}
FAILED: Final = 6
HEALTH: Final = {"ok": 0, "warn": 1, "critical": 2, "failed": 3, "overloaded": 4}


async def collect(visit: Visit) -> None:
    async with visit.http(headers={"Accept": "application/json", "X-Requested-By": "rdmp"}) as http:
        server = await _json(http, f"{ROOT}?links=none&fields=name,state,healthState,activationTime,weblogicVersion")
        jvm = await _json(http, f"{ROOT}/JVMRuntime?links=none")
        pool = await _json(http, f"{ROOT}/threadPoolRuntime?links=none")
        sources = await _json(http, f"{ROOT}/JDBCServiceRuntime/JDBCDataSourceRuntimeMBeans?links=none")
    if "state" not in server:
        raise CannotReadError("wrong_page", f"{ROOT}: state")
    app = str(server.get("name", "weblogic"))
    visit.fact("version", str(server.get("weblogicVersion", "")))
    visit.counters.of_life(str(server.get("activationTime", "")))
    visit.add("weblogic.state", STATES.get(str(server["state"]).upper(), FAILED), app=app)
    health = str(server.get("healthState", {}).get("state", "")).lower()
    if health in HEALTH:
        visit.add("weblogic.health", HEALTH[health], app=app)
    _jvm(visit, jvm, app)
    if server.get("activationTime"):
        visit.add("java.start_time", float(server["activationTime"]) / 1000, app=app)
    for metric, field in (
        ("weblogic.threads", "executeThreadTotalCount"),
        ("weblogic.threads_idle", "executeThreadIdleCount"),
        ("weblogic.threads_hogging", "hoggingThreadCount"),
        ("weblogic.threads_stuck", "stuckThreadCount"),
        ("weblogic.queue", "queueLength"),
    ):
        if field in pool:
            visit.add(metric, float(pool[field]), app=app)
    if "completedRequestCount" in pool:
        visit.rate("weblogic.requests_per_s", float(pool["completedRequestCount"]), app=app)
    for source in sources.get("items", ()):
        _source(visit, source, app)


def _jvm(visit: Visit, jvm: Mapping[str, Any], app: str) -> None:
    most = float(jvm.get("heapSizeMax", -1))
    if most > 0 and "heapFreeCurrent" in jvm and "heapSizeCurrent" in jvm:
        used = float(jvm["heapSizeCurrent"]) - float(jvm["heapFreeCurrent"])
        visit.add("java.heap.util", share(used, most), app=app)


def _source(visit: Visit, source: Mapping[str, Any], app: str) -> None:
    labels = {"app": app, "source": str(source.get("name", ""))}
    active, capacity = float(source.get("activeConnectionsCurrentCount", 0)), float(source.get("currCapacity", 0))
    visit.add("weblogic.jdbc.active", active, **labels)
    if capacity > 0:
        visit.add("weblogic.jdbc.util", share(active, capacity), **labels)
    visit.add("weblogic.jdbc.waiting", float(source.get("waitingForConnectionCurrentCount", 0)), **labels)


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
    slug="weblogic",
    name_zh="WebLogic",
    name_en="WebLogic",
    icon="server-bolt",
    port=7001,
    user="rdmp",
    collect=collect,
    asks=frozenset({"user", "password", "tls"}),
    needs="WebLogic ≥ 12.2.1",
    prerequisites=(
        Prerequisite(
            "在控制台的安全领域中建立用户 rdmp，只加入 Monitors 组（只读）。RESTful 管理默认已开启；"
            "未开启时在“域 → 配置 → 一般信息 → 高级”中打开。",
            "Make a user rdmp in the console's security realm, in the group Monitors only (read-only). RESTful "
            "management is on by default; otherwise switch it on under Domain → Configuration → General → Advanced.",
        ),
        Prerequisite(
            "验证：应看到 RUNNING。",
            "Verify: it must say RUNNING.",
            f"curl -u rdmp 'http://127.0.0.1:7001{ROOT}?links=none&fields=name,state'",
        ),
    ),
)
