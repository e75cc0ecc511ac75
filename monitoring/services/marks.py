"""What is drawn on the graphs of an asset beside its alarms: events, planned maintenance, windows of quiet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.windows import from_json, upcoming
from assets.models import Asset
from monitoring.models import Event, Silence
from monitoring.services.graphs import Window

AT_ONCE: Final = 100
SILENCES: Final = 20
STRETCHES: Final = 30


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment (`end` None) or a stretch of time. `kind` is an event's source, or `silence`."""

    kind: str
    name: str
    start: datetime
    end: datetime | None

    def as_json(self) -> dict[str, Any]:
        end = None if self.end is None else round(self.end.timestamp() * 1000)
        return {"kind": self.kind, "name": self.name, "from": round(self.start.timestamp() * 1000), "to": end}


def of_asset(asset: Asset, view: Window) -> list[Mark]:
    """The marks within a window, in the order of time. Needs a scope that reaches the asset."""
    return sorted([*_events(asset, view), *_silences(asset, view)], key=lambda mark: mark.start)


def _events(asset: Asset, view: Window) -> list[Mark]:
    """Its own, and those of its cloud account as a whole."""
    whose = Q(asset=asset)
    if asset.cloud_account_id is not None:
        whose |= Q(asset=None, cloud_account=asset.cloud_account_id)
    found = Event.objects.filter(whose, cancelled_at=None).during(view.start, view.end).order_by("-occurred_at")
    return [Mark(event.source, event.title, event.occurred_at, event.ends_at) for event in found[:AT_ONCE]]


def _silences(asset: Asset, view: Window) -> list[Mark]:
    """Windows of quiet that mean the whole asset, or everything of its customer."""
    silences = Silence.objects.filter(customer=asset.customer_id, created_at__lt=view.end, rule_ids=[], labels={})
    silences = silences.filter(Q(over_at=None) | Q(over_at__gt=view.start), group_ids=[])
    found = []
    for silence in silences.order_by("-created_at")[:SILENCES]:
        if silence.asset_ids and asset.pk not in silence.asset_ids:
            continue
        windows = from_json(silence.windows, silence.timezone)
        at = view.start
        for _number in range(STRETCHES):
            stretch = next(iter(upcoming(windows, at, 1)), None)
            if stretch is None or stretch[0] >= view.end:
                break
            start, at = stretch
            end = at if silence.ended_at is None else min(at, silence.ended_at)
            start = max(start, silence.created_at)
            if start < end and end > view.start:
                found.append(Mark("silence", _("Quiet: %(reason)s") % {"reason": silence.reason}, start, end))
    return found
