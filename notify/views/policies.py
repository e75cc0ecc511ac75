"""How a customer's contacts are told, by severity: agreed by both sides, with a preview of who that is (R71)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import history
from accounts.models import Contact, Customer, Severity, User
from accounts.permissions import is_manager, is_provider, person_of, require
from notify.models import Delivery, NotificationPolicy
from notify.permissions import may_see_channels
from notify.policy_forms import PolicyForm
from notify.services import policies
from notify.services.ways import Ways, obstacle_words, ways_to


@dataclass(frozen=True)
class Reached:
    """One contact under a plan: by what they hear of it, and what stands in the way."""

    name: str
    kind: str
    number: str
    ways: tuple[tuple[str, str], ...]
    """Medium and obstacle, in words; an empty obstacle means that it works."""


@dataclass(frozen=True)
class Row:
    severity: Severity
    plan: policies.Plan
    people: tuple[Reached, ...]
    mediums: tuple[str, ...]
    hours: str


@dataclass(frozen=True)
class _Told:
    """A contact as `notify.services.ways` asks about them."""

    user: User
    channels: tuple[str, ...]
    number: str


@require_safe
@require(may_see_channels)
def index(request: HttpRequest) -> HttpResponse:
    """The customers; a customer's own people go to theirs."""
    person = person_of(request)
    if not is_provider(person):
        return redirect("notify:policy", person.customer_id)
    agreed = NotificationPolicy.objects.values_list("customer_id", flat=True)
    context = {"customers": Customer.objects.all(), "agreed": set(agreed)}
    return render(request, "notify/policies.html", context)


@require_safe
@require(may_see_channels)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    rows = NotificationPolicy.objects.filter(customer=customer)
    context = {
        "customer": customer,
        "rows": _rows(customer),
        "may_change": is_manager(person_of(request)),
        "changes": history.of(*rows),
    }
    return render(request, "notify/policy.html", context)


def _rows(customer: Customer) -> list[Row]:
    contacts = list(Contact.objects.filter(customer=customer).select_related("user"))
    plans = policies.plans_of(customer)
    told = {severity: policies.recipients(customer, plan, named=contacts) for severity, plan in plans.items()}
    notes = [
        _Told(recipient.user, plans[severity].mediums, recipient.number)
        for severity, people in told.items()
        for recipient in people
    ]
    ways = ways_to(notes)
    return [
        Row(
            severity=Severity(severity),
            plan=plan,
            people=tuple(_reached(recipient, plan, ways) for recipient in told[severity]),
            mediums=tuple(str(Delivery.Medium(name).label) for name in plan.mediums),
            hours=str(NotificationPolicy.Hours(plan.hours).label),
        )
        for severity, plan in plans.items()
    ]


def _reached(recipient: policies.Recipient, plan: policies.Plan, ways: Ways) -> Reached:
    note = _Told(recipient.user, plan.mediums, recipient.number)
    found = [
        (str(Delivery.Medium(medium).label), obstacle_words(ways.obstacle(note, medium))) for medium in plan.mediums
    ]
    return Reached(recipient.user.name, str(Contact.Kind(recipient.kind).label), recipient.number, tuple(found))


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_manager)
def edit(request: HttpRequest, pk: int, level: str) -> HttpResponse:
    customer, severity = get_object_or_404(Customer.objects, pk=pk), _severity(level)
    form = PolicyForm(request.POST or None, plan=policies.plans_of(customer)[severity], severity=severity)
    if request.method == "POST" and form.is_valid():
        policies.save(
            customer=customer, severity=severity, plan=form.plan, actor=person_of(request), now=timezone.now()
        )
        messages.success(request, _("Saved. Below is who hears of it from now on."))
        return redirect("notify:policy", customer.pk)
    context = {"form": form, "customer": customer, "severity": severity, "level": level}
    return render(request, "notify/policy_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_manager)
def reset(request: HttpRequest, pk: int, level: str) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    policies.reset(customer=customer, severity=_severity(level), actor=person_of(request), now=timezone.now())
    messages.success(request, _("The contract's default holds again."))
    return redirect("notify:policy", customer.pk)


def _severity(level: str) -> Severity:
    try:
        return Severity[level.upper()]
    except KeyError:
        raise Http404 from None
