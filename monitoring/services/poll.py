"""The rhythm of collecting: claim what is due, run the collectors, hand the figures to the pipeline, settle.

A claim is a lease on the target's row and already names the next due moment, on the target's own grid: beats that
were missed are missed, they do not pile up. A worker that dies leaves its lease to run out. Whoever settles must
still hold the lease it was given: a worker that was too slow changes nothing any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import secrets
from accounts.errors import DomainError
from accounts.models import Assignment
from accounts.secrets import Missing
from assets.models import Asset, CloudAccount
from assets.services import client_for
from monitoring import pipeline
from monitoring.collectors import Job, Outcome, Problem, batch_of, cms, http, ping, products, prometheus, tcp
from monitoring.collectors.config import Config, ConfigError, Kind
from monitoring.collectors.network import Guard, networks
from monitoring.models import Target
from monitoring.models.target import effective_period
from monitoring.problems import problem_text
from notify import live
from notify import services as notify

log = logging.getLogger(__name__)

LEASE: Final = timedelta(seconds=60)
CMS_LEASE: Final = timedelta(minutes=5)
CLAIM_LIMIT: Final = 2000
BATCH: Final = 100
CMS_BATCH: Final = 1
TELL_AFTER: Final = 3
LOOKUP_THREADS: Final = 32
PURPOSE: Final = "monitoring"


@dataclass(frozen=True, slots=True)
class Work:
    """A batch to collect: targets of one customer and kind, under one lease."""

    customer_id: int
    kind: str
    target_ids: list[int]
    lease: datetime


# --- claiming ------------------------------------------------------------------------------------------------------


@transaction.atomic
def claim(*, now: datetime, limit: int = CLAIM_LIMIT) -> list[Work]:
    """Take what is due. Needs a platform scope; two callers at once take different targets."""
    due = Target.objects.claimable(now).order_by("next_due_at", "pk")
    rows = list(
        due.select_for_update(skip_locked=True).values_list("pk", "customer_id", "kind", "period_s", "phase")[:limit]
    )
    if not rows:
        return []
    groups: dict[tuple[int, str], list[int]] = {}
    leases = []
    for pk, customer_id, kind, _period, _phase in rows:
        groups.setdefault((customer_id, kind), []).append(pk)
        leases.append(now + lease_of(kind))
    dues = [next_due(now, effective_period(kind, period_s), phase) for _pk, _customer, kind, period_s, phase in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE monitoring_target AS target"
            " SET lease_until = claim.lease, next_due_at = claim.due, last_run_at = %s"
            " FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS claim (id, lease, due)"
            " WHERE target.id = claim.id",
            [now, [row[0] for row in rows], leases, dues],
        )
    return [
        Work(customer_id, kind, some, now + lease_of(kind))
        for (customer_id, kind), ids in groups.items()
        for some in _portions(ids, CMS_BATCH if kind == Kind.CMS else BATCH)
    ]


def lease_of(kind: str) -> timedelta:
    return CMS_LEASE if kind == Kind.CMS else LEASE


def next_due(now: datetime, period: float, phase: float) -> datetime:
    """The next moment after ``now`` on the grid of a target that is due every ``period`` seconds."""
    offset = phase * period
    due = (math.floor((now.timestamp() - offset) / period) + 1) * period + offset
    return datetime.fromtimestamp(due, tz=now.tzinfo)


def _portions(ids: Sequence[int], size: int) -> Iterable[list[int]]:
    return (list(ids[at : at + size]) for at in range(0, len(ids), size))


# --- collecting ----------------------------------------------------------------------------------------------------


def collect(work: Work, *, clock: Callable[[], datetime] = timezone.now) -> int:
    """Run one claimed batch; returns the number of samples stored. Needs the customer's scope."""
    targets = list(
        Target.objects.filter(pk__in=work.target_ids, lease_until=work.lease).enabled().select_related("cloud_account")
    )
    if not targets:
        return 0
    outcomes = run(work.kind, targets, now=clock())
    stored = _store(work.customer_id, outcomes, clock())
    settle(targets, outcomes, lease=work.lease, now=clock())
    return stored


