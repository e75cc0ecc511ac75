"""The provider's account for calls and SMS: settings, tests, and the addresses that receipts go to."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import history, scope
from accounts.permissions import is_manager, person_of, require
from notify import outlets
from notify.models import Delivery, OutletSettings
from notify.outlet_forms import OutletForm
from notify.services import outlets as service

TESTED = ("voice", "sms")


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_manager)
@sensitive_post_parameters("access_key_id", "access_key_secret")
def show(request: HttpRequest) -> HttpResponse:
    person, chosen = person_of(request), outlets.current()
    has_key = service.has_access_key(chosen)
    form = OutletForm(request.POST or None, chosen=chosen, has_key=has_key)
    if request.method == "POST" and form.is_valid():
        service.save(details=form.details, values=form.values, actor=person, now=timezone.now())
        messages.success(request, _("Saved. Make a test call to see that it works."))
        return redirect("notify:outlets")
    token = outlets.receipts_token(chosen)
    context = {
        "form": form,
        "chosen": chosen,
        "person": person,
        "receipt_addresses": [
            (label, f"{settings.PUBLIC_URL}/receipts/{kind}/{token}/")
            for kind, label in (("voice", _("Calls (VoiceReport)")), ("sms", _("SMS (SmsReport)")))
        ],
        "recent": Delivery.objects.filter(medium__in=TESTED).select_related("user", "customer")[:10],
        "changes": _changes(chosen),
    }
    return render(request, "notify/outlets.html", context, status=422 if form.errors else 200)


def _changes(chosen: OutletSettings) -> object:
    with scope.platform(outlets.WHY):
        return history.of(chosen) if chosen.pk else ()


@require_POST
@require(is_manager)
def test(request: HttpRequest, medium: str) -> HttpResponse:
    if medium not in TESTED:
        raise Http404
    delivery = service.send_test(medium=medium, actor=person_of(request), now=timezone.now())
    messages.success(request, _("It is on its way. This page shows what became of it."))
    return redirect("notify:delivery", delivery.pk)


@require_POST
@require(is_manager)
def renew_receipts(request: HttpRequest) -> HttpResponse:
    service.renew_receipts_address(actor=person_of(request), now=timezone.now())
    messages.success(request, _("The addresses are new: enter them at Alibaba Cloud."))
    return redirect("notify:outlets")
