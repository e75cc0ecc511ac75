"""Which assets of a customer stand or fall together, told by what the inventory knows of them. Pure.

Disks are no assets of their own: they belong to their instance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import permutations
from typing import Final

from assets.hosting import HOSTS, ON_HOSTS, hosts

BALANCERS: Final = frozenset({"slb", "load_balancer"})
SERVICES: Final = frozenset({"slb", "rds", "redis", "memcache", "mongodb", "drds", "elasticsearch", "cdn"})
"""Cloud services that answer at an address of their own."""
BACKENDS: Final = "backends"
"""In the details of a load balancer: the instance IDs behind it. A tag `slb` on a server with the balancer's ID or name
says the same."""
PRIMARY: Final = "MasterInstanceId"
"""In the details of a read-only instance: the instance that it copies (RDS API reference, DescribeDBInstances)."""


class Tie(StrEnum):
    """What one asset is to another. The nearest comes first."""

    HOST = "host"
    """One runs on the other."""
    BALANCER = "balancer"
    """One is a load balancer, the other stands behind it."""
    REPLICA = "replica"
    """One is a copy of the other."""
    ADDRESS = "address"
    """One is reached at the other's address."""
    SAME_HOST = "same_host"
    SAME_BALANCER = "same_balancer"
    SAME_PRIMARY = "same_primary"


Ties = Mapping[int, Mapping[int, Tie]]
"""Of each asset: the others that it has to do with, and how."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An asset as far as it matters here."""

    id: int
    kind: str
    name: str = ""
    provider_id: str = ""
    account_id: int | None = None
    addresses: frozenset[str] = frozenset()
    backends: frozenset[str] = frozenset()
    """Of a load balancer: instance IDs."""
    balancer: str = ""
    """ID or name of the balancer that the tag says."""
    primary: str = ""
    """Instance ID of what it copies."""


def behind(balancer: Thing, things: Iterable[Thing]) -> frozenset[int]:
    """What stands behind a load balancer; of anything else nothing."""
    if balancer.kind not in BALANCERS:
        return frozenset()
    names = {balancer.name, balancer.provider_id} - {""}
    return frozenset(
        thing.id for thing in things if thing.provider_id in balancer.backends - {""} or thing.balancer in names
    )


def ties(things: Collection[Thing]) -> Ties:
    """Everything that has to do with everything else, both ways; of several ties of two assets the nearest."""
    found = _Found()
    host_of = hosts(things)
    for thing, host in host_of.items():
        found.add(thing, host, Tie.HOST)
    found.siblings(_turned(host_of.items()), Tie.SAME_HOST)
    found.family({thing.id: behind(thing, things) for thing in things}, Tie.BALANCER, Tie.SAME_BALANCER)
    found.family(_turned(_copies(things)), Tie.REPLICA, Tie.SAME_PRIMARY)
    for one, service in _reached(things):
        found.add(one, service, Tie.ADDRESS)
    return found.ties


def around(assets: Collection[int], known: Ties) -> dict[int, tuple[int, Tie]]:
    """What stands or falls with these assets or with the hosts that they run on: for each other asset that which it has
    to do with, and how."""
    own = set(assets)
    found: dict[int, tuple[int, Tie]] = {}
    steps = [(asset, asset) for asset in sorted(own)]
    steps += [
        (asset, host)
        for asset in sorted(own)
        for host, tie in known.get(asset, {}).items()
        if tie is Tie.HOST and host not in own
    ]
    for asset, step in steps:
        for other, tie in known.get(step, {}).items():
            if other not in own and (other not in found or _RANK[tie] < _RANK[found[other][1]]):
                found[other] = (asset, tie)
    return found


_RANK: Final = {tie: place for place, tie in enumerate(Tie)}


@dataclass(slots=True)
class _Found:
    ties: dict[int, dict[int, Tie]] = field(default_factory=dict)

    def add(self, one: int, other: int, tie: Tie) -> None:
        if one == other:
            return
        for first, second in ((one, other), (other, one)):
            known = self.ties.setdefault(first, {})
            if second not in known or _RANK[tie] < _RANK[known[second]]:
                known[second] = tie

    def family(self, families: Mapping[int, Collection[int]], tie: Tie, among: Tie) -> None:
        """Each head with its members, and these among each other."""
        for head, members in families.items():
            for member in members:
                self.add(head, member, tie)
        self.siblings(families, among)

    def siblings(self, families: Mapping[int, Collection[int]], tie: Tie) -> None:
        for members in families.values():
            for one, other in permutations(sorted(members), 2):
                self.add(one, other, tie)


def _turned(pairs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    """Members by what they belong to."""
    found: dict[int, set[int]] = {}
    for member, head in pairs:
        found.setdefault(head, set()).add(member)
    return found


def _copies(things: Collection[Thing]) -> Iterator[tuple[int, int]]:
    """Each read-only instance with the one it copies, within the cloud account."""
    named = {(thing.account_id, thing.provider_id): thing.id for thing in things if thing.provider_id}
    for thing in things:
        primary = named.get((thing.account_id, thing.primary)) if thing.primary else None
        if primary is not None:
            yield thing.id, primary


def _reached(things: Collection[Thing]) -> Iterator[tuple[int, int]]:
    """Each URL, port or self-described thing with the one cloud service that has its address."""
    owners: dict[str, set[int]] = {}
    for thing in things:
        if thing.kind in SERVICES:
            for address in thing.addresses:
                owners.setdefault(address, set()).add(thing.id)
    for thing in things:
        if thing.kind in ON_HOSTS and thing.kind not in HOSTS:
            at = set[int]().union(*(owners.get(address, ()) for address in thing.addresses))
            if len(at) == 1:
                yield thing.id, at.pop()
