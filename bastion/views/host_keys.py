"""Host keys: those that are confirmed, and those that wait for somebody to compare them."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import User
from accounts.permissions import is_administrator, is_manager, is_provider, person_of, require
from accounts.refusals import in_form
from assets.models import SshAccess
from bastion.access_forms import DecisionForm
from bastion.models import HostKeySighting
from bastion.services import host_keys
from bastion.views.choosing import with_customers

SORT: Final[dict[str, tables.SortBy]] = {
    "name": ("asset__name",),
    "customer": ("customer__name", "asset__name"),
    "pinned": "-pinned_at",
}


def may_look(person: User) -> bool:
    """Administrators, and the provider's managers, who keep the ways to servers."""
    return is_administrator(person) or is_manager(person)


@require_safe
@require(may_look)
def index(request: HttpRequest) -> HttpResponse:
    """What waits, then every server's key as it is pinned."""
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        "pinned": tables.Choice(
            _("State"), [("1", _("confirmed")), ("0", _("not confirmed"))], lambda value: _is_pinned(value == "1")
        )
    }
    filters = with_customers(request, filters)
    page = tables.page(
        request,
        SshAccess.objects.filter(asset__retired_at=None).select_related("customer", "asset", "pinned_by"),
        sort=SORT,
        default="name",
        search=("asset__name", "host", "fingerprint"),
        filters=filters,
    )
    seen = host_keys.seen_by(person)
    context = {
        "page": page,
        "waiting": seen.filter(state="waiting")[:200],
        "rejected": seen.filter(state="rejected")[:50],
        "shows_customer": is_provider(person),
    }
    return render(request, "bastion/host_keys.html", context)


@require_safe
@require(may_look)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return _show(request, _get(request, pk), DecisionForm())


@require_POST
@require(may_look)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    sighting, form, answer = _get(request, pk), DecisionForm(request.POST), request.POST.get("answer")
    if not form.is_valid() or answer not in ("yes", "no"):
        return _show(request, sighting, form, status=422)
    said = {"words": form.cleaned_data["words"], "actor": person_of(request), "now": timezone.now()}
    with in_form(form):
        if answer == "yes":
            host_keys.confirm(sighting=sighting, **said)
            messages.success(request, _("Confirmed: no other host key is accepted."))
        else:
            host_keys.reject(sighting=sighting, **said)
            messages.success(request, _("Rejected: it stays shut out."))
        return redirect("bastion:host-keys")
    return _show(request, sighting, form, status=422)


def _get(request: HttpRequest, pk: int) -> HostKeySighting:
    return get_object_or_404(host_keys.seen_by(person_of(request)), pk=pk)


def _show(request: HttpRequest, sighting: HostKeySighting, form: DecisionForm, status: int = 200) -> HttpResponse:
    access = SshAccess.objects.filter(asset=sighting.asset_id).select_related("pinned_by").first()
    is_open = sighting.state in (HostKeySighting.State.WAITING, HostKeySighting.State.REJECTED)
    may_confirm = is_open and host_keys.may_confirm(person_of(request), sighting.customer_id)
    context = {"sighting": sighting, "access": access, "form": form, "may_confirm": may_confirm}
    return render(request, "bastion/host_key.html", context, status=status)


def _is_pinned(is_pinned: bool) -> Q:
    return ~Q(host_key="") if is_pinned else Q(host_key="")
