"""Windows hosts, IIS and SQL Server from one windows_exporter page.

SQL Server's fourteen items of the contract are Windows performance counters, which that exporter reads locally: no SQL
login is needed, and CPU, disk and network of the same page complete the list. IIS is told as the contract's rules write
it: start mode 2 automatic, 3 manual, 4 disabled; state 4 running, 1 stopped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from monitoring.collectors.products import pages
from monitoring.collectors.products.frame import Prerequisite, Product, Visit, share

Entry = pages.Entry
MODES: Final = {"user": "host.cpu.user", "privileged": "host.cpu.system"}
START_MODES: Final = {"boot": 0, "system": 1, "auto": 2, "manual": 3, "disabled": 4}
STATES: Final = {
    "stopped": 1,
    "start pending": 2,
    "stop pending": 3,
    "running": 4,
    "continue pending": 5,
    "pause pending": 6,
    "paused": 7,
}
SKIPPED_NICS: Final = re.compile(r"(?i)isatap|loopback|teredo|wan_miniport|pseudo")
DISK_RATES: Final = {
    "windows_logical_disk_read_bytes_total": "host.disk.read_bytes_per_s",
    "windows_logical_disk_write_bytes_total": "host.disk.write_bytes_per_s",
    "windows_logical_disk_reads_total": "host.disk.reads_per_s",
    "windows_logical_disk_writes_total": "host.disk.writes_per_s",
}
NIC_RATES: Final = {
    "windows_net_bytes_received_total": "host.net.in_bytes_per_s",
    "windows_net_bytes_sent_total": "host.net.out_bytes_per_s",
    "windows_net_packets_received_total": "host.net.in_packets_per_s",
    "windows_net_packets_sent_total": "host.net.out_packets_per_s",
    "windows_net_packets_received_errors_total": "host.net.in_errors_per_s",
    "windows_net_packets_outbound_errors_total": "host.net.out_errors_per_s",
}
SQL_RATES: Final = {
    "windows_mssql_accessmethods_full_scans": "sqlserver.full_scans_per_s",
    "windows_mssql_sqlstats_sql_compilations": "sqlserver.compilations_per_s",
    "windows_mssql_bufman_checkpoint_pages": "sqlserver.checkpoint_pages_per_s",
    "windows_mssql_genstats_logins": "sqlserver.logins_per_s",
    "windows_mssql_locks_lock_timeouts": "sqlserver.lock_timeouts_per_s",
    "windows_mssql_locks_deadlocks": "sqlserver.deadlocks_per_s",
    "windows_mssql_locks_lock_waits": "sqlserver.lock_waits_per_s",
    "windows_mssql_sqlstats_batch_requests": "sqlserver.qps",
    "windows_mssql_databases_transactions": "sqlserver.tps",
}


@dataclass(frozen=True, slots=True)
class Page:
    """The series of one page by name. Names that end in _total and those that do not are the same: versions differ."""

    series: Mapping[str, Sequence[tuple[Mapping[str, str], float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Page:
        series: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for name, labels, value in entries:
            series.setdefault(name, []).append((labels, value))
        return cls(series)

    def all(self, *names: str) -> Sequence[tuple[Mapping[str, str], float]]:
        """The entries under the first of these names that is there, with or without _total."""
        for name in names:
            for spelled in (name, f"{name}_total", name.removesuffix("_total")):
                if spelled in self.series:
                    return self.series[spelled]
        return ()

    def one(self, *names: str) -> float | None:
        found = self.all(*names)
        return found[0][1] if found else None


async def fetch(visit: Visit) -> Page:
    async with visit.http() as http:
        page = Page.of(pages.read(await http.get(visit.config.path or "/metrics"), "windows_"))
    if not page.series:
        visit.lacks("wrong_product", "windows_")
    boot = page.one("windows_system_boot_time_timestamp", "windows_system_boot_time_timestamp_seconds")
    boot = boot if boot is not None else page.one("windows_system_system_up_time")
    visit.counters.of_life(str(boot or ""))
    return page


# --- host ------------------------------------------------------------------------------------------------------------


async def collect(visit: Visit) -> None:
    page = await fetch(visit)
    _host(visit, page)
    if _service(page, "windows_service_state", "w3svc") or page.all("windows_iis_worker_processes"):
        iis(visit, page)


def _host(visit: Visit, page: Page) -> None:
    cores = _cpu(visit, page)
    if cores and (queue := page.one("windows_system_processor_queue_length")) is not None:
        visit.add("host.load1_per_core", queue / cores)
    total = page.one(
        "windows_memory_physical_total_bytes", "windows_cs_physical_memory_bytes", "windows_os_visible_memory_bytes"
    )
    available = page.one("windows_memory_available_bytes", "windows_os_physical_memory_free_bytes")
    if total and available is not None:
        visit.add("host.mem.total_bytes", total)
        visit.add("host.mem.available_bytes", available)
        visit.add("host.mem.util", 100 - share(available, total))
    boot = page.one("windows_system_boot_time_timestamp", "windows_system_boot_time_timestamp_seconds")
    boot = boot if boot is not None else page.one("windows_system_system_up_time")
    if boot:
        visit.add("host.boot_time", boot)
        visit.add("host.uptime_s", max(visit.counters.at - boot, 0.0))
    if (processes := page.one("windows_system_processes", "windows_os_processes")) is not None:
        visit.add("host.procs", processes)
    _disks(visit, page)
    for name, metric in NIC_RATES.items():
        for labels, value in page.all(name):
            if not SKIPPED_NICS.search(labels.get("nic", "")):
                visit.rate(metric, value, device=labels.get("nic", ""))


def _cpu(visit: Visit, page: Page) -> int:
    """Shares of CPU time since the look before, of all cores and of each; returns how many there are."""
    cores: dict[str, dict[str, float]] = {}
    for labels, value in page.all("windows_cpu_time_total"):
        cores.setdefault(labels.get("core", ""), {})[labels.get("mode", "")] = value
    spent: dict[str, float] = {}
    for core, modes in cores.items():
        grown = {
            mode: visit.counters.increase(f"cpu {core} {mode}", value)
            for mode, value in modes.items()
            if mode in ("idle", "user", "privileged", "interrupt", "dpc")
        }
        known = {mode: growth for mode, growth in grown.items() if growth is not None}
        # Privileged time includes interrupts and deferred calls: user + privileged + idle is the whole.
        whole = sum(known.get(mode, 0.0) for mode in ("idle", "user", "privileged"))
        if whole > 0:
            visit.add("host.cpu.core_util", 100 - share(known.get("idle", 0.0), whole), core=core)
            for mode, growth in known.items():
                spent[mode] = spent.get(mode, 0.0) + growth
    whole = sum(spent.get(mode, 0.0) for mode in ("idle", "user", "privileged"))
    if whole > 0:
        visit.add("host.cpu.util", 100 - share(spent.get("idle", 0.0), whole))
        for mode, metric in MODES.items():
            visit.add(metric, share(spent.get(mode, 0.0), whole))
    if cores:
        visit.add("host.cpu.cores", len(cores))
    return len(cores)


def _disks(visit: Visit, page: Page) -> None:
    sizes = {labels.get("volume", ""): value for labels, value in page.all("windows_logical_disk_size_bytes")}
    for labels, free in page.all("windows_logical_disk_free_bytes"):
        volume = labels.get("volume", "")
        size = sizes.get(volume, 0.0)
        if size > 0 and not volume.startswith("HarddiskVolume"):  # hidden recovery partitions
            where = {"device": volume, "mountpoint": volume}
            visit.add("host.fs.size_bytes", size, **where)
            visit.add("host.fs.free_bytes", free, **where)
            visit.add("host.fs.free_pct", share(free, size), **where)
            visit.add("host.fs.used_pct", 100 - share(free, size), **where)
    for name, metric in DISK_RATES.items():
        for labels, value in page.all(name):
            if not labels.get("volume", "").startswith("HarddiskVolume"):
                visit.rate(metric, value, device=labels.get("volume", ""))


# --- IIS -------------------------------------------------------------------------------------------------------------


async def collect_iis(visit: Visit) -> None:
    page = await fetch(visit)
    if not iis(visit, page):
        visit.lacks("disabled", 'windows_service_state{name="w3svc"}')


def iis(visit: Visit, page: Page) -> bool:
    """State, start mode and uptime of W3SVC, and its traffic; whether there was anything."""
    state = _service(page, "windows_service_state", "w3svc", "state")
    mode = _service(page, "windows_service_start_mode", "w3svc", "start_mode")
    if state in STATES:
        visit.add("iis.state", STATES[state])
    if mode in START_MODES:
        visit.add("iis.startup_mode", START_MODES[mode])
    uptime = page.all("windows_iis_service_uptime", "windows_iis_service_uptime_seconds")
    if uptime:
        visit.add("iis.uptime_s", max(value for _, value in uptime))
    requests = [value for labels, value in page.all("windows_iis_requests_total") if labels.get("site") != "_Total"]
    if requests:
        visit.rate("iis.requests_per_s", sum(requests))
    current = [value for labels, value in page.all("windows_iis_current_connections") if labels.get("site") != "_Total"]
    if current:
        visit.add("iis.connections", sum(current))
    return state is not None or mode is not None


def _service(page: Page, name: str, service: str, label: str = "state") -> str | None:
    """The state whose series is 1, of one service."""
    for labels, value in page.all(name):
        if labels.get("name", "").lower() == service and value == 1:
            return labels.get(label, "").lower()
    return None


# --- SQL Server ------------------------------------------------------------------------------------------------------


async def collect_sqlserver(visit: Visit) -> None:
    page = await fetch(visit)
    instances = [labels.get("mssql_instance", "") for labels, _ in page.all("windows_mssql_genstats_user_connections")]
    if not instances:
        visit.lacks("disabled", "windows_mssql_genstats_user_connections")
    _host(visit, page)  # CPU, IOPS, network and disk space of the fourteen
    for labels, value in page.all("windows_mssql_genstats_user_connections"):
        visit.add("sqlserver.connections", value, instance=labels.get("mssql_instance", ""))
    for instance in instances:
        _sql_rates(visit, page, instance)
        _cache_hits(visit, page, instance)
        for metric, name in (
            ("sqlserver.data_bytes", "windows_mssql_databases_data_files_size_bytes"),
            ("sqlserver.log_bytes", "windows_mssql_databases_log_files_size_bytes"),
        ):
            found = _of(page, name, instance)
            if found:
                visit.add(metric, sum(value for _, value in found), instance=instance)


def _of(page: Page, name: str, instance: str) -> list[tuple[Mapping[str, str], float]]:
    found = page.all(name)
    totals = {"_Total", "_total"}
    return [
        (labels, value)
        for labels, value in found
        if labels.get("mssql_instance", "") == instance
        and not totals & {labels.get("database", ""), labels.get("resource", "")}
    ]


def _sql_rates(visit: Visit, page: Page, instance: str) -> None:
    for name, metric in SQL_RATES.items():
        found = _of(page, name, instance)
        if found:
            visit.rate(metric, sum(value for _, value in found), instance=instance)


def _cache_hits(visit: Visit, page: Page, instance: str) -> None:
    """Hits over look-ups: Windows keeps the ratio as two figures of the same recent stretch."""
    hits = _of(page, "windows_mssql_bufman_buffer_cache_hits", instance)
    lookups = _of(page, "windows_mssql_bufman_buffer_cache_lookups", instance)
    if hits and lookups and lookups[0][1] > 0:
        visit.add("sqlserver.cache_hit_pct", min(share(hits[0][1], lookups[0][1]), 100.0), instance=instance)


def _install(collectors: str) -> tuple[Prerequisite, ...]:
    return (
        Prerequisite(
            "在主机上安装 windows_exporter（管理员 PowerShell），并只对本平台开放端口 9182（<RDMP> 换成平台地址）。",
            "Install windows_exporter on the host (PowerShell as administrator) and open port 9182 to the platform "
            "only (put its address for <RDMP>).",
            f'msiexec /i windows_exporter.msi ENABLED_COLLECTORS="{collectors}" LISTEN_PORT=9182\n'
            "New-NetFirewallRule -DisplayName rdmp -Direction Inbound -Protocol TCP -LocalPort 9182 "
            "-RemoteAddress <RDMP> -Action Allow",
        ),
        Prerequisite(
            "验证：应看到 windows_ 开头的指标。",
            "Verify: it must show figures that begin with windows_.",
            "(Invoke-WebRequest http://127.0.0.1:9182/metrics -UseBasicParsing).Content | Select-String windows_cpu",
        ),
    )


_ASKS: Final = frozenset({"tls", "user", "password", "path"})
_HOST: Final = "cpu,cs,logical_disk,memory,net,os,service,system"

PRODUCT: Final = Product(
    slug="windows",
    name_zh="Windows 主机",
    name_en="Windows host",
    icon="brand-windows",
    port=9182,
    path="/metrics",
    collect=collect,
    asks=_ASKS,
    needs="windows_exporter ≥ 0.20",
    is_middleware=False,
    prerequisites=_install(_HOST),
)
IIS_PRODUCT: Final = Product(
    slug="iis",
    name_zh="IIS",
    name_en="IIS",
    icon="world-www",
    port=9182,
    path="/metrics",
    collect=collect_iis,
    asks=_ASKS,
    needs="windows_exporter ≥ 0.20",
    prerequisites=_install(f"{_HOST},iis"),
)
SQLSERVER_PRODUCT: Final = Product(
    slug="sqlserver",
    name_zh="SQL Server",
    name_en="SQL Server",
    icon="database",
    port=9182,
    path="/metrics",
    collect=collect_sqlserver,
    asks=_ASKS,
    needs="SQL Server ≥ 2012, windows_exporter ≥ 0.20",
    prerequisites=_install(f"{_HOST},mssql"),
)
