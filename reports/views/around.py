"""The pieces of other pages that show reports."""

from __future__ import annotations

import json
from typing import Final

from django.db.models import BooleanField, F, Func, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from assets.models import Asset
from incidents.models import IncidentAsset
from reports.models import AccidentReport, ServiceReport

OF_ASSET: Final = 6
LOOKED_THROUGH: Final = 24
"""So many of the customer's newest service reports are asked whether they name the asset: two years of the monthly."""


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """The accident reports of its incidents, and the service reports whose figures name it (R24)."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    incidents = IncidentAsset.objects.filter(asset=asset).values("incident_id")
    context = {
        "accidents": AccidentReport.objects.for_lists()
        .filter(incident__in=incidents)
        .order_by("-opened_at")[:OF_ASSET],
        "services": naming(asset)[:OF_ASSET],
    }
    return render(request, "reports/_for_asset.html", context)


def naming(asset: Asset) -> QuerySet[ServiceReport]:
    """Reports in whose figures the asset's name stands as a value of its own, the newest first."""
    newest = ServiceReport.objects.filter(customer=asset.customer_id).order_by("-ends_at", "-pk")[:LOOKED_THROUGH]
    names_it = Func(
        F("figures"),
        Func(Value("$.** ? (@ == $name)"), template="%(expressions)s::jsonpath"),
        Func(Value(json.dumps({"name": asset.name})), template="%(expressions)s::jsonb"),
        function="jsonb_path_exists",
        output_field=BooleanField(),
    )
    rows = ServiceReport.objects.for_lists().filter(pk__in=list(newest.values_list("pk", flat=True)))
    found: QuerySet[ServiceReport] = rows.filter(names_it).order_by("-ends_at", "-pk")
    return found
