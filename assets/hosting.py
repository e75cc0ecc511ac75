"""Which host a thing runs on, told by the addresses that both have. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol
from urllib.parse import urlsplit

HOSTS: Final = frozenset({"server", "ecs"})
ON_HOSTS: Final = frozenset({"database", "middleware", "url", "port", "load_balancer"})


class Addressed(Protocol):
    """An asset as far as it matters here."""

    @property
    def id(self) -> int: ...

    @property
    def kind(self) -> str: ...

    @property
    def addresses(self) -> frozenset[str]: ...


def hosts(things: Collection[Addressed]) -> dict[int, int]:
    """Which host each database, middleware, port or address runs on: the one that has its address.

    An address that two hosts have (two networks with the same private addresses) says nothing.
    """
    owners: dict[str, set[int]] = {}
    for thing in things:
        if thing.kind in HOSTS:
            for address in thing.addresses:
                owners.setdefault(address, set()).add(thing.id)
    found: dict[int, int] = {}
    for thing in things:
        if thing.kind not in ON_HOSTS:
            continue
        candidates = set[int]().union(*(owners.get(address, ()) for address in thing.addresses))
        if len(candidates) == 1:
            found[thing.id] = candidates.pop()
    return found


def address_of(text: str) -> str:
    """The host part of an address or URL, in one form; empty for none."""
    text = text.strip().lower()
    if "://" in text:
        text = urlsplit(text).hostname or ""
    return text.strip("[]").rstrip(".")


def addresses_of(*said: str | None) -> frozenset[str]:
    """Whatever somebody wrote of where a thing answers, as addresses that can be compared."""
    return frozenset(address for each in said if each and (address := address_of(each)))
