"""The host's figures under node_exporter's names (process groups under process-exporter's)."""

from __future__ import annotations

import os
import platform
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitoring.agent import __version__
from monitoring.agent.config import Config, Watch
from monitoring.agent.filesystems import Patient, mounts

CPU_MODES: Final = {"interrupt": "irq"}
GUEST: Final = frozenset({"guest", "guest_nice"})
SKIPPED_DISKS: Final = re.compile(r"^(z?ram|loop|fd|sr|(h|s|v|xv)d[a-z]+|nvme\d+n\d+p|mmcblk\d+p)\d+$")
SKIPPED_LINKS: Final = re.compile(
    r"^(lo\d*|veth.*|docker\d+|br-.*|virbr.*|cali.*|cni.*|flannel.*|ifb\d+|tap.*|Loopback.*)$"
)
CENSUS_S: Final = 10.0


class HostFigures(Collector):
    """Everything the agent shows, one part at a time; a part that fails is told and does not hide the others."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._filesystems = Patient()
        self._census = Census(config.watch)
        self._parts: dict[str, Callable[[], Iterable[Metric]]] = {
            "cpu": cpu,
            "loadavg": load,
            "memory": memory,
            "filesystem": self._filesystem,
            "diskstats": disks,
            "network": links,
            "time": clock,
            "processes": self._census.metrics,
            "users": users,
            "uname": about,
        }

    def collect(self) -> Iterator[Metric]:
        success = GaugeMetricFamily("node_scrape_collector_success", "1 if this part was read", labels=["collector"])
        for name, part in self._parts.items():
            try:
                metrics = list(part())
            except (OSError, psutil.Error, RuntimeError, NotImplementedError, AttributeError):
                success.add_metric([name], 0)  # psutil's ways of saying: not on this system, or not readable now
                continue
            success.add_metric([name], 1)
            yield from metrics
        yield success

    def _filesystem(self) -> Iterator[Metric]:
        labels = ["device", "fstype", "mountpoint"]
        size = GaugeMetricFamily("node_filesystem_size_bytes", "Size", labels=labels)
        free = GaugeMetricFamily("node_filesystem_free_bytes", "Free for root", labels=labels)
        available = GaugeMetricFamily("node_filesystem_avail_bytes", "Free for users", labels=labels)
        files = GaugeMetricFamily("node_filesystem_files", "Inodes", labels=labels)
        files_free = GaugeMetricFamily("node_filesystem_files_free", "Free inodes", labels=labels)
        error = GaugeMetricFamily("node_filesystem_device_error", "1 if the mount does not answer", labels=labels)
        for mount, usage in self._filesystems.read(mounts(self._config.skip_mounts)):
            key = [mount.device, mount.kind, mount.point]
            error.add_metric(key, 1 if usage is None else 0)
            if usage is None:
                continue
            size.add_metric(key, usage.size)
            free.add_metric(key, usage.free)
            available.add_metric(key, usage.available)
            if usage.files > 0:  # btrfs and vfat count none
                files.add_metric(key, usage.files)
                files_free.add_metric(key, usage.files_free)
        yield from (size, free, available, files, files_free, error)


def cpu() -> Iterator[Metric]:
    seconds = CounterMetricFamily("node_cpu_seconds_total", "Seconds in each mode", labels=["cpu", "mode"])
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        for mode, value in times._asdict().items():
            if mode not in GUEST:  # already counted in user and nice
                seconds.add_metric([str(number), CPU_MODES.get(mode, mode)], value)
    yield seconds


def load() -> Iterator[Metric]:
    for minutes, value in zip((1, 5, 15), psutil.getloadavg(), strict=True):
        yield GaugeMetricFamily(f"node_load{minutes}", f"{minutes}m load average", value=value)


def memory() -> Iterator[Metric]:
    now, swap = psutil.virtual_memory(), psutil.swap_memory()
    fields = {
        "MemTotal": now.total,
        "MemAvailable": now.available,
        "MemFree": now.free,
        "Buffers": getattr(now, "buffers", None),
        "Cached": getattr(now, "cached", None),
        "SwapTotal": swap.total,
        "SwapFree": swap.free,
    }
    for name, value in fields.items():
        if value is not None:
            yield GaugeMetricFamily(f"node_memory_{name}_bytes", name, value=value)


def disks() -> Iterator[Metric]:
    fields = {
        "node_disk_reads_completed_total": ("read_count", 1.0),
        "node_disk_writes_completed_total": ("write_count", 1.0),
        "node_disk_read_bytes_total": ("read_bytes", 1.0),
        "node_disk_written_bytes_total": ("write_bytes", 1.0),
        "node_disk_read_time_seconds_total": ("read_time", 0.001),
        "node_disk_write_time_seconds_total": ("write_time", 0.001),
        "node_disk_io_time_seconds_total": ("busy_time", 0.001),
    }
    counters = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    yield from _counters(fields, {name: io for name, io in counters.items() if not SKIPPED_DISKS.match(name)})


def links() -> Iterator[Metric]:
    fields = {
        "node_network_receive_bytes_total": ("bytes_recv", 1.0),
        "node_network_transmit_bytes_total": ("bytes_sent", 1.0),
        "node_network_receive_packets_total": ("packets_recv", 1.0),
        "node_network_transmit_packets_total": ("packets_sent", 1.0),
        "node_network_receive_errs_total": ("errin", 1.0),
        "node_network_transmit_errs_total": ("errout", 1.0),
        "node_network_receive_drop_total": ("dropin", 1.0),
        "node_network_transmit_drop_total": ("dropout", 1.0),
    }
    counters = psutil.net_io_counters(pernic=True, nowrap=False) or {}
    yield from _counters(fields, {name: io for name, io in counters.items() if not SKIPPED_LINKS.match(name)})


def _counters(fields: dict[str, tuple[str, float]], devices: dict[str, object]) -> Iterator[Metric]:
    for metric, (field, scale) in fields.items():
        family = CounterMetricFamily(metric, metric.replace("_", " "), labels=["device"])
        for name, counters in devices.items():
            if hasattr(counters, field):
                family.add_metric([name], getattr(counters, field) * scale)
        yield family


def clock() -> Iterator[Metric]:
    yield GaugeMetricFamily("node_boot_time_seconds", "Unix time of the last boot", value=psutil.boot_time())
    yield GaugeMetricFamily("node_time_seconds", "Unix time on this host", value=time.time())


def users() -> Iterator[Metric]:
    yield GaugeMetricFamily("node_users", "Sessions of signed-in users", value=len(psutil.users()))


def about() -> Iterator[Metric]:
    names = platform.uname()
    info = GaugeMetricFamily(
        "node_uname_info", "System", labels=["sysname", "nodename", "release", "version", "machine"]
    )
    info.add_metric([names.system, names.node or socket.gethostname(), names.release, names.version, names.machine], 1)
    agent = GaugeMetricFamily("rdmp_agent_info", "Agent", labels=["version"])
    agent.add_metric([__version__], 1)
    own = psutil.Process(os.getpid())
    times = own.cpu_times()
    yield from (info, agent)
    yield CounterMetricFamily("process_cpu_seconds_total", "CPU time of the agent", value=times.user + times.system)
    yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of the agent", value=own.memory_info().rss)


class Census:
    """Counts processes. Walking all of them is the dear part: done at most every ten seconds."""

    def __init__(self, watches: tuple[Watch, ...], *, every_s: float = CENSUS_S) -> None:
        self._watches = watches
        self._every_s = every_s
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._counts: dict[str, int] = {}

    def metrics(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("node_processes_pids", "Processes", value=len(psutil.pids()))
        if not self._watches:
            return
        family = GaugeMetricFamily("namedprocess_namegroup_num_procs", "Processes of a group", labels=["groupname"])
        for name, count in self._current().items():
            family.add_metric([name], count)
        yield family

    def _current(self) -> dict[str, int]:
        with self._lock:
            if time.monotonic() - self._counted_at >= self._every_s:
                self._counts = count(self._watches)
                self._counted_at = time.monotonic()
            return self._counts


def count(watches: tuple[Watch, ...]) -> dict[str, int]:
    """How many living processes belong to each watched group. Zombies do not work, so they do not count."""
    counts = {watch.name: 0 for watch in watches}
    attributes = ["name", "status"] + (["cmdline"] if any(watch.pattern for watch in watches) else [])
    for process in psutil.process_iter(attributes):
        facts = process.info
        if facts["status"] == psutil.STATUS_ZOMBIE:
            continue
        for watch in watches:
            if watch.pattern is not None:
                counts[watch.name] += bool(watch.pattern.search(" ".join(facts["cmdline"] or [])))
            else:
                counts[watch.name] += (facts["name"] or "").removesuffix(".exe") == watch.process.removesuffix(".exe")
    return counts
