"""The graphs of an asset: the piece of the asset's page, the figures behind each graph, their export."""

from __future__ import annotations

import csv
import io

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.permissions import is_provider, person_of
from assets.models import Asset
from monitoring.collectors.config import Kind
from monitoring.models import Alert, Target
from monitoring.panels import Panel, panel
from monitoring.services import graphs, targets
from monitoring.services import marks as service_marks
from monitoring.views.windows import window_of


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What the asset's page shows of monitoring (R24): checks, open alerts, graphs."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    now = timezone.now()
    checks = list(Target.objects.watching(asset).for_lists())
    context = {
        "asset": asset,
        "checks": [(check, check.health(now)) for check in checks],
        "alerts": Alert.objects.filter(asset=asset).open().worst_first()[:10],
        "panels": graphs.panels_of(asset),
        "ranges": list(graphs.RANGES),
        "range": graphs.DEFAULT_RANGE,
        "may_change": is_provider(person_of(request)),
        "suggestions": [] if checks else targets.suggestions(asset),
        "has_state": any(check.kind == Kind.STATE for check in checks),
    }
    return render(request, "monitoring/_for_asset.html", context)


@require_safe
def data(request: HttpRequest, asset_id: int, panel_id: str) -> JsonResponse:
    """The figures of one graph."""
    asset, found = _panel(asset_id, panel_id)
    view, since = window_of(request)
    response = JsonResponse(graphs.graph(asset, found, view, since=since))
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
def marks(request: HttpRequest, asset_id: int) -> JsonResponse:
    """What else is drawn on the asset's graphs: events, maintenance, windows of quiet."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    view, _since = window_of(request)
    response = JsonResponse({"marks": [mark.as_json() for mark in service_marks.of_asset(asset, view)]})
    response["Cache-Control"] = "private, no-store"
    return response


@require_safe
def export(request: HttpRequest, asset_id: int, panel_id: str) -> HttpResponse:
    """Every point of one graph as CSV that spreadsheets open in Chinese."""
    asset, found = _panel(asset_id, panel_id)
    view, _since = window_of(request)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([_("Time"), _("Metric"), _("Of"), _("Value"), _("Unit")])
    writer.writerows([tables.cell(value) for value in row] for row in graphs.raw_rows(asset, found, view))
    response = HttpResponse("\ufeff" + buffer.getvalue(), content_type="text/csv; charset=utf-8")
    stamp = timezone.localtime(view.start).strftime("%Y%m%d-%H%M")
    response["Content-Disposition"] = f'attachment; filename="{asset.pk}-{found.id}-{stamp}.csv"'
    return response


def _panel(asset_id: int, panel_id: str) -> tuple[Asset, Panel]:
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    found = panel(panel_id)
    if found is None:
        raise Http404
    return asset, found
