"""Accident reports: the list, how one is opened, and the piece of the incident's page."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from incidents.models import Incident
from reports.models import AccidentReport, ReportState
from reports.models.written import OWED, overdue
from reports.services import accidents
from reports.views.reaching import get_report

SORT: dict[str, tables.SortBy] = {
    "opened": "opened_at",
    "due": "due_at",
    "customer": ("customer__name", "-opened_at"),
    "state": ("state", "due_at"),
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person, now = person_of(request), timezone.now()
    page = tables.page(
        request,
        AccidentReport.objects.for_lists(),
        sort=SORT,
        default="-opened",
        search=["incident__title", "customer__name"],
        filters=_filters(person, now),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page, now)
    context = {"page": page, "now": now, "shows_customer": is_provider(person)}
    return render(request, "reports/accidents.html", context)


@require_POST
@require(is_provider)
def open_by_hand(request: HttpRequest, incident_id: int) -> HttpResponse:
    incident = get_object_or_404(Incident.objects.select_related("customer", "assignee"), pk=incident_id)
    report = accidents.open_by_hand(incident=incident, actor=person_of(request), now=timezone.now())
    return redirect("reports:detail", report.FAMILY, report.pk)


@require_POST
@require(is_provider)
def refresh(request: HttpRequest, pk: int) -> HttpResponse:
    kept = accidents.refresh(report=get_report(AccidentReport.FAMILY, pk), actor=person_of(request), now=timezone.now())
    if kept:
        said = ngettext(
            "%(count)d part was edited and stays as it is; the new facts stand beside it.",
            "%(count)d parts were edited and stay as they are; the new facts stand beside them.",
            len(kept),
        )
        messages.warning(request, said % {"count": len(kept)})
    else:
        messages.success(request, _("The facts are those of now."))
    return redirect("reports:detail", AccidentReport.FAMILY, pk)


@require_safe
def for_incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    """The report of an incident, or the button that opens one."""
    incident = get_object_or_404(Incident.objects, pk=incident_id)
    report = AccidentReport.objects.for_lists().filter(incident=incident).first()
    context = {"incident": incident, "report": report, "now": timezone.now()}
    return render(request, "reports/_for_incident.html", context)


def _filters(person: User, now: datetime) -> dict[str, tables.Filter]:
    if not is_provider(person):
        return {}
    lateness = {"late": overdue(now), "owed": OWED}
    shown = [("owed", _("Not sent yet")), ("late", _("Overdue"))]
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    return {
        "customer": tables.Choice(_("Customer"), customers, "customer_id"),
        "state": tables.Choice(_("State"), ReportState.choices, "state"),
        "due": tables.Choice(_("Deadlines"), shown, lambda value: lateness[value]),
    }


def _export(page: tables.Page[AccidentReport], now: datetime) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.number,
        _("Customer"): lambda row: row.customer,
        _("Incident"): lambda row: f"{row.incident.number} {row.incident.title}",
        _("State"): lambda row: row.get_state_display(),
        _("Opened"): lambda row: row.get_trigger_display(),
        _("Outage from"): lambda row: row.outage_started_at,
        _("Outage until"): lambda row: row.outage_ended_at,
        _("Opened at"): lambda row: row.opened_at,
        _("Due at"): lambda row: row.due_at,
        _("First sent at"): lambda row: row.sent_at,
        _("Late"): lambda row: row.is_late(now),
    }
    return tables.export_csv(page.all(), columns, "accident-reports")
