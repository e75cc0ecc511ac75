"""Which of node_exporter's series (our agent speaks them too) are used, and as what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from monitoring.collectors import labels_text

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
