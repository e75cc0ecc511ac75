"""Standard changes: described once, signed and approved, then used on the assets that they were approved for."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import is_manager, is_provider, person_of, require
from changes import answers
from changes.catalogue import Risk, operations
from changes.forms import StandardUseForm, TemplateForm
from changes.models import ChangeTemplate
from changes.operation_forms import OperationForm
from changes.services import drafting, templates
from changes.services.templates import Described
from changes.views.catalogue import find
from incidents.views.incident import asked_customer, picker

form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    rows = ChangeTemplate.objects.select_related("customer", "attestation__answer").prefetch_related("assets")
    page = tables.page(
        request,
        rows,
        sort={"name": "name", "customer": ("customer__name", "name"), "until": "valid_until"},
        default="name",
        search=("name", "operation", "customer__name"),
    )
    now = timezone.now()
    shown = [(template, template.is_in_force(now)) for template in page.rows]
    return render(request, "changes/standard.html", {"page": page, "shown": shown})


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    template, person = _get(pk), person_of(request)
    context = {
        "template": template,
        "in_force": template.is_in_force(timezone.now()),
        "details": answers.shown(template.operation, template.fields),
        "may_approve": is_manager(person) and template.created_by_id != person.pk and template.approved_at is None,
    }
    return render(request, "changes/standard_one.html", context)


@form_view
@require(is_provider)
def create(request: HttpRequest) -> HttpResponse:
    customer = asked_customer(request, person_of(request))
    code = request.GET.get("operation", "")
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    if not code:
        chosen = [each for each in operations().values() if each.changes_something and each.risk is not Risk.DANGEROUS]
        return render(request, "changes/choose_operation.html", {"operations": chosen, "customer": customer})
    operation, posted = find(code), request.POST if request.method == "POST" else None
    form = TemplateForm(posted, customer=customer)
    questions = OperationForm(posted, operation=operation)
    if posted is not None and form.is_valid() and questions.is_valid():
        given = form.cleaned_data
        assets = tuple(given.pop("assets"))
        described = Described(operation=code, fields=questions.values(), assets=assets, **given)
        template = templates.create(customer=customer, said=described, actor=person_of(request), now=timezone.now())
        messages.success(request, _("The customer is asked to sign."))
        return redirect("changes:standard-one", template.pk)
    context = {"operation": operation, "form": form, "questions": questions}
    status = 422 if posted is not None else 200
    return render(
        request,
        "changes/standard_form.html",
        {**context, **picker(request, customer, kinds=operation.kinds)},
        status=status,
    )


@form_view
@require(is_provider)
def use(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a change of it: one only chooses the assets, and says who wants it."""
    template = _get(pk)
    posted = request.POST if request.method == "POST" else None
    form = StandardUseForm(posted, template=template, initial={"incident": request.GET.get("incident", "")})
    if posted is not None and form.is_valid():
        change = drafting.draft_standard(
            template=template,
            assets=form.cleaned_data["assets"],
            incident=form.cleaned_data["incident"],
            actor=person_of(request),
            now=timezone.now(),
        )
        return redirect("changes:detail", change.pk)
    context = {"template": template, "form": form}
    return render(request, "changes/standard_use.html", context, status=422 if posted is not None else 200)


@require_POST
@require(is_manager)
def approve(request: HttpRequest, pk: int) -> HttpResponse:
    templates.approve(template=_get(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Approved."))
    return redirect("changes:standard-one", pk)


@require_POST
@require(is_provider)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    templates.retire(template=_get(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("It is used no more."))
    return redirect("changes:standard-one", pk)


def _get(pk: int) -> ChangeTemplate:
    rows = ChangeTemplate.objects.select_related("customer", "created_by", "approved_by", "attestation__answer")
    return get_object_or_404(rows.prefetch_related("assets"), pk=pk)
