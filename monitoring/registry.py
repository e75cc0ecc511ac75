"""What a process remembers between batches: ids of series, and each customer's plan. All of it can be thrown away."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from numpy.typing import NDArray

from accounts import scope
from assets.models import Asset, Kind
from monitoring import plan
from monitoring.collectors import Keys, Pieces, SeriesKey
from monitoring.evaluate import States
from monitoring.heads import Heads
from monitoring.models import Ledger, Series
from monitoring.models.custom import custom_rules
from monitoring.plan import Plan, SeriesFacts
from monitoring.rules import RULES
from monitoring.services import levels

PLAN_LIFE_S = 600.0
"""How long a plan may miss that an asset changed its kind or system; overrides show at once (`Ledger.plan_version`)."""
UNKNOWN = -1


@dataclass(slots=True)
class Memory:
    """One customer as this process knows it.

    Heads and states are those of the last batch that this process committed. They are used again if no other process
    took a batch in meanwhile, which `Ledger.batches` tells, and read again otherwise. `lock` is held by the thread that
    works on it, from before the transaction until after its commit.
    """

    customer_id: int
    lock: threading.RLock = field(default_factory=threading.RLock)
    ids: dict[SeriesKey, int] = field(default_factory=dict)
    batches: int | None = None
    heads: Heads = field(default_factory=Heads)
    states: States | None = None
    plan: Plan | None = None
    plan_version: int = 0
    plan_made_at: float = 0.0

    def current_plan(self) -> Plan:
        """The customer's plan, while its ledger is held."""
        if self.plan is None or time.monotonic() - self.plan_made_at > PLAN_LIFE_S:
            with scope.customer(self.customer_id):  # others may be in scope whose samples came with these
                self.plan = load_plan()
            self.plan_made_at = time.monotonic()
            self.states = None
        return self.plan


_memories: dict[int, Memory] = {}
_asset_of: NDArray[np.int64] = np.zeros(1024, dtype=np.int64)
_asset_lock = threading.Lock()


def forget(customer_id: int | None = None) -> None:
    """Throw away what is remembered of one customer, or of all."""
    if customer_id is None:
        _memories.clear()
    else:
        _memories.pop(customer_id, None)


def forget_unless_committed(customer_id: int) -> None:
    """For whoever takes samples in within a larger transaction: what was learnt there counts after its commit."""
    if (memory := _memories.pop(customer_id, None)) is not None:
        transaction.on_commit(partial(_memories.setdefault, customer_id, memory))


def memory_of(customer_id: int) -> Memory:
    return _memories.setdefault(customer_id, Memory(customer_id))


@contextmanager
def held(customer_ids: Sequence[int]) -> Generator[list[Memory]]:
    """A transaction that holds the ledgers of customers in scope, with what is known of each, up to date.

    What fails inside is forgotten: memory would be ahead of the database. Whoever holds several takes them in the order
    of their numbers, so that no two wait for each other.
    """
    memories = [memory_of(customer_id) for customer_id in sorted(customer_ids)]
    try:
        with ExitStack() as stack:
            for memory in memories:
                stack.enter_context(memory.lock)
            stack.enter_context(transaction.atomic())
            _hold(memories)
            yield memories
    except BaseException:
        for memory in memories:
            forget(memory.customer_id)
        raise


def hold_ledger(customer_id: int) -> None:
    """Hold the customer's ledger for the rest of the transaction without taking a batch in: nothing judged meanwhile.

    Whoever holds it already may call it again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, [[customer_id]])
        cursor.execute("SELECT 1 FROM monitoring_ledger WHERE customer_id = %s FOR UPDATE", [customer_id])


def glance(customer_id: int) -> Plan:
    """The customer's plan without holding anything, inside its scope: it may miss what others met minutes ago."""
    memory = memory_of(customer_id)
    with memory.lock:
        version = Ledger.objects.values_list("plan_version", flat=True).filter(customer_id=customer_id).first()
        if version is not None and version != memory.plan_version:
            memory.plan, memory.plan_version = None, version
        return memory.current_plan()


def _hold(memories: Sequence[Memory]) -> None:
    ids = [memory.customer_id for memory in memories]
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [ids])
        held = {customer_id: (batches, version) for customer_id, batches, version in cursor}
        new = [customer_id for customer_id in ids if customer_id not in held]
        if new:
            cursor.execute(_BEGIN, [new])
            cursor.execute(_HOLD, [new])
            held |= {customer_id: (batches, version) for customer_id, batches, version in cursor}
    for memory in memories:
        batches, version = held[memory.customer_id]
        if memory.batches != batches - 1:
            memory.heads, memory.states = Heads(), None
        if memory.plan_version != version:
            memory.plan, memory.plan_version = None, version
        memory.batches = None  # nothing is sure before the commit
        transaction.on_commit(partial(setattr, memory, "batches", batches))


_HOLD = (
    "WITH held AS (SELECT id FROM monitoring_ledger WHERE customer_id = ANY(%s) ORDER BY customer_id FOR UPDATE)"
    " UPDATE monitoring_ledger ledger SET batches = batches + 1 FROM held WHERE ledger.id = held.id"
    " RETURNING customer_id, batches, plan_version"
)
_BEGIN = (
    "INSERT INTO monitoring_ledger (customer_id, batches, plan_version)"
    " SELECT customer_id, 0, 1 FROM unnest(%s::bigint[]) AS new (customer_id) ON CONFLICT DO NOTHING"
)


