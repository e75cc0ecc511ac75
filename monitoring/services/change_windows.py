"""Alarms of the assets of an approved change are quiet in its window, and heard again when it is over (R92)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from accounts import scope
from changes.models import Change, ChangeState
from monitoring.services import silences

QUIET: Final = (ChangeState.READY, ChangeState.EXECUTING)


def follow(*, change_id: int, now: datetime) -> None:
    """Make its silence what the change says now: made, moved, or ended. Doing it twice changes nothing."""
    with scope.platform("whose change this is"):
        found = Change.objects.select_related("customer").filter(pk=change_id).first()
    if found is None:
        return
    with scope.customer(found.customer_id):
        change = Change.objects.select_related("customer", "owner").get(pk=change_id)
        assets = list(change.assets.select_related("customer"))
        starts, ends = change.starts_at, change.ends_at
        if change.state not in QUIET or starts is None or ends is None or ends <= now or not assets:
            silences.end_change(change_key=change.number, customer=change.customer, actor=None, now=now)
            return
        if not silences.is_as_said(change.number, assets, starts, ends):
            silences.for_change(change_key=change.number, assets=assets, start=starts, end=ends, actor=None, now=now)
