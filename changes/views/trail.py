"""The audit trail: what was changed on cloud accounts, by whom, under which change; and how a month was reconciled."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.fragments import is_fragment
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from assets.models import Asset, CloudAccount
from changes.models import TrailActor, TrailEvent, TrailReading, TrailVerdict
from changes.models.trail import TrailReach
from changes.services import trail_verdicts
from changes.trail_forms import BelongsForm, HarmlessForm, KnownForm
from changes.trail_rules import rules
from changes.words import said
from incidents.views.incident import asked_customer

OF_ASSET = 8
MONTHS = 6
SORT: dict[str, tables.SortBy] = {
    "at": "occurred_at",
    "action": ("action", "-occurred_at"),
    "who": ("actor_name", "-occurred_at"),
    "customer": ("customer__name", "-occurred_at"),
    "verdict": ("verdict", "-occurred_at"),
}
Given = Mapping[str, Any]


@dataclass(frozen=True)
class Press:
    """A verdict as people give it: its form, what it does, and the words around it."""

    title: str | Promise
    button: str | Promise
    done: str | Promise
    make_form: Callable[[Any, TrailEvent], forms.Form]
    act: Callable[..., TrailEvent]


PRESSES: dict[str, Press] = {
    "belongs": Press(
        gettext_lazy("Belongs to a change"), gettext_lazy("Assign"), gettext_lazy("Assigned to the change."),
        lambda data, event: BelongsForm(data, changes=trail_verdicts.nearby(event)), trail_verdicts.belongs_to,
    ),
    "harmless": Press(
        gettext_lazy("Known and harmless"), gettext_lazy("It is harmless"), gettext_lazy("Written down as harmless."),
        lambda data, _event: HarmlessForm(data), trail_verdicts.harmless,
    ),
    "suspicious": Press(
        gettext_lazy("Suspicious"), gettext_lazy("Open an incident"), gettext_lazy("An incident is open."),
        lambda data, _event: forms.Form(data), trail_verdicts.suspicious,
    ),
    "undo": Press(
        gettext_lazy("Take the verdict back"), gettext_lazy("Take it back"), gettext_lazy("Taken back."),
        lambda data, _event: forms.Form(data), trail_verdicts.undo,
    ),
}  # fmt: skip


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    page = tables.page(
        request,
        TrailEvent.objects.for_lists(),
        sort=SORT,
        default="-at",
        search=("action", "service", "actor_name", "source_ip", "access_key_id", "request_id", "assets__name"),
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return _export(page)
    context = {
        "page": page,
        "shows_customer": is_provider(person),
        "behind": _behind(),
        "unexplained": TrailEvent.objects.unexplained().count(),
    }
    return render(request, "changes/trail_list.html", context)


@require_safe
def readings(request: HttpRequest) -> HttpResponse:
    """Which region of which account is read from when to when, and what cannot be read."""
    person = person_of(request)
    followed = TrailReading.objects.values("cloud_account")
    page = tables.page(
        request,
        CloudAccount.objects.existing().filter(pk__in=followed).select_related("customer"),
        sort={"name": ("name", "pk")},
        default="name",
        search=("name", "account_uid", "customer__name"),
        filters={"customer": _customers()} if is_provider(person) else {},
    )
    rows = TrailReading.objects.filter(cloud_account__in=page.rows)
    reaches, regions = rows.by_account(), defaultdict(list)
    for reading in rows.order_by("region"):
        regions[reading.cloud_account_id].append(reading)
    context = {
        "page": page,
        "shows_problem": is_provider(person),
        "trails": [(account, reaches[account.pk], regions[account.pk]) for account in page.rows],
    }
    return render(request, "changes/trail_readings.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    event = get_event(pk)
    context = {
        "event": event,
        "raw": json.dumps(event.raw, ensure_ascii=False, indent=2),
        "session": _session(event),
        "may_decide": trail_verdicts.may_decide(person_of(request)),
        "around": TrailEvent.objects.for_lists()
        .filter(cloud_account=event.cloud_account_id, actor_name=event.actor_name)
        .filter(occurred_at__range=(event.occurred_at - timedelta(hours=1), event.occurred_at + timedelta(hours=1)))
        .exclude(pk=event.pk)[:10],
    }
    template = "changes/_trail_detail.html" if is_fragment(request) else "changes/trail_event.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
def press(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Show the verdict's form, or give it."""
    event, person, pressed = get_event(pk), person_of(request), PRESSES[name]
    if not trail_verdicts.may_decide(person):
        raise PermissionDenied
    form = pressed.make_form(request.POST if request.method == "POST" else None, event)
    if request.method == "POST" and form.is_valid():
        pressed.act(event=event, actor=person, now=timezone.now(), **form.cleaned_data)
        if is_fragment(request):
            heard = {
                "press:done": {},
                "live": {"topic": "trail"},
                "toast": {"level": "success", "text": str(pressed.done)},
            }
            return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(heard)})
        messages.success(request, str(pressed.done))
        return redirect("changes:trail-event", event.pk)
    context = {"event": event, "form": form, "press": pressed}
    template = "changes/_trail_press.html" if is_fragment(request) else "changes/trail_press.html"
    return render(request, template, context, status=422 if form.errors else 200)


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """Who changed this asset lately, and under which change."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    rows = list(TrailEvent.objects.of_asset(asset.pk).for_lists()[: OF_ASSET + 1])
    context = {"events": rows[:OF_ASSET], "more": len(rows) > OF_ASSET, "asset": asset}
    return render(request, "changes/_trail_for_asset.html", context)


@require_safe
def month(request: HttpRequest) -> HttpResponse:
    """How the events of a month were reconciled, for each customer."""
    first = _month(request.GET.get("month", ""))
    rows = trail_verdicts.reconciled(first)
    if tables.wants_csv(request):
        columns: dict[str, Callable[[trail_verdicts.Reconciled], object]] = {
            _("Month"): lambda _row: f"{first:%Y-%m}",
            _("Customer"): lambda row: row.customer.name,
            **{str(verdict.label): _count(verdict.value) for verdict in TrailVerdict},
            _("In total"): lambda row: row.total,
            _("Incidents"): lambda row: row.incidents,
        }
        return tables.export_csv(rows, columns, f"trail-{first:%Y-%m}")
    context = {
        "first": first,
        "rows": rows,
        "verdicts": [(verdict.value, verdict.label) for verdict in TrailVerdict],
        "months": _months(timezone.localdate()),
    }
    return render(request, "changes/trail_month.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def actors(request: HttpRequest) -> HttpResponse:
    """The customer's own people on their cloud."""
    person = person_of(request)
    customer = asked_customer(request, person)
    if customer is None:
        return render(request, "incidents/choose_customer.html", {"customers": Customer.objects.all()})
    form = KnownForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        trail_verdicts.know(customer=customer, actor=person, now=timezone.now(), **form.cleaned_data)
        messages.success(request, _("On the list. What they did and nobody had explained is explained now."))
        return redirect(f"{request.path}?customer={customer.pk}")
    rows = TrailActor.objects.filter(customer=customer).known().select_related("created_by")
    context = {"customer": customer, "actors": rows, "form": form}
    return render(request, "changes/trail_actors.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def forget(request: HttpRequest, pk: int) -> HttpResponse:
    known = get_object_or_404(TrailActor.objects.select_related("customer"), pk=pk)
    trail_verdicts.forget(known=known, actor=person_of(request), now=timezone.now())
    messages.success(request, _("Taken off the list."))
    return redirect(f"{reverse('changes:trail-actors')}?customer={known.customer_id}")


def get_event(pk: int) -> TrailEvent:
    """404 for what is not there or not in reach."""
    rows = TrailEvent.objects.select_related("customer", "cloud_account", "change", "incident", "decided_by")
    return get_object_or_404(rows.prefetch_related("assets"), pk=pk)


def _session(event: TrailEvent) -> Mapping[str, str]:
    """What ActionTrail says of the session in which it was done."""
    identity = event.raw.get("userIdentity")
    context = identity.get("sessionContext") if isinstance(identity, Mapping) else None
    found = context.get("attributes") if isinstance(context, Mapping) else None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, Mapping) else {}


