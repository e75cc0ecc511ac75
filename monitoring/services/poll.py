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
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Min, Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import scope, secrets
from accounts.models import Assignment
from accounts.secrets import Missing
from monitoring import pipeline
from monitoring.collectors import (
    Job,
    Outcome,
    Problem,
    batch_of,
    dns,
    domain,
    hoststate,
    ping,
    products,
    prometheus,
    tcp,
    tls,
)
from monitoring.collectors.config import Config, ConfigError, Kind
from monitoring.collectors.connections import Standing, most_kept
from monitoring.collectors.network import Guard, addresses_of, networks
from monitoring.collectors.parcel import ParcelError
from monitoring.collectors.places import PLACED_KINDS, is_placed
from monitoring.models import Target
from monitoring.models.target import effective_period
from monitoring.problems import problem_text
from monitoring.services import cloud, hosts, probe_events, rounds, vitals
from notify import live
from notify import services as notify

log = logging.getLogger(__name__)

LEASE: Final = timedelta(seconds=60)
CMS_LEASE: Final = timedelta(minutes=5)
CLAIM_LIMIT: Final = 2000
BATCH: Final = 100
CMS_BATCH: Final = 1
TOGETHER: Final = frozenset({Kind.PROMETHEUS, Kind.PRODUCT})
"""Kinds of which batches of several customers are collected together."""
TELL_AFTER: Final = 3
SLOW_MS: Final = 3000.0
"""A target that took so long the last time waits in the lane of the slow ones."""
LOOKUP_THREADS: Final = 32
PURPOSE: Final = "monitoring"


@dataclass(frozen=True, slots=True)
class Work:
    """A batch to collect: targets of one customer and kind, under one lease."""

    customer_id: int
    kind: str
    target_ids: list[int]
    lease: datetime
    is_slow: bool = False


# --- claiming ------------------------------------------------------------------------------------------------------


@transaction.atomic
def claim(*, now: datetime, limit: int = CLAIM_LIMIT) -> list[Work]:
    """Take what is due. Needs a platform scope; two callers at once take different targets.

    Nobody waits for another customer's slow machines: targets that are known to be slow have a lane of their own that
    holds part of the workers at most, and no customer has more than its share of batches under way.
    """
    held = _under_way(now)
    rows = _take_fast(held, now, limit)
    rows += _take_slow(held, now)
    if not rows:
        return []
    groups: dict[tuple[int, str, bool], list[int]] = {}
    for row in rows:
        groups.setdefault((row.customer_id, row.kind, row.is_slow), []).append(row.pk)
    dues = [next_due(now, effective_period(row.kind, row.period_s), row.phase) for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE monitoring_target AS target"
            " SET lease_until = claim.lease, next_due_at = claim.due, last_run_at = %s"
            " FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS claim (id, lease, due)"
            " WHERE target.id = claim.id",
            [now, [row.pk for row in rows], [now + lease_of(row.kind) for row in rows], dues],
        )
    late_s = max((now - row.next_due_at).total_seconds() for row in rows)
    transaction.on_commit(partial(vitals.count_claim, targets=len(rows), late_s=late_s))
    works = [
        (place, Work(customer_id, kind, some, now + lease_of(kind), is_slow))
        for (customer_id, kind, is_slow), ids in groups.items()
        for place, some in enumerate(_portions(ids, CMS_BATCH if kind == Kind.CMS else BATCH))
    ]
    return [work for _place, work in sorted(works, key=lambda one: one[0])]  # a first batch of each before any second


def bundles(works: Sequence[Work]) -> list[list[Work]]:
    """Small batches of one kind put together, each customer once, so that they share what a batch costs.

    Slow ones stay alone, that nobody waits for another customer's machines; so do kinds with more to do than asking.
    """
    found: list[list[Work]] = []
    open_ones: dict[str, list[Work]] = {}
    for work in works:
        some = open_ones.get(work.kind, []) if work.kind in TOGETHER and not work.is_slow else None
        if some and _fits(work, some):
            some.append(work)
            continue
        found.append([work])
        if some is not None:
            open_ones[work.kind] = found[-1]
    return found


