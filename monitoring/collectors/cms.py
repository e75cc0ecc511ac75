"""Reads CloudMonitor (CMS): every metric of one namespace of one cloud account, newest points only.

The API gives points of a window whose start is exclusive and whose end is inclusive. Points of different
instances arrive at different times, one to three minutes late, so each window reaches back a little and the
last point of every series is remembered: nothing is taken twice, nothing that comes late is lost, and after an
outage the window begins where reading stopped. A free account has a million calls a month; metrics that no rule
needs, and names that an instance does not answer to, are asked for less often.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from assets.aliyun import AliyunError, Client, Datapoint
from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config import NAMESPACES, CmsConfig
from monitoring.rules import METRICS, RULES, Metric

THREADS: Final = 6
LATE_MS: Final = 5 * 60_000
FIRST_LOOK_MS: Final = 10 * 60_000
LONGEST_BACK_MS: Final = 24 * 3_600_000
QUIET_MS: Final = 3_600_000
SELDOM_MS: Final = 15 * 60_000
PERIODS: Final = {"acs_rds_dashboard": 300}
PERIOD_S: Final = 60
OWNERS: Final = ("instanceId", "clusterId", "BucketName")
LABELS: Final = {
    "device": "device",
    "mountpoint": "device",
    "port": "port",
    "protocol": "protocol",
    "role": "role",
    "nodeId": "node",
    "nodeIP": "node",
    "subinstanceId": "node",
}
STATISTICS: Final = ("Average", "Value", "Maximum", "Minimum")
NO_SUCH_METRIC: Final = frozenset({"InvalidParameterValue", "InvalidParameter", "ResourceNotFound", "404"})


@dataclass(slots=True)
class _Read:
    """What came of one metric: columns, the last point of each series, and when to ask its names again."""

    keys: list[tuple[int, str]] = field(default_factory=list)
    ts: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)
    quiet: dict[str, int] = field(default_factory=dict)
    alive: dict[str, int] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    calls: int = 0
    error: AliyunError | None = None


def namespaces() -> Mapping[str, tuple[Metric, ...]]:
    """The namespaces of the catalogue with their metrics."""
    found: dict[str, tuple[Metric, ...]] = {}
    for metric in METRICS.values():
        if metric.source == "cms":
            found[metric.cms_namespace] = (*found.get(metric.cms_namespace, ()), metric)
    return found


RULED: Final = frozenset(name for rule in RULES.values() for name in rule.metrics)


def collect(
    job: Job[CmsConfig], *, client: Client, assets: Mapping[str, int], metrics: Sequence[Metric], now_ms: int
) -> Outcome:
    """All metrics that are due, overlapping in threads. ``assets`` maps instance ids to our asset ids."""
    outcome = Outcome(job.target_id)
    began = time.perf_counter()
    due = [metric for metric in metrics if now_ms >= job.state.get("due", {}).get(metric.name, 0)]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="cms") as pool:
        reads = list(pool.map(lambda metric: _metric(job, client, assets, metric, now_ms), due))
    _together(job, due, reads, outcome, now_ms)
    outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _together(
    job: Job[CmsConfig], due: Sequence[Metric], reads: Sequence[_Read], outcome: Outcome, now_ms: int
) -> None:
    last = dict(job.state.get("last", {}))
    quiet = dict(job.state.get("quiet", {}))
    alive = dict(job.state.get("alive", {}))
    next_due = dict(job.state.get("due", {}))
    for metric, read in zip(due, reads, strict=True):
        for (asset_id, labels), ts, value in zip(read.keys, read.ts, read.value, strict=True):
            outcome.keys.append((job.customer_id, asset_id, metric.name, labels))
            outcome.ts.append(ts)
            outcome.value.append(value)
        if read.error is None:
            last[metric.name] = read.last
            quiet |= read.quiet
            alive |= read.alive
            next_due[metric.name] = 0 if metric.name in RULED else now_ms + SELDOM_MS
    outcome.state = {"last": last, "quiet": quiet, "alive": alive, "due": next_due}
    foreign = {instance for read in reads for instance in read.foreign}
    calls = sum(read.calls for read in reads)
    outcome.steps.append(Step("cms", f"{calls} / {len(outcome.value)}"))
    if foreign:
        outcome.steps.append(Step("cms_foreign", ", ".join(sorted(foreign)[:5])))
    errors = [read.error for read in reads if read.error is not None]
    if errors:
        worst = next((error for error in errors if error.is_credential_problem), errors[0])
        outcome.problem = problem_of(worst)
        outcome.steps.append(Step(outcome.problem.code, outcome.problem.detail, ok=False))


def problem_of(error: AliyunError) -> Problem:
    """An error of the API as a collection problem; never a statement about the customer's resources."""
    detail = f"{error.code}: {error.message}"[:300]
    if error.is_credential_problem:
        return Problem("key_invalid", detail)
    if error.is_permission_problem:
        return Problem("access_denied", detail)
    if error.code.startswith("Throttling") or "quota" in error.message.lower():
        return Problem("throttled", detail)
    return Problem("provider_error", detail)


