"""What databases used while they were there: the contract's items of each engine, and what stands for each resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from assets.models import Asset
from assets.models import Kind as AssetKind
from monitoring.forecast import Forecast
from monitoring.items import ITEMS
from monitoring.rules import METRICS
from monitoring.wording import labels_shown
from reports import figures
from reports.figures import NOTHING, Summary
from reports.kinds import filling
from reports.kinds.asking import Asked
from reports.kinds.readings import Reading, daily, readings, stay

KINDS: Final = frozenset(
    {AssetKind.RDS, AssetKind.REDIS, AssetKind.MEMCACHE, AssetKind.MONGODB, AssetKind.DRDS, AssetKind.DATABASE}
)
FAMILIES: Final = (
    "rds", "redis_cloud", "memcache_cloud", "mongodb_cloud", "drds", "mysql", "postgresql", "sqlserver", "oracle",
    "redis", "mongodb",
)  # fmt: skip
"""How the names of the metrics of databases begin."""
READ: Final = tuple(
    metric.name
    for metric in METRICS.values()
    if metric.name.partition(".")[0] in FAMILIES and metric.kind in ("gauge", "counter")
)
CPU: Final = (
    "rds.cpu.util", "redis_cloud.cpu.util", "memcache_cloud.cpu.util", "mongodb_cloud.cpu.util", "drds.cpu.util",
)  # fmt: skip
MEMORY: Final = (
    "rds.mem.util", "redis_cloud.mem.util", "memcache_cloud.mem.util", "mongodb_cloud.mem.util", "drds.mem.util",
    "redis.mem.util",
)  # fmt: skip
CONNECTIONS: Final = (
    "rds.connection.util", "redis_cloud.connection.util", "memcache_cloud.connection.util",
    "mongodb_cloud.connection.util", "mysql.connection.util", "postgresql.connection.util", "redis.connection.util",
    "mongodb.connection.util",
)  # fmt: skip
IOPS: Final = ("rds.iops.util", "mongodb_cloud.iops.util")
SPACE: Final = ("rds.disk.util", "mongodb_cloud.disk.util", "oracle.tablespace.util")
LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "mysql": ("RDS for MySQL", "MySQL (section 6)"),
    "mariadb": ("RDS for MySQL", "MySQL (section 6)"),
    "sqlserver": ("SQL Server (section 6)",),
    "postgresql": ("PostgreSQL (section 6)",),
    "ppas": ("RDS for PPAS (section 6)",),
    "redis": ("Redis",),
}
"""The contract's lists of items for each engine."""


def wanted(engine: str, *, is_rds: bool) -> list[str]:
    """The metrics of the contract's list, in its order: those of RDS, or of one's own server."""
    lists = LISTS.get(engine, ())
    found = [name for item in ITEMS if item.product in lists for name in item.metrics]
    return [name for name in dict.fromkeys(found) if name.startswith("rds.") is is_rds]


@dataclass(frozen=True, slots=True)
class Item:
    """One metric of an instance, of one node or part of it. Of a counter by how much it grew, and nothing else."""

    metric: str
    labels: str
    use: Summary
    growth: float | None


@dataclass(frozen=True, slots=True)
class Database:
    """What one instance used while it was there, in per cent; of several nodes the one that stands highest."""

    asset: Asset
    days: float
    items: Sequence[Item]
    cpu: Summary
    memory: Summary
    connections: Summary
    iops: Summary
    space: Summary
    forecast: Forecast | None
    cpu_by_day: Sequence[float | None]
    connections_by_day: Sequence[float | None]
    space_by_day: Sequence[float | None]

    @property
    def name(self) -> str:
        return self.asset.name

    @property
    def engine(self) -> str:
        return self.asset.engine or self.asset.product or str(self.asset.get_kind_display())

    @property
    def coverage(self) -> float:
        return max((item.use.coverage for item in self.items), default=0.0)


def databases(asked: Asked) -> list[Database]:
    """Every database of the stretch, also one without any data."""
    return [
        _database(asked, asset, found)
        for asset, found in readings(asked, asked.assets, READ)
        if asset.kind in KINDS or found
    ]


def _database(asked: Asked, asset: Asset, found: Sequence[Reading]) -> Database:
    start, end = stay(asked, asset)
    cpu, memory, connections, iops, space = (
        _worst(found, metrics) for metrics in (CPU, MEMORY, CONNECTIONS, IOPS, SPACE)
    )
    return Database(
        asset=asset,
        days=(end - start) / timedelta(days=1),
        items=_items(asset, found),
        cpu=_use(cpu),
        memory=_use(memory),
        connections=_use(connections),
        iops=_use(iops),
        space=_use(space),
        forecast=None if space is None else filling.forecast(asked, space),
        cpu_by_day=() if cpu is None else daily(asked, cpu.rollup),
        connections_by_day=() if connections is None else daily(asked, connections.rollup),
        space_by_day=() if space is None else daily(asked, space.rollup),
    )


def _worst(found: Sequence[Reading], metrics: Sequence[str]) -> Reading | None:
    """Of the nodes and parts of the first of these metrics that has any point the one that stands highest."""
    for metric in metrics:
        mine = [one for one in found if one.metric == metric and len(one.rollup.ts)]
        if mine:
            return max(mine, key=lambda one: (one.summary.p95 or 0.0, one.series.labels))
    return None


def _use(reading: Reading | None) -> Summary:
    return NOTHING if reading is None else reading.summary


def _items(asset: Asset, found: Sequence[Reading]) -> list[Item]:
    """The contract's items in its order, also those without a point; then whatever else is known."""
    known: dict[str, list[Reading]] = {}
    for one in found:
        if len(one.rollup.ts):
            known.setdefault(one.metric, []).append(one)
    agreed = wanted(asset.product.lower(), is_rds=asset.kind == AssetKind.RDS)
    items: list[Item] = []
    for metric in dict.fromkeys((*agreed, *(name for name in READ if name in known))):
        items += [_item(one) for one in known.get(metric, ())] or [Item(metric, "", NOTHING, None)]
    return items


def _item(reading: Reading) -> Item:
    labels = labels_shown(reading.series.labels)
    if METRICS[reading.metric].kind == "counter":
        seen = Summary(None, None, None, None, None, reading.summary.coverage)
        return Item(reading.metric, labels, seen, figures.growth(reading.rollup.high))
    return Item(reading.metric, labels, reading.summary, None)