def _fits(work: Work, some: Sequence[Work]) -> bool:
    is_new = all(each.customer_id != work.customer_id for each in some)
    return is_new and sum(len(each.target_ids) for each in (*some, work)) <= BATCH


@dataclass(frozen=True, slots=True)
class _Due:
    """A row that is due."""

    pk: int
    customer_id: int
    kind: str
    period_s: int
    phase: float
    next_due_at: datetime
    is_slow: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    """What is being collected at the moment: batches by customer, and those of the slow lane."""

    batches: Mapping[int, int]
    slow: int


def _under_way(now: datetime) -> _Held:
    """CloudMonitor has its own governor, and rounds that wait for places elsewhere hold no worker: neither counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT customer_id, slow, sum(ceil(held / %s::numeric))::int FROM ("
            " SELECT customer_id, kind, lease_until, coalesce(last_duration_ms, 0) >= %s AS slow, count(*) AS held"
            " FROM monitoring_target AS target WHERE is_enabled AND lease_until > %s AND kind <> 'cms' AND NOT EXISTS"
            " (SELECT FROM monitoring_proberound AS round WHERE round.target_id = target.id AND round.is_open)"
            " GROUP BY 1, 2, 3, 4) AS leases GROUP BY 1, 2",
            [BATCH, SLOW_MS, now],
        )
        found = cursor.fetchall()
    return _Held(
        {customer: count for customer, is_slow, count in found if not is_slow},
        sum(count for _customer, is_slow, count in found if is_slow),
    )


_FIELDS: Final = ("pk", "customer_id", "kind", "period_s", "phase", "next_due_at")
_SLOW: Final = Q(last_duration_ms__gte=SLOW_MS) & ~Q(kind=Kind.CMS)


def _take_fast(held: _Held, now: datetime, limit: int) -> list[_Due]:
    share = max(4, 2 * settings.WORKERS)
    crowded = [customer for customer, batches in held.batches.items() if batches >= share]
    due = Target.objects.claimable(now).exclude(_SLOW).order_by("next_due_at", "pk")
    due = due.exclude(Q(customer__in=crowded) & ~Q(kind=Kind.CMS)) if crowded else due
    rows = [_Due(*row) for row in due.select_for_update(skip_locked=True).values_list(*_FIELDS)[:limit]]
    left = {row.customer_id: (share - held.batches.get(row.customer_id, 0)) * BATCH for row in rows}
    taken = []
    for row in rows:
        if row.kind != Kind.CMS:
            left[row.customer_id] -= 1
        if row.kind == Kind.CMS or left[row.customer_id] >= 0:
            taken.append(row)
    return taken


def _take_slow(held: _Held, now: datetime) -> list[_Due]:
    """One batch for each free place of the lane, of whoever waits longest: customers take turns."""
    free = max(1, settings.WORKERS // 2) - held.slow
    if free <= 0:
        return []
    due = Target.objects.claimable(now).filter(_SLOW)
    turns = due.order_by().values("customer_id", "kind").annotate(oldest=Min("next_due_at")).order_by("oldest")
    taken = []
    for turn in turns[:free]:
        mine = due.filter(customer=turn["customer_id"], kind=turn["kind"]).order_by("next_due_at", "pk")
        rows = mine.select_for_update(skip_locked=True).values_list(*_FIELDS)[:BATCH]
        taken += [replace(_Due(*row), is_slow=True) for row in rows]
    return taken


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
    held = Target.objects.filter(pk__in=work.target_ids, lease_until=work.lease).enabled()
    targets = list(held.select_related("cloud_account") if work.kind == Kind.CMS else held)
    if not targets:
        return 0
    began = clock()
    if work.kind in PLACED_KINDS:
        targets, outcomes = _round(work, targets, began)
    else:
        outcomes = run(work.kind, targets, now=began)
    stored = _store(work.customer_id, outcomes, clock())
    if work.kind == Kind.STATE:
        hosts.take(targets, outcomes, now=clock())
    settle(targets, outcomes, lease=work.lease, now=clock())
    if work.kind in probe_events.KINDS:
        probe_events.watch(targets, outcomes, now=clock())
    vitals.count_batch(kind=work.kind, targets=len(targets), samples=stored, took_s=(clock() - began).total_seconds())
    return stored


def collect_many(works: Sequence[Work], *, clock: Callable[[], datetime] = timezone.now) -> int:
    """Run batches of one kind of several customers (`bundles`): asked at once, stored together, settled each in its
    customer's scope. Returns the number of samples stored."""
    began = clock()
    kind = Kind(works[0].kind)
    jobs: list[Job[Any]] = []
    asked: list[tuple[Work, list[Target], dict[int, Outcome]]] = []
    for work in works:
        with scope.customer(work.customer_id):
            targets = list(
                Target.objects.filter(pk__in=work.target_ids, lease_until=work.lease)
                .enabled()
                .select_related("cloud_account")
            )
            some, broken = _jobs(targets, began)
        jobs += some
        asked.append((work, targets, broken))
    by_id = {outcome.target_id: outcome for outcome in _looked(kind, jobs, began)}
    outcomes = [[(broken | by_id)[target.pk] for target in targets] for _work, targets, broken in asked]
    stored = _store_many([(work.customer_id, mine) for work, mine in zip(works, outcomes, strict=True)], clock())
    took_s = (clock() - began).total_seconds()
    for (work, targets, _broken), mine, count in zip(asked, outcomes, stored, strict=True):
        if targets:
            with scope.customer(work.customer_id):
                settle(targets, mine, lease=work.lease, now=clock())
            vitals.count_batch(kind=kind, targets=len(targets), samples=count, took_s=took_s / len(works))
    return sum(stored)


