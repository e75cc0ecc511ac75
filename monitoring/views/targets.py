"""Targets: the list with how collecting goes, one target, its forms and verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import is_admin, is_provider, person_of, require
from assets.models import Asset, CloudAccount
from monitoring.forms import InternalForm
from monitoring.models import CollectorKind, Health, Target, Through
from monitoring.probe_forms import FORMS, form_for
from monitoring.problems import fact_text, problem_text
from monitoring.services import node_checks, targets
from monitoring.views import products
from monitoring.views.trials import trial

SORT: dict[str, tables.SortBy] = {
    "name": "name",
    "customer": ("customer__name", "name"),
    "kind": ("kind", "name"),
    "result": "last_ok_at",
    "problem": ("problem_since", "name"),
    "took": "last_duration_ms",
}
BY_HEALTH = {
    "failing": Q(is_enabled=True) & ~Q(problem_code=""),
    "working": Q(is_enabled=True, problem_code=""),
    "off": Q(is_enabled=False),
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All targets in reach, or their rows for the browser that refreshes itself."""
    person = person_of(request)
    page = tables.page(
        request,
        Target.objects.for_lists(),
        sort=SORT,
        default="-problem",
        search=["name", "asset__name", "customer__name", "key"],
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return tables.export_csv(page.all(), _columns(), "targets")
    now = timezone.now()
    context = {
        "page": page,
        "rows": [(target, target.health(now)) for target in page.rows],
        "failing": Target.objects.failing().count(),
        "late": Target.objects.late(now).count(),
        "shows_customer": is_provider(person),
        "may_change": is_provider(person),
    }
    fragment = request.headers.get("HX-Target") == "targets"
    return render(request, "monitoring/_target_rows.html" if fragment else "monitoring/target_list.html", context)


def _filters(person: User) -> dict[str, tables.Filter]:
    health = [("failing", Health.FAILING.label), ("working", Health.OK.label), ("off", Health.DISABLED.label)]
    found: dict[str, tables.Filter] = {
        "kind": tables.Choice(_("Collector"), CollectorKind.choices, "kind"),
        "health": tables.Choice(_("Health"), health, lambda value: BY_HEALTH[value]),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        found["customer"] = tables.Choice(_("Customer"), customers, "customer_id")
    return found


def _columns() -> dict[str, Callable[[Target], object]]:
    now = timezone.now()
    return {
        _("Name"): lambda row: row.name,
        _("Customer"): lambda row: row.customer.name,
        _("Collector"): lambda row: row.collector_name,
        _("Address"): lambda row: row.where,
        _("Every, seconds"): lambda row: row.period_s,
        _("Health"): lambda row: row.health(now).label,
        _("Last result"): lambda row: row.last_ok_at,
        _("Problem"): lambda row: problem_text(row.problem_code) if row.problem_code else "",
    }


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    target = get_object_or_404(Target.objects.select_related("customer", "asset", "cloud_account"), pk=pk)
    person, now = person_of(request), timezone.now()
    carrier = node_checks.carrier_of(target.customer_id, now=now) if target.through == Through.NODE else None
    return render(
        request,
        "monitoring/target_detail.html",
        {
            "target": target,
            "health": target.health(now),
            "problem": problem_text(target.problem_code) if target.problem_code else "",
            "may_change": is_provider(person),
            "may_allow": is_admin(person),
            "quota": targets.quota_warnings(target.customer, now=now),
            "carrier": carrier,
            "is_carrier_silent": carrier is not None and carrier.is_silent(now),
            "facts": [(fact_text(name), text) for name, text in target.facts.items()],
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def create(request: HttpRequest, asset_id: int, kind: str) -> HttpResponse:
    """A new target of an asset; the fields start with what is known of the asset."""
    asset = get_object_or_404(Asset.objects.active(), pk=asset_id)
    form_class = FORMS.get(kind)  # type: ignore[call-overload]  # a text that is no kind is simply not there
    if form_class is None:
        raise Http404
    suggested = next((dict(one.config) for one in targets.suggestions(asset) if one.kind == kind), {})
    initial = suggested or {"host": asset.host or asset.public_ip}
    initial["through"] = targets.usual_way(asset, kind, now=timezone.now())
    form = form_class(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        target = targets.create(
            asset=asset, kind=kind, config=form.config, actor=person_of(request), now=timezone.now(), **_common(form)
        )
        _say_quota(request, target)
        return redirect("monitoring:target", target.pk)
    context = {"form": form, "asset": asset, "kind": CollectorKind(kind)}
    return render(request, "monitoring/target_form.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    target = get_object_or_404(Target.objects.for_lists(), pk=pk)
    if target.product is not None:
        return products.change(request, target)
    form_class = form_for(target.kind)
    form = form_class(request.POST or None, initial=form_class.initial_of(target), target=target)
    if request.method == "POST" and form.is_valid():
        targets.change(target=target, config=form.config, actor=person_of(request), now=timezone.now(), **_common(form))
        messages.success(request, _("Saved. The next check is at once."))
        return redirect("monitoring:target", target.pk)
    context = {"form": form, "target": target, "asset": target.asset, "kind": CollectorKind(target.kind)}
    return render(request, "monitoring/target_form.html", context, status=422 if form.errors else 200)


def _common(form: Any) -> dict[str, Any]:
    cleaned = form.cleaned_data
    return {name: cleaned.get(name, "") for name in ("name", "period_s", "token", "through")}


def _say_quota(request: HttpRequest, target: Target) -> None:
    for text in targets.quota_warnings(target.customer, now=timezone.now()):
        messages.warning(request, text)


@require_POST
@require(is_provider)
def try_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Run the collector once and say what came of it."""
    target = get_object_or_404(Target.objects.select_related("customer", "cloud_account"), pk=pk)
    outcome = targets.test_now(target=target, actor=person_of(request), now=timezone.now())
    return render(request, "monitoring/_trial.html", trial(outcome))


@require_POST
@require(is_provider)
def switch(request: HttpRequest, pk: int, *, enabled: bool) -> HttpResponseRedirect:
    target = get_object_or_404(Target.objects, pk=pk)
    targets.set_enabled(target=target, enabled=enabled, actor=person_of(request), now=timezone.now())
    return redirect("monitoring:target", target.pk)


@require_POST
@require(is_admin)
def internal(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    target = get_object_or_404(Target.objects, pk=pk)
    form = InternalForm(request.POST)
    if not form.is_valid():
        raise PermissionDenied
    targets.set_internal(target=target, actor=person_of(request), now=timezone.now(), **form.cleaned_data)
    return redirect("monitoring:target", target.pk)


@require_POST
@require(is_provider)
def remove(request: HttpRequest, pk: int) -> HttpResponseRedirect:
    target = get_object_or_404(Target.objects, pk=pk)
    asset_id = target.asset_id
    targets.remove(target=target, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed. The figures collected so far stay."))
    return redirect(reverse("assets:detail", args=[asset_id]) if asset_id else reverse("monitoring:targets"))


@require_POST
@require(is_provider)
def suggest(request: HttpRequest, asset_id: int) -> HttpResponseRedirect:
    """Create the targets that suit an asset."""
    asset = get_object_or_404(Asset.objects.active(), pk=asset_id)
    created = targets.create_defaults(asset=asset, actor=person_of(request), now=timezone.now())
    for target in created[:1]:
        _say_quota(request, target)
    return redirect("assets:detail", asset.pk)


@require_POST
@require(is_provider)
def suggest_for_account(request: HttpRequest, account_id: int) -> HttpResponseRedirect:
    """Create the CloudMonitor targets of a cloud account."""
    account = get_object_or_404(CloudAccount.objects.existing(), pk=account_id)
    created = targets.create_for_account(account=account, actor=person_of(request), now=timezone.now())
    messages.success(request, _("%(count)d namespaces are collected from now on.") % {"count": len(created)})
    return redirect(f"{reverse('monitoring:targets')}?q={account.name}")