def _store(customer_id: int, outcomes: list[Outcome], now: datetime) -> int:
    """Hand the figures over. When they cannot be stored, the targets keep their old state and come again."""
    batch = batch_of(customer_id, outcomes)
    if not len(batch):
        return 0
    try:
        return pipeline.ingest(batch, now=now).stored
    except DatabaseError as error:
        log.exception("figures of customer %s could not be stored", customer_id)
        for outcome in outcomes:
            outcome.state = None
            outcome.problem = outcome.problem or Problem("store", type(error).__name__)
        return 0


def run(kind: str, targets: Sequence[Target], *, now: datetime) -> list[Outcome]:
    """Run the collector of ``kind`` over targets of one customer: one outcome each, in their order."""
    jobs: list[Job[Any]] = []
    broken: dict[int, Outcome] = {}
    for target in targets:
        try:
            jobs.append(_job(target, target.parsed_config, now))
        except ConfigError as error:
            broken[target.pk] = Outcome(target.pk, problem=Problem("config", str(error)))
    if kind == Kind.CMS:
        accounts = {target.pk: target.cloud_account for target in targets}
        found = [_cms(job, accounts[job.target_id], now) for job in jobs]
    else:
        found = _overlapping(COLLECTORS[Kind(kind)](jobs))
    by_id = broken | {outcome.target_id: outcome for outcome in found}
    return [by_id[target.pk] for target in targets]


def trial(kind: str, job: Job[Any]) -> Outcome:
    """Run the collector of ``kind`` once for what is not a target yet."""
    return _overlapping(COLLECTORS[Kind(kind)]([job]))[0]


def _job(target: Target, config: Config, now: datetime) -> Job[Config]:
    return Job(
        target_id=target.pk,
        customer_id=target.customer_id,
        asset_id=target.asset_id or 0,
        config=config,
        state=target.state,
        allow_internal=target.allow_internal,
        token=token_of(target, now),
        period_s=effective_period(target.kind, target.period_s),
    )


_tokens: dict[int, tuple[datetime, str]] = {}


def token_of(target: Target, now: datetime) -> str:
    """The target's token, opened once per worker and change: opening is a query and an audit entry."""
    if target.token_set_at is None:
        return ""
    known = _tokens.get(target.pk)
    if known is None or known[0] != target.token_set_at:
        try:
            known = (target.token_set_at, secrets.use(obj=target, field=Target.TOKEN, purpose=PURPOSE, now=now))
        except Missing:
            return ""
        _tokens[target.pk] = known
    return known[1]


@lru_cache(maxsize=1)
def guard() -> Guard:
    """What collectors must keep out of, by the settings."""
    return Guard(networks(settings.PLATFORM_NETWORKS))


COLLECTORS: Final[Mapping[Kind, Callable[[Sequence[Job[Any]]], Coroutine[Any, Any, list[Outcome]]]]] = {
    Kind.PROMETHEUS: lambda jobs: prometheus.collect(jobs, guard=guard()),
    Kind.TCP: lambda jobs: tcp.collect(jobs, guard=guard()),
    Kind.HTTP: lambda jobs: http.collect(jobs, guard=guard(), points=settings.PROBE_POINTS),
    Kind.PING: lambda jobs: ping.collect(jobs, guard=guard()),
    Kind.PRODUCT: lambda jobs: products.collect(jobs, guard=guard()),
}


def _overlapping(collecting: Coroutine[Any, Any, list[Outcome]]) -> list[Outcome]:
    """Run a collector's coroutine to its end, with enough threads that slow name servers hold up nobody else."""

    async def main() -> list[Outcome]:
        with ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup") as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            return await collecting

    return asyncio.run(main())


