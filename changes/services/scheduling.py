"""When it is done: its window, checked against freezes and against other changes of its assets and their neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import User
from assets.models import Asset
from assets.relations import Tie, around
from assets.services.relations import ties_of
from changes.models import Change, ChangeState
from changes.permissions import may_overrule
from changes.services import following, windows
from changes.services.marks import Kind, allowed, finish, hold, required, same_version
from changes.states import OPEN, Verb

SHORTEST = timedelta(minutes=5)


@transaction.atomic
def schedule(
    *, change: Change, starts_at: datetime, ends_at: datetime, actor: User, now: datetime, version: int | None = None
) -> Change:
    """Give it a window. It may be moved until the work begins; from then on its end alone."""
    change = hold(change)
    allowed(Verb.SCHEDULE, change, actor)
    same_version(change, version)
    if change.starts_at is not None and change.state == ChangeState.EXECUTING:
        starts_at = _only_its_end(change, change.starts_at, starts_at, ends_at, actor)
    if ends_at <= now:
        raise DomainError(_("The window is over already. Nothing was saved."), code="in_the_past")
    if ends_at - starts_at < SHORTEST or ends_at - starts_at > windows.LONGEST:
        raise DomainError(_("A window lasts from five minutes to seven days. Nothing was saved."), code="bad_window")
    if (starts_at, ends_at) == (change.starts_at, change.ends_at):
        return change
    change.starts_at, change.ends_at = starts_at, ends_at
    if change.state != ChangeState.EXECUTING:
        change.freeze_overruled_by, change.freeze_reason = None, ""
    data = {"from": starts_at.isoformat(), "until": ends_at.isoformat()}
    finish(change, Kind.SCHEDULED, actor=actor, now=now, data=data)
    following.go_on(change, now=now)
    return change


def _only_its_end(change: Change, began: datetime, starts_at: datetime, ends_at: datetime, actor: User) -> datetime:
    """Raises DomainError when more than the end would move, or when it would move into a freeze."""
    if abs(starts_at - began) >= timedelta(minutes=1):  # pages know no seconds
        raise DomainError(_("The work has begun: only the end of its window may be moved."), code="begun")
    if not may_overrule(actor) and windows.freezes(change.customer, began, ends_at):
        raise DomainError(_("A freeze begins before that: a service manager may move the end."), code="frozen")
    return began


@transaction.atomic
def overrule_freeze(*, change: Change, reason: str, actor: User, now: datetime) -> Change:
    """It is done in spite of a freeze: a service manager's word, with the reason (R92)."""
    change = hold(change)
    allowed(Verb.SCHEDULE, change, actor)
    if not may_overrule(actor) or actor.pk in change.authors:
        raise PermissionDenied
    if change.state == ChangeState.EXECUTING:
        raise DomainError(_("The work has begun: only the end of its window may be moved."), code="begun")
    change.freeze_reason = required(reason, _("Please say why it cannot wait."))[:300]
    change.freeze_overruled_by = actor
    finish(change, Kind.SCHEDULED, actor=actor, now=now, body=reason, data={"overruled": True})
    following.go_on(change, now=now)
    return change


def is_outside_maintenance(change: Change) -> bool:
    """Its window does not lie in one of the maintenance windows that were agreed with the customer, and some were."""
    starts, ends = change.starts_at, change.ends_at
    return starts is not None and ends is not None and windows.is_maintenance(change.customer, starts, ends) is False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An asset of another change that has to do with one of this change's."""

    own: Asset
    other: Asset
    tie: Tie


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another change in the same window: what both touch, and what stands or falls with what this one touches."""

    change: Change
    shared: tuple[Asset, ...]
    neighbours: tuple[Neighbour, ...]


def conflicts(change: Change) -> list[Conflict]:
    """Other open changes whose window overlaps, and that touch the same assets or their neighbours in the inventory."""
    if change.starts_at is None or change.ends_at is None:
        return []
    own = {asset.pk: asset for asset in change.assets.all()}
    if not own:
        return []
    near = around(own, ties_of(change.customer_id))
    others = Change.objects.within(change.starts_at, change.ends_at).filter(
        customer=change.customer_id, state__in=sorted(OPEN)
    )
    others = others.exclude(pk=change.pk).touching([*own, *near]).prefetch_related("assets").order_by("starts_at", "pk")
    return [_conflict(other, own, near) for other in others.distinct()]


def _conflict(other: Change, own: Mapping[int, Asset], near: Mapping[int, tuple[int, Tie]]) -> Conflict:
    theirs = sorted(other.assets.all(), key=lambda asset: asset.name)
    return Conflict(
        change=other,
        shared=tuple(asset for asset in theirs if asset.pk in own),
        neighbours=tuple(
            Neighbour(own[near[asset.pk][0]], asset, near[asset.pk][1]) for asset in theirs if asset.pk in near
        ),
    )
