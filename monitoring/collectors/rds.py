"""Reads DescribeDBInstancePerformance: the figures of RDS that CloudMonitor does not have, one instance per call.

These calls are not counted in CloudMonitor's quota. A metric of the catalogue names its key and the field of it,
``MySQL_IOPS.io``; one answer brings all keys of an instance. The mark is per target: what comes again is known to the
pipeline by its timestamp.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from assets.aliyun import AliyunError, Client
from assets.aliyun.happenings import Performance, performance
from monitoring.collectors import Job, Outcome, Step
from monitoring.collectors.cms import problem_of, worst
from monitoring.collectors.config.cloud import PERFORMANCE, CmsConfig
from monitoring.gaps import PERFORMANCE_BACK_MS
from monitoring.rules import METRICS, Metric

NAMESPACE: Final = PERFORMANCE
THREADS: Final = 4
LATE_MS: Final = 10 * 60_000
FIRST_LOOK_MS: Final = 15 * 60_000
ENGINES: Final[Mapping[str, str]] = {
    "mysql": "MySQL_",
    "mariadb": "MySQL_",
    "sqlserver": "SQLServer_",
    "postgresql": "PgSQL_",
    "ppas": "PgSQL_",
}
"""How the keys of each engine begin."""
NO_SUCH_INSTANCE: Final = frozenset({"InvalidDBInstanceId.NotFound", "InvalidDBInstanceName.NotFound"})


@dataclass(frozen=True, slots=True)
class Instance:
    """An RDS instance as the collector needs it."""

    asset_id: int
    instance_id: str
    engine: str
    region: str


def metrics() -> tuple[Metric, ...]:
    return tuple(metric for metric in METRICS.values() if metric.source == "rds")


def keys_of(engine: str) -> tuple[str, ...]:
    """The keys to ask of an engine, each once."""
    beginning = ENGINES.get(engine.lower())
    if beginning is None:
        return ()
    names = (metric.cms_metrics[0].partition(".")[0] for metric in metrics())
    return tuple(dict.fromkeys(name for name in names if name.startswith(beginning)))


def collect(job: Job[CmsConfig], *, client: Client, instances: Iterable[Instance], now_ms: int) -> Outcome:
    """Every instance whose engine has keys, overlapping in threads."""
    outcome = Outcome(job.target_id)
    began = time.perf_counter()
    mark = int(job.state.get("read", 0))
    start = max(mark - LATE_MS, now_ms - PERFORMANCE_BACK_MS) if mark else now_ms - FIRST_LOOK_MS
    window = (datetime.fromtimestamp(start / 1000, UTC), datetime.fromtimestamp(now_ms / 1000, UTC))
    asked = [instance for instance in instances if keys_of(instance.engine)]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="rds") as pool:
        answers = list(pool.map(lambda instance: _ask(client, instance, window), asked))
    errors = [answer for answer in answers if isinstance(answer, AliyunError)]
    newest = mark
    for instance, answer in zip(asked, answers, strict=True):
        if not isinstance(answer, AliyunError):
            newest = max(newest, _take(job, outcome, instance, answer))
    real = [error for error in errors if error.code not in NO_SUCH_INSTANCE]
    outcome.state = {"read": mark if real and mark else newest, "calls": len(asked)}
    outcome.steps.append(Step("rds", f"{len(asked)} / {len(outcome.value)}"))
    if real:
        outcome.problem = problem_of(worst(real))
        outcome.steps.append(Step(outcome.problem.code, outcome.problem.detail, ok=False))
    outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _ask(client: Client, instance: Instance, window: tuple[datetime, datetime]) -> Sequence[Performance] | AliyunError:
    """One instance that fails does not hide the others."""
    try:
        keys = keys_of(instance.engine)
        return performance(client, instance.instance_id, keys, window[0], window[1], region=instance.region)
    except AliyunError as error:
        return error


def _take(job: Job[CmsConfig], outcome: Outcome, instance: Instance, found: Sequence[Performance]) -> int:
    """Put the figures of one instance into the columns; returns the newest moment."""
    wanted = {metric.cms_metrics[0]: metric.name for metric in metrics()}
    job = Job(job.target_id, job.customer_id, instance.asset_id, job.config)
    newest = 0
    for each in found:
        names = [wanted.get(f"{each.key}.{field}") for field in each.fields]
        for ts, values in each.points:
            newest = max(newest, ts)
            for name, value in zip(names, values, strict=True):
                if name is not None:
                    outcome.add(job, name, ts, value)
    return newest
