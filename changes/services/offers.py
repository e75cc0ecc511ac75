"""What a form proposes out of the cloud, so that nobody copies an ID from another window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.core.cache import cache

from accounts.errors import DomainError
from assets.aliyun import AliyunError
from assets.aliyun.resources import Row, text
from assets.models import Asset, Kind
from changes.operations import ecs
from changes.services import clouds

MOST_ASSETS = 5
KEPT_S = 60


@dataclass(frozen=True, slots=True)
class Disk:
    id: str
    asset: str
    words: str


def disks(assets: Iterable[Asset], *, now: datetime) -> list[Disk]:
    """The disks of cloud servers, as the cloud has them this minute; none of an account that does not answer."""
    servers = [asset for asset in assets if asset.kind == Kind.ECS and asset.cloud_account is not None]
    return [disk for server in servers[:MOST_ASSETS] for disk in _disks_of(server, now)]


def _disks_of(server: Asset, now: datetime) -> list[Disk]:
    key = f"disks:{server.pk}"
    found: list[Disk] | None = cache.get(key)
    if found is None:
        found = list(_read(server, now))
        cache.set(key, found, KEPT_S)
    return found


def _read(server: Asset, now: datetime) -> Iterator[Disk]:
    assert server.cloud_account is not None  # noqa: S101 - the caller has looked
    try:
        cloud = clouds.reader(server.cloud_account, server.region, now=now)
        for row in ecs.disks(cloud, {"InstanceId": server.provider_id}):
            yield Disk(text(row, "DiskId"), server.name, _words(row))
    except (AliyunError, DomainError):
        return


def _words(row: Row) -> str:
    size = text(row, "Size")
    parts = (text(row, "DiskName"), text(row, "Type"), f"{size} GB" if size else "", text(row, "Category"))
    return " · ".join(filter(None, parts))
