"""Servers beside the account standard (R121): which accounts each has, and what is missing or different."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assets.account_standard import Account, Deviation, deviations
from assets.models import Asset, Credential, CredentialKind, Kind


@dataclass(frozen=True)
class Server:
    asset: Asset
    accounts: tuple[Credential, ...]
    deviations: tuple[Deviation, ...]


def is_held_to_it(asset: Asset) -> bool:
    return asset.kind in (Kind.ECS, Kind.SERVER) and asset.os == Asset.Os.LINUX


def servers(assets: Sequence[Asset]) -> list[Server]:
    """The given servers with their accounts, one query for all."""
    rows = Credential.objects.in_use().filter(asset__in=assets, kind=CredentialKind.HOST)
    by_asset: dict[int, list[Credential]] = {}
    for row in rows:
        by_asset.setdefault(row.asset_id or 0, []).append(row)
    return [_server(asset, by_asset.get(asset.pk, ())) for asset in assets]


def _server(asset: Asset, rows: Iterable[Credential]) -> Server:
    accounts = tuple(rows)
    found = deviations(Account(one.username, one.purpose, one.has_sudo) for one in accounts)
    return Server(asset, accounts, found if is_held_to_it(asset) else ())
