"""The overview wall: customers by kinds of assets for the service team, and every asset of one customer as a tile."""

from __future__ import annotations

from itertools import groupby

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import Customer
from accounts.permissions import is_provider, person_of
from assets.models import Asset, Kind
from monitoring import overview
from monitoring.models import Alert, Dashboard
from monitoring.overview import Tile
from monitoring.services import overview as service

ALERTS_SHOWN = 8


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The whole of what a person may see. The customer's people come to their own tiles."""
    person = person_of(request)
    if person.customer is not None:
        return _of_customer(request, person.customer)
    tiles = service.tiles(Asset.objects.active(), now=timezone.now())
    customers = {one.pk: one for one in Customer.objects.exclude(status=Customer.Status.LEFT)}
    table = overview.matrix(tiles, Kind.values)
    context = {
        "matrix": table,
        "kinds": [Kind(kind).label for kind in table.kinds],
        "rows": [
            (customers[row.customer_id], list(zip(table.kinds, row.cells, strict=True)), row)
            for row in table.rows
            if row.customer_id in customers
        ],
        "counts": service.counts(tiles),
        "alerts": Alert.objects.loud().select_related("asset", "customer").worst_first()[:ALERTS_SHOWN],
    }
    return render(request, "monitoring/wall.html", context)


@require_safe
def customer(request: HttpRequest, pk: int) -> HttpResponse:
    """The tiles of one customer."""
    return _of_customer(request, get_object_or_404(Customer.objects.all(), pk=pk))


def _of_customer(request: HttpRequest, customer: Customer) -> HttpResponse:
    wanted = request.GET.get("kind", "")
    assets = Asset.objects.active().filter(customer=customer)
    tiles = service.tiles(assets, now=timezone.now())
    shown = overview.worst_first(tile for tile in tiles if tile.kind == wanted or wanted not in Kind.values)
    context = {
        "customer": customer,
        "groups": _groups(shown),
        "kind": wanted if wanted in Kind.values else "",
        "kinds": [(kind.value, kind.label) for kind in Kind if any(tile.kind == kind for tile in tiles)],
        "counts": service.counts(shown),
        "total": len(shown),
        "alerts": Alert.objects.loud().filter(customer=customer).select_related("asset").worst_first()[:ALERTS_SHOWN],
        "dashboards": Dashboard.objects.present().filter(customer=customer),
        "shows_customer": is_provider(person_of(request)),
    }
    return render(request, "monitoring/wall_customer.html", context)


def _groups(tiles: list[Tile]) -> list[tuple[str, list[Tile]]]:
    """Tiles by kind, in the order of kinds, the worst of each kind first."""
    order = list(Kind.values)
    by_kind = sorted(tiles, key=lambda tile: order.index(tile.kind))
    return [(str(Kind(kind).label), list(some)) for kind, some in groupby(by_kind, key=lambda tile: tile.kind)]
