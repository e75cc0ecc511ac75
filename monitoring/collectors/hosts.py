"""From node_exporter's series (which our agent speaks too) to the host metrics of the catalogue.

Counters become rates here, across restarts of the host, of a device or of the exporter, and across 32-bit
wraps. What is needed for the next page is small and goes with the target's row, so that any worker can go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitoring.collectors import State, labels_text
from monitoring.exposition import Page

Source = tuple[str, str]
"""What a series is to us (``cpu.idle``, ``fs.size``) and of what (core, or labels as the catalogue has them)."""

CPU: Final = "node_cpu_seconds_total"
PLAIN: Final = {
    "node_load1": "load1",
    "node_load5": "load5",
    "node_load15": "load15",
    "node_memory_MemTotal_bytes": "mem.total",
    "node_memory_MemAvailable_bytes": "mem.available",
    "node_memory_SwapTotal_bytes": "swap.total",
    "node_memory_SwapFree_bytes": "swap.free",
    "node_time_seconds": "time",
    "node_boot_time_seconds": "boot",
    "node_processes_pids": "procs",
    "node_procs_running": "procs.running",
    "node_procs_blocked": "procs.blocked",
    "node_users": "users",
}
FILESYSTEM: Final = {
    "node_filesystem_size_bytes": "fs.size",
    "node_filesystem_avail_bytes": "fs.available",
    "node_filesystem_files": "fs.files",
    "node_filesystem_files_free": "fs.files_free",
    "node_filesystem_readonly": "fs.readonly",
    "node_filesystem_device_error": "fs.error",
}
RATES: Final = {
    "node_disk_read_bytes_total": "host.disk.read_bytes_per_s",
    "node_disk_written_bytes_total": "host.disk.write_bytes_per_s",
    "node_disk_reads_completed_total": "host.disk.reads_per_s",
    "node_disk_writes_completed_total": "host.disk.writes_per_s",
    "node_disk_io_time_seconds_total": "host.disk.util",
    "node_network_receive_bytes_total": "host.net.in_bytes_per_s",
    "node_network_transmit_bytes_total": "host.net.out_bytes_per_s",
    "node_network_receive_packets_total": "host.net.in_packets_per_s",
    "node_network_transmit_packets_total": "host.net.out_packets_per_s",
    "node_network_receive_errs_total": "host.net.in_errors_per_s",
    "node_network_transmit_errs_total": "host.net.out_errors_per_s",
}
PSEUDO_FILESYSTEMS: Final = re.compile(
    r"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|erofs|fuse\.lxcfs|fusectl|hugetlbfs|iso9660|"
    r"mqueue|nsfs|overlay|proc|pstore|ramfs|rootfs|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tmpfs|tracefs|udf)$"
)
# Partitions repeat their disk; loops, bridges and container links are not the host's own.
SKIPPED_DEVICES: Final = re.compile(
    r"^(z?ram\d+|loop\d+|fd\d+|sr\d+|(h|s|v|xv)d[a-z]+\d+|nvme\d+n\d+p\d+|mmcblk\d+p\d+|"
    r"lo\d*|veth.*|docker\d+|br-.*|virbr.*|cali.*|cni.*|flannel.*|ifb\d+|tap.*)$"
)
MODES: Final = {
    "user": "host.cpu.user",
    "system": "host.cpu.system",
    "steal": "host.cpu.steal",
    "iowait": "host.cpu.iowait",
}
DIGITS: Final = {
    **dict.fromkeys(MODES.values(), 2),
    **dict.fromkeys(("host.cpu.util", "host.cpu.core_util", "host.load1", "host.load5", "host.load15"), 2),
    **dict.fromkeys(("host.load1_per_core", "host.mem.util", "host.swap.util", "host.disk.util"), 3),
    **dict.fromkeys(("host.fs.used_pct", "host.fs.free_pct", "host.fs.inode_free_pct"), 3),
    **{metric: 4 if "errors" in metric else 2 for metric in RATES.values() if metric != "host.disk.util"},
    **{metric: 0 for metric in RATES.values() if "bytes" in metric},
    "host.uptime_s": 0,
}
"""Digits after the point of figures that are reckoned. What they leave out was never measured: a kernel counts CPU time
in hundredths of a second, which is 0.017 % of a core's minute. Kept, it would be noise that takes five bytes."""
WRAP: Final = 2.0**32
BOOT_SLACK_S: Final = 5.0
SHORTEST_S: Final = 0.2
LONGEST_S: Final = 600.0


