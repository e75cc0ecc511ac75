"""What one may reach now, and how to get there: favourites, lines to copy, one-time tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.contrib import messages
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.permissions import administers, can_write, is_provider, person_of, require
from accounts.refusals import in_form
from assets.models import Asset
from bastion.access import OWN
from bastion.access_forms import TicketForm
from bastion.models import GroupAsset, LoginTicket, ResourceGroup
from bastion.services import connecting, letting_in, regimes, ticketing
from bastion.services.connecting import Offer
from bastion.views.choosing import with_customers
from bastion.words import regime_line

SORT: Final[dict[str, tables.SortBy]] = {
    "mine": ("-is_favourite", "-used_at", "name"),
    "name": "name",
    "used": "-used_at",
    "customer": ("customer__name", "name"),
}


@require_safe
@require(can_write)
def index(request: HttpRequest) -> HttpResponse:
    """Favourites first, then what was used last."""
    person, now = person_of(request), timezone.now()
    reachable = connecting.reachable(person, now=now)
    members = GroupAsset.objects.filter(group=OuterRef("pk"), asset__in=reachable.order_by().values("pk"))
    groups = ResourceGroup.objects.filter(Exists(members), retired_at=None).order_by("name")
    filters: dict[str, tables.Filter] = {
        "group": tables.Choice(_("Resource group"), list(groups.values_list("pk", "name")[:500]), _in_group),
        "starred": tables.Choice(_("Favourites"), [("1", _("only"))], lambda _value: Q(is_favourite=True)),
    }
    filters = with_customers(request, filters)
    page = tables.page(
        request,
        reachable,
        sort=SORT,
        default="mine",
        search=("name", "host", "private_ip", "public_ip", "role_text"),
        filters=filters,
    )
    shown = letting_in.groups_of(page.rows)
    rows = [(offer, shown[offer.asset.pk]) for offer in connecting.offers(person, page.rows, now=now)]
    return render(request, "bastion/connect.html", {"page": page, "rows": rows, "shows_customer": is_provider(person)})


@require_safe
@require(can_write)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    asset = _get(pk)
    [offer] = connecting.offers(person_of(request), [asset], now=timezone.now())
    return _show(request, offer, _ticket_form(request, offer))


@require_POST
@require(can_write)
def ticket(request: HttpRequest, pk: int) -> HttpResponse:
    """The line that opens one connection, shown in this answer alone."""
    asset, person, now = _get(pk), person_of(request), timezone.now()
    [offer] = connecting.offers(person, [asset], now=now)
    form = _ticket_form(request, offer)
    address = request.META.get("REMOTE_ADDR", "")
    if form.is_valid():
        with in_form(form):
            made, text = ticketing.make(person=person, asset=asset, address=address, now=now, **form.cleaned_data)
            return _show_ticket(request, asset, made, text, now)
    return _show(request, offer, form, status=422)


def _show_ticket(request: HttpRequest, asset: Asset, made: LoginTicket, text: str, now: datetime) -> HttpResponse:
    """Its words are in this answer alone."""
    context = {
        "asset": asset,
        "ticket": made,
        "lines": [(one, one.line(text)) for one in connecting.gateways(asset, now=now)],
    }
    response = render(request, "bastion/ticket.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@require(can_write)
def star(request: HttpRequest, pk: int) -> HttpResponse:
    asset, is_on = _get(pk), request.POST.get("on") == "1"
    connecting.star(person=person_of(request), asset=asset, is_on=is_on, now=timezone.now())
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = reverse("bastion:connect")
    messages.success(request, _("It comes first now.") if is_on else _("It is a favourite no more."))
    return redirect(back)


def _get(pk: int) -> Asset:
    """404 for what is out of reach, or nothing to connect to."""
    return get_object_or_404(Asset.objects.active().select_related("customer"), pk=pk)


def _ticket_form(request: HttpRequest, offer: Offer) -> TicketForm:
    person = person_of(request)
    return TicketForm(
        request.POST if request.method == "POST" else None,
        accounts=[row.username for row in offer.accounts],
        offers=letting_in.offers(offer.asset) if offer.is_open else (),
        is_needed=is_provider(person),
    )


def _show(request: HttpRequest, offer: Offer, form: TicketForm, status: int = 200) -> HttpResponse:
    person, asset, now = person_of(request), offer.asset, timezone.now()
    gateways = connecting.gateways(asset, now=now)
    regime = regimes.regimes_of([asset])[asset.pk]
    names = [connecting.user_name(person, asset)]
    names += [connecting.user_name(person, asset, row.username) for row in offer.accounts[1:]]
    if offer.may_be_own and offer.accounts:
        names.append(connecting.user_name(person, asset, OWN))
    context = {
        "asset": asset,
        "offer": offer,
        "form": form,
        "gateways": [
            (one, [one.line(name) for name in names if name], one.sftp(names[0]) if names[0] else "")
            for one in gateways
        ],
        "groups": letting_in.groups_of([asset])[asset.pk],
        "ends": regime_line(regime),
        "is_favourite": asset.pk in letting_in.starred_by(person),
        "address": request.META.get("REMOTE_ADDR", ""),
        "may_ask": not administers(person, asset.customer_id),
        "may_grant": administers(person, asset.customer_id),
    }
    return render(request, "bastion/connect_detail.html", context, status=status)


def _in_group(value: str) -> Q:
    return Q(pk__in=ResourceGroup.objects.filter(pk=value, retired_at=None).values("members__asset"))
