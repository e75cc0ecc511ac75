"""Hardening: all servers with the worst first, one server with its items, runs as they go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.fragments import is_fragment
from accounts.models import Customer
from accounts.numbers import row_number, row_numbers
from accounts.permissions import is_provider, person_of
from assets.models import Asset
from bastion.hardening.catalogue import items
from bastion.hardening_words import item_name, problem_text, reason_text
from bastion.models import HardenedServer, HardeningCheck, HardeningResult, HardeningRun
from bastion.services.hardening import reading, rights, runs
from bastion.views.choosing import with_customers

MOST_CHOSEN: Final = 500
SORT: Final[dict[str, tables.SortBy]] = {
    "score": ("hardening__score", "name"),
    "server": "name",
    "customer": ("customer__name", "hardening__score"),
    "failed": ("-hardening__failed", "hardening__score"),
    "checked": "-hardening__checked_at",
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All servers that can be looked at; those that were never reached come last, and say so."""
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        "item": tables.Choice(_("Not fulfilled"), [(code, item_name(code)) for code in items()], reading.failing),
        "asset": "pk",
    }
    filters = with_customers(request, filters)
    page = tables.page(
        request,
        reading.servers(),
        sort=SORT,
        default="score",
        search=("name", "customer__name", "host", "hardening__latest__system"),
        filters=filters,
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    own = person.customer_id
    context = {
        "page": page,
        "shown": [(asset, _server(asset)) for asset in page.rows],
        "shows_customer": is_provider(person),
        "may_check": rights.may_check(person, own or 0),
        "customer": own or page.filters.get("customer", ""),
        "may_set": rights.may_set(person),
    }
    return render(request, "bastion/hardening.html", context)


@require_safe
def server(request: HttpRequest, asset_id: int) -> HttpResponse:
    """One server: every item with its evidence, and what may be done about it."""
    asset, person = _asset(asset_id), person_of(request)
    known = _server(asset)
    context = {
        "asset": asset,
        "server": known,
        "lines": reading.lines(known),
        "direct": reading.unexplained(asset),
        "may_check": rights.may_check(person, asset.customer_id),
        "may_propose": is_provider(person),
        "may_set": rights.may_set(person),
        "running": HardeningCheck.objects.filter(asset=asset, run__state=HardeningRun.State.RUNNING).first(),
    }
    name = "bastion/_hardening_server.html" if is_fragment(request) else "bastion/hardening_server.html"
    return render(request, name, context)


@require_safe
def trend(request: HttpRequest, asset_id: int) -> JsonResponse:
    return JsonResponse(reading.trend(_asset(asset_id), name=_("Score"), now=timezone.now()))


@require_safe
def history(request: HttpRequest, asset_id: int, item: str) -> HttpResponse:
    """One item on one server, look by look."""
    asset = _asset(asset_id)
    page: tables.Page[HardeningResult] = tables.page(
        request,
        reading.history(asset, item[:40]),
        sort={"at": ("check_of__ended_at", "pk")},
        default="-at",
        search=("evidence",),
        filters={"outcome": tables.Choice(_("Result"), HardeningResult.Outcome.choices, "outcome")},
        exports=True,
    )
    if tables.wants_csv(request):
        columns: dict[str, Callable[[HardeningResult], object]] = {
            _("At"): lambda one: one.check_of.ended_at,
            _("Result"): lambda one: one.get_outcome_display(),
            _("Reason"): lambda one: reason_text(one.reason, one.names),
            _("Accepted"): lambda one: one.is_excepted,
            _("Evidence"): lambda one: one.evidence,
        }
        return tables.export_csv(page.all(), columns, "hardening-item")
    shown = [(row, reason_text(row.reason, row.names)) for row in page.rows]
    context = {"asset": asset, "item": items().get(item), "code": item, "page": page, "shown": shown}
    return render(request, "bastion/hardening_item.html", context)


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """A card for the asset's own page; nothing for what is no server."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    is_held = reading.servers().filter(pk=asset.pk).exists()
    known = HardenedServer.objects.filter(asset=asset).select_related("latest").first() if is_held else None
    context = {"asset": asset, "is_held": is_held, "server": known, "direct": reading.unexplained(asset)}
    return render(request, "bastion/_hardening_for_asset.html", context)


@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """Look at the chosen servers, or at all of one customer: a run for each customer that they are of."""
    person = person_of(request)
    chosen = row_numbers(request.POST.getlist("asset"))[:MOST_CHOSEN]
    rows = reading.servers().filter(pk__in=chosen)
    if not chosen and (whole := row_number(request.POST.get("customer", ""))):
        rows = reading.servers().filter(customer=whole)
    by_customer: dict[Customer, list[Asset]] = defaultdict(list)
    for asset in rows:
        by_customer[asset.customer].append(asset)
    if not by_customer:
        rights.require(rights.may_check(person, person.customer_id or 0))
        raise DomainError(_("Please choose at least one Linux server."), code="no_assets")
    with transaction.atomic():  # all of them, or none: one may be refused
        begun = [
            runs.begin(customer=customer, assets=those, actor=person, now=timezone.now())
            for customer, those in by_customer.items()
        ]
    messages.success(request, _("The servers are being looked at."))
    return redirect("bastion:hardening-run", begun[0].pk) if len(begun) == 1 else redirect("bastion:hardening-runs")


@require_safe
def run_list(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    filters: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), HardeningRun.State.choices, "state"),
        "why": tables.Choice(pgettext("run", "Occasion"), HardeningRun.Why.choices, "why"),
    }
    filters = with_customers(request, filters)
    page = tables.page(
        request,
        HardeningRun.objects.select_related("customer", "started_by"),
        sort={"started": "started_at", "state": ("state", "-started_at")},
        default="-started",
        search=("customer__name", "checks__asset__name"),
        filters=filters,
    )
    return render(request, "bastion/hardening_runs.html", {"page": page, "shows_customer": is_provider(person)})


@require_safe
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """One run as it goes."""
    found = get_object_or_404(HardeningRun.objects.select_related("customer", "started_by"), pk=pk)
    page = tables.page(
        request,
        found.checks.select_related("asset"),
        sort={"server": "asset__name", "score": ("score", "asset__name"), "state": ("state", "asset__name")},
        default="server",
        search=("asset__name",),
        filters={"state": tables.Choice(_("State"), HardeningCheck.State.choices, "state")},
    )
    left = (HardeningCheck.State.PLANNED, HardeningCheck.State.RUNNING)
    total = found.checks.count()
    context = {
        "run": found,
        "page": page,
        "total": total,
        "over": total - found.checks.filter(state__in=left).count(),
        "may_cancel": found.state == found.State.RUNNING and rights.may_check(person_of(request), found.customer_id),
    }
    return render(
        request, "bastion/_hardening_run.html" if is_fragment(request) else "bastion/hardening_run.html", context
    )


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(HardeningRun.objects, pk=pk)
    runs.cancel(run=found, actor=person_of(request), now=timezone.now())
    messages.success(request, _("No further server is asked."))
    return redirect("bastion:hardening-run", pk)


def _asset(pk: int) -> Asset:
    return get_object_or_404(reading.servers(), pk=pk)


def _server(asset: Asset) -> HardenedServer | None:
    return getattr(asset, "hardening", None)


def _export(page: tables.Page[Asset]) -> HttpResponse:
    def of(read: Callable[[HardenedServer], object]) -> Callable[[Asset], object]:
        def value(asset: Asset) -> object:
            known = _server(asset)
            return "" if known is None else read(known)

        return value

    columns: dict[str, Callable[[Asset], object]] = {
        _("Customer"): lambda one: one.customer.name,
        _("Server"): lambda one: one.name,
        _("Score"): of(lambda one: one.score),
        pgettext("items", "Not fulfilled"): of(lambda one: one.failed),
        pgettext("items", "Not checked"): of(lambda one: one.unknown),
        pgettext("items", "Accepted"): of(lambda one: one.excepted),
        _("Items"): of(lambda one: ", ".join(item_name(code) for code in one.failing)),
        _("Checked at"): of(lambda one: one.checked_at),
        _("Problem"): of(lambda one: problem_text(one.problem_code)),
    }
    return tables.export_csv(page.all(), columns, "hardening")
