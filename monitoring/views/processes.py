"""Which processes should run on a host, and how many."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import is_provider, person_of, require
from assets.models import Asset
from monitoring import wording
from monitoring.models import (
    ExpectedProcess,
    Series,
)
from monitoring.rule_forms import ProcessForm
from monitoring.services import processes
from monitoring.views.rule_places import frame, number_of, only_provider_posts, saved


@require_http_methods(["GET", "HEAD", "POST"])
def process_list(request: HttpRequest, asset_id: int) -> HttpResponse:
    """How many processes of which name should run on an asset."""
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=asset_id)
    only_provider_posts(request)
    edited = ExpectedProcess.objects.filter(asset=asset, pk=number_of(request.GET.get("edit"))).first()
    initial = {name: getattr(edited, name) for name in ProcessForm.base_fields} if edited else None
    form = ProcessForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid() and _expect(request, asset, form):
        return redirect("monitoring:processes", asset.pk)
    rows = ExpectedProcess.objects.filter(asset=asset).select_related("changed_by")
    counted = Series.objects.filter(asset=asset, metric="process.count").values_list("labels", flat=True)
    context = {
        "asset": asset,
        "rows": [(row, f'process="{row.name}"' in counted) for row in rows],
        "unnamed": [wording.labels_shown(one) for one in counted if one not in {f'process="{r.name}"' for r in rows}],
        "watch": processes.agent_watch(asset),
        "form": form,
        **frame(request, asset.customer),
    }
    return render(request, "monitoring/processes.html", context)


def _expect(request: HttpRequest, asset: Asset, form: ProcessForm) -> bool:
    save = partial(processes.expect, asset=asset, **form.cleaned_data, actor=person_of(request), now=timezone.now())
    return saved(request, form, save)


@require_POST
@require(is_provider)
def forget_process(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(ExpectedProcess.objects.select_related("customer"), pk=pk)
    asset_id = row.asset_id
    processes.forget(process=row, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed."))
    return redirect("monitoring:processes", asset_id)
