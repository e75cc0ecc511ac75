"""How long a session may last and what is kept of it, as the groups of its resource say; of several the strictest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from assets.models import Asset
from bastion.models import GroupAsset, RecordingPolicy, ResourceGroup
from bastion.models.groups import LONGEST_IDLE, LONGEST_TOTAL, SHORTEST_IDLE, SHORTEST_TOTAL
from bastion.models.recordings import LARGEST_COPY_MB

IDLE_MINUTES: Final = 30
TOTAL_MINUTES: Final = 12 * 60
MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Regime:
    """`copies_mb`: of files up to this size a copy is kept; 0: of none."""

    idle_minutes: int = IDLE_MINUTES
    total_minutes: int = TOTAL_MINUTES
    copies_mb: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """What one group says. None: nothing, so that others or the usual counts."""

    idle_minutes: int | None = None
    total_minutes: int | None = None
    copies_mb: int | None = None

    @classmethod
    def of(cls, group: ResourceGroup) -> Said:
        return cls(group.idle_minutes, group.total_minutes, group.copies_mb)

    @property
    def is_in_reason(self) -> bool:
        return (
            (self.idle_minutes is None or SHORTEST_IDLE <= self.idle_minutes <= LONGEST_IDLE)
            and (self.total_minutes is None or SHORTEST_TOTAL <= self.total_minutes <= LONGEST_TOTAL)
            and (self.copies_mb is None or 0 <= self.copies_mb <= LARGEST_COPY_MB)
        )

    @property
    def is_anything(self) -> bool:
        return self != Said()


def strictest(said: Iterable[Said], *, usual: Regime) -> Regime:
    """The shorter time and the larger copies of all that is said; the usual where nothing is."""
    said = list(said)
    idle = [one.idle_minutes for one in said if one.idle_minutes is not None]
    total = [one.total_minutes for one in said if one.total_minutes is not None]
    copies = [one.copies_mb for one in said if one.copies_mb is not None]
    return Regime(
        idle_minutes=min(idle, default=usual.idle_minutes),
        total_minutes=min(total, default=usual.total_minutes),
        copies_mb=max(copies, default=usual.copies_mb),
    )


def regimes_of(assets: Iterable[Asset]) -> Mapping[int, Regime]:
    """By the asset's number. Two queries, however many there are."""
    assets = list(assets)
    customers = {asset.customer_id for asset in assets}
    copied = dict(RecordingPolicy.objects.filter(customer__in=customers).values_list("customer_id", "copies_mb"))
    said: dict[int, list[Said]] = defaultdict(list)
    rows = GroupAsset.objects.filter(asset__in=[asset.pk for asset in assets], group__retired_at=None)
    for row in rows.select_related("group"):
        said[row.asset_id].append(Said.of(row.group))
    return {
        asset.pk: strictest(said[asset.pk], usual=Regime(copies_mb=copied.get(asset.customer_id, 0)))
        for asset in assets
    }
