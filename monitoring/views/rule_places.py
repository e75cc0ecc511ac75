"""What the pages of groups, macros, schedules and processes share: whose they are, saving, going back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.errors import DomainError
from accounts.models import Customer
from accounts.permissions import is_provider, person_of
from monitoring.views.rules import chosen_customer


def saved(request: HttpRequest, form: Form, save: Callable[[], object]) -> bool:
    """Save what the form holds; a refusal stands on the form, with what was entered."""
    try:
        save()
    except DomainError as problem:
        form.add_error(None, problem.message)
        return False
    messages.success(request, _("Saved. It takes effect with the next data."))
    return True


def back_to(route: str, customer_id: int) -> HttpResponse:
    """The list of one customer."""
    return redirect(f"{reverse(f'monitoring:{route}')}?customer={customer_id}")


def wanted(request: HttpRequest) -> Customer | None:
    """The customer looked at; only the provider's people change anything."""
    customer = chosen_customer(request)
    only_provider_posts(request)
    if customer is None and request.method == "POST":
        raise Http404
    return customer


def only_provider_posts(request: HttpRequest) -> None:
    if request.method == "POST" and not is_provider(person_of(request)):
        raise PermissionDenied


def frame(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    provider = is_provider(person_of(request))
    return {"customer": customer, "customers": Customer.objects.all() if provider else [], "may_change": provider}


def choose(request: HttpRequest, title: str | Promise) -> HttpResponse:
    """Whose? The provider's people have many customers."""
    context = {"title": title, "customers": Customer.objects.all()}
    return render(request, "monitoring/choose_customer.html", context)


def number_of(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0
