"""Receivers of the audit log: a customer's or the provider's own SIEM."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Customer
from accounts.permissions import is_admin, is_administrator, person_of, require
from accounts.refusals import in_form
from notify.models import AuditReceiver
from notify.services import siem
from notify.siem_forms import NewReceiverForm, ReceiverForm, first_of


@require_safe
@require(is_administrator)
def index(request: HttpRequest) -> HttpResponse:
    rows = [(one, siem.waiting(one)) for one in siem.seen_by(person_of(request))]
    return render(request, "notify/siem.html", {"rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_administrator)
def add(request: HttpRequest) -> HttpResponse:
    actor = person_of(request)
    customers = Customer.objects.order_by("name") if is_admin(actor) else None
    form = NewReceiverForm(request.POST if request.method == "POST" else None, customers=customers)
    if request.method == "POST" and form.is_valid():
        given, now = form.cleaned_data, timezone.now()
        customer = given["customer"] if is_admin(actor) else actor.customer
        with in_form(form):
            receiver, key = siem.add(
                customer=customer, wanted=form.wanted(), from_start=given["from_start"], actor=actor, now=now
            )
            if not key:
                messages.success(request, _("Saved. What waits is sent within seconds."))
                return redirect("notify:siem")
            response = render(request, "notify/siem_key.html", {"receiver": receiver, "key": key})
            response["Cache-Control"] = "no-store"
            return response
    context = {"form": form, "receiver": None}
    return render(request, "notify/siem_form.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_administrator)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    receiver = _get(request, pk)
    form = ReceiverForm(request.POST if request.method == "POST" else None, initial=first_of(receiver))
    if request.method == "POST" and form.is_valid():
        with in_form(form):
            siem.change(receiver=receiver, wanted=form.wanted(), actor=person_of(request), now=timezone.now())
            messages.success(request, _("Saved. What waits is sent within seconds."))
            return redirect("notify:siem")
    context = {"form": form, "receiver": receiver}
    return render(request, "notify/siem_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_administrator)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    receiver = _get(request, pk)
    if problem := siem.send_test(receiver=receiver, actor=person_of(request), now=timezone.now()):
        messages.error(request, f"{receiver}: {problem}")
    else:
        said = _("“%(name)s” has taken a test entry, which says that it is one and belongs to no log.")
        messages.success(request, said % {"name": receiver.name})
    return redirect("notify:siem")


@require_POST
@require(is_administrator)
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    siem.remove(receiver=_get(request, pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Removed. Nothing more is sent there."))
    return redirect("notify:siem")


def _get(request: HttpRequest, pk: int) -> AuditReceiver:
    return get_object_or_404(siem.seen_by(person_of(request)), pk=pk)
