"""What pages show of hardening: a server's items with what may be done about each, and how it went over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Q

from assets.models import Asset, AssetQuerySet
from bastion.hardening.catalogue import Item, items
from bastion.hardening_words import SEVERITIES, reason_text
from bastion.models import (
    DirectLogin,
    HardenedServer,
    HardeningCheck,
    HardeningException,
    HardeningRemedy,
    HardeningResult,
)
from bastion.services.hardening import policies
from changes.words import said

TREND_POINTS: Final = 400
OUTCOMES: Final = HardeningResult.Outcome
ORDER: Final = {OUTCOMES.FAILED: 0, OUTCOMES.NOT_CHECKED: 1, OUTCOMES.PASSED: 3}
ACCEPTED_PLACE: Final = 2


@dataclass(frozen=True, slots=True)
class Line:
    """One item as the page shows it. `exception`: asked for or in force; `remedy`: a change that is under way."""

    item: Item
    result: HardeningResult
    exception: HardeningException | None
    remedy: HardeningRemedy | None

    @property
    def name(self) -> str:
        return said(self.item.name)

    @property
    def why(self) -> str:
        return said(self.item.why)

    @property
    def how(self) -> str:
        return said(self.item.remedy.how)

    @property
    def severity(self) -> str:
        return str(SEVERITIES[self.item.severity])

    @property
    def reason(self) -> str:
        return reason_text(self.result.reason, self.result.names)

    @property
    def is_accepted(self) -> bool:
        is_in_force = self.exception is not None and self.exception.state == HardeningException.State.ACCEPTED
        return is_in_force and self.result.outcome != OUTCOMES.PASSED

    @property
    def needs_work(self) -> bool:
        return self.result.outcome != OUTCOMES.PASSED and not self.is_accepted

    @property
    def place(self) -> tuple[int, int]:
        """The worst first."""
        at = ACCEPTED_PLACE if self.is_accepted else ORDER[OUTCOMES(self.result.outcome)]
        return at, -self.item.weight


def lines(server: HardenedServer | None) -> list[Line]:
    if server is None or server.latest is None:
        return []
    known = items()
    exceptions = {row.item: row for row in HardeningException.objects.open().filter(asset=server.asset_id)}
    open_ones = HardeningRemedy.objects.filter(asset=server.asset_id, settled_at=None).select_related("change")
    remedies = {row.item: row for row in open_ones}
    found = [
        Line(known[row.item], row, exceptions.get(row.item), remedies.get(row.item))
        for row in server.latest.results.all()
        if row.item in known
    ]
    return sorted(found, key=lambda line: line.place)


def servers() -> AssetQuerySet:
    """All that can be looked at, with what is known of each. Within the scope."""
    rows: AssetQuerySet = policies.held_to_it().select_related("customer", "hardening__latest")
    return rows


def trend(asset: Asset, *, name: str, now: datetime) -> dict[str, Any]:
    """The score over time, as `static/js/chart.js` draws it."""
    rows = HardeningCheck.objects.filter(asset=asset, state=HardeningCheck.State.DONE).exclude(ended_at=None)
    points = list(rows.exclude(score=None).order_by("-ended_at").values_list("ended_at", "score")[:TREND_POINTS])
    points.reverse()
    times = [int(at.timestamp() * 1000) for at, _score in points if at is not None]
    end = int(now.timestamp() * 1000)
    start = min([*times, end - 86_400_000])
    return {
        "id": f"hardening-{asset.pk}",
        "title": name,
        "unit": "%",
        "state": False,
        "min": 0,
        "max": 100,
        "from": start - (end - start) // 50,
        "to": end,
        "step": max((end - start) // 2, 1),
        "hidden": 0,
        "alarms": [],
        "series": [
            {"id": 1, "name": name, "codes": {}, "t": times, "v": [score for _at, score in points], "lo": [], "hi": []}
        ],
    }


def history(asset: Asset, item: str) -> Any:
    """One item on one server, the latest look first."""
    rows = HardeningResult.objects.filter(check_of__asset=asset, item=item)
    return rows.select_related("check_of__run", "check_of__asset").order_by("-check_of__ended_at", "-pk")


def unexplained(asset: Asset) -> int:
    return DirectLogin.objects.filter(asset=asset, explained_at=None).count()


def failing(item: str) -> Q:
    return Q(hardening__failing__contains=[item])
