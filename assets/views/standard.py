"""The account standard per server, and the accounts of one asset as a fragment of its page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from assets.account_standard import STANDARD
from assets.credential_forms import kinds_of
from assets.models import Asset, Credential, Kind
from assets.permissions import can_manage_credentials
from assets.services import standard


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    rows = Asset.objects.active().filter(kind__in=(Kind.ECS, Kind.SERVER), os=Asset.Os.LINUX)
    customers = [(customer.pk, customer.short_name) for customer in Customer.objects.all()]
    page = tables.page(
        request,
        rows.select_related("customer"),
        sort={"name": "name", "customer": ("customer__name", "name")},
        default="customer",
        search=["name", "host", "private_ip", "public_ip", "customer__name"],
        filters={"customer": tables.Choice(_("Customer"), customers, "customer")},
    )
    context = {"page": page, "servers": standard.servers(page.rows), "standard": STANDARD}
    return render(request, "assets/account_standard.html", {**context, "menu_path": reverse("assets:credentials")})


@require_safe
def of_asset(request: HttpRequest, pk: int) -> HttpResponse:
    """For both sides: that an account exists and how old its secret is; never the secret."""
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=pk)
    person = person_of(request)
    rows = list(Credential.objects.in_use().filter(asset=asset))
    server = standard.servers([asset])[0]
    may_manage = can_manage_credentials(person) and asset.retired_at is None
    context = {
        "asset": asset,
        "rows": rows,
        "server": server,
        "now": timezone.now(),
        "kinds": kinds_of(asset) if may_manage else (),
        "is_of_provider": is_provider(person),
        "may_ssh": may_manage and asset.kind in (Kind.ECS, Kind.SERVER),
    }
    return render(request, "assets/_accounts.html", context)
