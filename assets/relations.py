"""Which assets of a customer stand or fall together, told by what the inventory knows of them. Pure.

Disks are no assets of their own: they belong to their instance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
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


@dataclass(slots=True)
class Ties:
    """What has to do with what. Pairs are made of what is asked for alone: a balancer may have a thousand servers."""

    families: dict[int, list[_Family]] = field(default_factory=dict)

    def add(self, head: int, members: Collection[int], tie: Tie, among: Tie | None = None) -> None:
        """A head with its members, and how these have to do with each other."""
        family = _Family(head, frozenset(members) - {head}, tie, among)
        for one in (head, *family.members):
            self.families.setdefault(one, []).append(family)

    def of(self, asset: int) -> dict[int, Tie]:
        """Everything that has to do with an asset; of several ties of two assets the nearest."""
        found: dict[int, Tie] = {}
        for family in self.families.get(asset, ()):
            for other, tie in family.seen_from(asset):
                if other not in found or _RANK[tie] < _RANK[found[other]]:
                    found[other] = tie
        return found


@dataclass(frozen=True, slots=True)
class _Family:
    head: int
    members: frozenset[int]
    tie: Tie
    among: Tie | None

    def seen_from(self, asset: int) -> Iterator[tuple[int, Tie]]:
        if asset == self.head:
            yield from ((member, self.tie) for member in self.members)
            return
        yield self.head, self.tie
        if self.among is not None:
            yield from ((member, self.among) for member in self.members if member != asset)


def ties(things: Collection[Thing]) -> Ties:
    """What the inventory knows of these."""
    found = Ties()
    for host, members in _turned(hosts(things).items()).items():
        found.add(host, members, Tie.HOST, Tie.SAME_HOST)
    for thing in things:
        if servers := behind(thing, things):
            found.add(thing.id, servers, Tie.BALANCER, Tie.SAME_BALANCER)
    for primary, members in _turned(_copies(things)).items():
        found.add(primary, members, Tie.REPLICA, Tie.SAME_PRIMARY)
    for one, service in _reached(things):
        found.add(service, [one], Tie.ADDRESS)
    return found


def around(assets: Collection[int], known: Ties) -> dict[int, tuple[int, Tie]]:
    """What stands or falls with these assets, with the hosts that they run on, or with what runs on them.

    For each other asset: that of these which it has to do with, and how.
    """
    own = set(assets)
    found: dict[int, tuple[int, Tie]] = {}
    for asset in sorted(own):
        near = known.of(asset)
        through = [one for one, tie in near.items() if tie is Tie.HOST and one not in own]
        for step in (near, *(known.of(one) for one in through)):
            for other, tie in step.items():
                if other not in own and (other not in found or _RANK[tie] < _RANK[found[other][1]]):
                    found[other] = (asset, tie)
    return found


_RANK: Final = {tie: place for place, tie in enumerate(Tie)}


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
