"""Who is connected now, as it is looked over: by customer, and in each by resource group."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import Customer, User
from bastion.models import BastionSession
from bastion.services import authorising, letting_in

MOST = 1000


@dataclass(frozen=True)
class OfGroup:
    """`name` is empty for resources that are in no group."""

    name: str
    sessions: tuple[BastionSession, ...]


@dataclass(frozen=True)
class OfCustomer:
    customer: Customer
    count: int
    groups: tuple[OfGroup, ...]


def by_customer(person: User) -> list[OfCustomer]:
    """Those that somebody may watch. A resource of two groups stands in both; the count knows it once."""
    rows = authorising.watchable(person).online().joined().order_by("customer__name", "allowed_at")
    sessions: dict[Customer, list[BastionSession]] = {}
    for session in rows[:MOST]:
        sessions.setdefault(session.customer, []).append(session)
    names = letting_in.groups_of(session.asset for of_customer in sessions.values() for session in of_customer)
    return [OfCustomer(one, len(mine), _by_group(mine, names)) for one, mine in sessions.items()]


def _by_group(sessions: list[BastionSession], names: dict[int, list[str]]) -> tuple[OfGroup, ...]:
    groups: dict[str, list[BastionSession]] = {}
    for session in sessions:
        for name in names.get(session.asset_id) or [""]:
            groups.setdefault(name, []).append(session)
    order = sorted(groups, key=lambda name: (not name, name))
    return tuple(OfGroup(name, tuple(groups[name])) for name in order)
