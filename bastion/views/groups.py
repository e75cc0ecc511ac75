"""Resource groups: what is in them, who administers them, who was let to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.models import User
from accounts.numbers import row_numbers
from accounts.permissions import administers, can_write, is_administrator, is_provider, person_of, require
from accounts.refusals import in_form
from assets.models import Asset, Kind
from bastion.access_forms import GroupSettingsForm, NewGroupForm, PersonForm
from bastion.models import Grant, GroupAdministrator, GroupAsset, ResourceGroup
from bastion.permissions import administers_group, looked_after, may_be_let_in
from bastion.services import groups, ruling
from bastion.services.regimes import Said
from bastion.views.choosing import choose, customer_of, with_customers
from bastion.words import group_lines

SORT: Final[dict[str, tables.SortBy]] = {
    "name": ("name",),
    "customer": ("customer__name", "name"),
    "resources": ("-resources", "name"),
}


def _count(rows: QuerySet[Any]) -> Coalesce:
    """How many of these a group has, each asked by itself: joined they would multiply."""
    of_group = rows.filter(group=OuterRef("pk")).order_by().values("group")
    return Coalesce(Subquery(of_group.annotate(n=Count("pk")).values("n")), 0)


@require_safe
@require(can_write)
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    filters: dict[str, tables.Filter] = {"kind": tables.Choice(_("Kind"), ResourceGroup.Kind.choices, "kind")}
    filters = with_customers(request, filters)
    counted = groups.seen_by(person).annotate(
        resources=_count(GroupAsset.objects.all()),
        people=_count(GroupAdministrator.objects.all()),
        granted=_count(Grant.objects.filter(ended_at=None)),
    )
    page = tables.page(
        request, counted, sort=SORT, default="name", search=("name", "network", "description"), filters=filters
    )
    context = {"page": page, "shows_customer": is_provider(person), "may_make": is_administrator(person)}
    return render(request, "bastion/groups.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_administrator)
def create(request: HttpRequest) -> HttpResponse:
    customer = customer_of(request)
    if customer is None:
        return choose(request, _("New resource group"))
    form = NewGroupForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            group = groups.create(customer=customer, actor=person_of(request), now=timezone.now(), **form.cleaned_data)
            if group.kind == ResourceGroup.Kind.NETWORK:
                messages.success(request, _("The group is there, and what has an address there is in it."))
                return redirect("bastion:group", group.pk)
            messages.success(request, _("The group is there. Put resources into it."))
            return redirect("bastion:group-add", group.pk)
    context = {"form": form, "customer": customer}
    return render(request, "bastion/group_form.html", context, status=422 if form.errors else 200)


@require_safe
@require(can_write)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    group, person = _get(request, pk), person_of(request)
    page = tables.page(
        request,
        GroupAsset.objects.filter(group=group).select_related("asset", "added_by"),
        sort={"name": ("asset__name",), "added": "-added_at"},
        default="name",
        search=("asset__name", "asset__host", "asset__private_ip", "asset__public_ip"),
        filters={"kind": tables.Choice(_("Kind"), Kind.choices, "asset__kind")},
    )
    is_normal = group.kind == ResourceGroup.Kind.NORMAL
    may_change = administers(person, group.customer_id)
    theirs = looked_after(person).filter(asset__in=[row.asset_id for row in page.rows])
    administrators = list(group.administrators.select_related("person"))
    context = {
        "group": group,
        "page": page,
        "administrators": administrators,
        "unconfirmed": _answered_by_nobody(group, administrators) if may_change else set(),
        "grants": group.grants.in_force(timezone.now()).joined()[:100],
        "rules": ruling.seen_by(person).filter(group=group).order_by("position"),
        "may_fill": is_normal and administers_group(person, group),
        "may_change": may_change,
        "looked_after": set(theirs.values_list("asset", flat=True)),
        "may_retire": may_change and (is_normal or group.is_local),
        "limits": group_lines(Said.of(group)),
        "form": PersonForm(people=_candidates(group)) if may_change else None,
    }
    return render(request, "bastion/group.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_administrator)
def change(request: HttpRequest, pk: int) -> HttpResponse:
    group = _get(request, pk)
    form = GroupSettingsForm(request.POST if request.method == "POST" else None, group=group)
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            groups.change(group=group, actor=person_of(request), now=timezone.now(), **form.wanted())
            messages.success(request, _("Saved."))
            return redirect("bastion:group", group.pk)
    context = {"form": form, "group": group, "customer": group.customer}
    return render(request, "bastion/group_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_administrator)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    groups.retire(group=_get(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("The group is no longer in use. Its grants lead nowhere."))
    return redirect("bastion:groups")


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_write)
def add(request: HttpRequest, pk: int) -> HttpResponse:
    """Search the customer's resources and put the chosen ones in."""
    group, person = _get(request, pk), person_of(request)
    if not administers_group(person, group):
        raise PermissionDenied
    candidates = (
        Asset.objects.active()
        .filter(customer=group.customer_id)
        .exclude(pk__in=GroupAsset.objects.filter(group=group).values("asset"))
    )
    if request.method == "POST":
        chosen = list(candidates.filter(pk__in=_numbers(request)))
        groups.add(group=group, assets=chosen, actor=person, now=timezone.now())
        messages.success(request, _("Added: %(count)d.") % {"count": len(chosen)})
        return redirect("bastion:group", group.pk)
    page = tables.page(
        request,
        candidates,
        sort={"name": "name", "kind": ("kind", "name")},
        default="name",
        search=("name", "host", "private_ip", "public_ip", "role_text"),
        filters={"kind": tables.Choice(_("Kind"), Kind.choices, "kind")},
    )
    return render(request, "bastion/group_add.html", {"group": group, "page": page})


