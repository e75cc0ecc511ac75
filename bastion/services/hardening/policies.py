"""What is asked of a customer's servers, and what a single server may have beside it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset, AssetQuerySet, Credential, CredentialKind, Kind, Rotation, SshAccess
from bastion.hardening.findings import Password, Standard
from bastion.hardening.rules import Seen
from bastion.hardening.sources import network_of
from bastion.models import HardenedServer, HardeningPolicy, Node
from bastion.services.hardening.rights import may_set, require

MOST_ENTRIES: Final = 200
HIGHEST_PORT: Final = 65_535
IMAGE_FACT: Final = "ImageId"
"""Under which Alibaba Cloud's listing of a server names what it was made from (`Asset.details`)."""


@dataclass(frozen=True, slots=True)
class Terms:
    ports: tuple[int, ...] = ()
    bastions: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    password_days: int = 90
    allows_passwords: bool = False
    is_weekly: bool = True
    reads_logins: bool = True
    note: str = ""


def held_to_it() -> AssetQuerySet:
    """The servers that can be looked at over SSH: all that is not Windows. Within the scope."""
    rows: AssetQuerySet = Asset.objects.active().filter(kind__in=(Kind.ECS, Kind.SERVER))
    return rows.exclude(os=Asset.Os.WINDOWS)


def of(customer: Customer) -> HardeningPolicy:
    """As it is; the usual one where nobody has written any."""
    found = HardeningPolicy.objects.filter(customer=customer, asset=None).first()
    return found or HardeningPolicy(customer=customer)


@transaction.atomic
def save(
    *, customer: Customer, terms: Terms, actor: User, now: datetime, asset: Asset | None = None
) -> HardeningPolicy:
    """Write down what is asked; of one asset only further ports count."""
    require(may_set(actor))
    _check(terms)
    if asset is not None and asset.customer_id != customer.pk:
        raise DomainError(_("One of the assets is not this customer's. Nothing was saved."), code="other_customer")
    audit.hold(customer.pk)
    said = {
        "ports": sorted(set(terms.ports)),
        "bastions": list(dict.fromkeys(terms.bastions)),
        "images": list(dict.fromkeys(terms.images)),
        "password_days": terms.password_days,
        "allows_passwords": terms.allows_passwords,
        "is_weekly": terms.is_weekly,
        "reads_logins": terms.reads_logins,
        "note": terms.note.strip()[:300],
    }
    policy, _made = HardeningPolicy.objects.update_or_create(
        customer=customer, asset=asset, defaults={**said, "changed_by": actor, "changed_at": now}
    )
    audit.record(action="hardening.policy", actor=actor, customer=customer, obj=policy, detail=said, now=now)
    return policy


def _check(terms: Terms) -> None:
    if any(not 0 < port <= HIGHEST_PORT for port in terms.ports):
        raise DomainError(_("A port is a number from 1 to 65535. Nothing was saved."), code="bad_port")
    for text in terms.bastions:
        network = network_of(text)
        if network is None:
            raise DomainError(
                _("“%(text)s” is no address and no network. Nothing was saved.") % {"text": text[:60]},
                code="bad_address",
            )
        if network.prefixlen < (8 if isinstance(network, ipaddress.IPv4Network) else 32):
            raise DomainError(
                _("“%(text)s” is half the Internet. Name the bastion's own addresses.") % {"text": text[:60]},
                code="bad_address",
            )
    if max(map(len, (terms.ports, terms.bastions, terms.images))) > MOST_ENTRIES:
        raise DomainError(_("At most %(most)d entries. Nothing was saved.") % {"most": MOST_ENTRIES}, code="too_many")


def standards(
    assets: Collection[Asset], *, clouds: Mapping[int, Seen] | None = None, now: datetime
) -> dict[int, Standard]:
    """What is asked of each of these servers of one customer, with what the platform knows of it; few queries."""
    customer_ids = {asset.customer_id for asset in assets}
    rows = HardeningPolicy.objects.filter(Q(asset=None) | Q(asset__in=assets), customer__in=customer_ids)
    general = {row.customer_id: row for row in rows if row.asset_id is None}
    own = {row.asset_id: row for row in rows if row.asset_id is not None}
    servers = {row.asset_id: row for row in HardenedServer.objects.filter(asset__in=assets)}
    nodes = _addresses_of_nodes(customer_ids)
    passwords = _passwords(assets)
    doors = dict(SshAccess.objects.filter(asset__in=assets).values_list("asset_id", "port"))
    found = {}
    for asset in assets:
        policy = general.get(asset.customer_id) or HardeningPolicy(customer_id=asset.customer_id)
        extra, server = own.get(asset.pk), servers.get(asset.pk)
        platform = () if server is None else server.platform
        found[asset.pk] = Standard(
            now=now,
            ports=frozenset(policy.ports) | frozenset(() if extra is None else extra.ports),
            bastions=tuple(dict.fromkeys([*policy.bastions, *nodes, *platform])),
            password_days=policy.password_days,
            allows_passwords=policy.allows_passwords,
            images=frozenset(policy.images),
            image=str(asset.details.get(IMAGE_FACT, "")) if isinstance(asset.details, dict) else "",
            passwords=tuple(passwords.get(asset.pk, ())),
            login_ports=frozenset({doors[asset.pk]} if asset.pk in doors else ()),
            cloud=(clouds or {}).get(asset.pk),
        )
    return found


def _addresses_of_nodes(customer_ids: Collection[int]) -> list[str]:
    """Where a node is reached is where it comes from, unless something translates between; names say nothing."""
    rows = Node.objects.filter(Q(customer=None) | Q(customer__in=customer_ids), state=Node.State.ENROLLED)
    hosts: Sequence[str] = list(rows.values_list("ssh_host", flat=True))
    return [host for host in hosts if network_of(host) is not None]


def _passwords(assets: Collection[Asset]) -> dict[int, list[Password]]:
    rows = Credential.objects.in_use().filter(asset__in=assets, kind=CredentialKind.HOST).exclude(secret_set_at=None)
    drawn = {
        row.credential_id: row.finished_at
        for row in Rotation.objects.filter(credential__in=rows, state=Rotation.State.DONE).order_by("finished_at")
    }
    found: dict[int, list[Password]] = {}
    for row in rows:
        at = drawn.get(row.pk)
        is_random = at is not None and row.secret_set_at is not None and row.secret_set_at <= at
        found.setdefault(row.asset_id or 0, []).append(Password(row.username, row.secret_set_at, is_random))
    return found
