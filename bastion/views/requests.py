"""Requests for access: asked, decided, withdrawn."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.permissions import administers, can_write, is_provider, person_of, require
from accounts.refusals import in_form
from assets.models import Asset
from bastion.access_forms import RequestDecisionForm, RequestForm
from bastion.models import AccessRequest
from bastion.services import authorising, requesting
from bastion.services.requesting import Asked
from bastion.views.choosing import with_customers

MOST_WAITING: Final = 200
SORT: Final[dict[str, tables.SortBy]] = {
    "asked": "-asked_at",
    "person": ("person__name", "-asked_at"),
    "resource": ("asset__name", "-asked_at"),
}


@require_safe
@require(can_write)
def index(request: HttpRequest) -> HttpResponse:
    """One's own, and those that one may decide; what waits stands first."""
    person = person_of(request)
    seen = requesting.seen_by(person).joined()
    filters: dict[str, tables.Filter] = {"state": tables.Choice(_("State"), AccessRequest.State.choices, "state")}
    filters = with_customers(request, filters)
    page = tables.page(
        request,
        seen,
        sort=SORT,
        default="asked",
        search=("person__name", "asset__name", "account", "reason"),
        filters=filters,
    )
    waiting = requesting.waiting_for(person).joined()[:MOST_WAITING]
    context = {"page": page, "waiting": waiting, "shows_customer": is_provider(person), "now": timezone.now()}
    return render(request, "bastion/requests.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(can_write)
def ask(request: HttpRequest, pk: int) -> HttpResponse:
    """For a server, by one's own account there."""
    asset = get_object_or_404(Asset.objects.active().select_related("customer"), pk=pk)
    person = person_of(request)
    accounts = list(dict.fromkeys(row.username for row in authorising.known_accounts(person, [asset])[asset.pk]))
    form = RequestForm(request.POST if request.method == "POST" else None, accounts=accounts)
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            made = requesting.ask(person=person, asset=asset, asked=Asked(**form.cleaned_data), now=timezone.now())
            messages.success(request, _("Asked. Whoever looks after the server has been told."))
            return redirect("bastion:request", made.pk)
    context = {
        "asset": asset,
        "form": form,
        "accounts": accounts,
        "is_administrator": administers(person, asset.customer_id),
    }
    return render(request, "bastion/request_form.html", context, status=422 if form.errors else 200)


@require_safe
@require(can_write)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    asked = _get(request, pk)
    return _show(request, asked, RequestDecisionForm(asked=asked.minutes))


@require_POST
@require(can_write)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    asked, person = _get(request, pk), person_of(request)
    if not requesting.may_decide(person, asked):
        raise PermissionDenied
    form = RequestDecisionForm(request.POST, asked=asked.minutes)
    answer = request.POST.get("answer")
    if not form.is_valid() or answer not in ("yes", "no"):
        return _show(request, asked, form, status=422)
    said = {"request": asked, "words": form.cleaned_data["words"], "actor": person, "now": timezone.now()}
    with in_form(form):
        if answer == "yes":
            requesting.grant(minutes=form.cleaned_data["minutes"], **said)
            messages.success(request, _("Granted. The person has been told."))
        else:
            requesting.refuse(**said)
            messages.success(request, _("Refused. The person has been told."))
        return redirect("bastion:requests")
    return _show(request, asked, form, status=422)


@require_POST
@require(can_write)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    requesting.withdraw(request=_get(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Withdrawn."))
    return redirect("bastion:requests")


def _get(request: HttpRequest, pk: int) -> AccessRequest:
    return get_object_or_404(requesting.seen_by(person_of(request)).joined(), pk=pk)


def _show(request: HttpRequest, asked: AccessRequest, form: RequestDecisionForm, status: int = 200) -> HttpResponse:
    person, now = person_of(request), timezone.now()
    context = {
        "asked": asked,
        "form": form,
        "may_decide": asked.is_waiting and requesting.may_decide(person, asked),
        "is_mine": asked.person_id == person.pk,
        "is_in_force": asked.grant is not None and asked.grant.is_in_force(now),
    }
    return render(request, "bastion/request.html", context, status=status)
