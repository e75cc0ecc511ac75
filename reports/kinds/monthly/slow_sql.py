"""Slow SQL of RDS, read once from Alibaba Cloud when the figures are read (R118)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from django.utils import timezone

from accounts.errors import DomainError
from assets.aliyun import AliyunError, Client
from assets.aliyun.happenings import slow_sql
from assets.models import Asset
from assets.models import Kind as AssetKind
from assets.services import client_for
from monitoring.collectors.rds import NO_SUCH_INSTANCE
from monitoring.services.cloud import Meter
from reports.kinds.asking import Asked
from reports.kinds.readings import stay
from reports.statements import Slow, masked, together

PURPOSE: Final = "reports"
TOLD: Final = frozenset({"mysql", "mariadb"})
"""Engines of RDS of whose slow SQL Alibaba Cloud tells; SQL Server's 2008 R2 is out of support."""


@dataclass(slots=True)
class Found:
    """What was slow, what took longest first; and of which instances that is not known."""

    statements: Sequence[Slow] = ()
    read: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    problem: str = ""


def read(asked: Asked, databases: Sequence[Asset]) -> Found:
    """By days of UTC, 8:00 to 8:00 in Shanghai, as Alibaba Cloud counts them. An account that cannot be asked says so
    for all its instances."""
    found = Found()
    statements: list[Slow] = []
    clients: dict[int, Client | None] = {}
    for asset in databases:
        account = asset.cloud_account
        if asset.kind != AssetKind.RDS or account is None or asset.product.lower() not in TOLD:
            found.untold.append(asset.name)
            continue
        if account.pk not in clients:
            clients[account.pk] = _client(asked, asset, found)
        client = clients[account.pk]
        try:
            if client is not None:
                statements += _ask(asked, client, asset)
                found.read.append(asset.name)
                continue
        except AliyunError as error:
            found.problem = found.problem or error.code
            if error.code not in NO_SUCH_INSTANCE:
                clients[account.pk] = None
        found.failed.append(asset.name)
    found.statements = together(statements)
    return found


def _client(asked: Asked, asset: Asset, found: Found) -> Client | None:
    account = asset.cloud_account
    assert account is not None  # noqa: S101 - asked for cloud assets alone
    try:
        client = client_for(account, purpose=PURPOSE, now=asked.now, quick=True)
    except DomainError as error:
        found.problem = found.problem or error.code
        return None
    return client.watched(Meter(account.account_uid))


def _ask(asked: Asked, client: Client, asset: Asset) -> list[Slow]:
    first, last = days(asked, asset)
    found = slow_sql(client, asset.provider_id, first, last, region=asset.region)
    return [
        Slow(
            instance=asset.name,
            database=one.database,
            key=one.key,
            text=masked(one.text),
            count=one.count,
            total_s=one.total_s,
            longest_s=one.longest_s,
            rows_examined=one.rows_examined,
        )
        for one in found
    ]


def days(asked: Asked, asset: Asset) -> tuple[date, date]:
    """The days to ask for, both in: those of Shanghai's calendar in which the asset was there."""
    start, end = stay(asked, asset)
    first = timezone.localdate(start)
    return first, max(first, timezone.localdate(end - timedelta(microseconds=1)))
