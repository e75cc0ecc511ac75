"""Backup policies: every asset that has backups, what was agreed for it, and whether the cloud does so."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from assets.models import Asset, Kind
from changes.backup_words import days_text, difference_text
from changes.forms import WEEKDAYS
from changes.models import BackupPolicy, BackupRecord
from changes.services import backup_policies

SORT: dict[str, tables.SortBy] = {
    "name": ("name", "pk"),
    "customer": ("customer__name", "name"),
    "state": ("backup_policy__state", "name"),
}
MISSING = "missing"
OF_ASSET = 8


class PolicyForm(forms.Form):
    days = forms.MultipleChoiceField(label=gettext_lazy("Days"), choices=WEEKDAYS, widget=forms.CheckboxSelectMultiple)
    hour = forms.TypedChoiceField(
        label=gettext_lazy("At what time"), coerce=int, choices=[(hour, f"{hour:02}:00") for hour in range(24)]
    )
    keep_days = forms.IntegerField(label=gettext_lazy("Kept for (days)"), min_value=1, max_value=3650)
    log_backup = forms.BooleanField(label=gettext_lazy("Log backup too"), required=False)
    by_hand = forms.CharField(
        label=gettext_lazy("How it is done by hand"),
        max_length=4000,
        required=False,
        widget=forms.Textarea({"rows": 4}),
        help_text=gettext_lazy("Commands, tools and where the files lie; other tools that were advised."),
    )


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        Asset.objects.active().filter(kind__in=backup_policies.KINDS).select_related("customer", "backup_policy"),
        sort=SORT,
        default="name",
        search=("name", "customer__name", "provider_id"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {"page": page, "shows_customer": is_provider(person), "may_record": is_provider(person)}
    return render(request, "changes/backups.html", context)


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What was agreed for one asset, whether the cloud does so, and the backups taken for its changes (R24)."""
    asset = get_object_or_404(Asset.objects.select_related("backup_policy"), pk=asset_id)
    taken = BackupRecord.objects.filter(asset=asset).select_related("change", "by").order_by("-taken_at", "-pk")
    context = {
        "asset": asset,
        "policy": getattr(asset, "backup_policy", None),
        "has_policies": asset.kind in backup_policies.KINDS,
        "may_record": is_provider(person_of(request)) and asset.retired_at is None,
        "backups": taken[:OF_ASSET],
    }
    return render(request, "changes/_backups_for_asset.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def record(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What was agreed for one asset."""
    asset = get_object_or_404(Asset.objects.active().filter(kind__in=backup_policies.KINDS), pk=asset_id)
    known = BackupPolicy.objects.filter(asset=asset).first()
    posted = request.POST if request.method == "POST" else None
    form = PolicyForm(posted, initial=_initial(known))
    if posted is not None and form.is_valid():
        given = form.cleaned_data
        days = [int(day) for day in given.pop("days")]
        backup_policies.record(asset=asset, days=days, actor=person_of(request), now=timezone.now(), **given)
        messages.success(request, _("Saved."))
        return redirect("changes:backups")
    context = {"form": form, "asset": asset}
    return render(request, "changes/backup_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def compare(request: HttpRequest, asset_id: int) -> HttpResponse:
    """Now, not only at night."""
    policy = get_object_or_404(BackupPolicy.objects, asset_id=asset_id)
    found = backup_policies.compare(policy_id=policy.pk, now=timezone.now())
    if found is None:
        raise DomainError(_("This backup is looked after by hand: there is nothing to compare."), code="by_hand")
    messages.success(request, f"{policy.asset}: {found.get_state_display()}")
    return redirect("changes:backups")


def _initial(known: BackupPolicy | None) -> dict[str, object]:
    if known is None:
        return {"days": [str(day) for day in range(7)], "hour": 2, "keep_days": 7}
    return {
        "days": [str(day) for day in known.days],
        "hour": known.hour,
        "keep_days": known.keep_days,
        "log_backup": known.log_backup,
        "by_hand": known.by_hand,
    }


def _filters(person: User) -> dict[str, tables.Filter]:
    states: list[tuple[object, tables.Text]] = [(MISSING, _("Nothing recorded")), *BackupPolicy.State.choices]
    kinds: list[tuple[object, tables.Text]] = [
        (kind, label) for kind, label in Kind.choices if kind in backup_policies.KINDS
    ]
    chosen: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), states, _with_state),
        "kind": tables.Choice(_("Kind"), kinds, "kind"),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _with_state(state: str) -> Q:
    return Q(backup_policy=None) if state == MISSING else Q(backup_policy__state=state)


def _policy(row: Asset) -> BackupPolicy | None:
    found: BackupPolicy | None = getattr(row, "backup_policy", None)
    return found


def _export(page: tables.Page[Asset]) -> HttpResponse:
    def of(read: Callable[[BackupPolicy], object]) -> Callable[[Asset], object]:
        def value(row: Asset) -> object:
            policy = _policy(row)
            return "" if policy is None else read(policy)

        return value

    columns: dict[str, Callable[[Asset], object]] = {
        _("Customer"): lambda row: row.customer.name,
        _("Asset"): lambda row: row.name,
        _("Kind"): lambda row: row.get_kind_display(),
        _("Days"): of(lambda policy: days_text(policy.days)),
        _("At what time"): of(lambda policy: f"{policy.hour:02}:00"),
        _("Kept for (days)"): of(lambda policy: policy.keep_days),
        _("Log backup too"): of(lambda policy: policy.log_backup),
        _("How it is done by hand"): of(lambda policy: policy.by_hand),
        _("State"): of(lambda policy: policy.get_state_display()),
        _("Differences"): of(lambda policy: "; ".join(map(difference_text, policy.differences))),
        _("Compared at"): of(lambda policy: policy.checked_at),
    }
    return tables.export_csv(page.all(), columns, "backups")
