"""Making, arranging, sharing dashboards. Everybody of a customer sees its dashboards; who made one, the customer's
project managers and the service team may change it."""

from __future__ import annotations

import hashlib
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import can_write, is_customer_pm, is_provider
from assets.models import Asset
from monitoring.models import Dashboard, DashboardShare
from monitoring.widgets import COLUMNS, NEEDS, Widget, WidgetError, WidgetKind, free_place, parse, rearranged

LONGEST_SHARE: Final = timedelta(days=90)
MOST_SHARES: Final = 20


def kind_label(kind: WidgetKind) -> str:
    """What people call a kind of box."""
    return {
        WidgetKind.GRAPH: _("Graph of an asset"),
        WidgetKind.COMPARE: _("One figure of several assets"),
        WidgetKind.VALUE: _("Newest value"),
        WidgetKind.TOP: _("Highest values"),
        WidgetKind.ALERTS: _("Open alerts"),
        WidgetKind.INCIDENTS: _("Open incidents"),
        WidgetKind.HEALTH: _("Condition of all assets"),
        WidgetKind.NOTE: _("Note"),
    }[kind]


def may_edit(person: User, dashboard: Dashboard) -> bool:
    if not can_write(person):
        return False
    return is_provider(person) or is_customer_pm(person) or dashboard.owner_id == person.pk


@transaction.atomic
def create(
    *, customer: Customer, name: str, actor: User, now: datetime, widgets: Sequence[Widget] | None = None
) -> Dashboard:
    """A new dashboard. Without widgets it begins with what nobody has to choose: health, alerts, incidents."""
    if not can_write(actor):
        raise _not_allowed()
    dashboard = Dashboard(
        customer=customer,
        name=_name(name),
        owner=actor,
        widgets=[one.as_json() for one in (first_widgets() if widgets is None else widgets)],
        created_at=now,
        changed_at=now,
    )
    _save(dashboard, actor)
    _record("dashboard.create", dashboard, actor, now, {"name": dashboard.name})
    return dashboard


def first_widgets() -> tuple[Widget, ...]:
    return (
        Widget("health", WidgetKind.HEALTH, 0, 0, COLUMNS, 3),
        Widget("alerts", WidgetKind.ALERTS, 0, 3, 6, 5),
        Widget("incidents", WidgetKind.INCIDENTS, 6, 3, 6, 5),
    )


@transaction.atomic
def arrange(*, dashboard: Dashboard, places: object, version: int, actor: User, now: datetime) -> Dashboard:
    """Put the widgets where they were moved in the browser (`widgets.rearranged`), and take away those that are gone.

    Somebody else's change meanwhile is not overwritten.
    """
    dashboard = _held(dashboard, actor)
    if dashboard.version != version:
        raise DomainError(
            _("Somebody else changed this dashboard meanwhile. Your arrangement was not saved: reload the page."),
            code="changed_meanwhile",
        )
    try:
        dashboard.widgets = [one.as_json() for one in rearranged(dashboard.parsed, places)]
    except WidgetError as error:
        raise DomainError(widget_error_text(error), code="widget") from error
    return _changed(dashboard, actor, now)


@transaction.atomic
def add_widget(*, dashboard: Dashboard, widget: Widget, actor: User, now: datetime) -> Dashboard:
    """Add a widget in the first gap that it fits into, in the size of its kind."""
    dashboard = _held(dashboard, actor)
    there = dashboard.parsed
    needs = NEEDS[widget.kind]
    x, y = free_place(there, needs.w, needs.h)
    placed = replace(widget, id=random.token_hex(4), x=x, y=y, w=needs.w, h=needs.h)
    dashboard.widgets = [
        one.as_json() for one in _checked(dashboard.customer_id, [row.as_json() for row in (*there, placed)])
    ]
    return _changed(dashboard, actor, now)


@transaction.atomic
def rename(*, dashboard: Dashboard, name: str, actor: User, now: datetime) -> Dashboard:
    dashboard = _held(dashboard, actor)
    dashboard.name = _name(name)
    return _changed(dashboard, actor, now)


@transaction.atomic
def copy(*, dashboard: Dashboard, actor: User, now: datetime) -> Dashboard:
    """The same widgets as a dashboard of one's own."""
    name = _("%(name)s (copy)") % {"name": dashboard.name}
    return create(customer=dashboard.customer, name=name[:100], actor=actor, now=now, widgets=dashboard.parsed)


@transaction.atomic
def remove(*, dashboard: Dashboard, actor: User, now: datetime) -> None:
    """Take a dashboard away; `bring_back` undoes it. Links to it stop working."""
    dashboard = _held(dashboard, actor)
    dashboard.removed_at = now
    _save(dashboard, actor)
    _record("dashboard.remove", dashboard, actor, now, {})


@transaction.atomic
def bring_back(*, dashboard: Dashboard, actor: User, now: datetime) -> Dashboard:
    dashboard = _held(dashboard, actor, removed=True)
    dashboard.removed_at = None
    return _changed(dashboard, actor, now)


