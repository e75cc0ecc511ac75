"""How long each customer's recordings stay: read by whoever administers the bastion, set by the provider's."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Customer
from accounts.permissions import is_admin, is_administrator, person_of, require
from bastion.forms import RetentionForm
from bastion.models import PortalKey, RecordingHold
from bastion.services import retaining


@require_safe
@require(is_administrator)
def index(request: HttpRequest) -> HttpResponse:
    holds = RecordingHold.objects.filter(lifted_at=None).select_related("session__asset", "customer", "placed_by")
    context = {
        "policies": retaining.policies(),
        "holds": holds[:200],
        "keys": PortalKey.objects.filter(customer=None),
        "may_set": is_admin(person_of(request)),
    }
    return render(request, "bastion/retention.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_admin)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer, pk=pk)
    policy = retaining.policy_of(customer)
    initial = {name: getattr(policy, name) for name in RetentionForm.base_fields}
    form = RetentionForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        retaining.set_policy(customer=customer, actor=person_of(request), now=timezone.now(), **form.cleaned_data)
        messages.success(request, _("Saved."))
        return redirect("bastion:retention")
    context = {"customer": customer, "form": form}
    return render(request, "bastion/retention_form.html", context, status=422 if form.errors else 200)
