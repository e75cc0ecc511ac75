"""What a node is told that one session may do: its rights, its limits and the command rules of its resource."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from assets.models import Asset
from bastion.access import Decision
from bastion.gateway import contract
from bastion.gateway.contract import Action
from bastion.models import BastionSession, CommandRule, GroupAsset
from bastion.services.regimes import MEGABYTE, Regime

Rules = tuple[contract.CommandRule, ...]


def access_of(
    session: BastionSession,
    decision: Decision,
    *,
    resource: contract.Resource,
    rules: Rules,
    regime: Regime,
    hops: tuple[contract.Hop, ...] = (),
    waits_for: str = "",
) -> contract.Access:
    """Without hops it says only what has changed: the node keeps the way and the secret that it has."""
    ends_at = None if decision.ends_at is None else decision.ends_at.timestamp()
    return contract.Access(
        session_id=str(session.uid),
        customer_id=session.customer_id,
        resource=resource,
        hops=hops,
        actions=frozenset(Action(action) for action in decision.actions),
        limits=contract.Limits(regime.idle_minutes * 60.0, regime.total_minutes * 60.0, ends_at),
        rules=rules,
        forwards=tuple(sorted(decision.forwards)),
        copies_most=regime.copies_mb * MEGABYTE,
        work="" if session.incident_id is None and session.change_id is None else session.work,
        waits_for=waits_for,
    )


def rules_of(assets: Iterable[Asset]) -> Mapping[int, Rules]:
    """By the asset's number: the customer's rules and those of the groups that it is in, in their order."""
    assets = list(assets)
    rules = list(CommandRule.objects.in_force().filter(customer__in={asset.customer_id for asset in assets}))
    groups = {rule.group_id for rule in rules if rule.group_id is not None}
    members: dict[int, set[int]] = defaultdict(set)
    pairs = GroupAsset.objects.filter(group__in=groups, asset__in=[asset.pk for asset in assets]) if groups else None
    for asset_id, group_id in [] if pairs is None else pairs.values_list("asset_id", "group_id"):
        members[asset_id].add(group_id)
    return {
        asset.pk: tuple(
            as_told(rule)
            for rule in rules
            if rule.customer_id == asset.customer_id and (rule.group_id is None or rule.group_id in members[asset.pk])
        )
        for asset in assets
    }


def as_told(rule: CommandRule) -> contract.CommandRule:
    return contract.CommandRule(rule.pk, rule.pattern, contract.Verdict(rule.verdict), rule.words)


def brief(asset: Asset, account: str) -> contract.Resource:
    return contract.Resource(
        id=asset.pk, name=asset.name, address=asset.address, group="", customer="", accounts=(account,)
    )
