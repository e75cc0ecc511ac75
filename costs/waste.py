"""Whether a resource is idle or too large, by what monitoring measured. Pure.

Nothing is said on little data: figures must cover most of at least two weeks. A figure that is not there is not zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DAYS: Final = 14
COVERED: Final = 0.8
"""Of the hours of those days, how many must have a figure."""


class Use(StrEnum):
    IDLE = "idle"
    OVERSIZED = "oversized"
    USED = "used"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of a resource over the window: the value below which 95 of 100 hours lie, the highest point, and the
    share of hours that have a figure."""

    metric: str
    p95: float
    peak: float
    covered: float

    @property
    def is_enough(self) -> bool:
        return self.covered >= COVERED


@dataclass(frozen=True, slots=True)
class Limit:
    """Below `idle` a figure speaks for an idle resource, below `roomy` for one that half the size would hold."""

    metric: str
    idle: float
    roomy: float | None = None
    is_needed: bool = True
    """Without it nothing is said; others are heard where they exist."""


LIMITS: Final[Mapping[str, Sequence[Limit]]] = {
    "ecs": (
        Limit("ecs.cpu.util", 3.0, 20.0),
        Limit("ecs.mem.util", 40.0, 40.0, is_needed=False),
        Limit("ecs.net.out_bits_per_s", 20_000.0, is_needed=False),
        Limit("ecs.net.intranet_out_bits_per_s", 100_000.0, is_needed=False),
    ),
    "rds": (
        Limit("rds.cpu.util", 2.0, 20.0),
        Limit("rds.connection.util", 1.0, 20.0),
        Limit("rds.mem.util", 101.0, 40.0, is_needed=False),
    ),
    "redis": (
        Limit("redis_cloud.cpu.util", 1.0, 15.0),
        Limit("redis_cloud.connection.util", 0.5, 20.0),
        Limit("redis_cloud.mem.util", 5.0, 35.0),
    ),
    "memcache": (
        Limit("memcache_cloud.cpu.util", 1.0, 15.0),
        Limit("memcache_cloud.connection.util", 0.5, 20.0),
        Limit("memcache_cloud.mem.util", 5.0, 35.0),
    ),
    "mongodb": (
        Limit("mongodb_cloud.cpu.util", 2.0, 20.0),
        Limit("mongodb_cloud.connection.util", 1.0, 20.0),
        Limit("mongodb_cloud.mem.util", 101.0, 40.0, is_needed=False),
    ),
}
"""By kind of asset; percent, but for the network. Of a database memory says little about idleness: it caches."""


@dataclass(frozen=True, slots=True)
class Judgement:
    use: Use
    evidence: tuple[Measured, ...] = ()
    lacking: tuple[str, ...] = ()
    """What is needed to judge and was not measured for long enough."""


def judge(kind: str, measured: Mapping[str, Measured]) -> Judgement:
    """What the figures of a resource say. A needed figure that is missing, or covers too little, leaves it unknown."""
    limits = LIMITS.get(kind, ())
    enough = {name: one for name, one in measured.items() if one.is_enough}
    lacking = tuple(limit.metric for limit in limits if limit.is_needed and limit.metric not in enough)
    heard = [(limit, enough[limit.metric]) for limit in limits if limit.metric in enough]
    evidence = tuple(one for _limit, one in heard)
    if not limits or lacking:
        return Judgement(Use.UNKNOWN, evidence, lacking)
    if all(one.p95 < limit.idle for limit, one in heard):
        return Judgement(Use.IDLE, evidence)
    sized = [(limit, one) for limit, one in heard if limit.roomy is not None]
    if all(one.p95 < (limit.roomy or 0) and one.peak < 2 * (limit.roomy or 0) for limit, one in sized):
        return Judgement(Use.OVERSIZED, evidence)
    return Judgement(Use.USED, evidence)


def percentile(values: Sequence[float], share: float = 0.95) -> float:
    """The smallest value that so many of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]