def _metric(job: Job[CmsConfig], client: Client, assets: Mapping[str, int], metric: Metric, now_ms: int) -> _Read:
    """One metric under all the names it has. A series that answered to an earlier name is not taken twice.

    A name under which nothing has come for a day is asked once an hour; the only name of a metric that a rule
    needs is asked always, for the first point may be the one that matters.
    """
    read = _Read()
    before: Mapping[str, int] = job.state.get("last", {}).get(metric.name, {})
    newest = max(before.values(), default=0)
    start = max(newest - LATE_MS, now_ms - LONGEST_BACK_MS) if before else now_ms - FIRST_LOOK_MS
    read.last = {series: ts for series, ts in before.items() if ts >= newest - LONGEST_BACK_MS}
    quiet: Mapping[str, int] = job.state.get("quiet", {})
    alive: Mapping[str, int] = job.state.get("alive", {})
    indispensable = len(metric.cms_metrics) == 1 and metric.name in RULED
    taken: set[str] = set()
    for name in metric.cms_metrics:
        if now_ms < quiet.get(name, 0) and not indispensable:
            continue
        try:
            seen = _name(job, client, assets, metric, name, (start, now_ms), read, frozenset(taken))
        except AliyunError as error:
            if error.code not in NO_SUCH_METRIC:
                read.error = error
                return read
            seen = set()
        if seen:
            read.alive[name] = now_ms
        elif now_ms - alive.get(name, 0) > LONGEST_BACK_MS:
            read.quiet[name] = now_ms + QUIET_MS
        taken |= seen
    return read


def _name(  # noqa: PLR0917  # one request, said in full
    job: Job[CmsConfig],
    client: Client,
    assets: Mapping[str, int],
    metric: Metric,
    name: str,
    window: tuple[int, int],
    read: _Read,
    taken: frozenset[str],
) -> set[str]:
    """Take the new points under one name; returns the series that had any points in the window."""
    period = PERIODS.get(job.config.namespace, PERIOD_S)
    start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in window)
    points: list[tuple[int, str, int, float, str]] = []
    seen: set[str] = set()
    for page in client.metric_list(job.config.namespace, name, start, end, period):
        read.calls += 1
        for point in page.datapoints:
            owner = next((point.dimensions[key] for key in OWNERS if key in point.dimensions), "")
            asset_id = assets.get(owner)
            if asset_id is None:
                read.foreign.add(owner)
                continue
            labels = _labels(metric, point)
            series = f"{asset_id} {labels}"
            value = _value(metric, point)
            if series not in taken and value is not None:
                seen.add(series)
                points.append((point.timestamp_ms, series, asset_id, value, labels))
    for ts, series, asset_id, value, labels in sorted(points):
        if ts > read.last.get(series, 0):
            read.last[series] = ts
            read.keys.append((asset_id, labels))
            read.ts.append(ts)
            read.value.append(value)
    return seen


def _labels(metric: Metric, point: Datapoint) -> str:
    found: dict[str, str] = {}
    for dimension, label in LABELS.items():
        if label in metric.labels and point.dimensions.get(dimension):
            found.setdefault(label, str(point.dimensions[dimension]))
    return labels_text(found)


def _value(metric: Metric, point: Datapoint) -> float | None:
    for statistic in (metric.cms_statistic, *STATISTICS):
        if statistic in point.values:
            return point.values[statistic]
    return None


def wanted_namespaces(kinds: Iterable[str]) -> tuple[str, ...]:
    """The namespaces that watch assets of these kinds: a call to any other would bring nothing."""
    wanted = {NAMESPACES[kind] for kind in kinds if kind in NAMESPACES}
    return tuple(sorted(wanted & set(namespaces())))
