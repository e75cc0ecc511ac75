"""Proposals to save: the list, one with its evidence, and what each side does with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from assets.models import Asset
from costs.forms import AcceptForm, FinishForm, ProposalForm, RejectForm
from costs.models import BillReading, ProposalKind, ProposalState, SavingProposal
from costs.money import cents
from costs.permissions import may, may_propose, offered
from costs.services import deciding
from costs.states import Verb
from costs.views.filters import customer_filter
from incidents.models import AnnouncementCopy
from monitoring.panels import PANEL_OF, Panel, panel

SORT: dict[str, tables.SortBy] = {
    "proposed": "proposed_at",
    "title": "title",
    "kind": ("kind", "-monthly"),
    "customer": ("customer__name", "-proposed_at"),
    "saving": "monthly",
    "state": ("state", "-monthly"),
}


@dataclass(frozen=True)
class Press:
    """What is asked before a verb, and what it does."""

    title: str | Promise
    button: str | Promise
    done: str | Promise
    form: type[forms.Form]
    act: Callable[..., SavingProposal]


PRESSES: Mapping[Verb, Press] = {
    Verb.ACCEPT: Press(
        gettext_lazy("Accept the proposal"), gettext_lazy("Accept"), gettext_lazy("Accepted. The engineers are told."),
        AcceptForm, deciding.accept,
    ),
    Verb.REJECT: Press(
        gettext_lazy("Reject the proposal"), gettext_lazy("Reject"), gettext_lazy("Rejected. The engineers are told."),
        RejectForm, deciding.reject,
    ),
    Verb.FINISH: Press(
        gettext_lazy("It is done"), gettext_lazy("It is done"),
        gettext_lazy("Done. From tomorrow on the bills show what it saves."), FinishForm, deciding.finish,
    ),
    Verb.REOPEN: Press(
        gettext_lazy("Think about it again"), gettext_lazy("Think about it again"), gettext_lazy("Proposed again."),
        forms.Form, deciding.reopen,
    ),
}  # fmt: skip


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        SavingProposal.objects.for_lists(),
        sort=SORT,
        default="-proposed",
        search=("title", "text", "instance_id", "asset__name"),
        filters={
            **customer_filter(person),
            "state": tables.Choice(_("State"), ProposalState.choices, "state"),
            "kind": tables.Choice(_("Kind"), ProposalKind.choices, "kind"),
            "asset": "asset",
        },
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    readings = BillReading.objects.exclude(unjudged=[]).filter(cloud_account__retired_at=None)
    if page.filters.get("customer"):
        readings = readings.filter(customer=int(page.filters["customer"]))
    unjudged = [one for reading in readings for one in reading.unjudged]
    context = {
        "page": page,
        "shows_customer": is_provider(person),
        "may_propose": may_propose(person),
        "unjudged": unjudged[:30],
        "unjudged_count": len(unjudged),
    }
    return render(request, "costs/proposals.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    proposal, person = get_proposal(pk), person_of(request)
    is_drafted = proposal.change_id is not None
    may_draft = may_propose(person) and proposal.state == ProposalState.ACCEPTED and not is_drafted
    context = {
        "proposal": proposal,
        "verbs": [(verb, PRESSES[verb]) for verb in offered(person, proposal.state)],
        "may_draft": may_draft and deciding.operation_of(proposal) is not None,
        "realised": deciding.realised(proposal, timezone.now()),
        "panels": _panels(proposal),
    }
    return render(request, "costs/proposal.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def create(request: HttpRequest) -> HttpResponse:
    """Write a proposal down for a customer (`?customer=`)."""
    person = person_of(request)
    asked = request.GET.get("customer", "")
    customer = Customer.objects.filter(pk=int(asked[:12])).first() if asked.isdecimal() else None
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    form = ProposalForm(
        request.POST if request.method == "POST" else None,
        assets=Asset.objects.filter(customer=customer).active(),
        announcements=AnnouncementCopy.objects.filter(customer=customer, withdrawn_at=None),
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = deciding.propose(customer=customer, actor=person, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("%(number)s is proposed; the customer is told.") % {"number": made.number})
            return redirect("costs:proposal", made.pk)
    context = {"customer": customer, "form": form}
    return render(request, "costs/proposal_form.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def press(request: HttpRequest, pk: int, verb: Verb) -> HttpResponse:
    proposal, person, pressed = get_proposal(pk), person_of(request), PRESSES[verb]
    if not may(person, verb):
        raise PermissionDenied
    form = pressed.form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        pressed.act(proposal=proposal, actor=person, now=timezone.now(), **form.cleaned_data)
        messages.success(request, str(pressed.done))
        return redirect("costs:proposal", proposal.pk)
    context = {"proposal": proposal, "form": form, "press": pressed}
    return render(request, "costs/press.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def draft_change(request: HttpRequest, pk: int) -> HttpResponse:
    change = deciding.draft_change(proposal=get_proposal(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("%(number)s is drafted. Write its plan and hand it in.") % {"number": change.number})
    return redirect("changes:detail", change.pk)


def get_proposal(pk: int) -> SavingProposal:
    """404 for what is not there or not in reach."""
    found: SavingProposal = get_object_or_404(SavingProposal.objects.for_lists(), pk=pk)
    return found


def _panels(proposal: SavingProposal) -> list[Panel]:
    """The graphs behind the figures."""
    metrics: list[Any] = proposal.facts.get("metrics") or []
    if proposal.asset_id is None:
        return []
    ids = dict.fromkeys(PANEL_OF.get(str(one["metric"]), str(one["metric"])) for one in metrics)
    return [found for one in ids if (found := panel(one)) is not None]


def _export(page: tables.Page[SavingProposal]) -> HttpResponse:
    saved = deciding.measured(page.all().filter(state=ProposalState.DONE)[: tables.EXPORT_LIMIT], timezone.now())
    columns: dict[str, Callable[[SavingProposal], object]] = {
        _("Number"): lambda row: row.number,
        _("Customer"): lambda row: row.customer.name,
        _("Kind"): lambda row: row.get_kind_display(),
        _("Title"): lambda row: row.title,
        _("Instance ID"): lambda row: row.instance_id,
        _("State"): lambda row: row.get_state_display(),
        _("Saving a month, CNY"): lambda row: "" if row.monthly is None else cents(row.monthly),
        _("Saved a month by the bills, CNY"): lambda row: saved[row.pk].monthly if row.pk in saved else "",
        _("Proposed at"): lambda row: row.proposed_at,
        _("Decided by"): lambda row: row.decided_by or "",
        _("Decided at"): lambda row: row.decided_at,
        _("Reason"): lambda row: row.reason,
        _("Done by"): lambda row: row.done_by or "",
        _("Done at"): lambda row: row.done_at,
        _("What was done"): lambda row: row.result,
        pgettext("noun", "Change"): lambda row: row.change.number if row.change else "",
    }
    return tables.export_csv(page.all(), columns, "saving-proposals")
