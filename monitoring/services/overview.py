"""The wall: how every asset in reach is, from open alerts and the health of what collects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q, QuerySet

from assets.models import Asset
from monitoring.collectors.config.cloud import NAMESPACES
from monitoring.models import Alert, Health, Target
from monitoring.models.alert import Held
from monitoring.overview import Condition, Tile, condition_of

BLIND = frozenset({Health.FAILING, Health.LATE})


@dataclass(frozen=True, slots=True)
class Collecting:
    """Which assets are watched at all, and by how many targets that see nothing now."""

    watched: Mapping[int, int]
    blind: Mapping[int, int]

    def sees_nothing(self, asset_id: int) -> bool:
        """Every target of the asset is blind: one that still sees is enough to say that it is fine."""
        return 0 < self.watched.get(asset_id, 0) == self.blind.get(asset_id, 0)


def tiles(assets: QuerySet[Asset], *, now: datetime) -> list[Tile]:
    """The assets of a query as tiles, in a constant number of queries. Needs a scope that reaches them."""
    rows = list(assets.values_list("pk", "customer_id", "kind", "name", "cloud_account_id"))
    is_loud = ~Q(held=Held.SILENCED)
    alarms = {
        asset_id: (worst, count)
        for asset_id, worst, count in Alert.objects.open()
        .filter(asset__in=assets.order_by().values("pk"))
        .values_list("asset_id")
        .annotate(worst=Min("severity", filter=is_loud), count=Count("pk"))
    }
    collecting = _collecting([(pk, kind, account) for pk, _customer, kind, _name, account in rows], now)
    found = []
    for pk, customer_id, kind, name, _account in rows:
        worst, count = alarms.get(pk, (None, 0))
        condition = condition_of(
            worst_severity=worst,
            is_quiet=count > 0,
            is_watched=pk in collecting.watched,
            is_blind=collecting.sees_nothing(pk),
        )
        found.append(Tile(pk, customer_id, kind, name, condition, count))
    return found


def _collecting(assets: Iterable[tuple[int, str, int | None]], now: datetime) -> Collecting:
    of_account: dict[tuple[int, str], list[int]] = {}
    for asset_id, kind, account_id in assets:
        if account_id is not None and kind in NAMESPACES:
            of_account.setdefault((account_id, NAMESPACES[kind]), []).append(asset_id)
    watched: dict[int, int] = {}
    blind: dict[int, int] = {}
    for target in Target.objects.enabled().defer("state", "problem_detail"):
        if target.asset_id is not None:
            ids = [target.asset_id]
        else:
            ids = of_account.get((target.cloud_account_id or 0, str(target.config.get("namespace", ""))), [])
        is_blind = target.health(now) in BLIND
        for asset_id in ids:
            watched[asset_id] = watched.get(asset_id, 0) + 1
            blind[asset_id] = blind.get(asset_id, 0) + is_blind
    return Collecting(watched, blind)


def counts(found: Iterable[Tile]) -> dict[Condition, int]:
    """How many assets are in each condition, all conditions named."""
    numbers = dict.fromkeys(Condition, 0)
    for tile in found:
        numbers[tile.condition] += 1
    return numbers
