"""Whose: the customer that a page of the bastion is about."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts import tables
from accounts.models import Customer
from accounts.numbers import row_number
from accounts.permissions import person_of


def customer_of(request: HttpRequest) -> Customer | None:
    """The person's own, the one named in the address, or the only one there is; None: somebody must choose.

    404 for one out of reach.
    """
    person = person_of(request)
    if person.customer_id is not None:
        return Customer.objects.get(pk=person.customer_id)
    said = request.POST.get("customer") or request.GET.get("customer") or ""
    if said:
        found: Customer | None = Customer.objects.filter(pk=row_number(said)).first()
        if found is None:
            raise Http404
        return found
    two = list(Customer.objects.order_by("name")[:2])
    return two[0] if len(two) == 1 else None


def with_customers(request: HttpRequest, filters: dict[str, tables.Filter]) -> dict[str, tables.Filter]:
    """The filters of a list, by customer first for people who have several."""
    if not person_of(request).is_provider:
        return filters
    customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    return {"customer": tables.Choice(_("Customer"), customers, "customer_id"), **filters}


def choose(request: HttpRequest, title: str) -> HttpResponse:
    """A page of the customers in reach, each a link to the same page about it."""
    if not person_of(request).is_provider:
        raise PermissionDenied
    customers = Customer.objects.order_by("name")
    return render(request, "bastion/choose_customer.html", {"customers": customers, "page_title": title})
