"""How many may stand at the door: connections that have not signed in yet, overall and per address."""

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