def _cms(job: Job[Any], account: CloudAccount | None, now: datetime) -> Outcome:
    if account is None or account.retired_at is not None:
        return Outcome(job.target_id, problem=Problem("no_credentials"))
    try:
        client = client_for(account, purpose=PURPOSE, now=now)
    except DomainError as error:
        return Outcome(job.target_id, problem=Problem("no_credentials", error.message))
    assets = dict(Asset.objects.filter(cloud_account=account).active().values_list("provider_id", "pk"))
    metrics = cms.namespaces().get(job.config.namespace, ())
    return cms.collect(job, client=client, assets=assets, metrics=metrics, now_ms=round(now.timestamp() * 1000))


# --- settling ------------------------------------------------------------------------------------------------------


@transaction.atomic
def settle(targets: Sequence[Target], outcomes: Sequence[Outcome], *, lease: datetime, now: datetime) -> None:
    """Write down how it went, for the targets whose lease is still ours. Needs the customer's scope."""
    rows = [_row(target, outcome) for target, outcome in zip(targets, outcomes, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE monitoring_target AS target SET lease_until = NULL, state = coalesce(done.state, target.state),"
            " last_ok_at = CASE WHEN done.ok THEN %(now)s ELSE target.last_ok_at END,"
            " last_duration_ms = done.took_ms, last_samples = done.samples,"
            " problem_code = done.code, problem_detail = done.detail,"
            " problem_since = CASE WHEN done.ok THEN NULL ELSE coalesce(target.problem_since, %(now)s) END,"
            " failures = CASE WHEN done.ok THEN 0 ELSE target.failures + 1 END"
            " FROM jsonb_to_recordset(%(rows)s::jsonb) AS done"
            " (id bigint, ok boolean, state jsonb, took_ms float8, samples int, code text, detail text)"
            " WHERE target.id = done.id AND target.lease_until = %(lease)s"
            " RETURNING target.id, target.failures, target.problem_since",
            {"now": now, "rows": json.dumps(rows), "lease": lease},
        )
        settled = {pk: (failures, since) for pk, failures, since in cursor}
    for target, outcome in zip(targets, outcomes, strict=True):
        if target.pk in settled:
            failures, since = settled[target.pk]
            _show(target, outcome)
            if outcome.problem is not None and failures == TELL_AFTER:
                _tell(target, outcome.problem, since, now)


def _row(target: Target, outcome: Outcome) -> dict[str, object]:
    problem = outcome.problem
    return {
        "id": target.pk,
        "ok": problem is None,
        "state": outcome.state,
        "took_ms": outcome.took_ms,
        "samples": len(outcome.value),
        "code": problem.code if problem else "",
        "detail": problem.detail.replace("\x00", "")[:400] if problem else "",
    }


def _show(target: Target, outcome: Outcome) -> None:
    """Tell open pages when the health of a target changes, not at every beat."""
    code = outcome.problem.code if outcome.problem else ""
    if code != target.problem_code or target.last_ok_at is None:
        live.publish(customer_id=target.customer_id, topic="targets", object_id=target.pk)


def _tell(target: Target, problem: Problem, since: datetime, now: datetime) -> None:
    """Tell the customer's engineers once per spell that collecting fails. It is ours to mend: no alert, no incident.

    All targets of a cloud account share one message: a refused AccessKey is one problem, not one per namespace.
    """
    what = (
        f"account:{target.cloud_account_id}:{since:%Y%m%d}"
        if target.cloud_account_id
        else f"{target.pk}:{since:%Y%m%d%H%M%S}"
    )
    name = target.cloud_account.name if target.cloud_account else target.name
    for assignment in Assignment.objects.filter(customer_id=target.customer_id).select_related("user"):
        with translation.override(assignment.user.language):
            message = notify.Message(
                topic="account",
                subject=_("Collecting fails: %(name)s") % {"name": name},
                text=f"{problem_text(problem.code)}\n\n{problem.detail}".strip(),
                url=f"/monitoring/targets/{target.pk}/",
            )
        notify.tell(user=assignment.user, key=f"target:{what}:{problem.code}", message=message, now=now)
