"""A month of cost: customers side by side, one customer's month, its resources, and the piece of an asset's page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import partial

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer
from accounts.permissions import is_provider, person_of
from assets.aliyun import billing
from assets.models import Asset, CloudAccount
from costs import settling
from costs.forms import IssueForm, ThresholdForm
from costs.models import BillDay, BillDifference, BillReading, CostAnomaly, SavingProposal, Statement
from costs.money import cents
from costs.permissions import may_issue, may_set_threshold
from costs.services import anomalies, figures, issuing
from costs.services import resources as by_resource
from incidents.months import Month

SHOWN = 100


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every customer in reach; a customer's own people come to their month at once."""
    person = person_of(request)
    if not is_provider(person):
        return redirect("costs:customer", person.customer_id or 0)
    month, now = asked_month(request), timezone.now()
    rows, without = figures.standings(list(Customer.objects.all()), month, now)
    if tables.wants_csv(request):
        return _export_customers(rows, month)
    context = {
        "month": month,
        "months": months_of(month),
        "rows": rows,
        "without": without,
        "open": figures.counts(CostAnomaly.objects.open()),
        "waiting": figures.counts(SavingProposal.objects.waiting()),
    }
    return render(request, "costs/overview.html", context)


@require_safe
def customer_month(request: HttpRequest, customer_id: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    person, month, now = person_of(request), asked_month(request), timezone.now()
    view = figures.month_view(customer, month, now)
    if tables.wants_csv(request):
        return _export_products(customer, view)
    readings = BillReading.objects.filter(customer=customer, cloud_account__retired_at=None)
    context = {
        "customer": customer,
        "month": month,
        "months": months_of(month),
        "view": view,
        "statement": Statement.objects.filter(customer=customer, month=settling.first_day(month)).first(),
        "differences": BillDifference.objects.filter(customer=customer).of_month(month).count(),
        "troubled": readings.exclude(problem_code="").select_related("cloud_account"),
        "has_accounts": CloudAccount.objects.filter(customer=customer).existing().exists(),
        "behind": BillDay.objects.filter(customer=customer, next_due_at__lte=now).awaited().count(),
        "anomalies": CostAnomaly.objects.filter(customer=customer).open_first()[:5],
        "proposals": SavingProposal.objects.filter(customer=customer).open().dearest_first()[:6],
        "saving": figures.open_saving(customer),
        "expiring": figures.expiring(customer, now),
        "chart": _chart(customer, month, view),
        "final_at": settling.final_at(month),
        "is_final": now >= settling.final_at(month),
        "may_issue": may_issue(person) and now >= settling.final_at(month),
        "may_set_threshold": may_set_threshold(person),
    }
    return render(request, "costs/month.html", context)


@require_safe
def resources(request: HttpRequest, customer_id: int) -> HttpResponse:
    """The month by resource, the dearest first."""
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    month, now = asked_month(request), timezone.now()
    code, words = request.GET.get("product", "").replace("\0", ""), request.GET.get("q", "").replace("\0", "")[:100]
    rows = by_resource.in_month(customer.pk, month, code=code, words=words)
    missing = figures.missing_days(customer.pk, month, now)
    if tables.wants_csv(request):
        return _export_resources(customer, month, rows, missing)
    names = figures.product_names(customer.pk, settling.first_day(month.shifted(-1)), settling.ends(month)[1])
    context = {
        "customer": customer,
        "month": month,
        "months": months_of(month),
        "rows": rows[:SHOWN],
        "count": len(rows),
        "shown": SHOWN,
        "total": sum((row.amount for row in rows), Decimal(0)),
        "products": sorted(names.items(), key=lambda one: one[1]),
        "code": code,
        "words": words,
        "missing": missing,
    }
    return render(request, "costs/resources.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def threshold(request: HttpRequest, customer_id: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    person = person_of(request)
    if not may_set_threshold(person):
        raise PermissionDenied
    now_held = anomalies.threshold_of(customer)
    initial = {"deviations": now_held.deviations, "percent": round(now_held.percent), "amount": now_held.amount}
    form = ThresholdForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        anomalies.set_threshold(customer=customer, actor=person, now=timezone.now(), **form.cleaned_data)
        messages.success(request, _("Saved. It holds for days that are judged from now on."))
        return redirect("costs:customer", customer.pk)
    context = {"customer": customer, "form": form}
    return render(request, "costs/threshold.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def issue(request: HttpRequest, customer_id: int) -> HttpResponse:
    """Close a month by hand."""
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    person, month = person_of(request), asked_month(request)
    if not may_issue(person):
        raise PermissionDenied
    missing = issuing.lacking(customer, month)
    form = IssueForm(request.POST if request.method == "POST" else None, days_missing=bool(missing))
    if request.method == "POST" and form.is_valid():
        try:
            made = issuing.issue(customer=customer, month=month, actor=person, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("%(month)s is issued and stands.") % {"month": month})
            return redirect("costs:statement", made.pk)
    context = {"customer": customer, "month": month, "month_text": str(month), "form": form, "missing": missing}
    return render(request, "costs/issue.html", context, status=422 if form.errors else 200)


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What the asset cost, day by day."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    cost = by_resource.of_asset(asset, timezone.now())
    chart = cost and {
        "days": [day.isoformat()[5:] for day in cost.days],
        "stacks": [{"name": _("Cost, CNY"), "values": cost.values}],
    }
    proposals = SavingProposal.objects.filter(asset=asset).open()
    context = {
        "asset": asset,
        "cost": cost,
        "chart": chart,
        "chart_id": "cost-of-asset",
        "figures": cost and [(day, amount, None) for day, amount in zip(cost.days, cost.values, strict=True)],
        "proposals": proposals,
    }
    return render(request, "costs/_for_asset.html", context)


@require_safe
def for_account(request: HttpRequest, account_id: int) -> HttpResponse:
    """How the reading of an account's bills goes; what it lacks is a finding."""
    account = get_object_or_404(CloudAccount.objects, pk=account_id)
    days = BillDay.objects.filter(cloud_account=account)
    context = {
        "account": account,
        "reading": BillReading.objects.filter(cloud_account=account).first(),
        "known": days.read().count(),
        "planned": days.count(),
        "newest": days.read().order_by("-day").first(),
    }
    return render(request, "costs/_for_account.html", context)


def asked_month(request: HttpRequest) -> Month:
    """The month in the address; whatever else stands there means this one."""
    try:
        return Month.parse(request.GET.get("month", ""))
    except ValueError:
        return Month.of(settling.today(timezone.now()))


def months_of(shown: Month) -> list[Month]:
    """The months to choose from, newest first, the shown one among them."""
    today = Month.of(settling.today(timezone.now()))
    return sorted({shown, *(today.shifted(-back) for back in range(billing.MONTHS_BACK))}, reverse=True)


def _chart(customer: Customer, month: Month, view: figures.MonthView) -> dict[str, object]:
    """Days of the month by product, and the months before."""
    days = settling.days_of(month)
    names = figures.product_names(customer.pk, *settling.ends(month))
    stacks = figures.daily(customer.pk, days, names, _("Other"))
    return {
        "days": [str(day.day) for day in days],
        "stacks": [{"name": stack.name, "values": stack.values} for stack in stacks],
        "months": [str(one.month) for one in view.trend],
        "products": [
            {"name": one.name, "values": one.values, "ahead": one.ahead} for one in figures.monthly(view, _("Other"))
        ],
        "words": {"ahead": _("Forecast")},
    }


def _export_customers(rows: Sequence[figures.Standing], month: Month) -> HttpResponse:
    columns: dict[str, Callable[[figures.Standing], object]] = {
        _("Month"): lambda _row: str(month),
        _("Customer"): lambda row: row.customer.name,
        _("Cost, CNY"): lambda row: cents(row.total),
        _("Month before, CNY"): lambda row: cents(row.before),
        _("Days without a bill"): lambda row: row.missing,
    }
    return tables.export_csv(rows, columns, f"costs-{month}")


def _export_products(customer: Customer, view: figures.MonthView) -> HttpResponse:
    columns: dict[str, Callable[[figures.ProductRow], object]] = {
        _("Month"): lambda _row: str(view.month),
        _("Customer"): lambda _row: customer.name,
        _("Product"): lambda row: row.name,
        _("Resources"): lambda row: row.resources,
        _("Cost, CNY"): lambda row: cents(row.amount),
        _("Of it by use, CNY"): lambda row: cents(row.usage),
        _("Month before, CNY"): lambda row: cents(row.before),
        _("Forecast, CNY"): lambda row: cents(row.ahead.amount) if row.ahead else "",
        _("Forecast from, CNY"): lambda row: cents(row.ahead.low) if row.ahead else "",
        _("Forecast to, CNY"): lambda row: cents(row.ahead.high) if row.ahead else "",
        **{
            _("%(month)s, CNY") % {"month": one.month}: partial(_trend_cell, at=at) for at, one in enumerate(view.trend)
        },
        _("Days without a bill"): lambda _row: ", ".join(day.isoformat() for day in view.missing),
    }
    return tables.export_csv(view.products, columns, f"costs-{customer.code}-{view.month}")


def _trend_cell(row: figures.ProductRow, *, at: int) -> object:
    amount = row.trend[at]
    return "" if amount is None else cents(amount)


def _export_resources(
    customer: Customer, month: Month, rows: Sequence[by_resource.ResourceRow], missing: Sequence[date]
) -> HttpResponse:
    columns: dict[str, Callable[[by_resource.ResourceRow], object]] = {
        _("Month"): lambda _row: str(month),
        _("Customer"): lambda _row: customer.name,
        _("Product"): lambda row: row.product,
        _("Resource"): lambda row: row.name,
        _("Instance ID"): lambda row: row.instance_id,
        _("Charge"): lambda row: row.charges,
        _("Cost, CNY"): lambda row: cents(row.amount),
        _("Month before, CNY"): lambda row: cents(row.before),
        _("Days without a bill"): lambda _row: ", ".join(day.isoformat() for day in missing),
    }
    return tables.export_csv(rows, columns, f"costs-resources-{customer.code}-{month}")
