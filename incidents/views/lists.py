"""The list of incidents, and the pieces of other pages that show incidents."""

from datetime import timedelta

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer, Severity, User
from accounts.permissions import is_provider, person_of
from assets.models import Asset
from incidents.models import Clock, Incident, IncidentAsset, IncidentState, SavedFilter
from incidents.searching import holding
from incidents.states import UNSOLVED
from incidents.views.saved import saved_filters

SORT: dict[str, tables.SortBy] = {
    "number": "pk",
    "opened": "opened_at",
    "severity": ("severity", "-opened_at"),
    "state": ("state", "-opened_at"),
    "customer": ("customer__name", "-opened_at"),
    "due": ("next_due_at", "severity"),
    "title": "title",
}
ROLES = {
    "alone": Q(parent=None, duplicate_of=None),
    "child": ~Q(parent=None),
    "duplicate": ~Q(duplicate_of=None),
}
GROUPED = [
    ("alone", gettext_lazy("Not grouped under another")),
    ("child", gettext_lazy("Grouped under another")),
    ("duplicate", gettext_lazy("Closed as a duplicate")),
]
ROWS = 30
FOUND = 8
OF_ASSET = 10
RELATED = 6
RECENT = timedelta(days=90)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        holding(Incident.objects.for_cards(), request.GET.get("q", "")),
        sort=SORT,
        default="-opened",
        filters=_filters(person),
        exports=True,
        size=ROWS,
    )
    if tables.wants_csv(request):
        return export(page.all().select_related("parent", "duplicate_of"))
    context = {
        "page": page,
        "now": timezone.now(),
        "shows_customer": is_provider(person),
        **saved_filters(person, SavedFilter.Place.LIST, page),
    }
    return render(request, "incidents/list.html", context)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """The incidents part of the search over everything, best eight."""
    query = request.GET.get("q", "").strip()[:100]
    found = holding(Incident.objects.for_lists(), query).order_by("-opened_at")[:FOUND] if query else []
    return render(request, "incidents/_search.html", {"incidents": found, "query": query})


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """The incidents of one asset, for the asset's page (R24)."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    incidents = Incident.objects.touching(asset.pk).for_lists().order_by("-opened_at")[: OF_ASSET + 1]
    return render(
        request,
        "incidents/_for_asset.html",
        {"asset": asset, "incidents": incidents[:OF_ASSET], "more": len(incidents) > OF_ASSET, "now": timezone.now()},
    )


@require_safe
def related(request: HttpRequest, pk: int) -> HttpResponse:
    """What else happened lately to the assets of one incident: is this the third time?"""
    incident = get_object_or_404(Incident.objects, pk=pk)
    assets = IncidentAsset.objects.filter(incident=incident).values("asset_id")
    same = Incident.objects.filter(pk__in=IncidentAsset.objects.filter(asset_id__in=assets).values("incident_id"))
    recent = same.filter(opened_at__gte=incident.opened_at - RECENT).exclude(pk=pk).order_by("-opened_at")
    rows = list(recent.for_lists()[: RELATED + 1])
    context = {"rows": rows[:RELATED], "more": len(rows) > RELATED, "days": RECENT.days, "incident": incident}
    return render(request, "incidents/_related.html", context)


def export(rows: QuerySet[Incident]) -> HttpResponse:
    """What both sides may read of each incident; internal notes are on no row of it."""
    columns = {
        _("Number"): lambda row: row.number,
        _("Title"): lambda row: row.title,
        _("Customer"): lambda row: row.customer.name,
        _("Severity"): lambda row: row.get_severity_display(),
        _("State"): lambda row: row.get_state_display(),
        _("Class"): lambda row: row.get_category_display(),
        _("Source"): lambda row: row.get_source_display(),
        _("Assets"): lambda row: ", ".join(asset.name for asset in row.assets.all()),
        _("Assignee"): lambda row: row.assignee,
        _("Opened at"): lambda row: row.opened_at,
        _("Acknowledged at"): lambda row: row.acknowledged_at,
        _("Resolved at"): lambda row: row.resolved_at,
        _("Closed at"): lambda row: row.closed_at,
        _("Response due at"): lambda row: row.response and row.response.due_at,
        _("Response missed"): lambda row: bool(row.response and row.response.is_breached),
        _("Handling, minutes"): lambda row: row.handling and _minutes(row.handling.elapsed_seconds),
        _("Grouped under"): lambda row: row.parent and row.parent.number,
        _("Duplicate of"): lambda row: row.duplicate_of and row.duplicate_of.number,
        _("Cause"): lambda row: row.get_cause_display(),
        _("Resolution"): lambda row: row.resolution,
        _("Satisfaction"): lambda row: row.satisfaction.score if hasattr(row, "satisfaction") else None,
        _("Customer's words"): lambda row: row.satisfaction.words if hasattr(row, "satisfaction") else "",
    }
    return tables.export_csv(rows, columns, "incidents")


def _late() -> QuerySet[Clock, int]:
    return Clock.objects.of_provider().missed().values_list("incident_id", flat=True)


def _minutes(seconds: int | None) -> int | None:
    return None if seconds is None else seconds // 60


def _filters(person: User) -> dict[str, tables.Filter]:
    phases = {
        "unsolved": Q(state__in=sorted(UNSOLVED)),
        "done": ~Q(state__in=sorted(UNSOLVED)),
        **{state: Q(state=state) for state in IncidentState.values},
    }
    groups: list[tuple[object, tables.Text]] = [
        ("unsolved", _("Unsolved")),
        ("done", _("Resolved or closed")),
        *IncidentState.choices,
    ]
    whose = {"me": Q(assignee=person) | Q(raised_by=person), "nobody": Q(assignee=None)}
    chosen: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), [*groups, *IncidentState.choices], lambda value: phases[value]),
        "severity": tables.Choice(_("Severity"), Severity.choices, "severity"),
        "source": tables.Choice(_("Source"), Incident.Source.choices, "source"),
        "who": tables.Choice(_("Whose"), [("me", _("Mine")), ("nobody", _("Nobody's"))], lambda value: whose[value]),
        "missed": tables.Choice(_("Deadlines"), [("1", _("Missed"))], lambda _value: Q(pk__in=_late())),
        "grouped": tables.Choice(_("Grouped"), GROUPED, lambda value: ROLES[value]),
        "asset": "assets",
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen
