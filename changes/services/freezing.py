"""Freezes and maintenance windows are made and ended; the changes that they concern are looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.windows import Window, as_json, last_end
from changes.models import Change, ChangeWindow
from changes.permissions import may_keep_windows
from changes.services import following
from changes.services.marks import hold
from changes.states import GATED
from notify import live

Kind = ChangeWindow.Kind
MOST: Final = 20


@transaction.atomic
def create(
    *,
    customer: Customer | None,
    kind: str,
    name: str,
    windows: Sequence[Window],
    actor: User,
    now: datetime,
    holidays: bool = False,
    timezone: str = "Asia/Shanghai",
) -> ChangeWindow:
    """Of one customer or, without one, of all of them. Raises DomainError when it could never hold."""
    if not may_keep_windows(actor, None if customer is None else customer.pk):
        raise PermissionDenied
    name = " ".join(name.split())
    if not name:
        raise DomainError(_("Please give it a name: whoever is stopped by it reads it."), code="text_missing")
    if len(windows) > MOST or (not windows and not holidays):
        raise DomainError(_("Please say when: from 1 to %(most)d windows, or public holidays.") % {"most": MOST})
    over_at = None if holidays or not windows else last_end(windows)
    if over_at is not None and over_at <= now:
        raise DomainError(_("All of it lies in the past. Nothing was saved."), code="in_the_past")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as problem:
        raise DomainError(_("There is no such time zone."), code="timezone") from problem
    with _writing(customer):
        window = ChangeWindow.objects.create(
            customer=customer,
            kind=Kind(kind),
            name=name[:120],
            windows=[as_json(one) for one in windows],
            holidays=holidays,
            timezone=timezone,
            over_at=over_at,
            created_by=actor,
            created_at=now,
        )
        _write(window, "change_window.create", actor, now)
        _look_again(window, now)
    return window


@transaction.atomic
def end(*, window: ChangeWindow, actor: User, now: datetime) -> ChangeWindow:
    """It holds no more. Ending it twice changes nothing."""
    if not may_keep_windows(actor, window.customer_id):
        raise PermissionDenied
    with _writing(window.customer):
        window = ChangeWindow.objects.select_for_update(of=("self",)).select_related("customer").get(pk=window.pk)
        if window.ended_at is None:
            window.ended_at, window.ended_by = now, actor
            window.save(update_fields=["ended_at", "ended_by"])
            _write(window, "change_window.end", actor, now)
            _look_again(window, now)
    return window


def _writing(customer: Customer | None) -> AbstractContextManager[scope.Scope]:
    return scope.platform("a change window of all customers") if customer is None else scope.customer(customer)


def _write(window: ChangeWindow, action: str, actor: User, now: datetime) -> None:
    detail = {"kind": window.kind, "name": window.name, "windows": window.windows, "holidays": window.holidays}
    audit.record(action=action, actor=actor, customer=window.customer, obj=window, detail=detail, now=now)
    if window.customer_id is not None:
        live.publish(customer_id=window.customer_id, topic="changes", object_id=0)


def _look_again(window: ChangeWindow, now: datetime) -> None:
    """What is planned may be ready no more, or at last."""
    planned = Change.objects.filter(state__in=sorted(GATED), ends_at__gt=now)
    if window.customer_id is not None:
        planned = planned.filter(customer=window.customer_id)
    for change in planned.order_by("customer", "pk"):
        with scope.customer(change.customer_id):
            following.go_on(hold(change), now=now)
