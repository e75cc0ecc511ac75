"""The contract with one customer: quotas, the SLA table, and every change that was ever made to them."""

from datetime import date, timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import history
from accounts.forms.customers import ContractForm, SlaTermForm
from accounts.models import Contract, Customer, SlaTerm
from accounts.permissions import is_manager, person_of, require
from accounts.services import calendars, customers

form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def own(request: HttpRequest) -> HttpResponse:
    """The customer's people find their own contract without knowing its number."""
    customer = person_of(request).customer
    if customer is None:
        return redirect("accounts:customers")
    return redirect("accounts:customer_contract", customer.pk)


@require_safe
def contract(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    today = timezone.localdate()
    current = customers.contract_in_force(customer, today)
    terms = list(SlaTerm.objects.filter(contract=current)) if current else []
    context = {
        "customer": customer,
        "tab": "contract",
        "contract": current,
        "is_in_force": current is not None and current.starts_on <= today <= current.ends_on,
        "days_left": (current.ends_on - today).days if current else None,
        "terms": terms,
        "others": Contract.objects.filter(customer=customer).exclude(pk=current.pk) if current else (),
        "calendar": calendars.current_version(customer),
        "changes": history.of(*([current] if current else []), *terms),
    }
    return render(request, "accounts/customer_contract.html", context)


@form_view
@require(is_manager)
def contract_new(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=pk)
    return _contract_form(request, customer, _draft(customer, timezone.localdate()), _("New contract"))


def _draft(customer: Customer, today: date) -> Contract:
    """A new contract as it usually begins: what the last one said, one year from its end or from today."""
    last = customers.contract_in_force(customer, today)
    starts = max(today, last.ends_on + timedelta(days=1)) if last else today
    return Contract(
        customer=customer,
        provider_name=last.provider_name if last else settings.PROVIDER_NAME,
        customer_party=last.customer_party if last else customer.name,
        signed_on=today,
        starts_on=starts,
        ends_on=starts + timedelta(days=364),
        sow_version=last.sow_version if last else "MSP 运维版",
        governing_document=last.governing_document if last else _("Statement of work, Cloud Maintenance MSP edition"),
    )


@form_view
@require(is_manager)
def contract_edit(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Contract.objects.select_related("customer"), pk=pk)
    return _contract_form(request, found.customer, found, _("Change the contract"))


def _contract_form(request: HttpRequest, customer: Customer, obj: Contract, title: str) -> HttpResponse:
    form = ContractForm(request.POST or None, instance=obj)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        customers.save(
            obj=form.instance, customer=customer, actor=person_of(request), now=timezone.now(), reason=reason
        )
        messages.success(request, _("Saved, with its reason in the history."))
        return redirect("accounts:customer_contract", customer.pk)
    return _form(request, form, title, customer)


@form_view
@require(is_manager)
def sla_edit(request: HttpRequest, pk: int) -> HttpResponse:
    term = get_object_or_404(SlaTerm.objects.select_related("customer", "contract"), pk=pk)
    form = SlaTermForm(request.POST or None, instance=term)
    if request.method == "POST" and form.is_valid():
        customers.save(
            obj=form.instance,
            customer=term.customer,
            actor=person_of(request),
            now=timezone.now(),
            reason=form.cleaned_data["reason"],
        )
        messages.success(request, _("Saved, with its reason in the history."))
        return redirect("accounts:customer_contract", term.customer_id)
    return _form(request, form, _("SLA for %(severity)s") % {"severity": term}, term.customer)


def _form(request: HttpRequest, form: object, title: str, customer: Customer) -> HttpResponse:
    status = 422 if request.method == "POST" else 200
    back = f"/customers/{customer.pk}/contract/"
    context = {"form": form, "title": title, "back": back, "customer": customer}
    return render(request, "accounts/form.html", context, status=status)
