"""The delivery log: what was sent where, what the provider said, and sending again (R129)."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import Customer, Severity
from accounts.permissions import is_provider, person_of, require
from notify import markdown, states
from notify.models import Delivery, Topic
from notify.permissions import may_manage_channels, may_see_channels
from notify.services import receipts
from notify.services.channels import resend as send_again
from notify.states import State


@require_safe
@require(may_see_channels)
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    rows = Delivery.objects.shown_to(person).select_related("channel", "user", "customer", "digest")
    filters: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), Delivery.States.choices, "state"),
        "medium": tables.Choice(
            _("Kind"), [entry for entry in Delivery.Medium.choices if entry[0] != "inbox"], "medium"
        ),
        "severity": tables.Choice(_("Severity"), Severity.choices, "severity"),
        "topic": tables.Choice(_("Topic"), Topic.choices, "topic"),
        "channel": "channel",
        "digest": "digest",
    }
    if is_provider(person):
        filters["customer"] = tables.Choice(_("Customer"), list(Customer.objects.values_list("pk", "name")), "customer")
    page = tables.page(
        request,
        rows,
        sort={"at": "created_at", "severity": ("severity", "-created_at"), "state": "state", "subject": "subject"},
        default="-at",
        search=["subject", "text", "channel__name", "user__name", "last_code"],
        filters=filters,
        exports=True,
    )
    if tables.wants_csv(request):
        return tables.export_csv(page.all(), _columns(), "deliveries")
    return render(request, "notify/deliveries.html", {"page": page})


def _columns() -> dict[str, Callable[[Delivery], object]]:
    return {
        _("Created"): lambda row: row.created_at,
        _("Customer"): lambda row: row.customer or "",
        pgettext("recipient", "To"): lambda row: row.destination,
        _("Kind"): lambda row: row.get_medium_display(),
        _("Severity"): lambda row: row.get_severity_display() if row.severity else "",
        _("Subject"): lambda row: row.subject,
        _("State"): lambda row: row.get_state_display(),
        _("Tries"): lambda row: row.tries,
        _("Last answer"): lambda row: f"{row.last_code} {row.last_detail}".strip(),
        _("Settled"): lambda row: row.settled_at,
    }


@require_safe
@require(may_see_channels)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    rows = Delivery.objects.shown_to(person).select_related("channel", "user", "customer", "digest", "stands_in_for")
    delivery = get_object_or_404(rows, pk=pk)
    context = {
        "delivery": delivery,
        "blocks": markdown.blocks(delivery.text),
        "attempts": delivery.attempts.order_by("number"),
        "has_receipts": delivery.medium in receipts.MEDIUMS,
        "parts": delivery.parts.order_by("priority", "pk")[:200],
        "stand_ins": delivery.stand_ins.select_related("channel"),
        "may_resend": may_manage_channels(person)
        and states.may_become(delivery.state, State.PENDING)
        and delivery.state != State.SENDING,
    }
    return render(request, "notify/delivery.html", context)


@require_POST
@require(may_manage_channels)
def resend(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    delivery = get_object_or_404(Delivery.objects.shown_to(person), pk=pk)
    send_again(delivery=delivery, actor=person, now=timezone.now())
    messages.success(request, _("The message is on its way again."))
    return redirect("notify:delivery", pk)
