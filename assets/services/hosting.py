"""What runs where, read from the assets of the customers in scope."""

from __future__ import annotations

from dataclasses import dataclass

from assets.hosting import HOSTS, ON_HOSTS, addresses_of, hosts
from assets.models import Asset


@dataclass(frozen=True, slots=True)
class _Thing:
    id: int
    kind: str
    addresses: frozenset[str]


def hosts_of(customer_id: int) -> dict[int, int]:
    """For each asset of the customer that is known to run on a host, that host: one statement."""
    rows = Asset.objects.active().filter(customer_id=customer_id, kind__in=HOSTS | ON_HOSTS)
    said = rows.values_list("pk", "kind", "private_ip", "public_ip", "host", "url")
    return hosts([_Thing(pk, kind, addresses_of(*where)) for pk, kind, *where in said])
