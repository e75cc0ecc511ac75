"""Slow SQL: of RDS as Alibaba Cloud tells of it when the figures are read, of customers' own MySQL and MariaDB as their
servers told at every look (R118)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from django.db.models import Max, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from assets.aliyun import AliyunError, Client
from assets.aliyun.happenings import slow_sql
from assets.models import Asset
from assets.models import Kind as AssetKind
from assets.services import client_for
from monitoring.collectors.config import Kind
from monitoring.collectors.rds import NO_SUCH_INSTANCE
from monitoring.models import SlowStatement, Target
from monitoring.services.cloud import Meter
from reports.blocks import Column, Remark, Source, Table
from reports.kinds.asking import Asked
from reports.kinds.readings import listed as portal
from reports.kinds.readings import names_of, stay
from reports.statements import Slow, masked, together

PURPOSE: Final = "reports"
TOLD: Final = frozenset({"mysql", "mariadb"})
"""Engines of RDS of whose slow SQL Alibaba Cloud tells; SQL Server's 2008 R2 is out of support."""
OWN: Final = "mysql"
"""The product whose servers tell of their slow statements themselves."""


@dataclass(slots=True)
class Found:
    """What was slow, what took longest first; and of which instances that is not known."""

    statements: Sequence[Slow] = ()
    read: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    problem: str = ""


def read(asked: Asked, databases: Sequence[Asset]) -> Found:
    """By days: those of UTC, 8:00 to 8:00 in Shanghai, as Alibaba Cloud counts them, those of Shanghai where servers
    tell themselves. An account that cannot be asked says so for all its instances."""
    found = Found()
    tellers = telling(asked, databases)
    statements = _own(asked, databases)
    clients: dict[int, Client | None] = {}
    for asset in databases:
        account = asset.cloud_account
        if asset in tellers:
            found.read.append(asset.name)
            continue
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


def telling(asked: Asked, assets: Sequence[Asset]) -> list[Asset]:
    """Those with a server of the customer's own that tells of its slow statements, or told of some in this time."""
    targets = Target.objects.filter(kind=Kind.PRODUCT, config__product=OWN, state__facts__slow_sql="read")
    now = targets.filter(asset__in=assets).values_list("asset_id", flat=True)
    known = {*now, *_kept(asked, assets).values_list("asset_id", flat=True)}
    return [asset for asset in assets if asset.pk in known]


def _own(asked: Asked, databases: Sequence[Asset]) -> list[Slow]:
    """What was kept of the customer's own servers."""
    names = {asset.pk: asset.name for asset in databases}
    sums = _kept(asked, databases).values_list("asset_id", "database", "digest").annotate(
        Max("text"), Sum("count"), Sum("total_s"), Max("longest_s"), Sum("rows_examined")
    )  # fmt: skip
    return [
        Slow(names[pk], database, digest, masked(text), int(count), total_s, longest_s, int(examined))
        for pk, database, digest, text, count, total_s, longest_s, examined in sums
    ]


def _kept(asked: Asked, assets: Sequence[Asset]) -> QuerySet[SlowStatement]:
    first, last = timezone.localdate(asked.start), timezone.localdate(asked.end - timedelta(microseconds=1))
    return SlowStatement.objects.filter(asset__in=assets, day__range=(first, last))


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


# --- blocks ---


def listed(asked: Asked, found: Found, most: int) -> Table:
    """So many statements, what took longest altogether first."""
    columns = (
        Column(_("Database")), Column(_("Schema")), Column(_("SQL statement")), Column(_("Times"), "number"),
        Column(_("Altogether"), "length"), Column(_("Mean"), "number", "s"), Column(_("Longest"), "number", "s"),
        Column(_("Rows examined"), "number"),
    )  # fmt: skip
    rows = tuple(
        (one.instance, one.database, one.text, one.count, round(one.total_s), one.mean_s, one.longest_s,
         one.rows_examined)
        for one in found.statements[:most]
    )  # fmt: skip
    empty = _("No statement was slow.") if found.read else _("No source told of slow SQL.")
    return Table(
        "slow", _("Slow SQL"), columns, rows, source(asked),
        left_out=max(len(found.statements) - most, 0), empty=empty,
    )  # fmt: skip


def remarks(found: Found) -> list[Remark]:
    """Of which instances it is not known, and why."""
    said = []
    if found.failed:
        words = {"names": names_of(found.failed), "code": found.problem}
        text = _("Alibaba Cloud could not be asked for the slow SQL of %(names)s (%(code)s).")
        said.append(Remark(text % words, is_warning=True))
    if found.untold:
        text = _("No source tells the slow statements of %(names)s; their number is among the items, where known.")
        said.append(Remark(text % {"names": names_of(found.untold)}))
    return said


def source(asked: Asked) -> Source:
    return Source(
        _("Of RDS as Alibaba Cloud counts them by days of UTC (8:00 to 8:00), of own servers as performance_schema "
          "sums them up; each statement once, values taken out; what took longest altogether first."),
        "DescribeSlowLogs, events_statements_summary_by_digest", portal(asked, "assets:list"),
    )  # fmt: skip
