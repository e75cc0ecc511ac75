"""Writing and verifying the audit log: append-only, one hash chain per customer and one for the platform."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models, transaction

from accounts import bulk, scope
from accounts.models import AuditEntry, Customer, User

GENESIS = "0" * 64
SYSTEM = "system"
WHOLE_FROM = 1e16
"""From here on jsonb gives a float back as an integer, so it is kept as text, like NaN and the infinities."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to be written into the log. `detail` is kept as JSON and must hold no secret."""

    action: str
    obj: models.Model | None = None
    detail: Mapping[str, object] | None = None


@transaction.atomic
def record(
    *,
    action: str,
    actor: User | None,
    customer: Customer | None,
    now: datetime,
    obj: models.Model | None = None,
    detail: Mapping[str, object] | None = None,
) -> AuditEntry:
    """Append one entry to the customer's chain, in the caller's transaction.

    `detail` is kept as JSON and must hold no secret. Writers of one chain queue behind each other until they commit, so
    that no two entries ever follow the same one.
    """
    return record_many(acts=[Act(action, obj, detail)], actor=actor, customer=customer, now=now)[0]


@transaction.atomic
def record_many(
    *, acts: Sequence[Act], actor: User | None, customer: Customer | None, now: datetime
) -> list[AuditEntry]:
    """Append entries to the customer's chain in their order: hashed one after the other, written at once."""
    if not acts:
        return []
    customer_id = None if customer is None else customer.pk
    with scope.platform("audit log"):
        hold(customer_id)
        last = _chain(customer_id).order_by("-sequence").first()
        entries = []
        for act in acts:
            last = _following(last, act, customer_id=customer_id, actor=actor, now=now)
            entries.append(last)
        bulk.insert(entries)
        return entries


def _following(
    last: AuditEntry | None, act: Act, *, customer_id: int | None, actor: User | None, now: datetime
) -> AuditEntry:
    obj = act.obj
    entry = AuditEntry(
        customer_id=customer_id,
        sequence=1 if last is None else last.sequence + 1,
        at=now,
        actor=actor,
        actor_name=SYSTEM if actor is None else str(actor)[:120],
        action=act.action,
        object_type="" if obj is None else obj._meta.label_lower,
        object_id="" if obj is None else str(obj.pk),
        object_name="" if obj is None else str(obj)[:200],
        detail=_storable(act.detail or {}),
        previous_hash=GENESIS if last is None else last.hash,
    )
    entry.hash = digest(entry)
    return entry


def _storable(value: Any) -> Any:
    """A value as PostgreSQL's jsonb gives it back exactly, so that the digest of what is stored stays the same."""
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_storable(item) for item in value]
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float) and abs(value) < WHOLE_FROM:
        return value + 0.0  # jsonb knows no negative zero
    return str(value).encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _chain(customer_id: int | None) -> models.QuerySet[AuditEntry]:
    entries = AuditEntry.objects.all()
    return entries.filter(customer=None) if customer_id is None else entries.filter(customer_id=customer_id)


def digest(entry: AuditEntry) -> str:
    """SHA-256 over everything an entry says and the hash of the one before it, as lowercase hex."""
    said = {
        "customer": entry.customer_id,
        "sequence": entry.sequence,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor_id,
        "actor_name": entry.actor_name,
        "action": entry.action,
        "object": [entry.object_type, entry.object_id, entry.object_name],
        "detail": entry.detail,
        "previous": entry.previous_hash,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def hold(customer_id: int | None) -> None:
    """Take this transaction's turn in the customer's chain now.

    A service that locks rows and then records takes its turn first: everybody then queues in the same order, chain
    before rows, and no two can wait for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audit'), %s)", [customer_id or 0])


@dataclass(frozen=True)
class Head:
    """The last entry of a chain; keep it elsewhere to notice entries cut off at the end."""

    sequence: int
    hash: str


def head(customer_id: int | None) -> Head:
    last = _chain(customer_id).order_by("-sequence").first()
    return Head(0, GENESIS) if last is None else Head(last.sequence, last.hash)


@dataclass(frozen=True)
class Fault:
    """A place where a chain does not hold: `customer_id` None is the platform's own chain."""

    customer_id: int | None
    sequence: int
    what: str


def verify(customer_id: int | None) -> Iterator[Fault]:
    """Walk one chain and yield every entry that is changed, missing or out of order. Needs a scope that reaches it.

    Entries cut off at the very end leave no gap: compare the head (`sequence`, `hash`) with an exported one for that.
    """
    expected, previous = 1, GENESIS
    for entry in _chain(customer_id).order_by("sequence").iterator():
        if entry.sequence != expected:
            yield Fault(customer_id, expected, f"missing: {expected} to {entry.sequence - 1}")
        elif entry.previous_hash != previous:
            yield Fault(customer_id, entry.sequence, "does not follow the entry before it")
        if entry.hash != digest(entry):
            yield Fault(customer_id, entry.sequence, "was changed")
        expected, previous = entry.sequence + 1, entry.hash


def said(*, action: str, customer: Customer | None, obj: models.Model, detail: Mapping[str, object]) -> bool:
    """True when the log already holds this very entry, whoever made it. Needs a scope that reaches it."""
    return AuditEntry.objects.filter(
        customer=customer,
        action=action,
        object_type=obj._meta.label_lower,
        object_id=str(obj.pk),
        detail=dict(detail),
    ).exists()