@transaction.atomic
def undo(*, dashboard: Dashboard, actor: User, now: datetime) -> Dashboard:
    """As it was before the last change; doing it twice brings the change back."""
    dashboard = _held(dashboard, actor)
    past: Any = dashboard.history.order_by("-history_date", "-history_id")  # django-simple-history is untyped
    before = past.exclude(version=dashboard.version).first()
    if before is None:
        raise DomainError(_("There is no earlier arrangement."), code="nothing_to_undo")
    dashboard.name, dashboard.widgets = before.name, before.widgets
    return _changed(dashboard, actor, now)


# --- links ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def share(
    *, dashboard: Dashboard, purpose: str, lasts: timedelta, actor: User, now: datetime
) -> tuple[DashboardShare, str]:
    """A link for people without an account, with the secret that is shown once and not kept."""
    dashboard = _held(dashboard, actor)
    if not timedelta(0) < lasts <= LONGEST_SHARE:
        raise DomainError(_("A link lasts at most 90 days."), code="too_long")
    if dashboard.shares.valid(now).count() >= MOST_SHARES:
        raise DomainError(_("There are many links to this dashboard already. Withdraw one first."), code="too_many")
    secret = random.token_urlsafe(32)
    share = DashboardShare.objects.create(
        customer_id=dashboard.customer_id,
        dashboard=dashboard,
        purpose=purpose.strip()[:100] or dashboard.name,
        digest=_digest(secret),
        created_by=actor,
        created_at=now,
        expires_at=now + lasts,
    )
    _record("dashboard.share", dashboard, actor, now, {"link": share.pk, "expires_at": share.expires_at.isoformat()})
    return share, f"{share.pk}.{secret}"


@transaction.atomic
def revoke(*, share: DashboardShare, actor: User, now: datetime) -> None:
    if not may_edit(actor, share.dashboard):
        raise _not_allowed()
    if DashboardShare.objects.filter(pk=share.pk, revoked_at=None).update(revoked_at=now):
        _record("dashboard.revoke", share.dashboard, actor, now, {"link": share.pk})


def open_share(secret: str, *, now: datetime) -> DashboardShare | None:
    """The link whose secret this is, while it is valid; counts that it was opened. For people without an account."""
    number, _dot, secret = secret.partition(".")
    share_id = int(number) if number.isdecimal() and len(number) < 10 else 0
    with scope.platform("a shared link says whose dashboard it shows"):
        found = DashboardShare.objects.valid(now).filter(pk=share_id, digest=_digest(secret))
        if not found.update(opened_at=now, opened_count=F("opened_count") + 1):
            return None
        return found.select_related("dashboard__customer").get()


def find_share(share_id: int, *, now: datetime) -> DashboardShare | None:
    """A link that has been opened with its secret before, if it is still valid."""
    with scope.platform("a shared link says whose dashboard it shows"):
        return DashboardShare.objects.valid(now).select_related("dashboard__customer").filter(pk=share_id).first()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


# --- checks --------------------------------------------------------------------------------------------------------


def _held(dashboard: Dashboard, actor: User, *, removed: bool = False) -> Dashboard:
    held: Dashboard = Dashboard.objects.select_for_update(of=("self",)).select_related("customer").get(pk=dashboard.pk)
    if not may_edit(actor, held):
        raise _not_allowed()
    if (held.removed_at is not None) is not removed:
        raise DomainError(_("This dashboard has been removed meanwhile."), code="removed")
    return held


def _not_allowed() -> DomainError:
    return DomainError(
        _("You may look at this dashboard but not change it. Make a copy of your own."), code="not_allowed"
    )


def _changed(dashboard: Dashboard, actor: User, now: datetime) -> Dashboard:
    dashboard.version += 1
    dashboard.changed_at = now
    _save(dashboard, actor)
    _record("dashboard.change", dashboard, actor, now, {"version": dashboard.version})
    return dashboard


def _save(dashboard: Dashboard, actor: User) -> None:
    dashboard._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    dashboard.save()


def _record(action: str, dashboard: Dashboard, actor: User, now: datetime, detail: Mapping[str, object]) -> None:
    audit.record(action=action, actor=actor, customer=dashboard.customer, obj=dashboard, detail=detail, now=now)


def _name(name: str) -> str:
    if not name.strip():
        raise DomainError(_("A dashboard needs a name."), code="name_missing")
    return name.strip()[:100]


def _checked(customer_id: int, rows: object) -> tuple[Widget, ...]:
    """The widgets, whose assets must all be the customer's own. Raises DomainError."""
    try:
        widgets = parse(rows)
    except WidgetError as error:
        raise DomainError(widget_error_text(error), code="widget") from error
    wanted = {pk for one in widgets for pk in one.assets}
    own = set(Asset.objects.filter(customer_id=customer_id, pk__in=wanted).values_list("pk", flat=True))
    if wanted - own:
        raise DomainError(_("An asset that was chosen is not there. Nothing was saved."), code="asset")
    return widgets


def widget_error_text(error: WidgetError) -> str:
    words = {
        "required": _("something is missing"),
        "choice": _("this choice does not exist"),
        "range": _("it does not fit on the page"),
        "too_many": _("there are too many"),
        "twice": _("it is there twice"),
    }
    what = words.get(error.code, _("this cannot be read"))
    return _("Box %(place)d, %(field)s: %(what)s. Nothing was saved.") % {
        "place": error.place,
        "field": error.field,
        "what": what,
    }
