"""Bringing a product of an asset under monitoring: choose, prepare, fill in, test, save; and changing it later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.permissions import is_provider, person_of, require
from assets.models import Asset
from monitoring.collectors.config import Kind
from monitoring.collectors.products import PRODUCTS
from monitoring.collectors.products.frame import Prerequisite, Product
from monitoring.models import CollectorKind, Target
from monitoring.models.target import ICONS
from monitoring.probe_forms import FORMS
from monitoring.product_forms import ProductForm
from monitoring.services import targets
from monitoring.views.trials import trial


@require_safe
@require(is_provider)
def choose(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What can be collected from an asset: what suits it first, then everything."""
    asset = get_object_or_404(Asset.objects.active(), pk=asset_id)
    suits = [product for product in PRODUCTS.values() if _suits(product, asset)]
    language = get_language() or "zh-hans"
    context = {
        "asset": asset,
        "suits": [(product, product.name(language)) for product in suits],
        "others": [(product, product.name(language)) for product in PRODUCTS.values() if product not in suits],
        "checks": [(kind, CollectorKind(kind).label, ICONS.get(kind, "activity")) for kind in FORMS],
        "instances": targets.middleware_instances(asset.customer),
        "quota": targets.middleware_quota(asset.customer, now=timezone.now()),
    }
    return render(request, "monitoring/product_choose.html", context)


def _suits(product: Product, asset: Asset) -> bool:
    """The product's usual port, or its name in the asset's."""
    said = f"{asset.name} {asset.details.get('product', '')}".lower()
    return asset.port == product.port or any(word in said for word in (product.slug, product.name_en.lower()))


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def create(request: HttpRequest, asset_id: int, product: str) -> HttpResponse:
    asset = get_object_or_404(Asset.objects.active(), pk=asset_id)
    chosen = _product(product)
    initial = {"host": _host(asset), "through": targets.usual_way(asset, Kind.PRODUCT, now=timezone.now())}
    form = ProductForm(request.POST or None, product=chosen, initial=initial)
    if request.method == "POST" and form.is_valid():
        target = targets.create_product(
            asset=asset,
            config=form.config,
            checks_port=form.cleaned_data["checks_port"],
            actor=person_of(request),
            now=timezone.now(),
            **common(form),
        )
        for text in targets.quota_warnings(target.customer, now=timezone.now()):
            messages.warning(request, text)
        return redirect("monitoring:target", target.pk)
    context = {"form": form, "asset": asset, **_onboarding(chosen)}
    return render(request, "monitoring/product_form.html", context, status=422 if form.errors else 200)


def change(request: HttpRequest, target: Target) -> HttpResponse:
    """The form of a product's target; `targets.edit` leads here."""
    chosen = target.product
    if chosen is None or target.asset is None:
        raise Http404
    initial = ProductForm.initial_of(target)
    form = ProductForm(request.POST or None, product=chosen, initial=initial, target=target)
    if request.method == "POST" and form.is_valid():
        targets.change(target=target, config=form.config, actor=person_of(request), now=timezone.now(), **common(form))
        messages.success(request, _("Saved. The next check is at once."))
        return redirect("monitoring:target", target.pk)
    context = {"form": form, "target": target, "asset": target.asset, **_onboarding(chosen)}
    return render(request, "monitoring/product_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def try_new(request: HttpRequest, asset_id: int, product: str) -> HttpResponse:
    """Test what the form holds, before it is saved."""
    asset = get_object_or_404(Asset.objects.active(), pk=asset_id)
    return _try(request, asset, ProductForm(request.POST, product=_product(product)), None)


@require_POST
@require(is_provider)
def try_changed(request: HttpRequest, pk: int) -> HttpResponse:
    """Test a change before it is saved. What is no product is tested as it is stored."""
    target = get_object_or_404(Target.objects.select_related("customer", "asset", "cloud_account"), pk=pk)
    if target.product is None or target.asset is None:
        outcome = targets.test_now(target=target, actor=person_of(request), now=timezone.now())
        return render(request, "monitoring/_trial.html", trial(outcome))
    return _try(request, target.asset, ProductForm(request.POST, product=target.product, target=target), target)


def _try(request: HttpRequest, asset: Asset, form: ProductForm, target: Target | None) -> HttpResponse:
    if not form.is_valid():
        return render(request, "monitoring/_trial_form.html", {"form": form})
    outcome = targets.try_before_saving(
        asset=asset,
        kind=Kind.PRODUCT,
        config=form.config,
        actor=person_of(request),
        now=timezone.now(),
        token=form.cleaned_data.get("token", ""),
        target=target,
        through=form.cleaned_data["through"],
    )
    return render(request, "monitoring/_trial.html", trial(outcome))


def common(form: ProductForm) -> dict[str, Any]:
    cleaned = form.cleaned_data
    return {name: cleaned.get(name, "") for name in ("name", "period_s", "token", "through")}


def _product(slug: str) -> Product:
    if slug not in PRODUCTS:
        raise Http404
    return PRODUCTS[slug]


def _host(asset: Asset) -> str:
    return str(asset.host or asset.private_ip or asset.public_ip or "")


def _onboarding(product: Product) -> dict[str, Any]:
    language = get_language() or "zh-hans"
    return {
        "product": product,
        "product_name": product.name(language),
        "steps": _steps(product.prerequisites, zh=language.startswith("zh")),
    }


def _steps(prerequisites: Sequence[Prerequisite], *, zh: bool) -> list[tuple[str, str]]:
    return [(one.zh if zh else one.en, one.code) for one in prerequisites]
