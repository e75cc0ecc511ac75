"""How fast one process stores and evaluates samples, database included: JSON lines, one per figure.

    python -m benchmarks.ingest [--minutes 10] [--series 300000 200000] [--customers 20] [--tenants 200]

It starts a PostgreSQL of its own, with durable settings. Customers have hosts with some 60 figures each, and an asset
with the figures of all 90 rules. Each batch is one customer's minute. Some series are bad for a minute or two all the
time, and alerts with their incidents open and recover during the run. `tenant_cost_ratio` is the CPU time of as many
small customers as `--tenants` says, each with the same rules, over that of one customer with as many series.
"""

from __future__ import annotations

from benchmarks import _platform  # first: it starts the database and sets Django up

# isort: split

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from benchmarks._memory import peak_rss
from monitoring import pipeline, registry
from monitoring.collectors import Batch, Keys, Pieces
from monitoring.evaluate import compare
from monitoring.plan import COMPARATORS
from monitoring.rules import METRICS, RULES, Form

PER_HOST = 60
TOGETHER = 20
"""So many customers' batches are at hand at once, as when targets of several are collected together."""
WARM_UP = 3
HOST_METRICS = (
    "host.cpu.util", "host.cpu.user", "host.cpu.system", "host.cpu.iowait", "host.load1", "host.load5", "host.load15",
    "host.load1_per_core", "host.mem.util", "host.mem.available_bytes", "host.uptime_s", "host.boot_time", "host.procs",
)  # fmt: skip
PER_PART = {
    "mountpoint": ("host.fs.used_pct", "host.fs.free_pct", "host.fs.free_bytes", "host.fs.inode_free_pct"),
    "disk": ("host.disk.read_bytes_per_s", "host.disk.write_bytes_per_s", "host.disk.util"),
    "link": ("host.net.in_bytes_per_s", "host.net.out_bytes_per_s"),
    "core": ("host.cpu.core_util",),
}
PARTS = {"mountpoint": 4, "disk": 4, "link": 3, "core": 13}


@dataclass
class Load:
    """One customer's series, and what they show."""

    customer_id: int
    keys: Pieces
    level: NDArray[np.float64]
    noise: NDArray[np.float64]

    def values(self, minute: int, random: np.random.Generator, *, is_ill: bool) -> NDArray[np.float64]:
        """Good values with some noise. Some hosts are bad for a minute or two, the first while it is ill."""
        values = self.level + self.noise * random.random(len(self.level))
        values[PER_HOST::PER_HOST][: minute % 3] = 95.0
        if is_ill:
            values[:9] = 97.0
        return values


def host_series() -> list[tuple[str, str]]:
    series = [(metric, "") for metric in HOST_METRICS]
    for part, metrics in PER_PART.items():
        for number in range(PARTS[part]):
            labels = {"mountpoint": f'device="d{number}",mountpoint="/m{number}"', "core": f'core="{number}"'}
            series += [(metric, labels.get(part, f'device="{part}{number}"')) for metric in metrics]
    return (series * 2)[:PER_HOST]


def good_levels(metrics: Sequence[str]) -> dict[str, tuple[float, float]]:
    """For each metric a value that no rule objects to, and how much noise it bears."""
    conditions = [c for rule in RULES.values() for c in rule.conditions[:1] if c.form is Form.VALUE]
    compared = {m for rule in RULES.values() for c in rule.conditions if c.form is Form.DIFFERENCE for m in c.metrics}

    def is_good(metric: str, value: float) -> bool:
        rules = [c for c in conditions if c.metrics[0] == metric]
        op = np.array([COMPARATORS[c.comparator] for c in rules], dtype=np.int8)
        return not compare(op, np.full(len(rules), value), np.array([c.limit for c in rules])).any()

    def level(metric: str) -> tuple[float, float]:
        value = next(value for value in (0.0, 1.0, 2.0, 4.0, 50.0, 2.0**35) if is_good(metric, value))
        noisy = METRICS[metric].kind == "gauge" and is_good(metric, value + 1) and metric not in compared
        return value, float(noisy)

    return {metric: level(metric) for metric in metrics}