def _behind() -> list[tuple[CloudAccount, TrailReach]]:
    """The accounts whose trail is not read everywhere."""
    reaches = TrailReading.objects.filter(cloud_account__retired_at=None).by_account()
    found = {pk: reach for pk, reach in reaches.items() if not reach.is_complete}
    accounts = CloudAccount.objects.filter(pk__in=found).select_related("customer").order_by("name", "pk")
    return [(account, found[account.pk]) for account in accounts]


def _customers() -> tables.Choice:
    options = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
    return tables.Choice(_("Customer"), options, "customer_id")


def _filters(person: User) -> dict[str, tables.Filter]:
    days = [("1", _("last day")), ("7", _("last 7 days")), ("30", _("last 30 days")), ("90", _("last 90 days"))]
    chosen: dict[str, tables.Filter] = {
        "verdict": tables.Choice(_("Verdict"), TrailVerdict.choices, "verdict"),
        "rule": tables.Choice(_("Rule"), [(rule.code, said(rule.name)) for rule in rules().values()], "rule"),
        "days": tables.Choice(
            _("When"), days, lambda value: Q(occurred_at__gte=timezone.now() - timedelta(days=int(value)))
        ),
        "month": tables.Choice(
            _("Month"), [(f"{first:%Y-%m}",) * 2 for first in _months(timezone.localdate())], _in_month
        ),
        "who": "actor_name__iexact",
        "action": "action__iexact",
        "asset": "assets",
        "change": "change",
        "incident": "incident",
    }
    if is_provider(person):
        chosen = {"customer": _customers(), **chosen}
    return chosen


