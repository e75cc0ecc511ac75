"""Accident reports: the list, one of them, and the piece of the incident's page."""

from datetime import datetime

from django.contrib import messages
from django.db.models import Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from incidents.models import Incident
from reports import parts, states
from reports.models import AccidentComment, AccidentIssue, AccidentRecipient, AccidentReport
from reports.permissions import rank_of
from reports.services import accidents, sending
from reports.states import State, Verb

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


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The workshop for the provider; for the customer's people the latest issue that was sent."""
    report, person = get_report(pk), person_of(request)
    issues = list(AccidentIssue.objects.filter(report=report).select_related("file", "signed_by"))
    if not is_provider(person):
        if not issues:
            raise Http404
        return redirect("reports:accident-issue", report.pk, issues[0].pk)
    context = {
        **about(report, person),
        "issues": issues,
        "receipts": sending.receipts(issues[0]) if issues else [],
        "now": timezone.now(),
    }
    return render(request, "reports/accident.html", context)


@require_POST
@require(is_provider)
def open_by_hand(request: HttpRequest, incident_id: int) -> HttpResponse:
    incident = get_object_or_404(Incident.objects.select_related("customer", "assignee"), pk=incident_id)
    report = accidents.open_by_hand(incident=incident, actor=person_of(request), now=timezone.now())
    return redirect("reports:accident", report.pk)


@require_POST
@require(is_provider)
def refresh(request: HttpRequest, pk: int) -> HttpResponse:
    kept = accidents.refresh(report=get_report(pk), actor=person_of(request), now=timezone.now())
    if kept:
        said = ngettext(
            "%(count)d part was edited and stays as it is; the new facts stand beside it.",
            "%(count)d parts were edited and stay as they are; the new facts stand beside them.",
            len(kept),
        )
        messages.warning(request, said % {"count": len(kept)})
    else:
        messages.success(request, _("The facts are those of now."))
    return redirect("reports:accident", pk)


@require_safe
def for_incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    """The report of an incident, or the button that opens one."""
    incident = get_object_or_404(Incident.objects, pk=incident_id)
    report = AccidentReport.objects.for_lists().filter(incident=incident).first()
    context = {"incident": incident, "report": report, "now": timezone.now()}
    return render(request, "reports/_for_incident.html", context)


def get_report(pk: int) -> AccidentReport:
    """Unknown or foreign is 404; so is, for the customer, what has not been sent."""
    return get_object_or_404(AccidentReport.objects.for_lists(), pk=pk)


def about(report: AccidentReport, person: User) -> dict[str, object]:
    """What the workshop shows of a report."""
    comments = AccidentComment.objects.select_related("author")
    own = list(report.parts.select_related("edited_by").prefetch_related(Prefetch("comments", comments)))
    own.sort(key=lambda part: parts.ORDER.index(part.part))
    filled = {part.name for part in own if parts.is_filled(part.text)}
    possible = states.verbs(report.stage, rank_of(person))
    return {
        "report": report,
        "parts": own,
        "filled": filled,
        "is_complete": len(filled) == len(parts.ORDER),
        "verbs": [verb.value for verb in possible],
        "edits": Verb.EDIT in possible,
        "comments": Verb.COMMENT in possible,
    }


def recipient_of(issue: AccidentIssue, person: User) -> AccidentRecipient | None:
    return AccidentRecipient.objects.filter(issue=issue, user=person).first()


def _filters(person: User, now: datetime) -> dict[str, tables.Filter]:
    if not is_provider(person):
        return {}
    late = Q(sent_at=None, due_at__lt=now) & ~Q(state=State.WITHDRAWN)
    lateness = {"late": late, "owed": Q(sent_at=None) & ~Q(state=State.WITHDRAWN)}
    shown = [("owed", _("Not sent yet")), ("late", _("Overdue"))]
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    return {
        "customer": tables.Choice(_("Customer"), customers, "customer_id"),
        "state": tables.Choice(_("State"), AccidentReport.States.choices, "state"),
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
