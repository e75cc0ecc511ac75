"""Which filesystems count, and how full they are, without ever waiting on a mount that does not answer."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

# Filesystems that hold no data of the user (Linux Documentation/filesystems; read-only images included).
PSEUDO: Final = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fuse.gvfsd-fuse",
        "fuse.lxcfs",
        "fuse.portal",
        "fusectl",
        "hugetlbfs",
        "iso9660",
        "mqueue",
        "nsfs",
        "overlay",
        "proc",
        "procfs",
        "pstore",
        "ramfs",
        "rootfs",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "squashfs",
        "sysfs",
        "tmpfs",
        "tracefs",
        "udf",
        "erofs",
    ]
)
UNDER: Final = re.compile(r"^/(dev|proc|sys|run/credentials/.+|var/lib/(docker|containers|kubelet|containerd)/.+)($|/)")
PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Mount:
    device: str
    point: str
    kind: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes and inodes of one filesystem; ``identity`` is equal for two views of the same one."""

    size: int
    free: int
    available: int
    files: int
    files_free: int
    identity: int


def mounts(skip: re.Pattern[str] | None = None) -> list[Mount]:
    """The mounts worth measuring: real, writable, one per mount point (the last mount covers earlier ones)."""
    found: dict[str, Mount] = {}
    for part in psutil.disk_partitions(all=True):
        options = part.opts.split(",")
        overlay_root = part.fstype == "overlay" and part.mountpoint == "/"
        found.pop(part.mountpoint, None)
        if "ro" in options or "cdrom" in options or not part.fstype:
            continue
        if part.fstype in PSEUDO and not overlay_root:
            continue
        if UNDER.match(part.mountpoint) or (skip is not None and skip.search(part.mountpoint)):
            continue
        found[part.mountpoint] = Mount(part.device, part.mountpoint, part.fstype)
    return list(found.values())


def measure(point: str) -> Usage | None:
    """Ask the kernel; may block for ever on a dead network mount. None: not a directory (a bind-mounted file)."""
    if not hasattr(os, "statvfs"):
        usage = psutil.disk_usage(point)
        return Usage(usage.total, usage.free, usage.free, 0, 0, hash(point))
    status = Path(point).stat()
    if not stat.S_ISDIR(status.st_mode):
        return None
    vfs = os.statvfs(point)
    size = vfs.f_frsize
    return Usage(vfs.f_blocks * size, vfs.f_bfree * size, vfs.f_bavail * size, vfs.f_files, vfs.f_ffree, status.st_dev)


class Patient:
    """Measures mounts in threads. A mount that does not answer is reported and left alone until it does."""

    def __init__(self, measure: Callable[[str], Usage | None] = measure, *, patience_s: float = PATIENCE_S) -> None:
        self._measure = measure
        self._patience_s = patience_s
        self._waiting: dict[str, threading.Thread] = {}

    def read(self, wanted: Iterable[Mount]) -> list[tuple[Mount, Usage | None]]:
        """Each distinct filesystem once, with None where the mount did not answer in time or failed."""
        wanted = list(wanted)
        answers: dict[str, Usage | None] = {}
        for mount in wanted:
            if mount.point not in self._waiting:
                thread = threading.Thread(target=self._ask, args=(mount.point, answers), daemon=True)
                self._waiting[mount.point] = thread
                thread.start()
        deadline = time.monotonic() + self._patience_s
        for mount in wanted:
            self._waiting[mount.point].join(max(0.0, deadline - time.monotonic()))
        failed = [m for m in wanted if m.point not in answers]
        self._waiting = {point: thread for point, thread in self._waiting.items() if thread.is_alive()}
        return self._distinct(wanted, dict(answers)) + [(mount, None) for mount in failed]

    def _ask(self, point: str, answers: dict[str, Usage | None]) -> None:
        try:
            answers[point] = self._measure(point)
        except OSError:
            return  # stale handle, permission, vanished: shown as a device error, as an unanswered one is

    @staticmethod
    def _distinct(wanted: list[Mount], answers: dict[str, Usage | None]) -> list[tuple[Mount, Usage | None]]:
        """Bind mounts and subvolumes show one filesystem several times: keep the shortest path of each."""
        chosen: dict[object, tuple[Mount, Usage | None]] = {}
        for mount in sorted(wanted, key=lambda m: (len(m.point), m.point)):
            usage = answers.get(mount.point)
            if usage is not None and usage.size > 0:
                device = mount.device if mount.device.startswith("/dev/") else usage.identity
                chosen.setdefault(device, (mount, usage))
        return list(chosen.values())
