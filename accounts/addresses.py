"""Address ranges as people write them, and what lies in them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Range = IPv4Network | IPv6Network


class BadRange(ValueError):
    """No address range; the message is what was written."""


def ranges(text: str) -> list[str]:
    """As people write them, several with commas or on lines of their own; each once. Raises BadRange.

    The whole of the internet is no range: whoever means everywhere writes nothing.
    """
    parts = text.replace("，", ",").replace("、", ",").replace(",", " ").split()
    return [*dict.fromkeys(str(_range(part)) for part in parts)]


def address(text: str | None) -> Address | None:
    """IPv4 in its IPv6 clothes is IPv4; None for what is no address."""
    try:
        found = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def around(found: Address, written: Iterable[str]) -> list[Range]:
    """Those ranges in which it lies."""
    return [one for one in map(ip_network, written) if one.version == found.version and found in one]


def _range(text: str) -> Range:
    try:
        found = ip_network(text)
    except ValueError:
        raise BadRange(text) from None
    if found.prefixlen == 0:
        raise BadRange(text)
    return found
