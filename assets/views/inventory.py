"""The asset list and one asset's page, for both sides."""

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy, pgettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import person_of, require
from assets.forms import OwnerForm
from assets.models import Asset, AssetQuerySet, Environment, Kind
from assets.permissions import can_edit_assets, can_edit_owner
from assets.relations import around
from assets.services import exporting, inventory
from assets.services.relations import ties_of
from assets.words import tie_text

FOUND = 8
RELATED = 30
SEARCH = (
    "name", "provider_id", "host", "private_ip", "public_ip", "url", "owner_name", "role_text", "product", "engine",
    "customer__name",
)  # fmt: skip


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    page = tables.page(
        request,
        _rows(request.GET.get("show", "")).select_related("customer", "cloud_account"),
        sort={
            "name": "name",
            "kind": ("kind", "name"),
            "customer": ("customer__name", "name"),
            "region": ("region", "name"),
            "status": ("status", "name"),
            "expires": "expires_at",
            "owner": ("owner_name", "name"),
        },
        default="name",
        search=SEARCH,
        filters=_filters(),
        exports=True,
    )
    if tables.wants_csv(request):
        return tables.export_csv(page.all(), exporting.columns(get_language() or ""), "assets")
    context = {"page": page, "now": timezone.now(), "incomplete": Asset.objects.active().incomplete().count()}
    return render(request, "assets/list.html", context)


def _rows(show: str) -> AssetQuerySet:
    rows: AssetQuerySet = Asset.objects.all()
    match show:
        case "retired":
            return rows.retired()
        case "all":
            return rows
        case "expiring":
            return rows.expiring(timezone.now())
        case "missing":
            return rows.active().filter(owner_name="")
        case _:
            return rows.active()


def _filters() -> dict[str, tables.Filter]:
    regions = Asset.objects.exclude(region="").order_by("region").values_list("region", flat=True).distinct()
    customers = [(customer.pk, customer.short_name) for customer in Customer.objects.all()]
    filters: dict[str, tables.Filter] = {
        "kind": tables.Choice(_("Kind"), Kind.choices, "kind"),
        "status": tables.Choice(_("Status"), Asset.Status.choices, "status"),
        "environment": tables.Choice(_("Environment"), Environment.choices, "environment"),
        "region": tables.Choice(_("Region"), [(region, region) for region in regions], "region"),
        "show": tables.Choice(pgettext("list", "Show"), _SHOWN, lambda _show: Q()),
        "account": "cloud_account",
    }
    if len(customers) > 1:
        filters["customer"] = tables.Choice(_("Customer"), customers, "customer")
    return filters


_SHOWN = (
    ("expiring", gettext_lazy("expires within 30 days")),
    ("missing", gettext_lazy("owner missing")),
    ("retired", gettext_lazy("retired ones")),
    ("all", gettext_lazy("retired ones too")),
)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """The assets part of the search over everything, best eight."""
    rows: QuerySet[Asset] = Asset.objects.select_related("customer")
    words = request.GET.get("q", "").replace("\x00", "")[:100].split()[:8]
    for word in words:
        anywhere = Q()
        for name in SEARCH:
            anywhere |= Q(**{f"{name}__icontains": word})
        rows = rows.filter(anywhere)
    found = rows.order_by("retired_at", "name")[:FOUND] if words else []
    return render(request, "assets/_search.html", {"assets": found})


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    asset = get_object_or_404(Asset.objects.select_related("customer", "cloud_account"), pk=pk)
    person = person_of(request)
    context = {
        "asset": asset,
        "now": timezone.now(),
        "may_edit": can_edit_assets(person),
        "may_own": can_edit_owner(person),
        "related": _related(asset),
    }
    return render(request, "assets/asset.html", context)


def _related(asset: Asset) -> list[tuple[Asset, str]]:
    """What stands or falls with it: its host, what runs there, its balancer, its replicas; and how."""
    ties = around([asset.pk], ties_of(asset.customer_id))
    rows = Asset.objects.active().filter(pk__in=ties).order_by("kind", "name")[:RELATED]
    return [(other, tie_text(ties[other.pk][1])) for other in rows]


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_edit_owner)
def owner(request: HttpRequest, pk: int) -> HttpResponse:
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=pk)
    initial = {name: getattr(asset, name) for name in Asset.OWNER_FIELDS}
    form = OwnerForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        inventory.set_owner(assets=[asset], ownership=form.ownership(), actor=person_of(request), now=timezone.now())
        messages.success(request, _("Saved."))
        return redirect("assets:detail", pk)
    context = {"form": form, "title": _("Owner and role"), "asset": asset, "back": f"/assets/{pk}/"}
    return render(request, "assets/form.html", context)
