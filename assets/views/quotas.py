"""The contract's quotas and what is used of them, as a fragment for the customer's pages (R7, R8)."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.models import Customer
from assets.services import quota_use


@require_safe
def of_customer(request: HttpRequest, customer_id: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects, pk=customer_id)
    return render(request, "assets/_quota.html", {"uses": quota_use(customer), "customer": customer})