def _in_month(text: str) -> Q:
    starts, ends = trail_verdicts.month_of(_month(text))
    return Q(occurred_at__gte=starts, occurred_at__lt=ends)


def _month(text: str) -> date:
    """The month that was asked for, "2026-03"; this one for whatever is no month."""
    is_month = re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", text)
    return date.fromisoformat(f"{text}-01") if is_month else timezone.localdate().replace(day=1)


def _months(today: date) -> list[date]:
    found = [today.replace(day=1)]
    while len(found) < MONTHS:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found


def _count(verdict: str) -> Callable[[trail_verdicts.Reconciled], object]:
    return lambda row: row.counts[verdict]


def _export(page: tables.Page[TrailEvent]) -> HttpResponse:
    columns: dict[str, Callable[[TrailEvent], object]] = {
        _("When"): lambda row: row.occurred_at,
        _("Customer"): lambda row: row.customer.name,
        _("Cloud account"): lambda row: row.cloud_account.name,
        _("Service"): lambda row: row.service,
        _("Action"): lambda row: row.action,
        _("Touched"): lambda row: ", ".join(row.resources),
        _("Assets"): lambda row: ", ".join(asset.name for asset in row.assets.all()),
        _("Who"): lambda row: row.who,
        _("Kind of user"): lambda row: row.actor_type,
        _("AccessKey ID"): lambda row: row.access_key_id,
        _("From address"): lambda row: row.source_ip,
        _("Error"): lambda row: row.error_code,
        _("Verdict"): lambda row: row.get_verdict_display(),
        _("Because"): lambda row: row.get_because_display(),
        pgettext("noun", "Change"): lambda row: row.change.number if row.change else "",
        _("Incident"): lambda row: row.incident.number if row.incident else "",
        _("Decided by"): lambda row: row.decided_by,
        _("Reason"): lambda row: row.reason,
        _("Request ID"): lambda row: row.request_id,
        _("Event ID"): lambda row: row.event_id,
    }
    return tables.export_csv(page.all(), columns, "audit-trail")
