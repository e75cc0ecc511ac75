"""Silences: the list with what is quiet when, one silence, making and ending them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.models import Customer
from accounts.permissions import is_provider, person_of, require
from assets.models import Asset
from monitoring.extra_rules import EXTRA_RULES
from monitoring.matching import Scope
from monitoring.models import Alert, AlertHold, AssetGroup, Silence
from monitoring.rules import RULES
from monitoring.services import holding, silences
from monitoring.silence_forms import SilenceForm, first_values
from monitoring.views.rules import chosen_customer

SHOWN_WINDOWS = 6
DAYS_AHEAD = 7


@dataclass(frozen=True, slots=True)
class Row:
    """A silence as the list shows it."""

    silence: Silence
    is_quiet: bool
    is_standing: bool
    next: tuple[datetime, datetime] | None
    about: str


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All silences in reach: those that stand first, and the days ahead."""
    person, now = person_of(request), timezone.now()
    filters: dict[str, tables.Filter] = {}
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        filters["customer"] = tables.Choice(_("Customer"), customers, "customer_id")
    kinds = [("standing", _("Standing")), ("over", _("Over"))]
    lookups = {"standing": Silence.objects.standing(now), "over": Silence.objects.over(now)}
    filters["state"] = tables.Choice(_("State"), kinds, lambda value: _in(lookups[value]))
    page = tables.page(
        request,
        Silence.objects.select_related("customer", "created_by"),
        sort={"created": "created_at", "over": "over_at"},
        default="-created",
        search=["reason", "customer__name"],
        filters=filters,
    )
    rows = [_row(silence, now) for silence in page.rows]
    context = {
        "page": page,
        "rows": rows,
        "days": _days(rows, now),
        "shows_customer": is_provider(person),
        "may_change": is_provider(person),
    }
    return render(request, "monitoring/silence_list.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    silence = get_object_or_404(Silence.objects.select_related("customer", "created_by", "ended_by"), pk=pk)
    now = timezone.now()
    held = AlertHold.objects.filter(silence=silence).select_related("alert__asset").order_by("-from_at")
    context = {
        "row": _row(silence, now),
        "silence": silence,
        "windows": silence.upcoming(now, SHOWN_WINDOWS),
        "held": held[:50],
        "held_count": held.count(),
        "preview": silences.preview(customer=silence.customer, scope=holding.scope_of(silence)),
        "may_change": is_provider(person_of(request)),
        "may_resume": silence.ended_at is not None and (silence.over_at is None or silence.over_at > now),
    }
    return render(request, "monitoring/silence_detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(is_provider)
def create(request: HttpRequest) -> HttpResponse:
    customer = chosen_customer(request)
    if customer is None:
        context: dict[str, object] = {"customers": Customer.objects.all(), "title": _("New silence")}
        return render(request, "monitoring/choose_customer.html", context)
    form = SilenceForm(request.POST or None, customer=customer, initial=_initial(request))
    preview = None
    if request.method == "POST" and form.is_valid():
        if "preview" not in request.POST:
            silence = silences.create(
                customer=customer,
                reason=form.cleaned_data["reason"],
                windows=form.cleaned_data["windows"],
                scope=form.cleaned_data["scope"],
                timezone=form.cleaned_data["timezone"],
                actor=person_of(request),
                now=timezone.now(),
            )
            messages.success(request, _("Silenced. Alerts are recorded; what still fires at the end is told then."))
            return redirect("monitoring:silence", silence.pk)
        preview = silences.preview(customer=customer, scope=form.cleaned_data["scope"])
    context = {"form": form, "customer": customer, "preview": preview}
    return render(request, "monitoring/silence_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def end(request: HttpRequest, pk: int) -> HttpResponse:
    silence = get_object_or_404(Silence.objects.all(), pk=pk)
    silences.end(silence=silence, actor=person_of(request), now=timezone.now())
    messages.success(request, _("The silence is over. What still fires is told now."))
    return redirect("monitoring:silence", pk)


@require_POST
@require(is_provider)
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    silence = get_object_or_404(Silence.objects.all(), pk=pk)
    try:
        silences.resume(silence=silence, actor=person_of(request), now=timezone.now())
        messages.success(request, _("The silence stands again."))
    except DomainError as problem:
        messages.error(request, problem.message)
    return redirect("monitoring:silence", pk)


def _in(rows: object) -> Q:
    return Q(pk__in=rows)


def _row(silence: Silence, now: datetime) -> Row:
    ahead = silence.upcoming(now, 1)
    return Row(silence, silence.is_quiet(now), silence.is_standing(now), ahead[0] if ahead else None, about(silence))


def about(silence: Silence) -> str:
    """What a silence covers, in words."""
    language = get_language() or "zh-hans"
    parts = []
    names = list(Asset.objects.filter(pk__in=silence.asset_ids).order_by("name").values_list("name", flat=True))
    names += list(AssetGroup.objects.filter(pk__in=silence.group_ids).values_list("name", flat=True))
    parts.append(_shortened(names) if names else _("All assets"))
    rules = [RULES.get(each) or EXTRA_RULES.get(each) for each in silence.rule_ids]
    if rules:
        parts.append(_shortened([rule.name(language) for rule in rules if rule is not None]))
    parts += [f"{name}={value}" for name, value in dict(silence.labels).items()]
    return " · ".join(parts)


def _shortened(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else _("%(names)s and %(count)s more") % {"names": shown, "count": len(names) - 4}


@dataclass(frozen=True, slots=True)
class Span:
    """Part of one day, as the picture of the days ahead draws it: from and to in steps of 15 minutes."""

    silence: Silence
    left: int
    width: int
    start: datetime
    end: datetime


def _days(rows: list[Row], now: datetime) -> list[tuple[datetime, list[Span]]]:
    """The next days with their quiet hours, by the platform's clock."""
    first = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for number in range(DAYS_AHEAD):
        day = first + timedelta(days=number)
        following = day + timedelta(days=1)
        spans = [
            _span(row.silence, max(start, day), min(end, following), day)
            for row in rows
            if row.is_standing
            for start, end in row.silence.upcoming(max(now, day), SHOWN_WINDOWS)
            if start < following and end > day
        ]
        found.append((day, spans))
    return found


def _span(silence: Silence, start: datetime, end: datetime, day: datetime) -> Span:
    left = int((start - day).total_seconds() // 900)
    width = max(1, round((end - start).total_seconds() / 900))
    return Span(silence, left, min(width, 96 - left), start, end)


def _initial(request: HttpRequest) -> dict[str, object]:
    """What the address asks for, such as the alert that somebody wants to silence."""
    values: dict[str, object] = dict(first_values())
    alert_id = request.GET.get("alert", "")
    alert = Alert.objects.filter(pk=int(alert_id)).first() if alert_id.isdecimal() and len(alert_id) < 19 else None
    if alert is not None:
        values |= {"assets": [alert.asset_id], "rules": [alert.rule_id]}
    asset_id = request.GET.get("asset", "")
    if asset_id.isdecimal() and len(asset_id) < 19:
        values["assets"] = [int(asset_id)]
    return values


def scope_of_alerts(alerts: list[Alert]) -> Scope:
    """The assets of these alerts, for their rules."""
    return Scope(frozenset(alert.asset_id for alert in alerts), rule_ids=frozenset(alert.rule_id for alert in alerts))
