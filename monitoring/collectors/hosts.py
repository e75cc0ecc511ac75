"""From node_exporter's series (which our agent speaks too) to the host metrics of the catalogue.

Counters become rates here, across restarts of the host, of a device or of the exporter, and across 32-bit
wraps. What is needed for the next page is small and goes with the target's row, so that any worker can go on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitoring.collectors import State, labels_text
from monitoring.exposition import Page

Floats = NDArray[np.float64]
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
SPENT: Final = (*MODES, "idle")
SINGLE: Final = (
    "host.cpu.cores", "host.load1", "host.load5", "host.load15", "host.load1_per_core", "host.mem.util",
    "host.mem.available_bytes", "host.mem.total_bytes", "host.swap.util", "host.boot_time", "host.uptime_s",
    "host.procs", "host.users",
)  # fmt: skip
FILESYSTEM_FIGURES: Final = (
    "host.fs.size_bytes", "host.fs.free_bytes", "host.fs.free_pct", "host.fs.used_pct", "host.fs.inode_free_pct",
)  # fmt: skip
MOST_LISTS: Final = 100
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
    return _shape(tuple(page.series)).figures(page.values, before, at, longest_s)


def increase(before: float, now: float, *, restarted: bool = False) -> float:
    """How much a counter grew. Smaller than before means: wrapped at 32 bits, or began again at zero;
    smaller by next to nothing is a kernel's rounding and means no growth."""
    return float(_increases(np.array([before]), np.array([now]), restarted=restarted)[0])


def _increases(before: Floats, now: Floats, *, restarted: bool) -> Floats:
    if restarted:
        return now
    has_wrapped = (before < WRAP) & (before >= 0.75 * WRAP) & (now < 0.25 * WRAP)
    since_zero = np.where(has_wrapped, now + WRAP - before, np.where(now >= 0.99 * before, 0.0, now))
    return np.where(now >= before, now - before, since_zero)


Name = tuple[str, str]
"""A metric of the catalogue and the labels of its series."""


