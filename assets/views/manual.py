"""Assets that people write down: adding, editing, caring for, retiring."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import person_of, require
from assets.forms import AssetForm
from assets.models import MANUAL_KINDS, Asset, Kind
from assets.permissions import can_edit_assets
from assets.services import inventory

form_view = require_http_methods(["GET", "HEAD", "POST"])


@form_view
@require(can_edit_assets)
def create(request: HttpRequest) -> HttpResponse:
    kind = request.GET.get("kind", "")
    if kind not in MANUAL_KINDS:
        return render(request, "assets/new.html", {"kinds": MANUAL_KINDS})
    form = AssetForm(request.POST or None, kind=kind)
    if request.method == "POST" and form.is_valid():
        try:
            asset = inventory.create_manual(
                customer=form.cleaned_data["customer"],
                facts=form.facts(),
                actor=person_of(request),
                now=timezone.now(),
            )
        except ValidationError as problem:
            form.take_errors(problem)
        else:
            messages.success(request, _("The asset is there. Next: say how it is monitored."))
            return redirect("assets:detail", asset.pk)
    title = _("New asset: %(kind)s") % {"kind": Kind(kind).label}
    return render(request, "assets/form.html", {"form": form, "title": title, "back": "/assets/"})


@form_view
@require(can_edit_assets)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=pk)
    if not asset.is_manual:
        raise Http404
    form = AssetForm(request.POST or None, kind=asset.kind, asset=asset)
    if request.method == "POST" and form.is_valid():
        try:
            inventory.update_manual(asset=asset, facts=form.facts(), actor=person_of(request), now=timezone.now())
        except ValidationError as problem:
            form.take_errors(problem)
        else:
            messages.success(request, _("Saved."))
            return redirect("assets:detail", pk)
    context = {"form": form, "title": _("Edit asset"), "asset": asset, "back": f"/assets/{pk}/"}
    return render(request, "assets/form.html", context)


@require_POST
@require(can_edit_assets)
def care(request: HttpRequest, pk: int) -> HttpResponse:
    asset = get_object_or_404(Asset.objects, pk=pk)
    inventory.set_care(
        asset=asset,
        hardened="hardened" in request.POST,
        monitored="monitored" in request.POST,
        actor=person_of(request),
        now=timezone.now(),
    )
    messages.success(request, _("Saved."))
    return redirect("assets:detail", pk)


@require_POST
@require(can_edit_assets)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    asset = get_object_or_404(Asset.objects, pk=pk)
    inventory.retire_manual(asset=asset, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Retired. Its history stays."))
    return redirect("assets:detail", pk)


@require_POST
@require(can_edit_assets)
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    asset = get_object_or_404(Asset.objects, pk=pk)
    inventory.restore_manual(asset=asset, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The asset is back."))
    return redirect("assets:detail", pk)
