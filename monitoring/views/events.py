"""Events: the list with what is coming, and the piece for an asset's page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer, Severity, User
from accounts.permissions import is_provider, person_of
from assets.models import Asset
from monitoring.models import Event

SORT: Final[dict[str, tables.SortBy]] = {
    "occurred": "occurred_at",
    "severity": ("severity", "-occurred_at"),
    "source": ("source", "-occurred_at"),
    "asset": ("asset__name", "-occurred_at"),
    "customer": ("customer__name", "-occurred_at"),
}
SPANS: Final = {"1": timedelta(days=1), "7": timedelta(days=7), "30": timedelta(days=30), "90": timedelta(days=90)}
OF_ASSET: Final = 8


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All events in reach, planned maintenance first; or their rows for the browser that refreshes itself."""
    person, now = person_of(request), timezone.now()
    page = tables.page(
        request,
        Event.objects.select_related("asset", "customer", "cloud_account", "incident"),
        sort=SORT,
        default="-occurred",
        search=["title_zh", "title_en", "asset__name", "kind", "customer__name"],
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return tables.export_csv(page.all(), _columns(), "events")
    context = {
        "page": page,
        "now": now,
        "upcoming": Event.objects.upcoming(now).select_related("asset", "customer", "cloud_account")[:20],
        "shows_customer": is_provider(person),
    }
    fragment = request.headers.get("HX-Target") == "events"
    return render(request, "monitoring/_events.html" if fragment else "monitoring/event_list.html", context)


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """The last events of an asset, and what is planned for it."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    now = timezone.now()
    rows = Event.objects.filter(asset=asset)
    context = {
        "asset": asset,
        "now": now,
        "upcoming": rows.upcoming(now),
        "events": rows.filter(occurred_at__lte=now).order_by("-occurred_at", "-pk")[:OF_ASSET],
        "count": rows.count(),
    }
    return render(request, "monitoring/_events_of_asset.html", context)


def _filters(person: User) -> dict[str, tables.Filter]:
    spans = [("1", _("Last day")), ("7", _("Last 7 days")), ("30", _("Last 30 days")), ("90", _("Last 90 days"))]
    kinds = Event.objects.order_by("kind").values_list("kind", flat=True).distinct()[:200]
    found: dict[str, tables.Filter] = {
        "source": tables.Choice(_("Source"), Event.Source.choices, "source"),
        "severity": tables.Choice(_("Severity"), Severity.choices, "severity"),
        "kind": tables.Choice(_("Kind"), [(kind, kind) for kind in kinds], "kind"),
        "span": tables.Choice(_("Time"), spans, lambda value: Q(occurred_at__gte=timezone.now() - SPANS[value])),
        "asset": "asset_id",
    }
    if is_provider(person):
        customers = [(customer.pk, customer.short_name) for customer in Customer.objects.all()]
        found["customer"] = tables.Choice(_("Customer"), customers, "customer_id")
    return found


def _columns() -> dict[str, Callable[[Event], object]]:
    return {
        _("Happened at"): lambda event: event.occurred_at,
        _("Until"): lambda event: event.ends_at,
        _("Source"): lambda event: event.get_source_display(),
        _("Kind"): lambda event: event.kind,
        _("Severity"): lambda event: event.get_severity_display() if event.severity else "",
        _("Customer"): lambda event: event.customer.short_name,
        _("Asset"): lambda event: event.asset.name if event.asset else "",
        _("Event"): lambda event: event.title,
        _("Recorded at"): lambda event: event.recorded_at,
    }
