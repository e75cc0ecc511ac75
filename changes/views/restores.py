"""Restores of the four kinds, and the temporary instances that are left of them."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import can_write, is_provider, person_of, require
from assets.models import Asset
from changes.catalogue import operations
from changes.models import Change, ChangeState, DutyOccurrence, TemporaryInstance
from changes.services import restores
from changes.views.pages import get_change
from changes.words import said

SORT: dict[str, tables.SortBy] = {
    "created": "created_at",
    "customer": ("customer__name", "-created_at"),
    "state": ("state", "-created_at"),
    "expires": "temporary_instances__expires_at",
}
STANDING = "standing"
OF_ASSET = 8


class InstanceForm(forms.Form):
    """What the restore brought up."""

    name = forms.CharField(label=gettext_lazy("Name or ID of the temporary instance"), max_length=120)
    address = forms.CharField(label=gettext_lazy("Address"), max_length=253, required=False)
    restore_minutes = forms.IntegerField(
        label=gettext_lazy("Restored within (minutes)"), min_value=1, max_value=100_000, required=False
    )

    def __init__(self, *args: object, change: Change, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.fields["source"] = forms.ModelChoiceField(
            change.assets.all(), label=gettext_lazy("Restored from"), empty_label=None
        )


class ExtensionForm(forms.Form):
    days = forms.IntegerField(
        label=gettext_lazy("Days more"), min_value=1, max_value=restores.MOST_EXTENSION_DAYS, initial=7
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=300)


class GoneForm(forms.Form):
    words = forms.CharField(label=gettext_lazy("How you saw that it is gone"), max_length=300)


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """The restores of one asset with what they brought up, and the drills that proved its backups (R24)."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    rows = Change.objects.touching([asset.pk]).filter(operation__in=restores.KINDS).for_lists()
    drills = DutyOccurrence.objects.filter(change__touched__asset=asset).exclude(result="").for_lists()
    context = {
        "changes": rows.prefetch_related("temporary_instances").order_by("-created_at", "-pk")[:OF_ASSET],
        "drills": drills.order_by("-done_at", "-pk")[:OF_ASSET],
    }
    return render(request, "changes/_restores_for_asset.html", context)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every restore in reach, with what it left."""
    person, now = person_of(request), timezone.now()
    instances = TemporaryInstance.objects.order_by("expires_at")
    rows = Change.objects.filter(operation__in=restores.KINDS).for_lists()
    page = tables.page(
        request,
        rows.prefetch_related(Prefetch("temporary_instances", queryset=instances)),
        sort=SORT,
        default="-created",
        search=("title", "assets__name", "customer__name", "temporary_instances__name"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    late = TemporaryInstance.objects.standing().filter(expires_at__lte=now).for_lists()
    context = {
        "page": page,
        "late": late,
        "now": now,
        "kinds": [operations()[code] for code in restores.KINDS],
        "may_ask": can_write(person),
        "shows_customer": is_provider(person),
    }
    return render(request, "changes/restores.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    instance, person = _get(pk), person_of(request)
    context = {
        "instance": instance,
        "extensions": instance.extensions.select_related("by"),
        "is_overdue": instance.is_overdue(timezone.now()),
        "may_extend": can_write(person) and instance.state != TemporaryInstance.State.RELEASED,
        "may_release": is_provider(person) and instance.state != TemporaryInstance.State.RELEASED,
        "may_draft": is_provider(person) and restores.may_draft_release(instance),
        "release_begun": instance.release is not None and instance.release.state in restores.BEGUN,
    }
    return render(request, "changes/temporary_instance.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def record(request: HttpRequest, pk: int) -> HttpResponse:
    """The temporary instance that a change brought up."""
    change = get_change(pk)
    form = InstanceForm(request.POST if request.method == "POST" else None, change=change)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            made = restores.record(change=change, actor=person_of(request), now=timezone.now(), **given)
        except DomainError as refused:
            form.add_error(None, refused.message)
        else:
            return redirect("changes:temporary-instance", made.pk)
    return _form(request, form, change.number, f"/changes/{change.pk}/", _("Write the temporary instance down"))


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_write)
def extend(request: HttpRequest, pk: int) -> HttpResponse:
    instance = _get(pk)
    form = ExtensionForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            restores.extend(instance=instance, actor=person_of(request), now=timezone.now(), **form.cleaned_data)
        except DomainError as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, _("Kept for longer."))
            return redirect("changes:temporary-instance", pk)
    return _form(request, form, instance.name, f"/changes/restores/{pk}/", _("Keep it for longer"))


@require_POST
@require(is_provider)
def draft_release(request: HttpRequest, pk: int) -> HttpResponse:
    change = restores.draft_release(instance=_get(pk), actor=person_of(request), now=timezone.now())
    return redirect("changes:detail", change.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def gone(request: HttpRequest, pk: int) -> HttpResponse:
    instance = _get(pk)
    form = GoneForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            restores.note_release(instance=instance, actor=person_of(request), now=timezone.now(), **form.cleaned_data)
        except DomainError as refused:
            form.add_error(None, refused.message)
        else:
            return redirect("changes:temporary-instance", pk)
    return _form(request, form, instance.name, f"/changes/restores/{pk}/", _("It is released"))


def _form(request: HttpRequest, form: forms.Form, about: str, back: str, title: str) -> HttpResponse:
    context = {"form": form, "about": about, "back": back, "title": title}
    return render(request, "changes/plain_form.html", context, status=422 if form.errors else 200)


def _get(pk: int) -> TemporaryInstance:
    return get_object_or_404(TemporaryInstance.objects.for_lists(), pk=pk)


def _filters(person: User) -> dict[str, tables.Filter]:
    kinds = [(code, said(operations()[code].name)) for code in restores.KINDS]
    instances: list[tuple[object, tables.Text]] = [(STANDING, _("still there")), *TemporaryInstance.State.choices]
    chosen: dict[str, tables.Filter] = {
        "kind": tables.Choice(_("Kind"), kinds, "operation"),
        "state": tables.Choice(_("State"), ChangeState.choices, "state"),
        "instance": tables.Choice(_("Temporary instance"), instances, _with_instance),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _with_instance(state: str) -> Q:
    rows = TemporaryInstance.objects.standing() if state == STANDING else TemporaryInstance.objects.filter(state=state)
    return Q(pk__in=rows.values("change_id"))


def _export(page: tables.Page[Change]) -> HttpResponse:
    def names(row: Change) -> str:
        return ", ".join(one.name for one in row.temporary_instances.all())

    columns: dict[str, Callable[[Change], object]] = {
        _("Number"): lambda row: row.number,
        _("Customer"): lambda row: row.customer.name,
        _("Kind"): lambda row: said(operations()[row.operation].name),
        _("Assets"): lambda row: ", ".join(asset.name for asset in row.assets.all()),
        _("Backup or moment"): lambda row: row.fields.get("backup") or row.fields.get("moment") or "",
        _("State"): lambda row: row.get_state_display(),
        _("Temporary instance"): names,
        _("Expires at"): lambda row: ", ".join(
            f"{timezone.localtime(one.expires_at):%Y-%m-%d}" for one in row.temporary_instances.all()
        ),
        _("Released at"): lambda row: ", ".join(
            f"{timezone.localtime(one.released_at):%Y-%m-%d}"
            for one in row.temporary_instances.all()
            if one.released_at
        ),
        _("Restored within (minutes)"): lambda row: ", ".join(
            str(one.restore_minutes) for one in row.temporary_instances.all() if one.restore_minutes
        ),
    }
    return tables.export_csv(page.all(), columns, "restores")
