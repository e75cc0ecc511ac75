"""Which asset of a customer an outside tool means, by instance id, name, host, address or URL; or the stand-in."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import Q
from django.db.models.functions import Lower

from accounts import audit
from accounts.models import Customer
from assets.models import Asset, Environment, Kind
from incidents.models import InboundSource, StandIn

SURE = ("provider_id", "name", "host", "private_ip", "public_ip", "url")
"""Where a name is looked for, the surest column first."""


def find(customer: Customer, wanted: Iterable[Sequence[str]]) -> Mapping[str, Asset]:
    """For all names at once: each lowercased name that means exactly one asset of the customer, and that asset."""
    names = {name.strip().lower() for each in wanted for name in each if name.strip()}
    if not names:
        return {}
    addresses = [name for name in names if _is_address(name)]
    texts = {f"{column}_in_small": Lower(column) for column in ("provider_id", "name", "host", "url")}
    anywhere = Q()
    for column in texts:
        anywhere |= Q(**{f"{column}__in": names})
    if addresses:
        anywhere |= Q(private_ip__in=addresses) | Q(public_ip__in=addresses)
    by_column: dict[str, dict[str, list[Asset]]] = {column: defaultdict(list) for column in SURE}
    for asset in Asset.objects.active().alias(**texts).filter(anywhere, customer=customer):
        for column in SURE:
            value = str(getattr(asset, column) or "").lower()
            if value in names:
                by_column[column][value].append(asset)
    found: dict[str, Asset] = {}
    for column in SURE:
        for name, assets in by_column[column].items():
            if len(assets) == 1:  # a name that two assets share means neither of them
                found.setdefault(name, assets[0])
    return found


def first_of(names: Sequence[str], known: Mapping[str, Asset]) -> Asset | None:
    """The asset of the first name that is known."""
    return next((known[name.lower()] for name in names if name.lower() in known), None)


def stand_in(*, source: InboundSource, customer: Customer, now: datetime) -> Asset:
    """The asset that gathers alarms of a way in whose own asset is not known; made when it is first needed.

    The caller holds the customer.
    """
    row = StandIn.objects.select_related("asset").filter(source=source, customer=customer).first()
    if row is not None:
        return row.asset
    asset = Asset.objects.create(
        customer=customer,
        kind=Kind.SERVER,
        name=f"{source.name} #{source.pk}"[:200],
        role_text=source.get_kind_display(),
        environment=Environment.PRODUCTION,
        created_at=now,
        changed_at=now,
    )
    audit.record(
        action="asset.create", actor=None, customer=customer, obj=asset, detail={"stands_for": source.pk}, now=now
    )
    StandIn.objects.create(customer=customer, source=source, asset=asset)
    return asset


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
