"""The status page of the platform itself, for administrators and managers."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.permissions import is_manager, require
from monitoring.forms import WindowForm
from monitoring.services import graphs, platform


@require_safe
@require(is_manager)
def show(request: HttpRequest) -> HttpResponse:
    """Each part: how it is, since when, and what to do."""
    now = timezone.now()
    context = {
        "parts": platform.parts(now=now),
        "plots": platform.PLOTS,
        "troubles": platform.history(now=now),
        "ranges": list(graphs.RANGES),
        "range": graphs.DEFAULT_RANGE,
        "now": now,
    }
    fragment = request.headers.get("HX-Target") == "parts"
    return render(request, "monitoring/_platform_parts.html" if fragment else "monitoring/platform.html", context)


@require_safe
@require(is_manager)
def data(request: HttpRequest, figure: str) -> JsonResponse:
    """One figure of the last days."""
    plot = platform.PLOTS.get(figure)
    if plot is None:
        raise Http404
    form = WindowForm(request.GET)
    form.is_valid()
    view = graphs.window(form.cleaned_data.get("range", ""), None, None, now=timezone.now())
    response = JsonResponse(platform.plotted(figure, view))
    response["Cache-Control"] = "private, no-store"
    return response
