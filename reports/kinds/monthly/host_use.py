"""What hosts used while they were there, and how their ports answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from django.db.models import Count

from assets.models import Asset
from assets.models import Kind as AssetKind
from monitoring.forecast import Forecast
from monitoring.hostdiff import Kind as Happening
from monitoring.models import Event
from monitoring.wording import labels_shown
from reports import figures
from reports.figures import NOTHING, Summary
from reports.kinds import filling
from reports.kinds.asking import Asked
from reports.kinds.readings import Reading, daily, readings, stay

KINDS: Final = frozenset({AssetKind.ECS, AssetKind.SERVER})
CPU: Final = ("host.cpu.util", "ecs.cpu.util")
MEMORY: Final = ("host.mem.util", "ecs.mem.util")
DISK: Final = ("host.fs.used_pct", "ecs.disk.util")
LOAD: Final = ("host.load5",)
CORES: Final = ("host.cpu.cores",)
BOOT: Final = ("host.boot_time",)
PORT: Final = "port.result_code"
"""Of several metrics the first that a host has: its agent sees more than the hypervisor."""
INCOMING: Final = (
    {"host.net.in_bytes_per_s": 8.0},
    {"ecs.net.in_bits_per_s": 1.0, "ecs.net.intranet_in_bits_per_s": 1.0},
)
OUTGOING: Final = (
    {"host.net.out_bytes_per_s": 8.0},
    {"ecs.net.out_bits_per_s": 1.0, "ecs.net.intranet_out_bits_per_s": 1.0},
)
"""With what each unit is taken times to be bits per second. Devices, and what CloudMonitor tells apart, are added."""
NETWORK: Final = tuple(metric for group in (*INCOMING, *OUTGOING) for metric in group)
METRICS: Final = (*CPU, *MEMORY, *DISK, *LOAD, *CORES, *BOOT, PORT, *NETWORK)
MEGABIT: Final = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Disk:
    """A filesystem: what was used at the end, in per cent, and when it will be full."""

    name: str
    summary: Summary
    forecast: Forecast | None
    by_day: Sequence[float | None]

    @property
    def last(self) -> float:
        return -1.0 if self.summary.last is None else self.summary.last


@dataclass(frozen=True, slots=True)
class Host:
    """What one host used while it was there. Network in Mbit/s, the rest in per cent."""

    asset: Asset
    days: float
    cpu: Summary
    memory: Summary
    load: Summary
    per_core: float | None
    incoming: Summary
    outgoing: Summary
    disks: Sequence[Disk]
    reboots: int | None
    cpu_by_day: Sequence[float | None]
    memory_by_day: Sequence[float | None]

    @property
    def name(self) -> str:
        return self.asset.name

    @property
    def coverage(self) -> float:
        return max(self.cpu.coverage, self.memory.coverage)

    @property
    def is_known(self) -> bool:
        return any(one.coverage for one in (self.cpu, self.memory, *(disk.summary for disk in self.disks)))

    @property
    def worst(self) -> Disk | None:
        return max(self.disks, key=lambda disk: disk.last, default=None)


@dataclass(frozen=True, slots=True)
class Port:
    asset: Asset
    number: str
    reading: Reading

    @property
    def code(self) -> int:
        """What the last checks said."""
        return int(self.reading.rollup.high[-1])


def hosts_and_ports(asked: Asked) -> tuple[list[Host], list[Port]]:
    hosts: list[Host] = []
    ports: list[Port] = []
    seen = _seen_reboots(asked)
    for asset, found in readings(asked, asked.assets, METRICS):
        ports += [
            Port(asset, one.labels.get("port", ""), one) for one in found if one.metric == PORT and len(one.rollup.ts)
        ]
        if asset.kind in KINDS or any(one.metric in CPU for one in found):
            hosts.append(_host(asked, asset, found, seen.get(asset.pk)))
    return hosts, ports


def _host(asked: Asked, asset: Asset, found: Sequence[Reading], seen: int | None) -> Host:
    start, end = stay(asked, asset)
    cpu, memory, load, cores, boot = (_first(found, names) for names in (CPU, MEMORY, LOAD, CORES, BOOT))
    loaded = _summary(load)
    most = _summary(cores).last
    return Host(
        asset=asset,
        days=(end - start) / timedelta(days=1),
        cpu=_summary(cpu),
        memory=_summary(memory),
        load=loaded,
        per_core=loaded.p95 / most if loaded.p95 is not None and most else None,
        incoming=_traffic(found, INCOMING),
        outgoing=_traffic(found, OUTGOING),
        disks=[_disk(asked, asset, one) for one in _all_of(found, DISK)],
        reboots=figures.restarts(boot.rollup.high) if boot is not None else seen,
        cpu_by_day=[] if cpu is None else daily(asked, cpu.rollup),
        memory_by_day=[] if memory is None else daily(asked, memory.rollup),
    )


def _all_of(found: Sequence[Reading], metrics: Sequence[str]) -> list[Reading]:
    """The series of the first of these metrics that has any point."""
    for metric in metrics:
        mine = [one for one in found if one.metric == metric and len(one.rollup.ts)]
        if mine:
            return mine
    return []


def _first(found: Sequence[Reading], metrics: Sequence[str]) -> Reading | None:
    return next(iter(_all_of(found, metrics)), None)


def _summary(reading: Reading | None) -> Summary:
    return NOTHING if reading is None else reading.summary


def _traffic(found: Sequence[Reading], groups: Sequence[Mapping[str, float]]) -> Summary:
    """Of all devices together, in Mbit/s; its highest is that of a step's mean."""
    for scales in groups:
        mine = [one for one in found if one.metric in scales and len(one.rollup.ts)]
        if mine:
            parts = [(one.rollup.ts, one.rollup.mean * scales[one.metric] / MEGABIT) for one in mine]
            _ts, total = figures.added(parts)
            return figures.summary(total, total, total, np.ones(len(total)), steps=mine[0].steps)
    return NOTHING


def _disk(asked: Asked, asset: Asset, reading: Reading) -> Disk:
    name = labels_shown(reading.series.labels) or asset.name
    return Disk(name, reading.summary, filling.forecast(asked, reading), daily(asked, reading.rollup))


def _seen_reboots(asked: Asked) -> dict[int, int]:
    """Reboots that were told of as events, by asset: for hosts that tell no boot time."""
    rows = Event.objects.filter(customer=asked.customer, source=Event.Source.HOST, kind=Happening.REBOOT)
    rows = rows.filter(occurred_at__gte=asked.start, occurred_at__lt=asked.until).order_by()
    return dict(rows.exclude(asset=None).values_list("asset").annotate(count=Count("pk")))
