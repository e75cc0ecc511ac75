"""What customers' nodes do for other parts of the platform: who asks for it, which node does it, what came of it.

The settings name who asks for which kind (`NODE_ERRANDS`): the bastion knows none of them. Answers are taken once and
in order: with the number of the last goes what the other part made of it, in one transaction.
"""

from __future__ import annotations

import logging
from datetime import datetime
from importlib import import_module
from typing import Final, Protocol, cast

import msgspec
from django.conf import settings
from django.db import DatabaseError, DataError, transaction
from django.utils.translation import gettext as _

from accounts import scope
from accounts.errors import DomainError
from bastion.gateway import wire
from bastion.models import Node, NodeErrand
from bastion.services.node_watch import TELL_AFTER

NOTHING: Final = wire.Errand("-", 0, msgspec.Raw(b"[]"), msgspec.Raw(b"{}"))
log = logging.getLogger(__name__)


class Assignment(Protocol):
    """All that a customer's node has to do of a kind; `body` and `secrets` are JSON."""

    @property
    def version(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def secrets(self) -> bytes: ...


class Asker(Protocol):
    """The part of the platform whose errands these are. Enters the customer's scope by itself."""

    def assignment(self, *, customer_id: int, known: str, now: datetime) -> Assignment | None:
        """None: nothing has changed since the version that is known."""
        ...

    def take(self, *, customer_id: int, body: bytes, now: datetime) -> None:
        """Raises ValueError for what cannot be read."""
        ...


class NotNow(Exception):
    """The database does not take it at the moment."""


def assignment(*, node: Node, kind: str, known: str, now: datetime) -> wire.Errands:
    """What this node is to do of a kind, if that is not what it knows. Raises DomainError("unknown_errand")."""
    asker = _asker(kind)
    taken = NodeErrand.objects.filter(node=node, kind=kind).values_list("taken", flat=True).first() or 0
    if node.customer_id is None or not _carries(node, now):
        return wire.Errands(taken, None if known == NOTHING.version else NOTHING)
    found = asker.assignment(customer_id=node.customer_id, known=known, now=now)
    if found is None:
        return wire.Errands(taken)
    body, secrets = msgspec.Raw(found.body), msgspec.Raw(found.secrets)
    return wire.Errands(taken, wire.Errand(found.version, found.size, body, secrets))


@transaction.atomic
def take(*, node: Node, kind: str, number: int, body: bytes, now: datetime) -> int:
    """Take an answer, unless it was taken before; up to which number they are taken now.

    What the asker cannot make anything of counts as taken: nothing may wait behind it for ever. Raises NotNow when the
    database is not well, and DomainError("unknown_errand").
    """
    asker = _asker(kind)
    if node.customer_id is None:
        raise _unknown()
    row = _held(node.customer_id, node, kind)
    if number <= row.taken:
        return row.taken
    try:
        with transaction.atomic():
            asker.take(customer_id=node.customer_id, body=body, now=now)
    except (ValueError, DataError) as problem:
        log.warning("node %s: answer %d of %s cannot be read: %s", node.pk, number, kind, str(problem)[:300])
        row.refused += 1
    except DatabaseError as problem:
        raise NotNow(type(problem).__name__) from problem
    except Exception:  # a node's customer may have sent what nobody foresaw
        log.exception("node %s: answer %d of %s", node.pk, number, kind)
        row.refused += 1
    row.taken, row.taken_at = number, now
    row.save(update_fields=["taken", "taken_at", "refused"])
    return number


def carrier_of(customer_id: int, *, now: datetime) -> Node | None:
    """Which of a customer's nodes does its errands: the first that is heard, so that they move by themselves; while
    none is, the first of all. None: the customer has no node of its own (`settings.NODE_CARRIER`)."""
    with scope.platform("who carries a customer's errands"):
        nodes = Node.objects.filter(customer=customer_id, state=Node.State.ENROLLED).order_by("pk")
        found: Node | None = nodes.heard(now - TELL_AFTER).first() or nodes.first()
    return found


def _carries(node: Node, now: datetime) -> bool:
    """It speaks at this moment: whoever is before it has to be heard as well."""
    before = Node.objects.filter(customer=node.customer, pk__lt=node.pk).heard(now - TELL_AFTER)
    return not before.exists()


def _held(customer_id: int, node: Node, kind: str) -> NodeErrand:
    found, _made = NodeErrand.objects.get_or_create(customer_id=customer_id, node=node, kind=kind)
    return NodeErrand.objects.select_for_update().get(pk=found.pk)


def _asker(kind: str) -> Asker:
    if kind not in settings.NODE_ERRANDS:
        raise _unknown()
    return cast("Asker", import_module(settings.NODE_ERRANDS[kind]))


def _unknown() -> DomainError:
    return DomainError(_("There is no such errand."), code="unknown_errand")
