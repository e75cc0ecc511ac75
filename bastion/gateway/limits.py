"""How much of what comes from others is taken at a time: connections at the door, bytes on their way."""

import ipaddress
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Doorstep:
    """An IPv6 address counts as its /64: one household has that many."""

    most: int = 256
    most_per_address: int = 16
    _waiting: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """False: there is no room, and nothing was counted."""
        place = _place(address)
        if self.count >= self.most or self._waiting[place] >= self.most_per_address:
            return False
        self._waiting[place] += 1
        return True

    def leave(self, address: str) -> None:
        place = _place(address)
        self._waiting[place] -= 1
        if self._waiting[place] <= 0:
            del self._waiting[place]

    @property
    def count(self) -> int:
        return self._waiting.total()


@dataclass
class Room:
    """How many bytes are on their way, all of them and to each; a first one always finds room."""

    most: int
    most_each: int
    _on_their_way: Counter[str] = field(default_factory=Counter)

    def enter(self, name: str, size: int) -> bool:
        """False: there is no room, and nothing was counted."""
        mine, all_ = self._on_their_way[name], self._on_their_way.total()
        if (mine and mine + size > self.most_each) or (all_ and all_ + size > self.most):
            return False
        self._on_their_way[name] += size
        return True

    def leave(self, name: str, size: int) -> None:
        self._on_their_way[name] -= size
        if self._on_their_way[name] <= 0:
            del self._on_their_way[name]


def _place(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
