"""The first page and the search page: the only two that show something of every app."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, resolve, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.models import Customer, ProviderContact
from accounts.permissions import person_of
from accounts.services import customers, roster
from assets.models import Asset
from incidents.models import Incident
from monitoring.models import Alert

INCIDENTS_SHOWN = 12
DEPARTMENTS: tuple[tuple[str, str | Promise], ...] = (
    ("incidents:search", _("Incidents")),
    ("monitoring:search", _("Alerts")),
    ("assets:search", _("Assets")),
    ("incidents:knowledge-search", _("Knowledge base")),
    ("accounts:search", _("Customers and people")),
)


@dataclass(frozen=True)
class Hits:
    """What one app found, as its own fragment."""

    label: str | Promise
    html: SafeString


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Engineers go to their board; the customer's people see how their systems and requests are."""
    customer = person_of(request).customer
    if customer is None:
        return redirect("incidents:board")
    return render(request, "home/customer.html", _facts(customer, timezone.now()))


def _facts(customer: Customer, now: datetime) -> dict[str, object]:
    """All that the customer's first page shows, in a constant number of queries."""
    unsolved = Incident.objects.filter(customer=customer).unsolved()
    assets = Asset.objects.filter(customer=customer).active()
    alerts = Alert.objects.filter(customer=customer).open()
    return {
        "customer": customer,
        "now": now,
        "incidents": unsolved.by_urgency().for_lists()[:INCIDENTS_SHOWN],
        "incident_count": unsolved.count(),
        "late_count": unsolved.breaching(now).count(),
        "alerts": alerts.aggregate(
            total=Count("pk"), bad=Count("pk", filter=Q(severity__lte=2)), assets=Count("asset", distinct=True)
        ),
        "assets": assets.aggregate(total=Count("pk")),
        "expiring": list(assets.expiring(now).order_by("expires_at")[:5]),
        "contract": customers.contract_in_force(customer, timezone.localdate()),
        "in_charge": customers.project_manager_in_charge(customer),
        "missing": customers.missing_contacts(customer),
        "provider_contacts": ProviderContact.objects.filter(customer=customer).select_related("user"),
        "on_duty": roster.on_duty(customer_id=customer.pk, at=now),
    }


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Everything that this person may see, app by app; the box on top asks for the fragment alone."""
    query = request.GET.get("q", "").replace("\x00", "").strip()
    hits = [] if not query else [Hits(label, _found(request, route)) for route, label in DEPARTMENTS]
    template = "home/_hits.html" if getattr(request, "htmx", False) else "home/search.html"
    return render(request, template, {"query": query, "hits": [each for each in hits if each.html]})


def _found(request: HttpRequest, route: str) -> SafeString:
    """The fragment of one app's own search view, which knows what this person may see."""
    try:
        view = resolve(reverse(route)).func
    except NoReverseMatch:
        return SafeString()
    return SafeString(view(request).content.decode().strip())
