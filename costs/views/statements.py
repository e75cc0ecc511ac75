"""Issued months: their lines, their fingerprint, what was said later, and the export that is passed on (R6, R138)."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.permissions import is_provider, person_of
from costs.models import BillDifference, Statement, StatementLine
from costs.services import issuing
from costs.views.filters import customer_filter

SORT: dict[str, tables.SortBy] = {
    "month": ("month", "customer__name"),
    "customer": ("customer__name", "-month"),
    "total": "total",
    "issued": "issued_at",
}
LINE_SORT: dict[str, tables.SortBy] = {
    "product": ("product_name", "-amount"),
    "resource": ("name", "instance_id"),
    "charge": ("charge", "-amount"),
    "amount": "amount",
}
SHOWN_DIFFERENCES = 50


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        Statement.objects.select_related("customer", "issued_by"),
        sort=SORT,
        default="-month",
        filters=customer_filter(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export_statements(page)
    context = {"page": page, "shows_customer": is_provider(person)}
    return render(request, "costs/statements.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    statement = get_object_or_404(Statement.objects.select_related("customer", "issued_by"), pk=pk)
    page = tables.page(
        request,
        StatementLine.objects.filter(statement=statement).select_related("cloud_account"),
        sort=LINE_SORT,
        default="-amount",
        search=("name", "instance_id", "product_name"),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export_lines(statement, page)
    differences = BillDifference.objects.filter(customer=statement.customer).of_month(statement.period)
    context = {
        "statement": statement,
        "page": page,
        "is_unchanged": issuing.is_unchanged(statement),
        "is_offboarding": statement.lines.filter(is_offboarding=True).exists(),
        "differences": differences[:SHOWN_DIFFERENCES],
        "difference_count": differences.count(),
    }
    return render(request, "costs/statement.html", context)


def _export_statements(page: tables.Page[Statement]) -> HttpResponse:
    columns: dict[str, Callable[[Statement], object]] = {
        _("Month"): lambda row: f"{row.month:%Y-%m}",
        _("Customer"): lambda row: row.customer.name,
        _("Total, CNY"): lambda row: row.total,
        _("Issued at"): lambda row: row.issued_at,
        _("Issued by"): lambda row: row.issued_by or "",
        _("Days without a bill"): lambda row: ", ".join(row.missing),
        _("Reason"): lambda row: row.reason,
        _("Fingerprint"): lambda row: row.digest,
    }
    return tables.export_csv(page.all(), columns, "cost-statements")


def _export_lines(statement: Statement, page: tables.Page[StatementLine]) -> HttpResponse:
    """With every decimal, so that the lines add up to the statement."""
    columns: dict[str, Callable[[StatementLine], object]] = {
        _("Month"): lambda _row: f"{statement.month:%Y-%m}",
        _("Customer"): lambda _row: statement.customer.name,
        _("Cloud account"): lambda row: row.cloud_account.name,
        _("Product"): lambda row: row.product_name,
        _("Resource"): lambda row: row.name,
        _("Instance ID"): lambda row: row.instance_id,
        _("Charge"): lambda row: row.get_charge_display(),
        _("Cost at Alibaba Cloud, CNY"): lambda row: row.cloud_cost,
        _("Mark-up, CNY"): lambda row: row.markup,
        _("Amount, CNY"): lambda row: row.amount,
        _("Was leaving when it was issued: passed on at cost"): lambda row: _("yes") if row.is_offboarding else "",
    }
    return tables.export_csv(page.all(), columns, f"cost-statement-{statement.customer.code}-{statement.month:%Y-%m}")
