"""The SLA page: a month of one customer for both sides, customers side by side, and the clocks behind each figure."""

from collections.abc import Callable

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer, Severity
from accounts.permissions import is_provider, person_of
from incidents import kept_trend, results
from incidents.models import Clock, IncidentKind
from incidents.months import Month

OF: dict[str, str] = {"": IncidentKind.INCIDENT, "requests": IncidentKind.REQUEST}
SORT: dict[str, tables.SortBy] = {
    "started": "started_at",
    "number": "incident_id",
    "severity": ("incident__severity", "started_at"),
    "clock": ("kind", "started_at"),
    "used": "elapsed_seconds",
    "paused": "paused_seconds",
}


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Every customer in reach; a customer's own people come to their month at once."""
    person = person_of(request)
    if not is_provider(person):
        return redirect("incidents:sla-customer", person.customer_id or 0)
    month = asked_month(request)
    rows = results.standings(month, list(Customer.objects.all()))
    if tables.wants_csv(request):
        return _export_standings(rows, month)
    context = {
        "month": month,
        "months": _choices(month),
        "rows": sorted(rows, key=lambda row: (-row.incidents, str(row.customer))),
        "trend": _drawn(kept_trend.trend(month)),
    }
    return render(request, "incidents/sla_overview.html", context)


@require_safe
def customer_month(request: HttpRequest, customer_id: int) -> HttpResponse:
    """One customer's month."""
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    month, kind = asked_month(request), OF.get(request.GET.get("of", ""), IncidentKind.INCIDENT)
    result = results.of_month(month, customer=customer, kind=kind)
    if tables.wants_csv(request):
        return _export_result(customer, result)
    missed = results.clocks_of(month, customer=customer, kind=kind).exclude(kind=Clock.Kind.CUSTOMER_REPLY)
    missed = missed.exclude(breached_at=None).select_related("incident", "explained_by").order_by("breached_at")
    context = {
        "customer": customer,
        "month": month,
        "months": _choices(month),
        "of": request.GET.get("of", "") if kind == IncidentKind.REQUEST else "",
        "result": result,
        "missed": missed[: MISSED_SHOWN + 1],
        "most": MISSED_SHOWN,
        "stands": timezone.now() >= month.freezes_at,
        "trend": _drawn(results.trend(month, customer=customer, kind=kind)),
    }
    return render(request, "incidents/sla_month.html", context)


MISSED_SHOWN = 30


