"""The log of what came in from outside, and reading a message once more."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import person_of, require
from incidents.models import InboundKind, InboundMessage, InboundSource
from incidents.permissions import may_manage_way_in_of, may_manage_ways_in
from incidents.services import inbound

SHOWN: Final = 20_000


@require_safe
@require(may_manage_ways_in)
def index(request: HttpRequest) -> HttpResponse:
    sources = list(InboundSource.objects.values_list("pk", "name"))
    filters: dict[str, tables.Filter] = {
        "verdict": tables.Choice(_("What became of it"), InboundMessage.Verdict.choices, "verdict"),
        "kind": tables.Choice(_("Kind"), InboundKind.choices, "source__kind"),
        "source": tables.Choice(_("Way in"), sources, "source"),
        "customer": tables.Choice(_("Customer"), list(Customer.objects.values_list("pk", "name")), "customer"),
    }
    page = tables.page(
        request,
        InboundMessage.objects.for_lists(),
        sort={"at": "received_at", "sender": ("sender", "-received_at"), "verdict": ("verdict", "-received_at")},
        default="-at",
        search=["subject", "sender", "sender_id"],
        filters=filters,
    )
    return render(request, "incidents/received.html", {"page": page})


@require_safe
@require(may_manage_ways_in)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    message = _message(pk)
    raw = bytes(message.raw)
    context = {
        "message": message,
        "raw": raw[:SHOWN].decode(errors="replace"),
        "is_cut": len(raw) > SHOWN,
        "may_read_again": message.may_be_read_again
        and bool(raw)
        and may_manage_way_in_of(person_of(request), message.source.customer_id),
        "made": [(name, _shown(value)) for name, value in message.data.items() if value],
    }
    return render(request, "incidents/received_one.html", context)


@require_POST
@require(may_manage_ways_in)
def again(request: HttpRequest, pk: int) -> HttpResponse:
    message, now = _message(pk), timezone.now()
    inbound.read_again(message=message, actor=person_of(request), now=now)
    read = inbound.read(message_id=message.pk, now=now)
    if read.verdict == InboundMessage.Verdict.FAILED:
        messages.error(request, _("It still cannot be read: %(problem)s") % {"problem": read.error})
    else:
        messages.success(request, _("Read again: %(verdict)s") % {"verdict": read.get_verdict_display()})
    return redirect("incidents:received_one", pk)


def _message(pk: int) -> InboundMessage:
    """Unknown or foreign is 404."""
    rows = InboundMessage.objects.select_related("source", "customer", "incident", "handled_by", "person")
    found: InboundMessage = get_object_or_404(rows, pk=pk)
    return found


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
