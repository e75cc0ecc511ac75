"""Transfers of ownership at the end of an agreement: what was agreed, who signed it, what is done, what is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_manager, is_provider, person_of, require
from accounts.refusals import in_form
from changes.models import OwnershipTransfer, TransferMethod, TransferTrigger
from changes.ownership import Method, Trigger, steps_of
from changes.services import transferring
from changes.services.transferring import Agreed
from changes.words import said
from incidents.views.incident import asked_customer

SORT: Final[dict[str, tables.SortBy]] = {
    "created": "created_at",
    "customer": ("customer__name", "-created_at"),
    "state": ("state", "-created_at"),
    "kept": "erase_by",
}
LONG = forms.Textarea({"rows": 8})
form_view = require_http_methods(["GET", "HEAD", "POST"])


class TransferForm(forms.Form):
    trigger = forms.ChoiceField(label=gettext_lazy("Why"), choices=TransferTrigger.choices)
    method = forms.ChoiceField(label=gettext_lazy("Way"), choices=TransferMethod.choices, widget=forms.RadioSelect)
    recipient_name = forms.CharField(
        label=gettext_lazy("Taken over by"),
        max_length=120,
        help_text=gettext_lazy("The contact whom the customer has named in writing."),
    )
    recipient_email = forms.EmailField(label=gettext_lazy("Their e-mail"))
    agreed_with = forms.CharField(
        label=gettext_lazy("Agreed with"), max_length=120, help_text=gettext_lazy("The customer's project manager.")
    )
    details = forms.CharField(
        label=gettext_lazy("What exactly"),
        max_length=8000,
        widget=LONG,
        help_text=gettext_lazy("Accounts, resources, networks, days. The customer signs this text."),
    )

    def agreed(self) -> Agreed:
        given = dict(self.cleaned_data)
        return Agreed(method=Method(given.pop("method")), trigger=Trigger(given.pop("trigger")), **given)


class StepForm(forms.Form):
    evidence = forms.CharField(label=gettext_lazy("What shows it"), max_length=4000, widget=LONG)


class ErasureForm(forms.Form):
    words = forms.CharField(
        label=gettext_lazy("What was erased, and how you saw it"),
        max_length=4000,
        widget=LONG,
        help_text=gettext_lazy("This is the certificate of deletion. It cannot be taken back."),
    )


class CancelForm(forms.Form):
    words = forms.CharField(label=gettext_lazy("Why the agreement goes on"), max_length=300)


@dataclass(frozen=True)
class Press:
    """A button of a transfer that asks for words first."""

    form: type[forms.Form]
    title: str | Promise
    act: Callable[[OwnershipTransfer, str, User], object]


def _erase(transfer: OwnershipTransfer, words: str, actor: User) -> object:
    return transferring.erase(transfer=transfer, words=words, actor=actor, now=timezone.now())


def _cancel(transfer: OwnershipTransfer, words: str, actor: User) -> object:
    return transferring.cancel(transfer=transfer, reason=words, actor=actor, now=timezone.now())


PRESSES: Final[Mapping[str, Press]] = {
    "erase": Press(ErasureForm, gettext_lazy("Everything is erased"), _erase),
    "cancel": Press(CancelForm, gettext_lazy("Cancel the transfer"), _cancel),
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person, today = person_of(request), timezone.localdate()
    filters: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), OwnershipTransfer.State.choices, "state"),
        "method": tables.Choice(_("Way"), TransferMethod.choices, "method"),
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        filters = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **filters}
    page = tables.page(
        request,
        OwnershipTransfer.objects.for_lists(),
        sort=SORT,
        default="-created",
        search=("customer__name", "recipient_name", "details"),
        filters=filters,
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {
        "page": page,
        "shown": [(row, row.days_left(today)) for row in page.rows],
        "may_begin": is_manager(person),
        "shows_customer": is_provider(person),
    }
    return render(request, "changes/transfers.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    transfer, person, today = _get(pk), person_of(request), timezone.localdate()
    state, states = transfer.state, OwnershipTransfer.State
    progress = transferring.progress(transfer)
    left = transfer.days_left(today)
    context = {
        "transfer": transfer,
        "progress": progress,
        "signers": transferring.signers(transfer),
        "days_left": left,
        "attestations": [one for one in (transfer.authorisation, transfer.acceptance) if one is not None],
        "may_edit": is_manager(person) and state == states.DRAFT,
        "may_note": is_provider(person) and state == states.UNDER_WAY,
        "may_hand_over": is_manager(person) and state == states.UNDER_WAY and all(done for _step, done in progress),
        "may_erase": is_manager(person) and state == states.ACCEPTED and left is not None and left <= 0,
        "may_cancel": is_manager(person)
        and state in (states.DRAFT, states.AUTHORISING, states.UNDER_WAY)
        and not any(done for _step, done in progress),
    }
    return render(request, "changes/transfer.html", context)


@form_view
@require(is_manager)
def create(request: HttpRequest) -> HttpResponse:
    customer = asked_customer(request, person_of(request))
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    form = TransferForm(request.POST if request.method == "POST" else None, initial={"method": Method.ACCOUNT})
    if form.is_bound and form.is_valid():
        with in_form(form):
            made = transferring.draft(
                customer=customer, agreed=form.agreed(), actor=person_of(request), now=timezone.now()
            )
            return redirect("changes:transfer", made.pk)
    return _form(request, form, customer.name, "/changes/transfers/", _("Transfer of ownership"))


@form_view
@require(is_manager)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    transfer = _get(pk)
    initial = {name: getattr(transfer, name) for name in TransferForm.base_fields}
    form = TransferForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_bound and form.is_valid():
        with in_form(form):
            transferring.edit(transfer=transfer, agreed=form.agreed(), actor=person_of(request), now=timezone.now())
            return redirect("changes:transfer", pk)
    return _form(request, form, transfer.number, f"/changes/transfers/{pk}/", _("Transfer of ownership"))


@require_POST
@require(is_manager)
def ask(request: HttpRequest, pk: int) -> HttpResponse:
    return _do(request, pk, transferring.ask, _("The named contacts were asked to sign."))


@require_POST
@require(is_manager)
def hand_over(request: HttpRequest, pk: int) -> HttpResponse:
    return _do(request, pk, transferring.hand_over, _("The named contacts were asked to accept it."))


@form_view
@require(is_provider)
def step(request: HttpRequest, pk: int, code: str) -> HttpResponse:
    """What shows that one step is done."""
    transfer = _get(pk)
    meant = {one.code: one for one in steps_of(Method(transfer.method))}.get(code)
    if meant is None:
        return redirect("changes:transfer", pk)
    form = StepForm(request.POST if request.method == "POST" else None)
    form.fields["evidence"].help_text = said(meant.evidence)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data["evidence"]
        with in_form(form):
            transferring.note_step(
                transfer=transfer, code=code, evidence=given, actor=person_of(request), now=timezone.now()
            )
            return redirect("changes:transfer", pk)
    return _form(request, form, transfer.number, f"/changes/transfers/{pk}/", said(meant.name))


@form_view
@require(is_manager)
def press(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    transfer, pressed = _get(pk), PRESSES[name]
    form = pressed.form(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        with in_form(form):
            pressed.act(transfer, form.cleaned_data["words"], person_of(request))
            return redirect("changes:transfer", pk)
    return _form(request, form, transfer.number, f"/changes/transfers/{pk}/", str(pressed.title))


def _do(request: HttpRequest, pk: int, verb: Callable[..., object], done: str) -> HttpResponse:
    try:
        verb(transfer=_get(pk), actor=person_of(request), now=timezone.now())
    except DomainError as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, done)
    return redirect("changes:transfer", pk)


def _form(request: HttpRequest, form: forms.Form, about: str, back: str, title: str) -> HttpResponse:
    context = {"form": form, "about": about, "back": back, "title": title}
    return render(request, "changes/plain_form.html", context, status=422 if form.errors else 200)


def _get(pk: int) -> OwnershipTransfer:
    return get_object_or_404(OwnershipTransfer.objects.for_lists(), pk=pk)


def _export(page: tables.Page[OwnershipTransfer]) -> HttpResponse:
    columns: dict[str, Callable[[OwnershipTransfer], object]] = {
        _("Number"): lambda row: row.number,
        _("Customer"): lambda row: row.customer.name,
        _("Way"): lambda row: row.get_method_display(),
        _("State"): lambda row: row.get_state_display(),
        _("Taken over by"): lambda row: row.recipient_name,
        _("Transferred at"): lambda row: row.transferred_at,
        _("Accepted at"): lambda row: row.accepted_at,
        _("Kept until"): lambda row: row.erase_by,
        _("Erased at"): lambda row: row.erased_at,
    }
    return tables.export_csv(page.all(), columns, "transfers")