@require_safe
def clocks(request: HttpRequest, customer_id: int) -> HttpResponse:
    """The clocks behind a figure, each with its incident."""
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    month, kind = asked_month(request), OF.get(request.GET.get("of", ""), IncidentKind.INCIDENT)
    rows = results.clocks_of(month, customer=customer, kind=kind)
    page = tables.page(
        request,
        rows.select_related("incident", "explained_by"),
        sort=SORT,
        default="started",
        search=("incident__title", "breach_note"),
        filters=_filters(),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export_clocks(page.all())
    context = {"customer": customer, "month": month, "months": _choices(month), "page": page}
    return render(request, "incidents/sla_clocks.html", context)


def asked_month(request: HttpRequest) -> Month:
    """The month in the address; whatever else stands there means this one."""
    try:
        return Month.parse(request.GET.get("month", ""))
    except ValueError:
        return Month.of(timezone.localdate())


def _choices(shown: Month) -> list[Month]:
    """The months to choose from, newest first, the shown one among them."""
    today = Month.of(timezone.localdate())
    return sorted({shown, *(today.shifted(-back) for back in range(24))}, reverse=True)


def _filters() -> dict[str, tables.Filter]:
    verdicts = {
        "met": Q(stopped_at__isnull=False, breached_at=None),
        "missed": Q(breached_at__isnull=False),
        "unexplained": Q(breached_at__isnull=False, breach_code="") & ~Q(kind=Clock.Kind.CUSTOMER_REPLY),
        "running": Q(stopped_at=None),
    }
    words = [
        ("met", _("Kept")), ("missed", _("Missed")), ("unexplained", _("Without a reason")), ("running", _("Running"))
    ]  # fmt: skip
    months = [(str(month), str(month)) for month in _choices(Month.of(timezone.localdate()))]
    return {
        "month": tables.Choice(_("Month"), months, lambda _value: Q()),
        "clock": tables.Choice(_("Clock"), Clock.Kind.choices, "kind"),
        "severity": tables.Choice(_("Severity"), Severity.choices, "incident__severity"),
        "verdict": tables.Choice(_("Result"), words, lambda value: verdicts[value]),
        "cause": tables.Choice(_("Cause"), [*results.Cause.choices], "incident__cause"),
    }


def _drawn(points: list[results.Point]) -> dict[str, object]:
    """The trend as the chart takes it."""
    kinds = (Clock.Kind.RESPONSE, Clock.Kind.HANDLING, Clock.Kind.STAGE_REPORT)
    return {
        "months": [str(point.month) for point in points],
        "incidents": {"name": _("Incidents"), "values": [point.incidents for point in points]},
        "shares": [
            {"name": str(kind.label), "values": [_rounded(point.shares[kind]) for point in points]} for kind in kinds
        ],
        "content": {"name": _("Satisfaction"), "values": [_rounded(point.content) for point in points]},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 2)


def _export_result(customer: Customer, result: results.Result) -> HttpResponse:
    columns = {
        _("Month"): lambda _line: str(result.month),
        _("Customer"): lambda _line: customer.name,
        _("Severity"): lambda line: line.severity.label,
        _("Clock"): lambda line: line.kind.label,
        _("Count"): lambda line: line.tally.count,
        _("Kept"): lambda line: line.tally.met,
        _("Missed"): lambda line: line.tally.missed,
        _("Running"): lambda line: line.tally.running,
        _("Kept, %"): lambda line: _rounded(line.tally.share),
        _("Kept, % (our causes alone)"): lambda line: _rounded(line.tally.own_share),
        _("Mean, seconds"): lambda line: line.mean_s and round(line.mean_s),
        _("90 of 100 within, seconds"): lambda line: line.p90_s and round(line.p90_s),
        _("Paused, seconds"): lambda line: line.paused_s,
    }
    return tables.export_csv(result.lines, columns, f"sla-{customer.code}-{result.month}")


def _export_standings(rows: list[results.Standing], month: Month) -> HttpResponse:
    def share(kind: Clock.Kind) -> Callable[[results.Standing], object]:
        return lambda row: _rounded(row.tallies.get(kind, results.Tally()).share)

    columns: dict[str, Callable[[results.Standing], object]] = {
        _("Month"): lambda _row: str(month),
        _("Customer"): lambda row: row.customer.name,
        _("Incidents"): lambda row: row.incidents,
        **{f"{kind.label} %": share(kind) for kind in results.SHOWN},
        _("Without a reason"): lambda row: row.unexplained,
        _("Satisfaction"): lambda row: _rounded(row.content.mean),
    }
    return tables.export_csv(rows, columns, f"sla-{month}")


def _export_clocks(rows: QuerySet[Clock]) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.incident.number,
        _("Title"): lambda row: row.incident.title,
        _("Severity"): lambda row: row.incident.get_severity_display(),
        _("Clock"): lambda row: row.get_kind_display(),
        _("Round"): lambda row: row.round,
        _("Started at"): lambda row: row.started_at,
        _("Due at"): lambda row: row.due_at,
        _("Stopped at"): lambda row: row.stopped_at,
        _("Used, seconds"): lambda row: row.elapsed_seconds,
        _("Paused, seconds"): lambda row: row.paused_seconds,
        _("Missed"): lambda row: row.is_breached,
        _("Reason"): lambda row: row.get_breach_code_display() if row.breach_code else "",
        _("Explanation"): lambda row: row.breach_note,
        _("Cause"): lambda row: row.incident.get_cause_display(),
    }
    return tables.export_csv(rows, columns, "sla-clocks")
