"""Groups of assets: list, members, order, form."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from assets.models import Kind
from monitoring.models import (
    AssetGroup,
    RuleMacro,
    RuleOverride,
)
from monitoring.rule_forms import GroupForm
from monitoring.services import groups as groups_service
from monitoring.services import levels
from monitoring.views.rule_places import back_to, choose, frame, only_provider_posts, saved, wanted


@require_http_methods(["GET", "HEAD", "POST"])
def groups(request: HttpRequest) -> HttpResponse:
    """The groups of a customer, in the order in which they overrule each other, and the form for another."""
    customer = wanted(request)
    if customer is None:
        return choose(request, _("Asset groups"))
    form = GroupForm(request.POST or None, customer=customer)
    if request.method == "POST" and form.is_valid() and _save_group(request, customer, None, form):
        return back_to("groups", customer.pk)
    rows = list(AssetGroup.objects.filter(customer=customer))
    sizes = _sizes(customer)
    spoken = set(RuleOverride.objects.filter(customer=customer).exclude(group=None).values_list("group_id", flat=True))
    listed = [(row, sizes.get(row.pk, 0), row.pk in spoken, _kinds(row)) for row in rows]
    return render(request, "monitoring/groups.html", {"rows": listed, "form": form, **frame(request, customer)})


def _sizes(customer: Customer) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for ids in levels.groups_of_assets(customer).values():
        for group_id in ids:
            sizes[group_id] = sizes.get(group_id, 0) + 1
    return sizes


def _kinds(group: AssetGroup) -> str:
    return ", ".join(str(Kind(kind).label) for kind in group.kinds if kind in Kind.values)


@require_http_methods(["GET", "HEAD", "POST"])
def group(request: HttpRequest, pk: int) -> HttpResponse:
    """One group: who is in it, which rules speak of it, and its form."""
    row = get_object_or_404(AssetGroup.objects.select_related("customer"), pk=pk)
    only_provider_posts(request)
    form = GroupForm(request.POST or None, customer=row.customer, initial=GroupForm.initial_of(row))
    if request.method == "POST" and form.is_valid() and _save_group(request, row.customer, row, form):
        return redirect("monitoring:group", row.pk)
    context = {
        "group": row,
        "members": levels.members(row),
        "overrides": RuleOverride.objects.filter(group=row).select_related("changed_by"),
        "macros": RuleMacro.objects.filter(group=row),
        "history": row.history.select_related("history_user").order_by("-history_date")[:10],
        "form": form,
        **frame(request, row.customer),
    }
    return render(request, "monitoring/group.html", context)


def _save_group(request: HttpRequest, customer: Customer, row: AssetGroup | None, form: GroupForm) -> bool:
    data = form.cleaned_data
    save = partial(
        groups_service.save,
        customer=customer,
        group=row,
        name=data["name"],
        description=data["description"],
        tag=data["tag"],
        kinds=data["kinds"],
        assets=data["assets"],
        actor=person_of(request),
        now=timezone.now(),
    )
    return saved(request, form, save)


@require_POST
@require(is_provider)
def move_group(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(AssetGroup.objects.select_related("customer"), pk=pk)
    groups_service.move(group=row, up=request.POST.get("to") == "up", actor=person_of(request), now=timezone.now())
    return back_to("groups", row.customer_id)


@require_POST
@require(is_provider)
def remove_group(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(AssetGroup.objects.select_related("customer"), pk=pk)
    groups_service.remove(group=row, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed."))
    return back_to("groups", row.customer_id)
