"""Docker containers: from the Engine API, or from cAdvisor's page. Shares are of a container's limit, else of the host.

The Engine API without protection is root on the host, so the prerequisites put a read-only proxy before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from monitoring.collectors.products import pages
from monitoring.collectors.products.frame import CannotReadError, Http, Prerequisite, Product, Visit, share

MAX_CONTAINERS: Final = 200


async def collect(visit: Visit) -> None:
    """Every running container. Usage is a counter: its rate needs no second of waiting per container."""
    async with visit.http() as http:
        version = await _json(http, "/version")
        visit.version("Docker", str(version.get("Version", "")))
        info = await _json(http, "/info")
        listed = await _json(http, "/containers/json")
        if not isinstance(listed, list):
            raise CannotReadError("wrong_page", "/containers/json")
        visit.add("docker.containers", len(listed))
        for one in listed[:MAX_CONTAINERS]:
            path = f"/containers/{quote(str(one['Id']))}"
            status, text = await http.ask("GET", f"{path}/json", takes=frozenset({200, 404}))
            if status == 200:
                stats = await http.ask("GET", f"{path}/stats?stream=false&one-shot=true", takes=frozenset({200, 404}))
                if stats[0] == 200:
                    _container(visit, name_of(one), json.loads(text), json.loads(stats[1]), info)


def name_of(one: Mapping[str, Any]) -> str:
    names = one.get("Names") or [str(one.get("Id", ""))[:12]]
    return str(names[0]).lstrip("/")


def _container(
    visit: Visit, name: str, details: Mapping[str, Any], stats: Mapping[str, Any], info: Mapping[str, Any]
) -> None:
    limits = details.get("HostConfig", {})
    cores = cores_of(limits, float(info.get("NCPU", 0)))
    used = stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
    started = str(details.get("State", {}).get("StartedAt", ""))
    if used is not None and cores > 0:
        key = f"cpu {details.get('Id', name)} {started}"  # a restarted container counts from zero again
        rate = visit.counters.rate(key, float(used))
        if rate is not None:
            visit.add("docker.cpu.util", rate / 1e9 / cores * 100, container=name)
    memory = stats.get("memory_stats", {})
    if "usage" in memory:
        detail = memory.get("stats", {})
        cache = float(detail.get("inactive_file", detail.get("total_inactive_file", 0)))  # cgroup 2, cgroup 1
        limit = float(limits.get("Memory") or 0) or float(info.get("MemTotal", 0))
        visit.add("docker.mem.util", share(max(float(memory["usage"]) - cache, 0.0), limit), container=name)
    visit.add("docker.restarts", float(details.get("RestartCount", 0)), container=name)


def cores_of(limits: Mapping[str, Any], host: float) -> float:
    """How many cores a container may use: --cpus, or quota over period, or its set of cores, or all there are."""
    if limits.get("NanoCpus"):
        return float(limits["NanoCpus"]) / 1e9
    if float(limits.get("CpuQuota") or 0) > 0:
        return float(limits["CpuQuota"]) / float(limits.get("CpuPeriod") or 100_000)
    if limits.get("CpusetCpus"):
        return float(sum(_size(part) for part in str(limits["CpusetCpus"]).split(",")))
    return host


def _size(part: str) -> int:
    first, _, last = part.partition("-")
    return int(last or first) - int(first) + 1


async def _json(http: Http, path: str) -> Any:
    text = await http.get(path)
    try:
        return json.loads(text)
    except ValueError:
        raise CannotReadError("wrong_page", f"{path}: {text[:80]!r}") from None


# --- cAdvisor --------------------------------------------------------------------------------------------------------


async def collect_cadvisor(visit: Visit) -> None:
    async with visit.http() as http:
        page = pages.read(await http.get(visit.config.path or "/metrics"), "container_", "machine_")
    machine = {name: value for name, _, value in page if name.startswith("machine_")}
    containers: dict[str, dict[str, float]] = {}
    for name, labels, value in page:
        container = labels.get("name", "")
        if container and name.startswith("container_"):
            found = containers.setdefault(container, {})
            is_sum = name == "container_cpu_usage_seconds_total"  # one series per core in older versions
            found[name] = found.get(name, 0.0) + value if is_sum else value
    if not containers:
        visit.lacks("wrong_product", "container_cpu_usage_seconds_total{name=…}")
    for container, found in containers.items():
        quota, period = found.get("container_spec_cpu_quota", 0.0), found.get("container_spec_cpu_period", 100_000.0)
        cores = quota / period if quota > 0 and period > 0 else machine.get("machine_cpu_cores", 0.0)
        if "container_cpu_usage_seconds_total" in found and cores > 0:
            rate = visit.counters.rate(f"cpu {container}", found["container_cpu_usage_seconds_total"])
            if rate is not None:
                visit.add("docker.cpu.util", rate / cores * 100, container=container)
        host = machine.get("machine_memory_bytes", 0.0)
        limit = found.get("container_spec_memory_limit_bytes", 0.0)
        if not 0 < limit <= (host or limit):  # no limit is written as 0, or as more than the machine has
            limit = host
        if "container_memory_working_set_bytes" in found:
            visit.add("docker.mem.util", share(found["container_memory_working_set_bytes"], limit), container=container)
    visit.add("docker.containers", len(containers))


PRODUCT: Final = Product(
    slug="docker",
    name_zh="Docker",
    name_en="Docker",
    icon="brand-docker",
    port=2375,
    collect=collect,
    asks=frozenset({"tls", "user", "password"}),
    needs="Docker Engine ≥ 20.10 (API 1.41)",
    is_middleware=False,
    prerequisites=(
        Prerequisite(
            "不要直接开放 Docker 的 TCP 端口：能连上它就等于主机的 root。在主机的 Nginx 前放一个只读代理"
            "（<RDMP> 换成本平台的地址）。",
            "Do not open Docker's TCP port itself: who reaches it is root on the host. Put a read-only proxy before "
            "it, here with the host's Nginx (put the platform's address for <RDMP>).",
            "server {\n"
            "    listen 2375;\n"
            "    allow <RDMP>;\n"
            "    deny all;\n"
            "    location ~ ^/(version|info|containers/json|containers/[0-9a-f]+/(json|stats))$ {\n"
            "        limit_except GET { deny all; }\n"
            "        proxy_pass http://unix:/var/run/docker.sock;\n"
            "    }\n"
            "}",
        ),
        Prerequisite(
            "验证：应列出容器。", "Verify: it must list the containers.", "curl http://127.0.0.1:2375/containers/json"
        ),
    ),
)
CADVISOR_PRODUCT: Final = Product(
    slug="cadvisor",
    name_zh="Docker（cAdvisor）",
    name_en="Docker (cAdvisor)",
    icon="brand-docker",
    port=8080,
    path="/metrics",
    collect=collect_cadvisor,
    asks=frozenset({"tls", "user", "password", "path"}),
    needs="cAdvisor ≥ 0.30",
    is_middleware=False,
    prerequisites=(
        Prerequisite(
            "已经运行 cAdvisor 的主机可直接读取它的页面。",
            "Where cAdvisor runs already, its page can be read.",
            "curl -s http://127.0.0.1:8080/metrics | grep container_memory_working_set_bytes",
        ),
    ),
)
