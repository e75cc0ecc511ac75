"""What is done to alerts from the list and the page: acknowledging, silencing."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.errors import DomainError
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from accounts.windows import Once
from monitoring.models import Alert
from monitoring.services import acks, silences
from monitoring.silence_forms import AckForm, QuickSilenceForm
from monitoring.views.silences import scope_of_alerts

MOST = 500


@require_POST
@require(is_provider)
def acknowledge(request: HttpRequest) -> HttpResponse:
    """The alerts that are ticked."""
    form, now = AckForm(request.POST), timezone.now()
    chosen = _chosen(request)
    if not form.is_valid() or not chosen:
        messages.warning(request, _("Please choose alerts first. Nothing was changed."))
        return _back(request)
    done = acks.acknowledge(
        alerts=chosen, actor=person_of(request), now=now, comment=form.cleaned_data["comment"], until=form.until(now)
    )
    text = ngettext("%(count)s alert is acknowledged.", "%(count)s alerts are acknowledged.", len(done))
    messages.success(request, text % {"count": len(done)})
    return _back(request)


@require_POST
@require(is_provider)
def silence(request: HttpRequest) -> HttpResponse:
    """The rules and assets of the alerts that are ticked, from now on."""
    form, now = QuickSilenceForm(request.POST), timezone.now()
    chosen = _chosen(request)
    if not form.is_valid() or not chosen:
        messages.warning(request, _("Please choose alerts, and say why. Nothing was silenced."))
        return _back(request)
    until = now + timedelta(minutes=int(form.cleaned_data["length"]))
    customers = Customer.objects.filter(pk__in={alert.customer_id for alert in chosen})
    for customer in customers:
        silences.create(
            customer=customer,
            reason=form.cleaned_data["reason"],
            windows=[Once(now, until)],
            scope=scope_of_alerts([alert for alert in chosen if alert.customer_id == customer.pk]),
            actor=person_of(request),
            now=now,
        )
    messages.success(request, _("Silenced. Alerts are recorded; what still fires at the end is told then."))
    return _back(request)


@require_POST
@require(is_provider)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert.objects.all(), pk=pk)
    acks.withdraw(alert=alert, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The acknowledgement is taken back."))
    return redirect("monitoring:alert", pk)


def _chosen(request: HttpRequest) -> list[Alert]:
    """The alerts named in the form, within reach."""
    given = request.POST.getlist("alert")
    if len(given) > MOST:
        raise DomainError(_("At most %(most)d alerts at once. Nothing was changed.") % {"most": MOST})
    ids = [int(each) for each in given if each.isdecimal() and len(each) < 19]
    return list(Alert.objects.filter(pk__in=ids).select_related("asset"))


def _back(request: HttpRequest) -> HttpResponse:
    """To the list as it was filtered, never to another site."""
    target = request.POST.get("next", "")
    if target.startswith("/monitoring/") and url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return redirect(target)
    return redirect("monitoring:alerts")
