"""The security groups of servers that a cloud account brought along, read with that account's own key."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime

from accounts.errors import DomainError
from assets.aliyun import AliyunError, Client
from assets.models import Asset, CloudAccount
from assets.services import accounts
from bastion.hardening.rules import Rule, Seen

GROUPS = "SecurityGroupId"
"""Under which the listing of a server names its groups (`Asset.details`)."""
log = logging.getLogger(__name__)


def look(assets: Collection[Asset], *, now: datetime) -> dict[int, Seen]:
    """What each server's groups let through, by the asset's number. Each group is asked about once."""
    known: dict[tuple[int, str, str], tuple[Rule, ...]] = {}
    clients: dict[int, Client] = {}
    found = {}
    ids = {asset.cloud_account_id for asset in assets if asset.cloud_account_id is not None}
    by_id = {account.pk: account for account in CloudAccount.objects.filter(pk__in=ids)}
    for asset in assets:
        account = by_id.get(asset.cloud_account_id or 0)
        names = _names(asset.details)
        if account is None or not names:
            found[asset.pk] = Seen(is_of_cloud=False)
            continue
        try:
            if account.pk not in clients:
                clients[account.pk] = accounts.client_for(account, purpose="hardening check", now=now, quick=True)
            for name in names:
                key = (account.pk, asset.region, name)
                if key not in known:
                    known[key] = _rules(clients[account.pk], asset.region, name)
        except (AliyunError, DomainError) as problem:
            log.warning("security groups of %s cannot be read: %s", asset, problem)
            found[asset.pk] = Seen(problem=str(problem.code))
        else:
            found[asset.pk] = Seen(tuple(rule for name in names for rule in known[account.pk, asset.region, name]))
    return found


def _names(details: object) -> list[str]:
    said = details.get(GROUPS, "") if isinstance(details, Mapping) else ""
    return [name for name in str(said).replace(",", " ").split() if name]


def _rules(client: Client, region: str, group: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(group, one.protocol, one.ports, one.source, one.is_accepting, one.priority)
        for one in client.security_rules(region, group)
    )
