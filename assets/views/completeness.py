"""What the customer has not told us yet about its resources (R16), and filling it in for many at once."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts import tables
from accounts.models import Customer
from accounts.numbers import row_numbers
from accounts.permissions import person_of, require
from assets.forms import BulkOwnerForm
from assets.models import Asset, Kind
from assets.permissions import can_edit_owner
from assets.services import inventory

MOST_AT_ONCE = 200


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_edit_owner)
def index(request: HttpRequest) -> HttpResponse:
    form = BulkOwnerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        chosen = Asset.objects.filter(pk__in=_chosen(request))
        changed = inventory.set_owner(
            assets=chosen, ownership=form.ownership(), actor=person_of(request), now=timezone.now()
        )
        text = ngettext("%(count)d asset was changed.", "%(count)d assets were changed.", changed)
        messages.success(request, text % {"count": changed})
        return redirect(request.get_full_path())
    active = Asset.objects.active()
    context = {
        "page": _page(request),
        "bulk": form,
        "total": active.count(),
        "complete": active.count() - active.incomplete().count(),
        "chosen": _chosen(request),
    }
    return render(request, "assets/missing.html", context)


def _page(request: HttpRequest) -> tables.Page[Asset]:
    filters: dict[str, tables.Filter] = {"kind": tables.Choice(_("Kind"), Kind.choices, "kind")}
    customers = [(customer.pk, customer.short_name) for customer in Customer.objects.all()]
    if len(customers) > 1:
        filters["customer"] = tables.Choice(_("Customer"), customers, "customer")
    return tables.page(
        request,
        Asset.objects.active().incomplete().select_related("customer"),
        sort={"name": "name", "kind": ("kind", "name"), "customer": ("customer__name", "name")},
        default="kind",
        search=["name", "provider_id", "host", "customer__name"],
        filters=filters,
        size=MOST_AT_ONCE,
    )


def _chosen(request: HttpRequest) -> list[int]:
    return row_numbers(request.POST.getlist("asset")[:MOST_AT_ONCE])
