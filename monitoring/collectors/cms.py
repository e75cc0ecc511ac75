"""Reads CloudMonitor (CMS): every metric of one namespace of one cloud account, new points only.

The API gives points of a window whose start is exclusive and whose end is inclusive. Points of different
instances arrive at different times, one to three minutes late, so each window reaches back a little behind the mark
of its metric; what comes a second time is known to the pipeline by its timestamp. So a target remembers one mark
per metric, however many instances there are. After an outage the window begins where reading stopped and is read
oldest first, in pieces. A free account has a million calls a month: no Dimensions are sent, so one call brings all
instances; names that no instance here can answer to are not asked; metrics that no rule needs are asked less often.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from assets.aliyun import AliyunError, Client, Datapoint
from monitoring.collectors import Job, Outcome, Problem, Step, labels_text
from monitoring.collectors.config.cloud import NAMESPACES, CmsConfig
from monitoring.gaps import LONGEST_BACK_MS
from monitoring.rules import METRICS, RULES, Metric

THREADS: Final = 6
LATE_MS: Final = 5 * 60_000
FIRST_LOOK_MS: Final = 10 * 60_000
PIECE_MS: Final = 2 * 3_600_000
"""Of an outage, what is read at once: the oldest part first."""
BACKFILL_S: Final = 120.0
"""After so long a run takes no further piece; the next run goes on. Well within the lease."""
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
UNANSWERED: Final = frozenset({"Timeout", "Unreachable"})
NAMED_EDITIONS: Final[Mapping[tuple[str, str], str]] = {
    ("acs_kvstore", "Standard"): "standard",
    ("acs_kvstore", "Sharding"): "cluster",
    ("acs_kvstore", "Splitrw"): "rwsplit",
    ("acs_mongodb", "Sharding"): "sharding",
    ("acs_mongodb", "SingleNode"): "standalone",
    ("acs_rds_dashboard", "MySQL_"): "mysql",
    ("acs_rds_dashboard", "SQLServer_"): "sqlserver",
    ("acs_rds_dashboard", "DataDelay"): "readonly",
}
"""The edition that the beginning of a metric's name speaks of (CMS documentation, metrics of each product)."""
UNNAMED_EDITIONS: Final = {"acs_mongodb": "replicate"}
"""Where a name without such a beginning speaks of one edition only."""


@dataclass(frozen=True, slots=True)
class Owner:
    """An asset as the collector needs it: our id, and the editions it counts as (empty: not known)."""

    asset_id: int
    editions: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Read:
    """What came of one metric: columns, its mark, and when to ask its names again."""

    keys: list[tuple[int, str]] = field(default_factory=list)
    ts: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    mark: int = 0
    is_complete: bool = True
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
    job: Job[CmsConfig],
    *,
    client: Client,
    assets: Mapping[str, Owner],
    metrics: Sequence[Metric],
    now_ms: int,
    existing: Collection[str] | None = None,
) -> Outcome:
    """All metrics that are due, overlapping in threads. ``assets`` maps instance ids to our assets; ``existing`` are
    the names that CloudMonitor has today, None while that is not known."""
    outcome = Outcome(job.target_id)
    began = time.perf_counter()
    due = [metric for metric in metrics if now_ms >= job.state.get("due", {}).get(metric.name, 0)]
    ends: list[AliyunError] = []

    def read(metric: Metric) -> _Read:
        return _Reader(job, client, assets, metric, now_ms, began + BACKFILL_S, ends).read(existing)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="cms") as pool:
        reads = list(pool.map(read, due))
    _together(job, due, reads, outcome, now_ms)
    outcome.took_ms = (time.perf_counter() - began) * 1000
    return outcome


