"""Format and timetable of each customer's monthly report, with a look ahead."""

from __future__ import annotations

from pathlib import Path

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.downloads import make_harmless
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from reports import pdf, service_document
from reports.models import ReportPlan
from reports.service_forms import PlanForm
from reports.services import plans, previewing, service_reports


@require_safe
@require(is_provider)
def index(request: HttpRequest) -> HttpResponse:
    """The customers, each with what is set for it."""
    found = {plan.customer_id: plan for plan in ReportPlan.objects.all()}
    rows = [(customer, found.get(customer.pk) or ReportPlan(customer=customer)) for customer in Customer.objects.all()]
    return render(request, "reports/plans.html", {"rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def change(request: HttpRequest, customer_id: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    plan = service_reports.plan_of(customer)
    people = list(User.objects.filter(customer=customer, is_active=True).order_by("name"))
    names = ("is_on", "day", "hour", "language", "accent", "recipients")
    form = PlanForm(
        request.POST or None,
        request.FILES or None,
        plan=plan,
        people=people,
        initial={name: getattr(plan, name) for name in names},
    )
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        values = {**{name: said[name] for name in names}, "order": form.order(), "sections": form.sections()}
        try:
            plans.change(
                customer=customer, values=values, logo=said["logo"], drops_logo=said["drops_logo"],
                actor=person_of(request), now=timezone.now(),
            )  # fmt: skip
        except DomainError as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("Saved. It holds for the next report that is opened."))
            return redirect("reports:plan", customer_id)
    context = {"customer": customer, "plan": plan, "form": form}
    return render(request, "reports/plan.html", context, status=422 if form.errors else 200)


@require_safe
@require(is_provider)
def preview(request: HttpRequest, customer_id: int) -> HttpResponse:
    """A document of made-up figures in this customer's format."""
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    content = previewing.content(customer, service_reports.plan_of(customer), now=timezone.now())
    response = HttpResponse(pdf.make(service_document.preview(content)), content_type="application/pdf")
    response["Content-Disposition"] = 'attachment; filename="preview.pdf"'
    make_harmless(response)
    return response


@require_safe
@require(is_provider)
def logo(request: HttpRequest, customer_id: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    name = service_reports.plan_of(customer).logo
    kind = service_document.LOGO_TYPES.get(Path(name).suffix)
    if kind is None or not default_storage.exists(name):
        raise Http404
    with default_storage.open(name) as file:
        return HttpResponse(file.read(), content_type=kind, headers={"X-Content-Type-Options": "nosniff"})
