"""Service reports: the list, how one is asked for, its figures and its workbook. Its life: `verbs`."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.downloads import make_harmless
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from reports import service_document
from reports import workbook as workbooks
from reports.blocks import Part
from reports.models import ReportKind, ReportState, ServiceIssue, ServiceReport
from reports.models.written import OWED, overdue
from reports.service_forms import NewReportForm
from reports.services import sending, service_content, service_reports
from reports.views.reaching import get_issue, get_report

SORT: dict[str, tables.SortBy] = {
    "period": ("period", "-opened_at"),
    "due": "due_at",
    "customer": ("customer__name", "-period"),
    "state": ("state", "due_at"),
}
FAMILY = ServiceReport.FAMILY
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        ServiceReport.objects.for_lists(),
        sort=SORT,
        default="-period",
        search=["subject", "customer__name", "customer__short_name"],
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {"page": page, "now": timezone.now(), "shows_customer": is_provider(person)}
    return render(request, "reports/services.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def new(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    form = NewReportForm(request.POST or None, initial=request.GET.dict(), today=timezone.localdate())
    if request.method == "POST" and form.is_valid():
        try:
            report = service_reports.open_by_hand(**form.wish(), actor=person, now=timezone.now())
        except DomainError as refusal:
            form.add_error(None, refusal.message)
        else:
            return redirect("reports:detail", FAMILY, report.pk)
    return render(request, "reports/new.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def read_again(request: HttpRequest, pk: int) -> HttpResponse:
    service_reports.read_again(report=get_report(FAMILY, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("The figures are being read. Edited texts stay as they are."))
    return redirect("reports:detail", FAMILY, pk)


@require_safe
@require(is_provider)
def draft_figures(request: HttpRequest, pk: int) -> HttpResponse:
    """What was read so far, as JSON: each number with the query behind it."""
    report = get_report(FAMILY, pk)
    return JsonResponse({"number": report.number, "figures_at": report.figures_at, **report.figures})


@require_safe
@require(is_provider)
def draft_workbook(request: HttpRequest, pk: int) -> HttpResponse:
    report = get_report(FAMILY, pk)
    if report.figures_at is None:
        raise Http404
    return _as_workbook(report, report.language, service_content.parts_of(report))


@require_safe
def workbook(request: HttpRequest, pk: int, issue_id: int) -> HttpResponse:
    issue = get_issue(FAMILY, pk, issue_id)
    if not isinstance(issue, ServiceIssue):
        raise PermissionDenied
    parts = service_document.parts_of(issue.content)
    response = _as_workbook(issue.report, issue.content["language"], parts, issue.number)
    sending.note_reading(issue=issue, person=person_of(request), now=timezone.now())
    return response


def _as_workbook(report: ServiceReport, language: str, parts: list[Part], version: int = 0) -> HttpResponse:
    with translation.override(language):
        content = workbooks.made(f"{report.customer.name} {report.title}", parts, service_document.ZONE)
    response = HttpResponse(content, content_type=EXCEL)
    name = f"{report.number}{f'-v{version}' if version else '-draft'}.xlsx"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    make_harmless(response)
    return response


def _filters(person: User) -> dict[str, tables.Filter]:
    kind = tables.Choice(_("Kind"), ReportKind.choices, "kind")
    if not is_provider(person):
        return {"kind": kind}
    lateness = {"owed": OWED, "late": overdue(timezone.now())}
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    return {
        "customer": tables.Choice(_("Customer"), customers, "customer_id"),
        "kind": kind,
        "state": tables.Choice(_("State"), ReportState.choices, "state"),
        "due": tables.Choice(
            _("Deadlines"), [("owed", _("Not sent yet")), ("late", _("Overdue"))], lambda value: lateness[value]
        ),
    }


def _export(page: tables.Page[ServiceReport]) -> HttpResponse:
    now = timezone.now()
    columns = {
        _("Number"): lambda row: row.number,
        _("Customer"): lambda row: row.customer,
        _("Kind"): lambda row: row.get_kind_display(),
        pgettext("report", "Month"): lambda row: row.period,
        _("State"): lambda row: row.get_state_display(),
        _("Due at"): lambda row: row.due_at,
        _("First sent at"): lambda row: row.sent_at,
        _("Late"): lambda row: row.is_late(now),
    }
    return tables.export_csv(page.all(), columns, "service-reports")
