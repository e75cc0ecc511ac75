"""What stands or falls with what, read from the assets of a customer in scope."""

from __future__ import annotations

from assets.hosting import addresses_of
from assets.models import Asset
from assets.relations import BACKENDS, PRIMARY, Thing, Ties, ties

READ = (
    "pk", "kind", "provider_id", "name", "private_ip", "public_ip", "host", "url", "cloud_account_id", "tags",
    "details",
)  # fmt: skip


def ties_of(customer_id: int) -> Ties:
    """One statement."""
    rows = Asset.objects.active().filter(customer_id=customer_id).only(*READ)
    return ties([thing_of(row) for row in rows])


def thing_of(asset: Asset) -> Thing:
    named, tags = asset.details.get(BACKENDS), asset.tags if isinstance(asset.tags, dict) else {}
    return Thing(
        id=asset.pk,
        kind=asset.kind,
        name=asset.name,
        provider_id=asset.provider_id,
        account_id=asset.cloud_account_id,
        addresses=addresses_of(asset.private_ip, asset.public_ip, asset.host, asset.url, *_domain(asset)),
        backends=frozenset(map(str, named)) if isinstance(named, list) else frozenset(),
        balancer=str(tags.get("slb", "")),
        primary=str(asset.details.get(PRIMARY, "")),
    )


def _domain(asset: Asset) -> tuple[str, ...]:
    """A CDN domain answers under its own name."""
    return (asset.name,) if asset.kind == "cdn" else ()
