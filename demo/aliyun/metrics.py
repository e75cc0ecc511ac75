"""CloudMonitor data of the simulated cloud: a catalogue (metrics.csv), daily curves, and series that a test sets.

Every value is a pure function of metric, dimensions and minute, so that two reads of one data point agree.
"""

import base64
import binascii
import csv
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import cast

from demo.aliyun.estate import Estate, Json

SHANGHAI = timezone(timedelta(hours=8))
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Metric:
    namespace: str
    name: str
    unit: str
    dimensions: str  # which series it has: see ``series_of``
    statistics: str  # Average (with Minimum and Maximum), Maximum, or Value
    period_s: int
    base: float
    swing: float
    low: float
    high: float


def load_catalogue() -> dict[tuple[str, str], Metric]:
    with (Path(__file__).parent / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            Metric(
                row["namespace"],
                row["metric"],
                row["unit"],
                row["dimensions"],
                row["statistics"],
                int(row["period_s"]),
                *(float(row[key]) for key in ("base", "swing", "low", "high")),
            )
            for row in csv.DictReader(file)
        ]
    return {(row.namespace, row.name): row for row in rows}


CATALOGUE = load_catalogue()
_PRODUCT = {
    "acs_ecs_dashboard": "ecs",
    "acs_rds_dashboard": "rds",
    "acs_slb_dashboard": "slb",
    "acs_kvstore": "redis",
    "acs_memcache": "redis",
    "acs_mongodb": "mongodb",
    "acs_drds": "drds",
    "acs_cdn": "cdn",
    "acs_elasticsearch": "elasticsearch",
    "acs_oss_dashboard": "oss",
}
_ID = {
    "ecs": "InstanceId",
    "rds": "DBInstanceId",
    "slb": "LoadBalancerId",
    "redis": "InstanceId",
    "mongodb": "DBInstanceId",
    "drds": "DrdsInstanceId",
    "cdn": "DomainName",
    "elasticsearch": "instanceId",
    "oss": "Name",
}


AGENT_METRICS = frozenset(
    {"memory_usedutilization", "diskusage_utilization", "fs_inodeutilization", "cpu_wait", "cpu_total", "load_1m",
     "load_per_core_1m"}
)  # fmt: skip
"""What only the agent on the host can see; an old agent tells it under its ``vm.`` names."""


def _agent_tells(metric: Metric, row: Json) -> bool:
    agent = row.get("_Agent", "new")
    if metric.namespace != "acs_ecs_dashboard":
        return True
    return agent == "old" if metric.name.startswith("vm.") else agent == "new" or metric.name not in AGENT_METRICS


def _kept(shape: str, row: Json) -> bool:
    """Whether the resource reports the metric at all (a stopped host does not, a primary has no replica delay)."""
    wanted = {
        "linux": ("OSType", "linux"),
        "readonly": ("DBInstanceType", "Readonly"),
        "mysql": ("Engine", "MySQL"),
        "sqlserver": ("Engine", "SQLServer"),
        "standard": ("ArchitectureType", "standard"),
        "memcache": ("InstanceType", "Memcache"),
        "shard": ("ArchitectureType", "cluster"),
        "rwsplit": ("ArchitectureType", "rwsplit"),
        "replica": ("DBInstanceType", "replicate"),
        "sharding": ("DBInstanceType", "sharding"),
    }.get(shape)
    return row.get("Status") != "Stopped" and (wanted is None or row.get(wanted[0]) == wanted[1])


def _extra_dimensions(shape: str, row: Json, name: str) -> list[dict[str, str]]:
    if shape == "listener":
        ports = cast(list[int], row["_Ports"])
        return [{"port": str(port), "protocol": "tcp", "vip": str(row["Address"])} for port in ports]
    nodes = [{"nodeId": f"{name}-db-{index}"} for index in (0, 1)]
    shapes: dict[str, list[dict[str, str]]] = {
        "device": [{"device": "/dev/vda1"}, {"device": "/dev/vdb1"}],
        "shard": nodes,
        "rwsplit": nodes,
        "replica": [{"role": "Primary"}, {"role": "Secondary"}],
        "sharding": [{"subinstanceId": f"d-{name[-8:]}{index}", "role": "Primary"} for index in (1, 2)],
        "node": [{"nodeIP": f"172.16.5.{20 + index}"} for index in (1, 2, 3)],
    }
    return shapes.get(shape, [{}])


def series_of(metric: Metric, estate: Estate) -> Iterator[dict[str, str]]:
    product = _PRODUCT[metric.namespace]
    key = {"elasticsearch": "clusterId", "oss": "BucketName"}.get(product, "instanceId")
    for row in estate.rows[product]:
        if _kept(metric.dimensions, row) and _agent_tells(metric, row):
            name = str(row[_ID[product]])
            for extra in _extra_dimensions(metric.dimensions, row, name):
                yield {key: name, **extra}


def _noise(text: str) -> float:
    """In [-1, 1), the same for the same text everywhere."""
    return zlib.crc32(text.encode()) / 2**31 - 1