def _round(work: Work, targets: Sequence[Target], now: datetime) -> tuple[list[Target], list[Outcome]]:
    """Ask the places of this machine now; the targets that other places are asked about keep their lease until those
    have answered or their time is over."""
    jobs, broken = _jobs(targets, now)
    by_id = {target.pk: target for target in targets}
    placed = [job for job in jobs if is_placed(job.config)]
    plain = [job for job in jobs if not is_placed(job.config)]
    outcomes, waiting = rounds.ask(Kind(work.kind), placed, by_id, guard=guard(), lease=work.lease, now=now)
    outcomes += _overlapping(COLLECTORS[Kind(work.kind)](plain)) if plain else []
    found = broken | {outcome.target_id: outcome for outcome in outcomes}
    return [by_id[pk] for pk in found if pk not in waiting], [found[pk] for pk in found if pk not in waiting]


def take_results(location: str, sealed: str, *, now: datetime) -> int:
    """Take in what a location answered; returns the rounds that are over with it. Needs a platform scope.

    What was not sealed with the location's own key is noted in the log, and nothing else.
    """
    try:
        finished = rounds.take(location, sealed, now=now)
    except ParcelError as error:
        log.warning("an answer that claims to come from probe point %r is not its own: %s", location[:40], error)
        return 0
    return _finish(finished, now)


def end_overdue_rounds(*, now: datetime) -> int:
    """End the rounds that waited long enough. Needs a platform scope."""
    return _finish(rounds.take_overdue(now=now), now)


def _finish(finished: Sequence[rounds.Finished], now: datetime) -> int:
    """Store and settle rounds that are over, customer by customer."""
    groups: dict[tuple[int, datetime], list[rounds.Finished]] = {}
    for one in finished:
        groups.setdefault((one.target.customer_id, one.lease), []).append(one)
    for (customer_id, lease), some in groups.items():
        with scope.customer(customer_id):
            outcomes = [one.outcome for one in some]
            _store(customer_id, outcomes, now)
            targets = [one.target for one in some]
            settle(targets, outcomes, lease=lease, now=now)
            probe_events.watch(targets, outcomes, now=now)
    return len(finished)


def _store(customer_id: int, outcomes: list[Outcome], now: datetime) -> int:
    return _store_many([(customer_id, outcomes)], now)[0]


def _store_many(brought: Sequence[tuple[int, list[Outcome]]], now: datetime) -> list[int]:
    """Hand the figures over; returns how many were stored of each customer's. When they cannot be stored, the targets
    keep their old state and come again."""
    batches = [batch_of(customer_id, outcomes) for customer_id, outcomes in brought]
    full = [batch for batch in batches if len(batch)]
    results = dict(zip([id(batch) for batch in full], pipeline.ingest_many(full, now=now), strict=True))
    stored = []
    for batch, (_customer_id, outcomes) in zip(batches, brought, strict=True):
        result = results.get(id(batch), pipeline.IngestResult())
        stored.append(0 if isinstance(result, DatabaseError) else result.stored)
        if isinstance(result, DatabaseError):
            for outcome in outcomes:
                outcome.state = None
                outcome.problem = outcome.problem or Problem("store", type(result).__name__)
    return stored


