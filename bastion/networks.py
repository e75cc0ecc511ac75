"""Networks that no cloud describes, by their address ranges: which of them an address lies in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from accounts import addresses


def place(written: str | None, networks: Mapping[str, Iterable[str]]) -> str | None:
    """The network that an address lies in, of several the narrowest; None for none, and for what is no address."""
    found = addresses.address(written)
    if found is None:
        return None
    narrow = [(one.prefixlen, name) for name, all_of in networks.items() for one in addresses.around(found, all_of)]
    return max(narrow)[1] if narrow else None
