"""Administration of robots and other channels."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import secrets, tables
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from notify.forms import SECRET_NAMES, ChannelForm, OwnerForm
from notify.models import Attempt, Channel, Delivery
from notify.permissions import may_manage_channel_of, may_manage_channels, may_see_channels
from notify.providers import SECRET_FIELDS
from notify.services import channels, delivering

form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@require(may_see_channels)
def index(request: HttpRequest) -> HttpResponse:
    person, now = person_of(request), timezone.now()
    day = Q(deliveries__created_at__gt=now - timedelta(days=1))
    rows = Channel.objects.shown_to(person).select_related("customer", "fallback")
    rows = rows.annotate(
        last_at=Max("deliveries__settled_at"),
        failed=Count("deliveries", filter=day & Q(deliveries__state=Delivery.States.FAILED)),
    )
    filters: dict[str, tables.Filter] = {"kind": tables.Choice(_("Kind"), Channel.Kind.choices, "kind")}
    if is_provider(person):
        filters["customer"] = tables.Choice(_("Customer"), list(Customer.objects.values_list("pk", "name")), "customer")
    sort = {"name": "name", "customer": ("customer__name", "name"), "kind": ("kind", "name"), "last": "last_at"}
    page = tables.page(request, rows, sort=sort, default="customer", search=["name", "purpose"], filters=filters)
    return render(
        request, "notify/channels.html", {"page": page, "now": now, "may_manage": may_manage_channels(person)}
    )


@require_safe
@require(may_see_channels)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    person, now = person_of(request), timezone.now()
    channel = _channel(person, pk)
    recent = Delivery.objects.filter(channel=channel)
    context = {
        "channel": channel,
        "now": now,
        "is_muted": channel.is_muted(now),
        "may_manage": may_manage_channel_of(person, channel.customer_id) and channel.retired_at is None,
        "limit": delivering.limit_of(channel),
        "used": delivering.used_of(channel, now),
        "secrets": [(name, secrets.is_set(channel, name)) for name in _secret_names(channel)],
        "recent": recent.order_by("-pk")[:15],
        "waiting": recent.filter(state=Delivery.States.PENDING).count(),
        "test": _last_test(channel),
    }
    return render(request, "notify/channel.html", context)


@form_view
@require(may_manage_channels)
@sensitive_post_parameters(*SECRET_NAMES)
def add(request: HttpRequest) -> HttpResponse:
    """Two steps on one address: whose and which kind (in the query), then the rest."""
    person = person_of(request)
    asked = request.GET.dict() if is_provider(person) else request.GET.dict() | {"customer": str(person.customer_id)}
    chosen = OwnerForm(asked if "kind" in asked else None, person=person, initial={"customer": asked.get("customer")})
    if not chosen.is_valid():
        return render(request, "notify/channel_kind.html", {"form": chosen, "is_provider": is_provider(person)})
    customer, kind = chosen.owner, chosen.cleaned_data["kind"]
    if not may_manage_channel_of(person, customer.pk if customer else None):
        raise PermissionDenied
    form = ChannelForm(request.POST or None, kind=kind, customer=customer)
    if request.method == "POST" and form.is_valid():
        channel = channels.create(
            customer=customer, kind=kind, details=form.details, values=form.values, actor=person, now=timezone.now()
        )
        messages.success(request, _("The channel is saved. Send a test message to see that it works."))
        return redirect("notify:channel", channel.pk)
    context = {"form": form, "kind": Channel.Kind(kind), "owner": customer}
    return render(request, "notify/channel_form.html", context, status=422 if form.errors else 200)


@form_view
@require(may_manage_channels)
@sensitive_post_parameters(*SECRET_NAMES)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    channel = _managed(person, pk)
    present = frozenset(name for name in _secret_names(channel) if secrets.is_set(channel, name))
    form = ChannelForm(
        request.POST or None, kind=channel.kind, customer=channel.customer, channel=channel, secrets_set=present
    )
    if request.method == "POST" and form.is_valid():
        channels.update(channel=channel, details=form.details, values=form.values, actor=person, now=timezone.now())
        messages.success(request, _("The channel is saved."))
        return redirect("notify:channel", channel.pk)
    context = {"form": form, "channel": channel, "kind": Channel.Kind(channel.kind), "owner": channel.customer}
    return render(request, "notify/channel_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(may_manage_channels)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    channel = _managed(person, pk)
    attempt = channels.send_test(channel=channel, actor=person, now=timezone.now())
    if getattr(request, "htmx", False):
        return render(request, "notify/_test.html", {"test": attempt, "channel": channel})
    return redirect("notify:channel", channel.pk)


@require_POST
@require(may_manage_channels)
def unmute(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    channels.unmute(channel=_managed(person, pk), actor=person, now=timezone.now())
    messages.success(request, _("The channel may send again."))
    return redirect("notify:channel", pk)


@require_POST
@require(may_manage_channels)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    person = person_of(request)
    channel = _managed(person, pk)
    channels.retire(channel=channel, actor=person, now=timezone.now())
    messages.success(request, _("The channel “%(name)s” is retired and its secrets are gone.") % {"name": channel.name})
    return redirect("notify:channels")


@require_safe
@require(may_see_channels)
def gauge(request: HttpRequest, pk: int) -> HttpResponse:
    """How much of the running minute is used: a fragment that refreshes itself."""
    channel, now = _channel(person_of(request), pk), timezone.now()
    context = {"channel": channel, "limit": delivering.limit_of(channel), "used": delivering.used_of(channel, now)}
    context |= {"is_muted": channel.is_muted(now)}
    return render(request, "notify/_gauge.html", context)


def _channel(person: User, pk: int) -> Channel:
    found: Channel = get_object_or_404(Channel.objects.shown_to(person).select_related("customer", "fallback"), pk=pk)
    return found


def _managed(person: User, pk: int) -> Channel:
    """A channel that this person may change: 404 unknown or foreign, 403 forbidden."""
    channel = _channel(person, pk)
    if not may_manage_channel_of(person, channel.customer_id):
        raise PermissionDenied
    return channel


def _secret_names(channel: Channel) -> list[str]:
    return [entry.name for entry in SECRET_FIELDS[channel.kind]]


def _last_test(channel: Channel) -> Attempt | None:
    return Attempt.objects.filter(channel=channel, delivery__topic="test").order_by("-pk").first()
