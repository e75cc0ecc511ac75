"""Escalation policies as pages: of all customers, of one; what they would do tonight; and the button on an incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Customer, Severity, User
from accounts.permissions import is_manager, is_provider, person_of, require
from incidents import escalation, services
from incidents.escalation import Policy
from incidents.escalation_forms import LEVELS, StepFormSet, TermsForm, initial_of, typed
from incidents.models import EscalationPolicy
from incidents.services import policies
from incidents.services.policies import InForce
from incidents.services.previewing import Call, preview
from incidents.views.answers import answer
from incidents.views.incident import form_view, get_incident

NIGHT: Final = 2
"""The hour that a preview begins with: nobody sees by accident then."""


@dataclass(frozen=True, slots=True)
class Cell:
    url: str
    severity: Severity
    policy: InForce
    minutes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    customer: Customer | None
    cells: tuple[Cell, ...]


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    """Every policy that this person reaches: those of all customers first."""
    found = policies.of_everybody(list(Customer.objects.exclude(status=Customer.Status.LEFT)))
    rows = [Row(customer, tuple(_cell(customer, level, one) for level, one in own.items())) for customer, own in found]
    return render(request, "incidents/escalation.html", {"rows": rows, "severities": list(Severity)})


def _cell(customer: Customer | None, level: Severity, policy: InForce) -> Cell:
    minutes = tuple(step.after_minutes for step in policy.terms.steps)
    return Cell(address_of(customer, level), level, policy, minutes)


def address_of(customer: Customer | None, level: Severity, what: str = "") -> str:
    name = level.name.lower()
    if customer is None:
        return reverse(f"incidents:escalation-policy{what}", args=[name])
    return reverse(f"incidents:customer-escalation{what}", args=[customer.pk, name])


@require_safe
@require(is_provider)
def policy(request: HttpRequest, level: str, pk: int | None = None) -> HttpResponse:
    """One policy, its versions, and whom it would call at a moment that one may choose."""
    customer, severity = _asked(level, pk)
    shown = policies.in_force(customer)[severity]
    context = _context(customer, severity, shown) | {
        "versions": EscalationPolicy.objects.filter(customer=customer, severity=severity).select_related("created_by"),
        "may_edit": is_manager(person_of(request)),
        "edit_url": address_of(customer, severity, "-edit"),
        **_tonight(request, customer, shown.terms),
    }
    return render(request, "incidents/escalation_policy.html", context)


@form_view
@require(is_manager)
def edit(request: HttpRequest, level: str, pk: int | None = None) -> HttpResponse:
    """The next version of a policy; with `preview` it is only tried."""
    customer, severity = _asked(level, pk)
    shown = policies.in_force(customer)[severity]
    terms, rows = _forms(request, shown.terms)
    context = _context(customer, severity, shown) | {"terms": terms, "rows": rows, "fresh": len(shown.terms.steps)}
    if request.method != "POST":
        return render(request, "incidents/escalation_form.html", context)
    if not (terms.is_valid() and rows.is_valid()):
        return render(request, "incidents/escalation_form.html", context, status=422)
    wanted = typed(terms, rows)
    wrong = escalation.problems(wanted)
    if wrong or "preview" in request.POST:
        context |= {"complaints": [policies.complaint(problem) for problem in wrong]}
        context |= {} if wrong else _tonight(request, customer, wanted)
        return render(request, "incidents/escalation_form.html", context, status=422 if wrong else 200)
    _save(customer, severity, wanted, terms.cleaned_data["reason"], person_of(request))
    messages.success(request, _("Saved. Incidents that wait already keep the steps that they have."))
    return redirect(address_of(customer, severity))


def _save(customer: Customer | None, severity: Severity, policy: Policy, reason: str, actor: User) -> None:
    policies.save(customer=customer, severity=severity, policy=policy, reason=reason, actor=actor, now=timezone.now())


@require_POST
@require(is_manager)
def follow(request: HttpRequest, level: str, pk: int) -> HttpResponse:
    """The customer has nothing of its own any more."""
    customer, severity = _asked(level, pk)
    assert customer is not None  # noqa: S101 - the address names one
    policies.follow_default(customer=customer, severity=severity, actor=person_of(request), now=timezone.now())
    messages.success(request, _("From now on this customer follows the policy of all customers."))
    return redirect(address_of(customer, severity))


@require_POST
@require(is_provider)
def escalate(request: HttpRequest, pk: int) -> HttpResponse:
    """Call the people of the next step now."""
    incident = get_incident(pk)
    step = services.escalate_now(incident=incident, actor=person_of(request), now=timezone.now())
    return answer(request, incident, _("Called: %(who)s.") % {"who": step.get_who_display()})


def _asked(level: str, pk: int | None) -> tuple[Customer | None, Severity]:
    if level not in LEVELS:
        raise Http404
    return (None if pk is None else get_object_or_404(Customer.objects, pk=pk)), LEVELS[level]


def _context(customer: Customer | None, severity: Severity, shown: InForce) -> dict[str, object]:
    return {
        "customer": customer,
        "severity": severity,
        "shown": shown,
        "terms_of": shown.terms,
        "url": address_of(customer, severity),
        "default_url": address_of(None, severity),
        "follow_url": address_of(customer, severity, "-follow") if customer else "",
        "people": {person.pk: person.name for person in User.objects.filter(customer=None)},
    }


def _forms(request: HttpRequest, policy: Policy) -> tuple[TermsForm, Any]:
    terms, rows = initial_of(policy)
    if request.method == "POST":
        return TermsForm(request.POST), StepFormSet(request.POST)
    return TermsForm(initial=terms), StepFormSet(initial=rows)


def _tonight(request: HttpRequest, customer: Customer | None, policy: Policy) -> dict[str, object]:
    """Whom it would call. A policy of all customers is tried on the one asked for, else on the first."""
    said = request.POST if request.method == "POST" else request.GET
    if customer is None:
        asked = said.get("customer", "")
        reach = Customer.objects.exclude(status=Customer.Status.LEFT)
        chosen = reach.filter(pk=int(asked)) if asked.isdecimal() and len(asked) < 15 else reach
        customer = chosen.first()
    start = _moment(said.get("at", ""))
    calls: list[Call] = [] if customer is None else preview(policy=policy, customer=customer, start=start)
    return {"calls": calls, "tried_on": customer, "start": start, "customers": Customer.objects.all()}


def _moment(text: str) -> datetime:
    try:
        asked = parse_datetime(text)
    except ValueError:
        asked = None
    if asked is not None and 2000 <= asked.year <= 2100:
        return asked if asked.tzinfo else timezone.make_aware(asked)
    now = timezone.localtime()
    night = now.replace(hour=NIGHT, minute=0, second=0, microsecond=0)
    return night if night > now else night + timedelta(days=1)