def make_loads(count: int, customers: int, now: datetime) -> list[Load]:
    """Customers with their assets, and the keys of each host as its collector has them from page to page."""
    levels = good_levels(list(METRICS))
    every_rule = sorted({metric for rule in RULES.values() for metric in rule.metrics})
    hosts = (count // customers - len(every_rule)) // PER_HOST
    loads = []
    with scope.platform("benchmark"):
        for number in range(customers):
            name = f"c{count}-{customers}-{number}"
            customer = Customer.objects.create(name=name, short_name=name, code=name, created_at=now)
            assets = Asset.objects.bulk_create(
                Asset(customer=customer, kind="server", os="linux", name=f"h{at}", created_at=now, changed_at=now)
                for at in range(hosts + 1)
            )
            series = host_series()
            pieces = [Keys((customer.pk, a.pk, metric, labels) for metric, labels in series) for a in assets[:-1]]
            pieces.append(Keys((customer.pk, assets[-1].pk, metric, "") for metric in every_rule))
            keys = Pieces(pieces)
            level, noise = np.array([levels[key[2]] for key in keys]).T
            loads.append(Load(customer.pk, keys, level, noise))
    return loads


@dataclass(frozen=True)
class Run:
    """What some minutes of load took."""

    samples: int
    wall_s: float
    cpu_s: float
    bytes: int
    opened: int

    @property
    def cpu_s_per_million(self) -> float:
        return self.cpu_s / self.samples * 1e6


def all_rules() -> None:
    """All 90, the one that ships switched off too."""
    setattr(registry, "RULES", {name: replace(rule, enabled=True) for name, rule in RULES.items()})  # noqa: B010


def batch_of(load: Load, minute: int, now: datetime, random: np.random.Generator, *, is_ill: bool = False) -> Batch:
    size = len(load.level)
    ts = np.full(size, round(now.timestamp() * 1000), dtype=np.int64)
    values = load.values(minute, random, is_ill=is_ill)
    return Batch(load.customer_id, load.keys, np.arange(size, dtype=np.int32), ts, values)


def run(loads: Sequence[Load], minutes: int, start: datetime) -> Run:
    random = np.random.default_rng(7)
    stored = opened = first_stored = first_bytes = 0
    began = cpu = 0.0
    for minute in range(WARM_UP + minutes):
        if minute == WARM_UP:
            first_bytes, first_stored, cpu = sample_bytes(), stored, _platform.cpu_seconds()
            began = time.monotonic()
        now = start + timedelta(minutes=minute)
        ill = minute // 10 % len(loads) if minute % 10 in range(3, 8) else -1  # alerts open and recover
        for low in range(0, len(loads), TOGETHER):
            batches = [
                batch_of(load, minute, now, random, is_ill=number == ill)
                for number, load in enumerate(loads[low : low + TOGETHER], low)
            ]
            for result in pipeline.ingest_many(batches, now=now):
                assert isinstance(result, pipeline.IngestResult)
                stored, opened = stored + result.stored, opened + result.opened
    wall, cpu = time.monotonic() - began, _platform.cpu_seconds() - cpu
    bound = sum(len(registry.memory_of(load.customer_id).plan or ()) for load in loads)
    print(
        f"{stored} samples, {bound} bindings of rules, {opened} alerts, load {os.getloadavg()[0]:.1f}", file=sys.stderr
    )
    return Run(stored - first_stored, wall, cpu, sample_bytes() - first_bytes, opened)


def sample_bytes() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'samples.block'::regclass"
        )
        return int(cursor.fetchone()[0])


def figures(options: argparse.Namespace, start: datetime) -> Iterator[tuple[str, float, str]]:
    for place, size in enumerate(options.series):
        done = run(make_loads(size, options.customers, start), options.minutes, start)
        name = "monitoring" if place == 0 else f"monitoring.at_{size // 1000}k"
        yield f"{name}.samples_per_s", done.samples / done.wall_s, "samples/s"
        yield f"{name}.cpu_s_per_million", done.cpu_s_per_million, "s"
        yield f"{name}.raw_bytes_per_sample", done.bytes / done.samples, "bytes"
        registry.forget()
    yield "monitoring.peak_rss_bytes", peak_rss(), "bytes"
    if options.tenants:
        size = options.series[-1]
        many = run(make_loads(size, options.tenants, start), options.minutes, start)
        registry.forget()
        one = run(make_loads(size, 1, start), options.minutes, start)
        yield "monitoring.tenant_cost_ratio", many.cpu_s_per_million / one.cpu_s_per_million, "ratio"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--series", type=int, nargs="+", default=[300_000, 200_000])
    parser.add_argument("--customers", type=int, default=20)
    parser.add_argument("--tenants", type=int, default=200)
    options = parser.parse_args()
    all_rules()
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    for name, value, unit in figures(options, start):
        print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}), flush=True)


if __name__ == "__main__":
    main()