def choose(name: str, labels: Mapping[str, str]) -> Source | None:  # noqa: PLR0911  # one line per family
    """Which of an exporter's series we use, and as what."""
    if name in PLAIN:
        return PLAIN[name], ""
    if name == CPU:
        return f"cpu.{labels.get('mode', '')}", labels.get("cpu", "")
    if name in FILESYSTEM:
        if PSEUDO_FILESYSTEMS.match(labels.get("fstype", "")) and labels.get("mountpoint") != "/":
            return None
        return FILESYSTEM[name], labels_text({key: labels.get(key, "") for key in ("device", "mountpoint")})
    if name in RATES:
        device = labels.get("device", "")
        return None if SKIPPED_DEVICES.match(device) else (RATES[name], labels_text({"device": device}))
    if name == "namedprocess_namegroup_num_procs":
        return "process", labels_text({"process": labels.get("groupname", "")})
    return None


@dataclass(frozen=True, slots=True)
class Figures:
    """Columns of one page, and what to remember for the next."""

    metrics: list[str]
    labels: list[str]
    values: list[float]
    state: State


def derive(page: Page[Source], before: State, *, at: float, longest_s: float = LONGEST_S) -> Figures:
    """The host's figures from one page read ``at`` (Unix seconds) and what the page before left behind.

    A first page, or one that comes after a longer silence than ``longest_s``, gives no rates: an average over
    hours is not a figure of now.
    """
    raw: dict[str, dict[str, float]] = {}
    for (what, of), value in zip(page.series, page.values, strict=True):
        raw.setdefault(what, {})[of] = value
    out = Figures([], [], [], {})
    boot = _boot(raw, before)
    restarted = bool(before) and boot is not None and boot != before.get("boot")
    elapsed = _elapsed(raw, before, at)
    usable = SHORTEST_S <= elapsed <= longest_s
    _load_and_memory(out, raw)
    _clock(out, raw, boot, at)
    _filesystems(out, raw)
    old: Mapping[str, float] = before.get("counters", {}) if usable else {}
    counters = _cpu(out, raw, old, restarted=restarted)
    for metric in RATES.values():
        for labels, value in raw.get(metric, {}).items():
            counters[f"{metric} {labels}"] = value
            if (previous := old.get(f"{metric} {labels}")) is not None:
                rate = increase(previous, value, restarted=restarted) / elapsed
                _put(out, metric, min(rate * 100, 100.0) if metric == "host.disk.util" else rate, labels)
    if before and elapsed < SHORTEST_S:
        return Figures(out.metrics, out.labels, out.values, before)
    state: dict[str, Any] = {"at": at, "boot": boot, "time": raw.get("time", {}).get(""), "counters": counters}
    return Figures(out.metrics, out.labels, out.values, state)


def increase(before: float, now: float, *, restarted: bool = False) -> float:
    """How much a counter grew. Smaller than before means: wrapped at 32 bits, or began again at zero;
    smaller by next to nothing is a kernel's rounding and means no growth."""
    if restarted:
        return now
    if now >= before:
        return now - before
    if before < WRAP and before >= 0.75 * WRAP and now < 0.25 * WRAP:
        return now + WRAP - before
    if now >= 0.99 * before:
        return 0.0
    return now


def _put(out: Figures, metric: str, value: float, labels: str = "") -> None:
    out.metrics.append(metric)
    out.labels.append(labels)
    digits = DIGITS.get(metric)
    out.values.append(value if digits is None else round(value, digits))


def _boot(raw: Mapping[str, Mapping[str, float]], before: State) -> float | None:
    """Boot time; a kernel moves it by a second or two when the clock is adjusted, which is no restart."""
    boot = raw.get("boot", {}).get("")
    known = before.get("boot")
    if boot is not None and known is not None and abs(boot - known) <= BOOT_SLACK_S:
        return float(known)
    return boot


def _elapsed(raw: Mapping[str, Mapping[str, float]], before: State, at: float) -> float:
    """Seconds between the two pages: the host's own clock, unless it was set in between."""
    if not before:
        return 0.0
    ours = at - float(before.get("at", at))
    theirs_now, theirs_before = raw.get("time", {}).get(""), before.get("time")
    if theirs_now is not None and theirs_before is not None:
        theirs = theirs_now - float(theirs_before)
        if abs(theirs - ours) <= 1.0 + 0.2 * abs(ours):
            return theirs
    return ours


