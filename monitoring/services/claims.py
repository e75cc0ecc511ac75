"""Which targets are due, and whose turn it is to ask them.

A claim is a lease on the target's row and already names the next due moment, on the target's own grid: beats that were
missed are missed, they do not pile up. A worker that dies leaves its lease to run out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min, Q

from monitoring.collectors.config import Kind
from monitoring.grid import next_due
from monitoring.models import Target
from monitoring.models.target import effective_period
from monitoring.services import vitals

LEASE: Final = timedelta(seconds=60)
CMS_LEASE: Final = timedelta(minutes=5)
CLAIM_LIMIT: Final = 2000
BATCH: Final = 100
CMS_BATCH: Final = 1
TOGETHER: Final = frozenset({Kind.PROMETHEUS, Kind.PRODUCT})
"""Kinds of which batches of several customers are collected together."""
SLOW_MS: Final = 3000.0
"""A target that took so long the last time waits in the lane of the slow ones."""


@dataclass(frozen=True, slots=True)
class Work:
    """A batch to collect: targets of one customer and kind, under one lease."""

    customer_id: int
    kind: str
    target_ids: list[int]
    lease: datetime
    is_slow: bool = False


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


def _portions(ids: Sequence[int], size: int) -> Iterable[list[int]]:
    return (list(ids[at : at + size]) for at in range(0, len(ids), size))