def run(kind: str, targets: Sequence[Target], *, now: datetime) -> list[Outcome]:
    """Run the collector of ``kind`` over targets of one customer: one outcome each, in their order."""
    jobs, broken = _jobs(targets, now)
    if kind == Kind.CMS:
        accounts = {target.pk: target.cloud_account for target in targets}
        found = [cloud.collect(job, accounts[job.target_id], now) for job in jobs]
    elif kind == Kind.PROMETHEUS:
        found = EXPORTERS.run(lambda kept: prometheus.collect_over(kept, jobs))
    else:
        found = _looked(Kind(kind), jobs, now)
    by_id = broken | {outcome.target_id: outcome for outcome in found}
    return [by_id[target.pk] for target in targets]


def _jobs(targets: Sequence[Target], now: datetime) -> tuple[list[Job[Any]], dict[int, Outcome]]:
    """Jobs for the collector, and the outcomes of targets whose configuration is broken."""
    jobs: list[Job[Any]] = []
    broken: dict[int, Outcome] = {}
    for target in targets:
        try:
            jobs.append(_job(target, target.parsed_config, now))
        except ConfigError as error:
            broken[target.pk] = Outcome(target.pk, problem=Problem("config", str(error)))
    return jobs, broken


def trial(kind: str, job: Job[Any]) -> Outcome:
    """Run the collector of ``kind`` once for what is not a target yet."""
    return _looked(Kind(kind), [job], timezone.now())[0]


def _looked(kind: Kind, jobs: Sequence[Job[Any]], now: datetime) -> list[Outcome]:
    """One look at each from this machine."""
    placed = [job for job in jobs if is_placed(job.config)]
    plain = [job for job in jobs if not is_placed(job.config)]
    found = rounds.run_here(kind, placed, guard=guard(), now=now) if placed else []
    return found + (_overlapping(COLLECTORS[kind](plain)) if plain else [])


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
    """What collectors must keep out of: the networks of the settings, and where PostgreSQL and Redis are."""
    hosts = (str(settings.DATABASES["default"]["HOST"]), urlsplit(settings.REDIS_URL).hostname or "")
    return Guard((*networks(settings.PLATFORM_NETWORKS), *addresses_of(hosts)))


COLLECTORS: Final[Mapping[Kind, Callable[[Sequence[Job[Any]]], Coroutine[Any, Any, list[Outcome]]]]] = {
    Kind.PROMETHEUS: lambda jobs: prometheus.collect(jobs, guard=guard()),
    Kind.TCP: lambda jobs: tcp.collect(jobs, guard=guard()),
    Kind.PING: lambda jobs: ping.collect(jobs, guard=guard()),
    Kind.DNS: lambda jobs: dns.collect(jobs, guard=guard()),
    Kind.TLS: lambda jobs: tls.collect(jobs, guard=guard()),
    Kind.DOMAIN: lambda jobs: domain.collect(jobs, guard=guard(), bootstrap=settings.RDAP_BOOTSTRAP),
    Kind.PRODUCT: lambda jobs: products.collect(jobs, guard=guard()),
    Kind.STATE: lambda jobs: hoststate.collect(jobs, guard=guard()),
}


EXPORTERS: Final = Standing(lambda: prometheus.connections(guard(), most=most_kept()))
"""A worker asks the same hosts every minute: their connections stay open."""


def _overlapping(collecting: Coroutine[Any, Any, list[Outcome]]) -> list[Outcome]:
    """Run a collector's coroutine to its end, with enough threads that slow name servers hold up nobody else."""

    async def main() -> list[Outcome]:
        with ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup") as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            return await collecting

    return asyncio.run(main())


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
            is_of_account = target.cloud_account_id and outcome.problem and outcome.problem.code in cloud.OURS_TO_TELL
            if outcome.problem is not None and failures == TELL_AFTER and not is_of_account:
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
