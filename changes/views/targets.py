"""Requests out of the catalogue beside what it promises: what is open, what was kept, what was missed."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of
from changes.catalogue import operations
from changes.models import RequestTarget
from changes.words import said
from incidents.models import IncidentState

SORT: dict[str, tables.SortBy] = {
    "due": "due_at",
    "asked": "started_at",
    "customer": ("customer__name", "due_at"),
    "operation": ("operation", "due_at"),
}
OVER = Q(incident__resolved_at__isnull=False) | Q(incident__state=IncidentState.CLOSED)
SHOWN = {
    "open": (gettext_lazy("not done yet"), ~OVER),
    "late": (gettext_lazy("not done yet, and late"), ~OVER & Q(missed_at__isnull=False)),
    "missed": (gettext_lazy("missed"), Q(missed_at__isnull=False)),
    "kept": (gettext_lazy("kept"), OVER & Q(missed_at=None)),
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        RequestTarget.objects.for_lists(),
        sort=SORT,
        default="due",
        search=("incident__title", "operation", "customer__name"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    return render(request, "changes/targets.html", {"page": page, "shows_customer": is_provider(person)})


def _filters(person: User) -> dict[str, tables.Filter]:
    shown = [(name, label) for name, (label, _rows) in SHOWN.items()]
    chosen: dict[str, tables.Filter] = {
        "show": tables.Choice(pgettext("list", "Show"), shown, lambda name: SHOWN[name][1]),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[RequestTarget]) -> HttpResponse:
    known = operations()
    columns = {
        _("Number"): lambda row: row.incident.number,
        _("Title"): lambda row: row.incident.title,
        _("Customer"): lambda row: row.customer.name,
        _("Operation"): lambda row: said(known[row.operation].name) if row.operation in known else row.operation,
        _("Asked at"): lambda row: row.started_at,
        _("To be answered by"): lambda row: row.response_due_at,
        _("Answered at"): lambda row: row.incident.acknowledged_at,
        _("To be done by"): lambda row: row.due_at,
        _("Done at"): lambda row: row.incident.resolved_at,
        _("Missed at"): lambda row: row.missed_at,
    }
    return tables.export_csv(page.all(), columns, "request-targets")