def _together(
    job: Job[CmsConfig], due: Sequence[Metric], reads: Sequence[_Read], outcome: Outcome, now_ms: int
) -> None:
    marks = dict(job.state.get("read", {}))
    quiet = dict(job.state.get("quiet", {}))
    alive = dict(job.state.get("alive", {}))
    next_due = dict(job.state.get("due", {}))
    seldom = max(SELDOM_MS, round(job.period_s * 7500))
    for metric, read in zip(due, reads, strict=True):
        for (asset_id, labels), ts, value in zip(read.keys, read.ts, read.value, strict=True):
            outcome.keys.append((job.customer_id, asset_id, metric.name, labels))
            outcome.ts.append(ts)
            outcome.value.append(value)
        if read.mark:
            marks[metric.name] = read.mark
        quiet |= read.quiet
        alive |= read.alive
        if read.error is None:
            waits = metric.name not in RULED and read.is_complete
            next_due[metric.name] = now_ms + seldom if waits else 0
    calls = sum(read.calls for read in reads)
    usual = job.state.get("calls", float(calls))
    outcome.state = {
        "read": marks,
        "quiet": {name: until for name, until in quiet.items() if until > now_ms},
        "alive": alive,
        "due": next_due,
        "calls": round(usual + (calls - usual) / 10, 3),
        "behind_s": max((round((now_ms - read.mark) / 1000) for read in reads if not read.is_complete), default=0),
    }
    outcome.steps.append(Step("cms", f"{calls} / {len(outcome.value)}"))
    if foreign := {instance for read in reads for instance in read.foreign}:
        outcome.steps.append(Step("cms_foreign", ", ".join(sorted(foreign)[:5])))
    errors = [read.error for read in reads if read.error is not None]
    if errors:
        outcome.problem = problem_of(worst(errors))
        outcome.steps.append(Step(outcome.problem.code, outcome.problem.detail, ok=False))


def worst(errors: Sequence[AliyunError]) -> AliyunError:
    """The one that explains the others: a refused key, then a spent quota, then what came first."""
    return min(errors, key=lambda error: (not error.is_credential_problem, not error.is_quota_exhausted))


def is_the_end(error: AliyunError) -> bool:
    """Whether the other metrics would fare no better: waiting for each in turn would outlast the lease."""
    return error.code in UNANSWERED or error.is_credential_problem or error.is_throttling or error.is_quota_exhausted


def problem_of(error: AliyunError) -> Problem:
    """An error of the API as a collection problem; never a statement about the customer's resources."""
    detail = f"{error.code}: {error.message}"[:300]
    if error.is_credential_problem:
        return Problem("key_invalid", detail)
    if error.is_permission_problem:
        return Problem("access_denied", detail)
    if error.is_quota_exhausted:
        return Problem("quota_exhausted", detail)
    if error.is_throttling:
        return Problem("throttled", detail)
    if error.code.startswith("InvalidTimeStamp"):
        return Problem("clock", detail)
    return Problem("provider_error", detail)


