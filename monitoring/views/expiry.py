"""What ends: one list over resources, subscriptions, certificates and domains, and the ladder of notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from assets.models import Subscription
from monitoring.expiry_forms import LadderForm
from monitoring.services import expiry

SHOWN: Final = 500
BAR_WIDTH: Final = 44
BARS_HEIGHT: Final = 76
SPANS: Final = (7, 30, 90)


@dataclass(frozen=True, slots=True)
class Bar:
    """One week of the plot: where it stands and how high its two parts are."""

    x: int
    label: str
    renewed: int
    open: int
    renewed_y: float
    renewed_height: float
    open_y: float
    open_height: float

    @property
    def count(self) -> int:
        return self.renewed + self.open


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Everything that ends, the nearest first, with a plot of the coming 90 days."""
    person, now = person_of(request), timezone.now()
    everything = expiry.listed()
    rows = _narrowed(everything, request, now)
    if tables.wants_csv(request):
        return tables.export_csv(rows, _columns(now), "expiry")
    customers = list(Customer.objects.all()) if is_provider(person) else []
    context = {
        "rows": [(one, one.days_left(now)) for one in rows[:SHOWN]],
        "total": len(rows),
        "more": max(0, len(rows) - SHOWN),
        "counts": [(days, sum(0 <= one.days_left(now) <= days for one in everything)) for days in SPANS],
        "expired": sum(one.ends_at <= now for one in everything),
        "bars": bars(expiry.by_week(rows, now)),
        "plot_width": BAR_WIDTH * 13,
        "customers": customers,
        "chosen": {name: request.GET.get(name, "") for name in ("q", "within", "renewal", "customer")},
        "renewals": Subscription.Renewal.choices,
        "shows_customer": is_provider(person),
        "now": now,
    }
    return render(request, "monitoring/expiry.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def ladder(request: HttpRequest, pk: int) -> HttpResponse:
    """On which days before the end a customer wants to hear."""
    customer = get_object_or_404(Customer.objects, pk=pk)
    wish = expiry.wish_of(customer)
    initial = {"rungs": ", ".join(map(str, wish.rungs)), "hour": wish.clock.hour}
    form = LadderForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            expiry.set_ladder(customer=customer, **given, actor=person_of(request), now=timezone.now())
        except DomainError as problem:
            form.add_error(None, problem.message)
        else:
            messages.success(request, _("Saved."))
            return redirect("monitoring:expiry")
    return render(request, "monitoring/expiry_ladder.html", {"form": form, "customer": customer, "wish": wish})


def bars(weeks: Sequence[tuple[datetime, int, int]]) -> list[Bar]:
    """The plot's bars, drawn to the highest of them."""
    top = max((renewed + not_renewed for _at, renewed, not_renewed in weeks), default=0) or 1
    return [_bar(number, week, BARS_HEIGHT / top) for number, week in enumerate(weeks)]


def _bar(number: int, week: tuple[datetime, int, int], scale: float) -> Bar:
    begins, renewed, not_renewed = week
    low, high = round(scale * renewed, 1), round(scale * not_renewed, 1)
    label = f"{timezone.localtime(begins):%m-%d}"
    x, foot = number * BAR_WIDTH, 90
    return Bar(x, label, renewed, not_renewed, foot - low, low, round(foot - low - high, 1), high)


def _narrowed(rows: Sequence[expiry.Ending], request: HttpRequest, now: datetime) -> list[expiry.Ending]:
    query = request.GET.get("q", "").strip().lower()[:100]
    within, renewal, customer = (request.GET.get(name, "") for name in ("within", "renewal", "customer"))
    days = int(within) if within.isdecimal() and len(within) < 5 else None
    return [
        one
        for one in rows
        if (not query or query in f"{one.name} {one.what} {one.instance_id}".lower())
        and (days is None or one.days_left(now) <= days)
        and (not renewal or one.renewal == renewal)
        and (not customer or str(one.customer.pk) == customer)
    ]


def _columns(now: datetime) -> dict[str, Callable[[expiry.Ending], object]]:
    return {
        _("Expires at"): lambda one: one.ends_at,
        _("Days left"): lambda one: one.days_left(now),
        _("Product"): lambda one: str(one.what),
        _("Name"): lambda one: one.name,
        _("Instance ID"): lambda one: one.instance_id,
        _("Customer"): lambda one: one.customer.short_name,
        _("Renewal"): lambda one: Subscription.Renewal(one.renewal).label,
    }
