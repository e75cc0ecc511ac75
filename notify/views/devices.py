"""One's own devices that take push messages."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.errors import DomainError
from accounts.permissions import person_of
from notify.models import PushDevice
from notify.outlet_forms import DeviceForm
from notify.services import devices


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("endpoint", "p256dh", "auth")
def index(request: HttpRequest) -> HttpResponse:
    """The list; a POST adds the browser that it comes from."""
    person, now = person_of(request), timezone.now()
    if request.method == "POST":
        form = DeviceForm(request.POST)
        if not form.is_valid():
            raise DomainError(_("Nothing was added: this browser sent no valid subscription."))
        name = devices.name_of(request.headers.get("User-Agent", ""))
        devices.add(person=person, device=form.device, name=name, now=now)
        messages.success(request, _("This browser gets push messages from now on."))
        return redirect("notify:devices")
    return render(request, "notify/devices.html", {"devices": devices.devices_of(person)})


@require_POST
def key(request: HttpRequest) -> JsonResponse:
    """The public key that a browser subscribes with. A POST, because the pair is made when the first one asks."""
    person_of(request)
    return JsonResponse({"key": devices.application_key(timezone.now())})


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    devices.remove(device=_own(request, pk), actor=person, now=timezone.now())
    messages.success(request, _("This device gets no more push messages."))
    return redirect("notify:devices")


@require_POST
def test(request: HttpRequest) -> HttpResponse:
    devices.send_test(person=person_of(request), now=timezone.now())
    messages.success(request, _("A test is on its way to your devices."))
    return redirect("notify:devices")


def _own(request: HttpRequest, pk: int) -> PushDevice:
    found = devices.own(person_of(request), pk)
    if found is None:
        raise Http404
    return found
