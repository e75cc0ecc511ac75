"""What becomes of samples: how long each customer's are kept, and who sends them by remote write."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import is_manager, is_provider, person_of, require
from assets.models import Asset
from monitoring.history_forms import RetentionForm, SourceForm
from monitoring.models import RemoteSource, Retention
from monitoring.services import history

SORT: dict[str, tables.SortBy] = {"name": "name", "asset": ("asset__name", "name"), "last": "last_at"}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """How long samples are kept, and the sources of remote write."""
    person = person_of(request)
    kept = {row.customer_id: row for row in Retention.objects.all()}
    customers = list(Customer.objects.filter(pk=person.customer_id) if person.customer_id else Customer.objects.all())
    context = {
        "kept": [(customer, kept.get(customer.pk)) for customer in customers],
        "points_days": settings.POINTS_DAYS,
        "steps_days": settings.STEPS_DAYS,
        "page": tables.page(
            request, RemoteSource.objects.for_lists(), sort=SORT, default="asset", search=["name", "asset__name"]
        ),
        "unmatched": RemoteSource.objects.filter(asset=None).count(),
        "may_keep": is_manager(person),
        "may_bind": is_provider(person),
    }
    return render(request, "monitoring/history.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_manager)
def keep(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    row = Retention.objects.filter(customer=customer).first()
    first = {"points_days": settings.POINTS_DAYS, "steps_days": settings.STEPS_DAYS}
    form = RetentionForm(request.POST or None, initial=first, instance=row)
    if request.method == "POST" and form.is_valid():
        asked = {name: form.cleaned_data[name] for name in ("points_days", "steps_days", "reason")}
        history.keep(customer=customer, **asked, actor=person_of(request), now=timezone.now())
        return redirect("monitoring:history")
    context = {"form": form, "title": _("How long samples are kept"), "subject": customer}
    return render(request, "monitoring/history_form.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def source(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(RemoteSource.objects.select_related("customer", "asset"), pk=pk)
    form = SourceForm(
        request.POST or None,
        initial={"asset": found.asset},
        assets=Asset.objects.active().filter(customer=found.customer).order_by("name"),
    )
    if request.method == "POST" and form.is_valid():
        history.bind(source=found, asset=form.cleaned_data["asset"], actor=person_of(request), now=timezone.now())
        return redirect("monitoring:history")
    context = {"form": form, "title": _("Which asset this source is"), "subject": found.name}
    return render(request, "monitoring/history_form.html", context, status=422 if form.errors else 200)
