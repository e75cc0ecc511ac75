"""Collecting: run the collectors over claimed targets and hand the figures to the pipeline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from accounts import scope, secrets
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
from monitoring.collectors.config import Config, Kind
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.connections import Standing, most_kept
from monitoring.collectors.network import Guard, addresses_of, networks
from monitoring.collectors.parcel import ParcelError
from monitoring.collectors.places import PLACED_KINDS, is_placed
from monitoring.models import Target
from monitoring.models.target import effective_period
from monitoring.services import cloud, hosts, probe_events, rounds, vitals
from monitoring.services.claims import Work
from monitoring.services.settling import settle

log = logging.getLogger(__name__)
LOOKUP_THREADS: Final = 32
PURPOSE: Final = "monitoring"


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
            jobs.append(job_of(target, now))
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


def job_of(target: Target, now: datetime) -> Job[Config]:
    """Raises ConfigError."""
    config = target.parsed_config
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