@require_POST
@require(can_write)
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    group, person = _get(request, pk), person_of(request)
    chosen = list(Asset.objects.filter(customer=group.customer_id, pk__in=_numbers(request)))
    groups.remove(group=group, assets=chosen, actor=person, now=timezone.now())
    messages.success(request, _("Taken out. Whoever was let in by the group alone is cut off."))
    return redirect("bastion:group", group.pk)


@require_POST
@require(is_administrator)
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    group = _get(request, pk)
    for asset in Asset.objects.filter(customer=group.customer_id, pk__in=_numbers(request)):
        groups.confirm(group=group, asset=asset, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Confirmed: whoever put it in looks after it as well."))
    return redirect("bastion:group", group.pk)


@require_POST
@require(is_administrator)
def name(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody administers it from now on."""
    group = _get(request, pk)
    form = PersonForm(request.POST, people=_candidates(group))
    if form.is_valid():
        person = form.cleaned_data["person"]
        groups.name_administrator(group=group, person=person, actor=person_of(request), now=timezone.now())
        messages.success(request, _("%(name)s administers the group.") % {"name": person.name})
    else:
        messages.error(request, _("Please choose a person."))
    return redirect("bastion:group", group.pk)


@require_POST
@require(is_administrator)
def dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    group = _get(request, pk)
    rows = GroupAdministrator.objects.select_related("person").filter(
        group=group, person__in=_numbers(request, "person")
    )
    for row in rows:
        groups.dismiss_administrator(group=group, person=row.person, actor=person_of(request), now=timezone.now())
        messages.success(request, _("%(name)s administers the group no more.") % {"name": row.person.name})
    return redirect("bastion:group", group.pk)


def _get(request: HttpRequest, pk: int) -> ResourceGroup:
    """404 for what is not there, or not for this person's eyes."""
    return get_object_or_404(groups.seen_by(person_of(request)), pk=pk)


def _answered_by_nobody(group: ResourceGroup, named: Iterable[GroupAdministrator]) -> set[int]:
    """Who does not look after what they put in themselves: an administrator may confirm it."""
    return {one.person_id for one in named if not administers(one.person, group.customer_id)}


def _candidates(group: ResourceGroup) -> QuerySet[User]:
    named = GroupAdministrator.objects.filter(group=group).values("person")
    return may_be_let_in(group.customer_id).exclude(pk__in=named)


def _numbers(request: HttpRequest, field: str = "asset") -> list[int]:
    return row_numbers(request.POST.getlist(field))