def curve(metric: Metric, dimensions: Mapping[str, str], at_ms: int) -> float:
    """A working day's shape: low at four in the morning, peaks before noon and in the evening, quieter weekends."""
    local = datetime.fromtimestamp(at_ms / 1000, SHANGHAI)
    hour = local.hour + local.minute / 60
    day = 0.5 - 0.5 * math.cos((hour - 4) / 24 * 2 * math.pi)
    peaks = 0.6 * math.exp(-((hour - 11) ** 2) / 4) + 0.8 * math.exp(-((hour - 20.5) ** 2) / 5)
    level = 0.55 * day + 0.45 * peaks
    if local.weekday() >= 5:
        level *= 0.7
    identity = f"{metric.namespace}/{metric.name}/{sorted(dimensions.items())}"
    own = 1 + 0.25 * _noise(identity)
    jitter = 0.08 * _noise(f"{identity}@{at_ms // MINUTE_MS}")
    value = metric.base * (own if metric.unit != "value" else 1) + metric.swing * (level + jitter)
    return round(min(metric.high, max(metric.low, value)), 2)


@dataclass
class Override:
    """What a test or the demo set instead of the curve; ``value`` None means: no data."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    value: float | None = None
    points: Mapping[int, float] | None = None
    since_ms: int = 0

    def matches(self, metric: Metric, dimensions: Mapping[str, str]) -> bool:
        return (
            (self.namespace, self.metric) == (metric.namespace, metric.name)
            and all(dimensions.get(key) == value for key, value in self.dimensions.items())
        )  # fmt: skip


@dataclass
class MetricStore:
    overrides: list[Override] = field(default_factory=list)
    lag: timedelta = timedelta(seconds=60)  # CloudMonitor shows a minute's value one to three minutes later
    spread: timedelta = timedelta(0)  # by how much some series are later than others
    gone: set[tuple[str, str]] = field(default_factory=set)  # metrics that were renamed away

    def set_value(
        self, namespace: str, metric: str, value: float | None, since: datetime | None = None, **dimensions: str
    ) -> None:
        since_ms = int(since.timestamp() * 1000) if since else 0
        self.overrides.insert(0, Override(namespace, metric, dimensions, value=value, since_ms=since_ms))

    def set_series(self, namespace: str, metric: str, points: Mapping[datetime, float], **dimensions: str) -> None:
        """Only these points exist for the series that match ``dimensions``."""
        fixed = {int(moment.timestamp() * 1000): value for moment, value in points.items()}
        self.overrides.insert(0, Override(namespace, metric, dimensions, points=fixed))

    def clear(self) -> None:
        self.overrides.clear()

    def value(self, metric: Metric, dimensions: Mapping[str, str], at_ms: int) -> float | None:
        for override in self.overrides:
            if override.matches(metric, dimensions) and at_ms >= override.since_ms:
                return override.points.get(at_ms) if override.points is not None else override.value
        return curve(metric, dimensions, at_ms)

    def _later_ms(self, dimensions: Mapping[str, str]) -> int:
        """Each instance has a lateness of its own."""
        if not self.spread:
            return 0
        return zlib.crc32(repr(sorted(dimensions.items())).encode()) % (int(self.spread.total_seconds() * 1000) + 1)

    def points(
        self,
        metric: Metric,
        estate: Estate,
        *,
        uid: str,
        period_s: int,
        after_ms: int,
        until_ms: int,
        wanted: Sequence[Mapping[str, str]],
        now: datetime,
    ) -> list[Json]:
        """Data points with ``after_ms < timestamp <= until_ms``, oldest first, as the API returns them."""
        step = period_s * 1000
        seen_ms = int((now - self.lag).timestamp() * 1000)
        series = [
            dimensions
            for dimensions in series_of(metric, estate)
            if not wanted or any(all(dimensions.get(k) == v for k, v in one.items()) for one in wanted)
        ]
        found: list[Json] = []
        for at_ms in range((after_ms // step + 1) * step, min(until_ms, seen_ms) + 1, step):
            for dimensions in series:
                if at_ms > seen_ms - self._later_ms(dimensions):
                    continue
                inner = [
                    value
                    for moment in range(at_ms, at_ms + step, metric.period_s * 1000)
                    if (value := self.value(metric, dimensions, moment)) is not None
                ]
                if inner:
                    found.append({"timestamp": at_ms, "userId": uid, **dimensions, **_statistics(metric, inner)})
        return found


def _statistics(metric: Metric, values: Sequence[float]) -> dict[str, float]:
    average = round(sum(values) / len(values), 2)
    match metric.statistics:
        case "Value":
            return {"Value": average}
        case "Maximum":
            return {"Maximum": max(values)}
        case _:
            return {"Average": average, "Minimum": min(values), "Maximum": max(values)}


def parse_time(text: str) -> int:
    """Milliseconds. CloudMonitor takes a Unix time in ms, ``2019-01-30T00:00:00Z`` or ``2019-01-30 00:00:00`` (+8)."""
    if text.isdigit():
        return int(text)
    if text.endswith("Z"):
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() * 1000)
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI).timestamp() * 1000)


def parse_dimensions(text: str) -> list[dict[str, str]]:
    """A JSON object or a list of them. The limit of 50 resources is the caller's to check."""
    parsed = json.loads(text) if text else []
    return [parsed] if isinstance(parsed, dict) else list(parsed)


def make_token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"simulated:{offset}".encode()).decode()


def read_token(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("simulated:"))
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(token) from error