@dataclass(slots=True)
class _Reader:
    """Reads one metric under all the names it has here. A series that answered to an earlier name is not taken twice.

    A name under which nothing has come for a day is asked once an hour; the only name of a metric that a rule
    needs is asked always, for the first point may be the one that matters.
    """

    job: Job[CmsConfig]
    client: Client
    assets: Mapping[str, Owner]
    metric: Metric
    now_ms: int
    until: float
    ends: list[AliyunError]
    found: _Read = field(default_factory=_Read)

    def read(self, existing: Collection[str] | None) -> _Read:
        if self.ends:
            self.found.mark = int(self.job.state.get("read", {}).get(self.metric.name, 0))
            self.found.error = self.ends[0]
            return self.found
        names = names_of(self.metric, self.assets.values(), existing)
        before = int(self.job.state.get("read", {}).get(self.metric.name, 0))
        start = max(before - LATE_MS, self.now_ms - LONGEST_BACK_MS) if before else self.now_ms - FIRST_LOOK_MS
        self.found.mark = before
        while names:
            end = min(self.now_ms, start + PIECE_MS + LATE_MS)
            newest = self._piece(names, start, end)
            if self.found.error is not None:
                return self.found
            if end >= self.now_ms:
                self.found.mark = max(self.found.mark, newest)
                return self.found
            self.found.mark = max(self.found.mark, end - LATE_MS, newest)
            start = end - LATE_MS
            if time.perf_counter() > self.until:
                self.found.is_complete = False
                return self.found
        return self.found

    def _piece(self, names: Sequence[str], start: int, end: int) -> int:
        """Every name over one window; returns the newest moment seen, 0 for none."""
        quiet: Mapping[str, int] = self.job.state.get("quiet", {})
        alive: Mapping[str, int] = self.job.state.get("alive", {})
        indispensable = len(names) == 1 and self.metric.name in RULED
        taken: set[str] = set()
        newest = 0
        for name in names:
            if self.now_ms < quiet.get(name, 0) and not indispensable:
                continue
            seen: dict[str, int] = {}
            try:
                seen = self._name(name, start, end, taken)
            except AliyunError as error:
                if error.code not in NO_SUCH_METRIC:
                    self.found.error = error
                    if is_the_end(error):
                        self.ends.append(error)
                    return newest
            if seen:
                self.found.alive[name] = self.now_ms
                newest = max(newest, *seen.values())
            elif self.now_ms - alive.get(name, 0) > LONGEST_BACK_MS:
                self.found.quiet[name] = self.now_ms + QUIET_MS
            taken |= seen.keys()
        return newest

    def _name(self, name: str, start: int, end: int, taken: Collection[str]) -> dict[str, int]:
        """Take the points under one name; returns the newest moment of each series that had any."""
        period = PERIODS.get(self.job.config.namespace, PERIOD_S)
        window = [datetime.fromtimestamp(ms / 1000, UTC) for ms in (start, end)]
        points: list[tuple[int, int, float, str]] = []
        seen: dict[str, int] = {}
        for page in self.client.metric_list(self.job.config.namespace, name, window[0], window[1], period):
            self.found.calls += 1
            for point in page.datapoints:
                instance = next((point.dimensions[key] for key in OWNERS if key in point.dimensions), "")
                owner = self.assets.get(instance)
                if owner is None:
                    self.found.foreign.add(instance)
                    continue
                labels = _labels(self.metric, point)
                series = f"{owner.asset_id} {labels}"
                value = _value(self.metric, point)
                if series not in taken and value is not None:
                    seen[series] = max(seen.get(series, 0), point.timestamp_ms)
                    points.append((point.timestamp_ms, owner.asset_id, value, labels))
        for ts, asset_id, value, labels in sorted(points):
            self.found.keys.append((asset_id, labels))
            self.found.ts.append(ts)
            self.found.value.append(value)
        return seen


def names_of(metric: Metric, owners: Iterable[Owner], existing: Collection[str] | None = None) -> tuple[str, ...]:
    """The names of a metric that some instance here may answer to, in the order of preference.

    A name that speaks of an edition is asked only where there is one (Redis ``Standard*``, ``Sharding*``,
    ``Splitrw*``; MongoDB; the engines of RDS), and none that CloudMonitor no longer has. Where an instance does not
    tell its edition, every name is asked.
    """
    known = [owner.editions for owner in owners]
    anything_goes = any(not editions for editions in known)
    there = frozenset[str]().union(*known)
    return tuple(
        name
        for name in metric.cms_metrics
        if (existing is None or name in existing)
        and (anything_goes or not (edition := _edition_of(metric.cms_namespace, name)) or edition in there)
    )


def _edition_of(namespace: str, name: str) -> str:
    for (space, beginning), edition in NAMED_EDITIONS.items():
        if space == namespace and name.startswith(beginning):
            return edition
    return UNNAMED_EDITIONS.get(namespace, "")


def missing_of(namespace: str, existing: Collection[str]) -> list[Metric]:
    """The metrics of the catalogue that CloudMonitor has under none of their names any more."""
    return [metric for metric in namespaces().get(namespace, ()) if not set(metric.cms_metrics) & set(existing)]


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
