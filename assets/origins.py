"""Where an address on the Internet is: its country, or its network where no table knows the country. No Django.

The table comes with ip3country (IPv4, no account and no download needed). A network of 16 bits (IPv6: 32) is no place,
but steady for an office or a provider.
"""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ip3country import CountryLookup

NARROW: Final[Mapping[int, int]] = {4: 16, 6: 32}


def origin_of(address: str) -> str:
    """ "CN"; "2001:db8::/32" where the country is unknown; "" for names of services and whatever is no address."""
    try:
        found = ipaddress.ip_address(address.strip())
    except ValueError:
        return ""
    country = _countries().lookupNumeric(int(found)) if found.version == 4 and found.is_global else None
    return country or str(ipaddress.ip_network((found, NARROW[found.version]), strict=False))


@lru_cache(maxsize=1)
def _countries() -> CountryLookup:
    return CountryLookup()
