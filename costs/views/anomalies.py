"""Days that cost more than usual: the list, one of them, and what people say to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.permissions import is_provider, person_of
from costs import anomaly as judging
from costs import settling
from costs.forms import ExplainForm
from costs.models import BillLine, CostAnomaly
from costs.money import cents
from costs.permissions import may_explain
from costs.services import anomalies
from costs.services.figures import filled, ledger
from costs.views.filters import customer_filter

SORT: dict[str, tables.SortBy] = {
    "day": ("last_day", "product_name"),
    "what": ("product_name", "-last_day"),
    "customer": ("customer__name", "-last_day"),
    "amount": "amount",
    "excess": "excess",
    "state": ("state", "-last_day"),
}
AFTER = timedelta(days=7)
Figure = tuple[date, float | None, float | None]
"""A day, its amount and what is usual; None: not known."""


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    states = tables.Choice(_("State"), CostAnomaly.State.choices, "state")
    page = tables.page(
        request,
        CostAnomaly.objects.for_lists(),
        sort=SORT,
        default="-day",
        search=("product_name", "name", "instance_id", "note"),
        filters={**customer_filter(person), "state": states},
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {"page": page, "shows_customer": is_provider(person)}
    return render(request, "costs/anomalies.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    anomaly = _get(pk)
    figures = _figures(anomaly)
    context = {
        "anomaly": anomaly,
        "chart": _chart(anomaly, figures),
        "figures": figures,
        "may_explain": may_explain(person_of(request)),
    }
    return render(request, "costs/anomaly.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def explain(request: HttpRequest, pk: int) -> HttpResponse:
    anomaly, person = _get(pk), person_of(request)
    if not may_explain(person):
        raise PermissionDenied
    form = ExplainForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        anomalies.explain(anomaly=anomaly, actor=person, now=timezone.now(), **form.cleaned_data)
        messages.success(request, _("Written down."))
        return redirect("costs:anomaly", anomaly.pk)
    context = {"anomaly": anomaly, "form": form}
    return render(request, "costs/explain.html", context, status=422 if form.errors else 200)


@require_POST
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    anomaly = _get(pk)
    anomalies.reopen(anomaly=anomaly, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Open again."))
    return redirect("costs:anomaly", anomaly.pk)


def _get(pk: int) -> CostAnomaly:
    """404 for what is not there or not in reach."""
    found: CostAnomaly = get_object_or_404(
        CostAnomaly.objects.select_related("customer", "asset", "explained_by"), pk=pk
    )
    return found


def _figures(anomaly: CostAnomaly) -> list[Figure]:
    """Its days and the weeks that it was compared with: what each cost, and what is usual on its weekday."""
    first = anomaly.first_day - timedelta(weeks=judging.WEEKS)
    end = min(anomaly.last_day + AFTER, settling.today(timezone.now()))
    lines = BillLine.objects.filter(customer=anomaly.customer, product_code=anomaly.product_code).usage()
    if anomaly.instance_id:
        lines = lines.filter(instance_id=anomaly.instance_id)
    start = first - timedelta(weeks=judging.WEEKS)
    rows = lines.between(start, end).order_by().values_list("day").annotate(amount=Sum("amount"))
    whole = ledger(anomaly.customer_id, start, end).whole
    known = filled({day: float(amount) for day, amount in rows}, whole)
    usual = {day: judging.usual(known, day) for day in settling.days_between(first, end)}
    return [(day, known.get(day), round(one.middle, 2) if one else None) for day, one in usual.items()]


def _chart(anomaly: CostAnomaly, figures: Sequence[Figure]) -> dict[str, object]:
    return {
        "days": [day.isoformat()[5:] for day, _amount, _usual in figures],
        "stacks": [{"name": anomaly.what, "values": [amount for _day, amount, _usual in figures]}],
        "line": {"name": pgettext("amount", "Usual"), "values": [usual for _day, _amount, usual in figures]},
        "marked": [at for at, (day, *_rest) in enumerate(figures) if _is_unusual(anomaly, day)],
    }


def _is_unusual(anomaly: CostAnomaly, day: date) -> bool:
    """Of the days between the first and the last, those that were above the usual."""
    if anomaly.days:
        return day.isoformat() in anomaly.days
    return anomaly.first_day <= day <= anomaly.last_day


def _export(page: tables.Page[CostAnomaly]) -> HttpResponse:
    columns: dict[str, Callable[[CostAnomaly], object]] = {
        _("Customer"): lambda row: row.customer.name,
        _("Product"): lambda row: row.product_name,
        _("Resource"): lambda row: row.name or row.instance_id,
        _("First day"): lambda row: row.first_day,
        _("Last day"): lambda row: row.last_day,
        _("On the worst day, CNY"): lambda row: cents(row.amount),
        _("Usually, CNY"): lambda row: cents(row.usual),
        _("Above the usual in all, CNY"): lambda row: cents(row.excess),
        _("State"): lambda row: row.get_state_display(),
        _("Explanation"): lambda row: row.note,
        _("Explained by"): lambda row: row.explained_by or "",
    }
    return tables.export_csv(page.all(), columns, "cost-anomalies")