def resolve(
    customer_id: int, keys: Sequence[SeriesKey], *, now: datetime
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Series id and asset id of each key, in the customer's scope; UNKNOWN where the asset is not the customer's."""
    memory = memory_of(customer_id)
    if not isinstance(keys, Pieces):
        ids = _look_up(memory, keys, now)
        return ids, _asset_of[ids]
    _place(memory, [piece for piece in keys.pieces if isinstance(piece, Keys) and _noted(memory, piece) is None], now)
    found = [_noted(memory, piece) for piece in keys.pieces]
    parts = [
        _look_up(memory, piece, now) if ids is None else ids for piece, ids in zip(keys.pieces, found, strict=True)
    ]
    ids = np.concatenate([np.empty(0, np.int32), *parts])
    return ids, _asset_of[ids]


def _noted(memory: Memory, piece: Sequence[SeriesKey]) -> NDArray[np.int32] | None:
    """What was noted on keys that come again, if this very memory noted it."""
    place = piece.place if isinstance(piece, Keys) else None
    return place.ids if isinstance(place, _Place) and place.memory is memory else None


def _place(memory: Memory, pieces: Sequence[Keys], now: datetime) -> None:
    """Look pieces up together and note what was found; what is not known may become known, so that is not noted."""
    ids = _look_up(memory, list(chain.from_iterable(pieces)), now)
    edges = np.cumsum([len(piece) for piece in pieces])
    for piece, part in zip(pieces, np.split(ids, edges[:-1]), strict=True) if pieces else ():
        if not np.any(part == UNKNOWN):
            piece.place = _Place(memory, part)


@dataclass(frozen=True, slots=True)
class _Place:
    memory: Memory
    ids: NDArray[np.int32]


def _look_up(memory: Memory, keys: Sequence[SeriesKey], now: datetime) -> NDArray[np.int32]:
    get = memory.ids.get
    ids = np.array([get(key, UNKNOWN) for key in keys], dtype=np.int32)
    strange = np.flatnonzero(ids == UNKNOWN)
    if len(strange):
        _learn(memory, [keys[at] for at in strange.tolist()], now)
        ids[strange] = [get(keys[at], UNKNOWN) for at in strange.tolist()]
    return ids


def _learn(memory: Memory, keys: Sequence[SeriesKey], now: datetime) -> None:
    """Fetch series that this process has not met, making those that nobody has met."""
    asset_ids = {asset_id for customer_id, asset_id, _, _ in keys if customer_id == memory.customer_id}
    met = len(memory.ids)
    _fetch(memory, asset_ids)
    new = [key for key in keys if key not in memory.ids and key[0] == memory.customer_id]
    if new:
        own = set(Asset.objects.filter(pk__in=asset_ids).values_list("pk", flat=True))
        Series.objects.bulk_create(
            [
                Series(customer_id=customer_id, asset_id=asset_id, metric=metric, labels=labels, created_at=now)
                for customer_id, asset_id, metric, labels in sorted(new)
                if asset_id in own
            ],
            ignore_conflicts=True,
            batch_size=5000,
        )
        _fetch(memory, asset_ids)
    if len(memory.ids) > met:
        memory.plan = None


def _fetch(memory: Memory, asset_ids: set[int]) -> None:
    rows = Series.objects.filter(asset_id__in=asset_ids).values_list("pk", "asset_id", "metric", "labels")
    fetched = list(rows)
    memory.ids.update({(memory.customer_id, asset_id, metric, labels): pk for pk, asset_id, metric, labels in fetched})
    if fetched:
        _note_assets(np.array([(pk, asset_id) for pk, asset_id, _, _ in fetched], dtype=np.int64))


def _note_assets(pairs: NDArray[np.int64]) -> None:
    global _asset_of  # noqa: PLW0603 - one growing table for the process
    with _asset_lock:
        highest = int(pairs[:, 0].max())
        if highest >= len(_asset_of) - 1:  # the last cell stays zero: UNKNOWN is -1
            grown = np.zeros(max(2 * len(_asset_of), highest + 2), dtype=np.int64)
            grown[: len(_asset_of)] = _asset_of
            _asset_of = grown
        _asset_of[pairs[:, 0]] = pairs[:, 1]


def load_plan() -> Plan:
    """Read the series, assets and overrides of the customer in scope, and bind the rules."""
    rules = {**RULES, **custom_rules()}
    watched = {metric for rule in rules.values() for metric in rule.metrics}
    rows = Series.objects.filter(metric__in=watched, asset__retired_at=None).values_list(
        "pk", "asset_id", "metric", "labels", "asset__kind", "asset__os"
    )
    facts = [
        SeriesFacts(pk, asset_id, metric, labels, kind == Kind.ECS, os)
        for pk, asset_id, metric, labels, kind, os in rows.iterator(chunk_size=10_000)
    ]
    return plan.build(rules, facts, levels.load(), period_cap_s=settings.CHECK_PERIOD_S)
