"""Exceptions of hardening: asked for, signed by the customer, ended."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.permissions import is_provider, person_of, require
from accounts.refusals import in_form
from bastion.hardening.catalogue import items
from bastion.hardening_forms import EndForm, ExceptionForm
from bastion.hardening_words import item_name
from bastion.models import HardeningException
from bastion.services.hardening import exceptions, reading
from bastion.views.choosing import with_customers
from bastion.views.hardening_form import form_page, form_view, get_item, posted
from changes.words import said


@form_view
@require(is_provider)
def ask(request: HttpRequest, asset_id: int, item: str) -> HttpResponse:
    """Ask the customer to accept that an item is not fulfilled."""
    asset, entry = get_object_or_404(reading.servers(), pk=asset_id), get_item(item)
    form = ExceptionForm.of(posted(request), timezone.now())
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            row = exceptions.ask(
                asset=asset,
                item=item,
                reason=form.cleaned_data["reason"],
                until=form.ends_at,
                actor=person_of(request),
                now=timezone.now(),
            )
            messages.success(request, _("The customer is asked to sign."))
            return redirect("bastion:hardening-exception", row.pk)
    back = reverse("bastion:hardening-server", args=[asset.pk])
    note = _("Until a named contact has signed, the item counts as not fulfilled.")
    title = _("Exception: %(item)s") % {"item": said(entry.name)}
    return form_page(request, form, title, _("Ask the customer"), back=back, note=note)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), HardeningException.State.choices, "state"),
        "item": tables.Choice(_("Item"), [(code, item_name(code)) for code in items()], "item"),
        "asset": "asset_id",
    }
    page = tables.page(
        request,
        HardeningException.objects.select_related("customer", "asset", "asked_by", "attestation__answer"),
        sort={"server": ("asset__name", "item"), "until": "until", "asked": "asked_at", "state": ("state", "until")},
        default="-asked",
        search=("asset__name", "reason", "customer__name"),
        filters=with_customers(request, filters),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {"page": page, "shows_customer": is_provider(person)}
    return render(request, "bastion/hardening_exceptions.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    rows = HardeningException.objects.select_related("customer", "asset", "asked_by", "ended_by", "attestation__answer")
    row = get_object_or_404(rows, pk=pk)
    is_open = row.state in (HardeningException.State.ASKED, HardeningException.State.ACCEPTED)
    context = {"exception": row, "item": items().get(row.item), "may_end": is_open and is_provider(person_of(request))}
    return render(request, "bastion/hardening_exception.html", context)


@form_view
@require(is_provider)
def end(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(HardeningException.objects.select_related("asset"), pk=pk)
    form = EndForm(posted(request))
    back = reverse("bastion:hardening-exception", args=[pk])
    if request.method == "POST" and form.is_valid():
        words = form.cleaned_data["words"]
        with in_form(form):
            exceptions.end(exception=row, words=words, actor=person_of(request), now=timezone.now())
            messages.success(request, _("Ended: the item counts again."))
            return redirect(back)
    return form_page(request, form, _("End the exception"), _("End it"), back=back)


def _export(page: tables.Page[HardeningException]) -> HttpResponse:
    columns: dict[str, Callable[[HardeningException], object]] = {
        _("Customer"): lambda one: one.customer.name,
        _("Server"): lambda one: one.asset.name,
        _("Item"): lambda one: item_name(one.item),
        _("Reason"): lambda one: one.reason,
        _("Until"): lambda one: one.until,
        _("State"): lambda one: one.get_state_display(),
        _("Signed by"): _signer,
    }
    return tables.export_csv(page.all(), columns, "hardening-exceptions")


def _signer(row: HardeningException) -> str:
    given = None if row.attestation is None else row.attestation.given
    return "" if given is None else given.signer_name