def _load_and_memory(out: Figures, raw: Mapping[str, Mapping[str, float]]) -> None:
    cores = len(raw.get("cpu.idle", {}))
    if cores:
        _put(out, "host.cpu.cores", cores)
    for name in ("load1", "load5", "load15"):
        if "" in raw.get(name, {}):
            _put(out, f"host.{name}", raw[name][""])
    if cores and "load1" in raw:
        _put(out, "host.load1_per_core", raw["load1"][""] / cores)
    total, available = raw.get("mem.total", {}).get("", 0.0), raw.get("mem.available", {}).get("")
    if total > 0 and available is not None:
        _put(out, "host.mem.util", (1 - available / total) * 100)
        _put(out, "host.mem.available_bytes", available)
        _put(out, "host.mem.total_bytes", total)
    swap = raw.get("swap.total", {}).get("", 0.0)
    if swap > 0:
        _put(out, "host.swap.util", (1 - raw.get("swap.free", {}).get("", 0.0) / swap) * 100)


def _clock(out: Figures, raw: Mapping[str, Mapping[str, float]], boot: float | None, at: float) -> None:
    if boot is not None:
        _put(out, "host.boot_time", boot)
        _put(out, "host.uptime_s", max(0.0, raw.get("time", {}).get("", at) - boot))
    if "procs" in raw:
        _put(out, "host.procs", raw["procs"][""])
    elif "procs.running" in raw:
        _put(out, "host.procs", raw["procs.running"][""] + raw.get("procs.blocked", {}).get("", 0.0))
    if "users" in raw:
        _put(out, "host.users", raw["users"][""])
    for labels, value in raw.get("process", {}).items():
        _put(out, "process.count", value, labels)


def _filesystems(out: Figures, raw: Mapping[str, Mapping[str, float]]) -> None:
    """Read-only and unanswering filesystems are left out: their figures are not of today."""
    sizes, readonly, errors = raw.get("fs.size", {}), raw.get("fs.readonly", {}), raw.get("fs.error", {})
    for labels, available in raw.get("fs.available", {}).items():
        size = sizes.get(labels, 0.0)
        if size <= 0 or readonly.get(labels) == 1 or errors.get(labels) == 1:
            continue
        _put(out, "host.fs.size_bytes", size, labels)
        _put(out, "host.fs.free_bytes", available, labels)
        _put(out, "host.fs.free_pct", available / size * 100, labels)
        _put(out, "host.fs.used_pct", (1 - available / size) * 100, labels)
        files = raw.get("fs.files", {}).get(labels, 0.0)
        if files > 0 and labels in raw.get("fs.files_free", {}):
            _put(out, "host.fs.inode_free_pct", raw["fs.files_free"][labels] / files * 100, labels)


def _cpu(
    out: Figures, raw: Mapping[str, Mapping[str, float]], old: Mapping[str, float], *, restarted: bool
) -> dict[str, float]:
    """Shares of CPU time since the page before, per core and over all; returns the counters to remember.

    Single modes may go back a little (iowait does), so only a shrinking total means that counting began again.
    """
    counters: dict[str, float] = {}
    modes = {what: cores for what, cores in raw.items() if what.startswith("cpu.") and what != "cpu.guest"}
    spent = dict.fromkeys((*MODES, "idle"), 0.0)
    whole = 0.0
    for core in raw.get("cpu.idle", {}):
        now = {"total": sum(cores.get(core, 0.0) for cores in modes.values())}
        now |= {mode: raw.get(f"cpu.{mode}", {}).get(core, 0.0) for mode in spent}
        counters |= {f"cpu.{mode} {core}": value for mode, value in now.items()}
        then = {mode: old.get(f"cpu.{mode} {core}") for mode in now}
        if then["total"] is None:
            continue
        fresh = restarted or now["total"] < then["total"] * 0.99
        total = now["total"] - (0.0 if fresh else then["total"])
        if total <= 0:
            continue
        for mode in spent:
            grown = now[mode] - (0.0 if fresh else then[mode] or 0.0)
            now[mode] = min(max(grown, 0.0), total)
            spent[mode] += now[mode]
        whole += total
        _put(out, "host.cpu.core_util", (1 - now["idle"] / total) * 100, labels_text({"core": core}))
    if whole > 0:
        _put(out, "host.cpu.util", (1 - spent["idle"] / whole) * 100)
        for mode, metric in MODES.items():
            if f"cpu.{mode}" in raw:
                _put(out, metric, spent[mode] / whole * 100)
    return counters