class _Shape:
    """What pages with the same series in the same order have in common: where everything stands and what it is called.

    Made once per kind of host, so that a page costs a handful of array operations.
    """

    def __init__(self, series: Sequence[Source]) -> None:
        self._at = {source: place for place, source in enumerate(series)}
        self._of: dict[str, list[str]] = {}
        for what, of in self._at:
            self._of.setdefault(what, []).append(of)
        self._lists: dict[bytes, tuple[list[str], list[str]]] = {}
        self._lay_out_cpu()
        filesystems = self._of.get("fs.available", [])
        self._fs = {what: self._places(what, filesystems) for what in FILESYSTEM.values()}
        rates = [(metric, of) for metric in RATES.values() for of in self._of.get(metric, [])]
        self._rates = np.array([self._at[one] for one in rates], dtype=np.int64)
        self._is_share = np.array([metric == "host.disk.util" for metric, _ in rates], dtype=np.bool_)
        self._processes = self._of.get("process", [])
        self._counters = [f"cpu.{mode} {core}" for mode in ("total", *SPENT) for core in self._cores]
        self._counters += [f"{metric} {of}" for metric, of in rates]
        self._names: list[Name] = [(name, "") for name in SINGLE]
        self._names += [("process.count", of) for of in self._processes]
        self._names += [(metric, of) for metric in FILESYSTEM_FIGURES for of in filesystems]
        self._names += rates
        self._names += [("host.cpu.core_util", labels_text({"core": core})) for core in self._cores]
        self._names += [("host.cpu.util", ""), *((metric, "") for metric in MODES.values())]
        self._is_reckoned = np.array([metric in DIGITS for metric, _ in self._names], dtype=np.bool_)
        self._scale = np.array([10.0 ** DIGITS.get(metric, 0) for metric, _ in self._names])

    def _lay_out_cpu(self) -> None:
        self._cores = self._of.get("cpu.idle", [])
        modes = [what for what in self._of if what.startswith("cpu.") and what != "cpu.guest"]
        self._cpu = np.array([self._places(mode, self._cores) for mode in modes], dtype=np.int64)
        self._cpu = self._cpu.reshape(len(modes), len(self._cores))
        self._spent = np.array([self._places(f"cpu.{mode}", self._cores) for mode in SPENT], dtype=np.int64)
        self._has_mode = np.array([f"cpu.{mode}" in self._of for mode in MODES], dtype=np.bool_)

    def _places(self, what: str, things: Sequence[str]) -> NDArray[np.int64]:
        """Where a figure of each thing stands; -1, which is a zero, where there is none."""
        return np.array([self._at.get((what, of), -1) for of in things], dtype=np.int64)

    def figures(self, values: Sequence[float], before: State, at: float, longest_s: float) -> Figures:
        def single(what: str) -> float | None:
            place = self._at.get((what, ""))
            return None if place is None else values[place]

        padded = np.array([*values, 0.0])
        boot, theirs = _boot(single("boot"), before), single("time")
        restarted = bool(before) and boot is not None and boot != before.get("boot")
        elapsed = _elapsed(theirs, before, at)
        old = before.get("counters", {}) if SHORTEST_S <= elapsed <= longest_s else {}
        get = old.get
        then = np.array([get(name, math.nan) for name in self._counters], dtype=np.float64)
        edge = (1 + len(SPENT)) * len(self._cores)
        cpu, cpu_counters = self._cpu_figures(padded, then[:edge], restarted=restarted)
        rates = padded[self._rates]
        grown = _increases(then[edge:], rates, restarted=restarted) if old else then[edge:]
        grown = np.where(np.isnan(then[edge:]), math.nan, grown) / (elapsed or math.nan)
        grown = np.where(self._is_share, np.minimum(grown * 100, 100.0), grown)
        processes = padded[self._places("process", self._processes)] if self._processes else padded[:0]
        found = np.concatenate(
            [self._singles(single, boot, at), processes, self._filesystem_figures(padded), grown, cpu]
        )
        found = np.where(self._is_reckoned, np.rint(found * self._scale) / self._scale, found)
        there = np.isfinite(found)
        metrics, labels = self._named(there)
        if before and elapsed < SHORTEST_S:
            return Figures(metrics, labels, found[there].tolist(), before)
        counters = dict(zip(self._counters, [*cpu_counters.tolist(), *rates.tolist()], strict=True))
        state = {"at": at, "boot": boot, "time": theirs, "counters": counters}
        return Figures(metrics, labels, found[there].tolist(), state)

    def _named(self, there: NDArray[np.bool_]) -> tuple[list[str], list[str]]:
        """Names of the figures that are there; the very same lists each time, so that callers can tell at a glance."""
        key = there.tobytes()
        known = self._lists.get(key)
        if known is None:
            if len(self._lists) > MOST_LISTS:
                self._lists.clear()
            names = [name for name, is_there in zip(self._names, there.tolist(), strict=True) if is_there]
            known = self._lists[key] = ([metric for metric, _ in names], [of for _, of in names])
        return known

    def _singles(self, single: Callable[[str], float | None], boot: float | None, at: float) -> Floats:
        cores = len(self._cores)
        found = dict.fromkeys(SINGLE, math.nan)
        if cores:
            found["host.cpu.cores"] = cores
        for name in ("load1", "load5", "load15"):
            found[f"host.{name}"] = _or_nan(single(name))
        if cores:
            found["host.load1_per_core"] = found["host.load1"] / cores
        total, available = single("mem.total") or 0.0, single("mem.available")
        if total > 0 and available is not None:
            found["host.mem.util"] = (1 - available / total) * 100
            found["host.mem.available_bytes"], found["host.mem.total_bytes"] = available, total
        swap = single("swap.total") or 0.0
        if swap > 0:
            found["host.swap.util"] = (1 - (single("swap.free") or 0.0) / swap) * 100
        if boot is not None:
            theirs = single("time")
            found["host.boot_time"] = boot
            found["host.uptime_s"] = max(0.0, (at if theirs is None else theirs) - boot)
        processes, running = single("procs"), single("procs.running")
        if processes is None and running is not None:
            processes = running + (single("procs.blocked") or 0.0)
        found["host.procs"] = _or_nan(processes)
        found["host.users"] = _or_nan(single("users"))
        return np.array(list(found.values()), dtype=np.float64)

    def _filesystem_figures(self, values: Floats) -> Floats:
        """Read-only and unanswering filesystems are left out: their figures are not of today."""
        if not len(self._fs["fs.available"]):
            return values[:0]
        size, free, files, files_free = (
            values[self._fs[what]] for what in ("fs.size", "fs.available", "fs.files", "fs.files_free")
        )
        works = (size > 0) & (values[self._fs["fs.readonly"]] != 1) & (values[self._fs["fs.error"]] != 1)
        has_files = works & (files > 0) & (self._fs["fs.files_free"] >= 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share, inodes = free / size, files_free / files
        columns = [size, free, share * 100, (1 - share) * 100]
        kept = [np.where(works, column, math.nan) for column in columns]
        return np.concatenate([*kept, np.where(has_files, inodes * 100, math.nan)])

    def _cpu_figures(self, values: Floats, then: Floats, *, restarted: bool) -> tuple[Floats, Floats]:
        """Shares of CPU time since the page before, per core and over all; and the counters to remember.

        Single modes may go back a little (iowait does), so only a shrinking total means that counting began again.
        """
        size = len(self._cores)
        if not size:
            return np.full(1 + len(MODES), math.nan), values[:0]
        total, modes = values[self._cpu].sum(axis=0), values[self._spent]
        counters = np.concatenate([total, modes.ravel()])
        total_then, modes_then = then[:size], np.nan_to_num(then[size:].reshape(len(SPENT), size))
        fresh = np.logical_or(restarted, total < total_then * 0.99)
        total = total - np.where(fresh, 0.0, total_then)
        counted = ~np.isnan(total_then) & (total > 0)
        total = np.where(counted, total, math.nan)
        spent = np.minimum(np.maximum(modes - np.where(fresh, 0.0, modes_then), 0.0), total)
        cores = (1 - spent[-1] / total) * 100
        if not counted.any():
            return np.concatenate([cores, np.full(1 + len(MODES), math.nan)]), counters
        shares = spent[:, counted].sum(axis=1) / total[counted].sum() * 100
        named = np.where(self._has_mode, shares[:-1], math.nan)
        return np.concatenate([cores, [100.0 - shares[-1]], named]), counters


@lru_cache(maxsize=2000)
def _shape(series: tuple[Source, ...]) -> _Shape:
    return _Shape(series)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _boot(boot: float | None, before: State) -> float | None:
    """Boot time; a kernel moves it by a second or two when the clock is adjusted, which is no restart."""
    known = before.get("boot")
    if boot is not None and known is not None and abs(boot - known) <= BOOT_SLACK_S:
        return float(known)
    return boot


def _elapsed(theirs_now: float | None, before: State, at: float) -> float:
    """Seconds between the two pages: the host's own clock, unless it was set in between."""
    if not before:
        return 0.0
    ours = at - float(before.get("at", at))
    theirs_before = before.get("time")
    if theirs_now is not None and theirs_before is not None:
        theirs = theirs_now - float(theirs_before)
        if abs(theirs - ours) <= 1.0 + 0.2 * abs(ours):
            return theirs
    return ours
