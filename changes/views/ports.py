"""Which ports were closed, or are to be, on which server, and who confirmed it (R145)."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import can_write, is_provider, person_of
from changes.models import PORT_CLOSING, Change, ChangeAsset, ChangeState
from incidents.models import AttestationAnswer

SORT: dict[str, tables.SortBy] = {
    "server": ("asset__name", "-change__created_at"),
    "customer": ("customer__name", "asset__name"),
    "asked": "change__created_at",
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """A row for each server of each change that closes ports."""
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), ChangeState.choices, "change__state"),
        "confirmed": tables.Choice(_("Confirmed"), [("yes", _("signed")), ("no", _("not signed"))], _confirmed),
        "asset": "asset_id",
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        filters = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **filters}
    rows = ChangeAsset.objects.filter(change__operation=PORT_CLOSING)
    page = tables.page(
        request,
        rows.select_related("asset", "customer", "change__confirmation__answer__signer"),
        sort=SORT,
        default="server",
        search=("asset__name", "change__title", "customer__name", "change__fields__ports"),
        filters=filters,
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    shown = [(row, signed(row.change)) for row in page.rows]
    context = {"page": page, "shown": shown, "shows_customer": is_provider(person), "may_ask": can_write(person)}
    return render(request, "changes/ports.html", context)


def signed(change: Change) -> AttestationAnswer | None:
    """The signature that confirmed it, if there is one."""
    given = None if change.confirmation is None else change.confirmation.given
    return given if given is not None and given.outcome == AttestationAnswer.Outcome.SIGNED else None


def _confirmed(said: str) -> Q:
    is_signed = Q(change__confirmation__answer__outcome=AttestationAnswer.Outcome.SIGNED)
    return is_signed if said == "yes" else ~is_signed


def _export(page: tables.Page[ChangeAsset]) -> HttpResponse:
    def of_signature(read: Callable[[AttestationAnswer], object]) -> Callable[[ChangeAsset], object]:
        def value(row: ChangeAsset) -> object:
            given = signed(row.change)
            return "" if given is None else read(given)

        return value

    columns: dict[str, Callable[[ChangeAsset], object]] = {
        _("Customer"): lambda row: row.customer.name,
        _("Server"): lambda row: row.asset.name,
        _("Ports"): lambda row: row.change.fields.get("ports", ""),
        _("Why nobody needs them"): lambda row: row.change.fields.get("reason", ""),
        pgettext("noun", "Change"): lambda row: row.change.number,
        _("State"): lambda row: row.change.get_state_display(),
        _("Confirmed by"): of_signature(lambda given: given.signer_name),
        _("Confirmed at"): of_signature(lambda given: given.at),
    }
    return tables.export_csv(page.all(), columns, "ports")
