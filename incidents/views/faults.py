"""The register of faults, and the joint review of one."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import Customer, User
from accounts.permissions import can_write, is_provider, person_of, require
from incidents.forms_records import DecideForm
from incidents.models import Fault, FaultDecision, Incident
from incidents.services import faults


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        Fault.objects.select_related("customer", "proposed_by").prefetch_related("incidents", "decisions__person"),
        sort={"number": "pk", "title": "title", "proposed": "proposed_at", "outcome": ("outcome", "-proposed_at")},
        default="-proposed",
        search=["title", "summary"],
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    return render(request, "incidents/faults.html", {"page": page, "shows_customer": is_provider(person)})


def _filters(person: User) -> dict[str, tables.Filter]:
    chosen: dict[str, tables.Filter] = {"outcome": tables.Choice(_("Outcome"), Fault.Outcome.choices, "outcome")}
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        chosen = {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **chosen}
    return chosen


def _export(page: tables.Page[Fault]) -> HttpResponse:
    columns = {
        _("Number"): lambda row: row.number,
        _("Title"): lambda row: row.title,
        _("Customer"): lambda row: row.customer.name,
        _("Incidents"): lambda row: ", ".join(one.number for one in row.incidents.all()),
        _("Outcome"): lambda row: row.get_outcome_display(),
        _("Proposed by"): lambda row: row.proposed_by,
        _("Proposed at"): lambda row: row.proposed_at,
        _("Decided at"): lambda row: row.decided_at,
        _("Provider's decision"): lambda row: _said(row, FaultDecision.Side.PROVIDER),
        _("Customer's decision"): lambda row: _said(row, FaultDecision.Side.CUSTOMER),
    }
    return tables.export_csv(page.all(), columns, "faults")


def _said(fault: Fault, side: str) -> str:
    last = next((each for each in reversed(fault.decisions.all()) if each.side == side), None)
    return "" if last is None else f"{last.get_verdict_display()} ({last.person.name}): {last.words}"


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "incidents/fault.html", _context(_get(pk), person_of(request)))


def _get(pk: int) -> Fault:
    return get_object_or_404(Fault.objects.select_related("customer", "proposed_by"), pk=pk)


def _context(fault: Fault, person: User, **more: object) -> dict[str, object]:
    said = faults.latest(fault)
    sides = [(side, said.get(side.value)) for side in FaultDecision.Side]
    may_decide = can_write(person) and faults.side_of(person) is not None and not fault.is_decided
    return {
        "fault": fault,
        "sides": sides,
        "history": fault.decisions.select_related("person"),
        "incidents": Incident.objects.filter(faults=fault).for_lists().order_by("opened_at"),
        "form": DecideForm() if may_decide else None,
        **more,
    }


@require_POST
@require(can_write)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """The word of one's own side."""
    fault, person = _get(pk), person_of(request)
    if faults.side_of(person) is None:
        raise PermissionDenied
    form = DecideForm(request.POST)
    if not form.is_valid():
        return render(request, "incidents/fault.html", _context(fault, person, form=form), status=422)
    faults.decide(fault=fault, actor=person, now=timezone.now(), **form.cleaned_data)
    messages.success(request, _("Your decision is kept; the other side hears of it."))
    return redirect("incidents:fault", fault.pk)
