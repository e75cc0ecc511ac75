"""Alerts: the list, one alert, and the pieces that other pages load."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer, Severity, User
from accounts.permissions import is_provider, person_of
from incidents.models import Incident
from monitoring import sparkline, storage, wording
from monitoring.models import Alert, Held
from monitoring.panels import PANEL_OF
from monitoring.rules import RULES, metric_of
from monitoring.services import graphs, outlooks
from monitoring.services.openings import samples_of_alerts
from monitoring.silence_forms import AckForm, QuickSilenceForm, rule_choices
from monitoring.units import shown
from monitoring.views import alert_moments

SORT: Final[dict[str, tables.SortBy]] = {
    "opened": "opened_at",
    "severity": ("severity", "-opened_at"),
    "title": "title",
    "customer": ("customer__name", "-opened_at"),
    "ended": "recovered_at",
}
OPEN: Final = Q(recovered_at=None)
STATES: Final = {
    "open": OPEN,
    "loud": OPEN & Q(held="", flapping_since=None),
    "unacknowledged": OPEN & Q(held="") & (Q(acknowledged_at=None) | Q(ack_expired_at__isnull=False)),
    "acknowledged": OPEN & Q(acknowledged_at__isnull=False, ack_expired_at=None),
    "silenced": OPEN & Q(held="silenced"),
    "inhibited": OPEN & Q(held="inhibited"),
    "flapping": OPEN & Q(flapping_since__isnull=False),
    "stale": OPEN & Q(stale_since__isnull=False),
    "ended": Q(recovered_at__isnull=False),
    "recovered": Q(ending__in=("recovered", "data_back")),
}
SINCE: Final = {"1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24}
"""Hours back, by the name in the address."""
RANGES: Final = ("1h", "6h", "24h", "7d")
ORDERED: Final = frozenset({">=", ">", "<=", "<"})
"""Comparators whose threshold is a line on a graph."""
FOUND: Final = 8
OF_INCIDENT: Final = 20
BEFORE: Final = timedelta(minutes=30)
LONGEST_LINE: Final = timedelta(days=2)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All alerts in reach, or their rows for the browser that refreshes itself."""
    person = person_of(request)
    page = tables.page(
        request,
        Alert.objects.select_related("asset", "customer", "incident", "cause__asset", "acknowledged_by"),
        sort=SORT,
        default="-opened",
        search=["title", "asset__name", "labels", "rule_id", "customer__name"],
        filters=_filters(person),
        exports=True,
    )
    if tables.wants_csv(request):
        return tables.export_csv(page.all(), _columns(), "alerts")
    context = {
        "page": page,
        "shows_customer": is_provider(person),
        "may_change": is_provider(person),
        "open_count": Alert.objects.open().count(),
        "ack_form": AckForm(),
        "silence_form": QuickSilenceForm(),
    }
    fragment = request.headers.get("HX-Target") == "alerts"
    return render(request, "monitoring/_alert_rows.html" if fragment else "monitoring/alert_list.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One alert: what fired it, the rule as it held, its moments, and the graph around it."""
    joined = ("asset", "customer", "incident", "series", "cause__asset", "acknowledged_by")
    alert = get_object_or_404(Alert.objects.select_related(*joined), pk=pk)
    rule, metric = alert.rule, metric_of(alert.series.metric) if alert.series else None
    language = get_language() or "zh-hans"
    shown_first = _shown(alert)
    samples = [
        (datetime.fromtimestamp(ts / 1000, tz=timezone.get_current_timezone()), _figure(alert, value))
        for ts, value in samples_of_alerts([alert])[0]
    ]
    context = {
        "alert": alert,
        "rule": rule,
        "rule_conditions": wording.conditions_text(rule.conditions) if rule else "",
        "rule_recovery": wording.conditions_text(rule.recovery, any_of=True) if rule else "",
        "reason": rule.reason(language) if rule else "",
        "value": _figure(alert, alert.value),
        "usual": _usual(alert),
        "samples": samples,
        "ranges": RANGES,
        "shown": shown_first,
        "shown_json": json.dumps(shown_first),
        "panel": PANEL_OF.get(metric.name, metric.name) if metric else "",
        "lasted": wording.duration((alert.recovered_at or timezone.now()) - alert.opened_at),
        "moments": alert_moments.of(alert),
        "symptoms": alert.symptoms.select_related("asset").order_by("recovered_at", "severity", "-opened_at")[:20],
        "may_change": is_provider(person_of(request)),
        "ack_form": AckForm(),
        "earlier": Alert.objects.filter(open_key=alert.open_key, pk__lt=alert.pk).order_by("-opened_at")[:5],
    }
    return render(request, "monitoring/alert_detail.html", context)


@require_safe
def for_incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    """The alerts of an incident, each with its line, for the incident's page."""
    incident = get_object_or_404(Incident.objects, pk=incident_id)
    alerts = (
        Alert.objects.of_incident(incident.pk)
        .select_related("asset", "series")
        .order_by("recovered_at", "severity", "-opened_at")
    )
    shown_alerts = alerts[:OF_INCIDENT]
    context = {"lines": lines(list(shown_alerts)), "more": max(0, alerts.count() - OF_INCIDENT)}
    return render(request, "monitoring/_for_incident.html", context)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """The alerts part of the search over everything: open ones first."""
    query = request.GET.get("q", "").replace("\x00", "").strip()[:100]
    rows = Alert.objects.select_related("customer", "asset")
    for word in query.split()[:8]:
        rows = rows.filter(Q(title__icontains=word) | Q(asset__name__icontains=word) | Q(labels__icontains=word))
    found = rows.order_by("-opened_at")[:FOUND] if query else []
    return render(request, "monitoring/_alert_search.html", {"alerts": found})


def _shown(alert: Alert) -> dict[str, str]:
    """What the graph shows first: a range that reaches back to the alert, or the time around one that is over."""
    if alert.recovered_at is not None:
        around = max(timedelta(minutes=30), (alert.recovered_at - alert.first_breach_at) / 2)
        start, end = alert.first_breach_at - around, min(timezone.now(), alert.recovered_at + around)
        return {"start": str(_ms(start)), "end": str(_ms(end))}
    age = timezone.now() - alert.first_breach_at
    return {"range": next((name for name in RANGES if age < graphs.RANGES[name] * 0.8), RANGES[-1])}


@dataclass(frozen=True, slots=True)
class Line:
    """An alert with the picture of its series."""

    alert: Alert
    value: str
    picture: sparkline.Sparkline | None


def lines(alerts: Sequence[Alert]) -> list[Line]:
    return [Line(alert, _figure(alert, alert.value), _picture(alert)) for alert in alerts]


def _picture(alert: Alert) -> sparkline.Sparkline | None:
    """The figure from half an hour before the first bad point until a little after the end, or until now."""
    if alert.series_id is None:
        return None
    now = timezone.now()
    start = alert.first_breach_at - BEFORE
    ended = alert.recovered_at or now
    end = min(now, ended + BEFORE, start + LONGEST_LINE)
    found = storage.read(asset_id=alert.asset_id, series_ids=[alert.series_id], start=start, end=end)[alert.series_id]
    condition = (alert.condition.get("conditions") or [{}])[0]
    return sparkline.draw(
        found.ts,
        found.value,
        span=(_ms(start), _ms(end)),
        stretch=(_ms(alert.opened_at), _ms(min(ended, end))),
        limit=condition.get("limit") if condition.get("comparator") in ORDERED else None,
    )


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _figure(alert: Alert, value: float | None) -> str:
    metric = metric_of(alert.series.metric) if alert.series else None
    if metric is None:
        return "—"
    return shown(value, metric.unit, metric=metric.name, language=get_language() or "zh-hans")


def _usual(alert: Alert) -> str:
    """What the figure is at such an hour of the week, where five weeks before tell; advice only."""
    if alert.series is None:
        return ""
    hour = timedelta(hours=1)
    known = outlooks.usual(series=alert.series, start=alert.opened_at - hour, end=alert.opened_at)
    if not known.ts:
        return ""
    return f"{_figure(alert, known.low[-1])} – {_figure(alert, known.high[-1])}"


def _filters(person: User) -> dict[str, tables.Filter]:
    states: list[tuple[object, tables.Text]] = [
        ("open", _("Open, all")),
        ("loud", _("Firing")),
        ("unacknowledged", _("In nobody's hands")),
        ("acknowledged", _("Acknowledged")),
        ("silenced", Held.SILENCED.label),
        ("inhibited", Held.INHIBITED.label),
        ("flapping", Held.FLAPPING.label),
        ("stale", _("Firing, without data")),
        ("recovered", _("Recovered")),
        ("ended", pgettext("alert state", "Ended")),
    ]
    since = [("1h", _("last hour")), ("24h", _("last day")), ("7d", _("last 7 days")), ("30d", _("last 30 days"))]
    products = list(dict.fromkeys(rule.product for rule in RULES.values() if rule.product))
    found: dict[str, tables.Filter] = {
        "state": tables.Choice(_("State"), states, lambda value: STATES[value]),
        "severity": tables.Choice(_("Severity"), Severity.choices, "severity"),
        "product": tables.Choice(_("Product"), [(each, each) for each in products], _of_product),
        "rule": tables.Choice(_("Rule"), rule_choices(), "rule_id"),
        "since": tables.Choice(_("Fired"), since, _since),
        "asset": "asset_id",
    }
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        found["customer"] = tables.Choice(_("Customer"), customers, "customer_id")
    return found


def _since(name: str) -> Q:
    return Q(opened_at__gte=timezone.now() - timedelta(hours=SINCE[name]))


def _of_product(product: str) -> Q:
    return Q(rule_id__in=[rule.id for rule in RULES.values() if rule.product == product])


def _state(alert: Alert) -> str:
    """In one word, as the list shows it."""
    if not alert.is_open:
        return str(alert.get_ending_display())
    if alert.held:
        return str(alert.get_held_display())
    if alert.flapping_since:
        return str(Held.FLAPPING.label)
    return _("Acknowledged") if alert.is_acknowledged else _("Firing")


def _columns() -> dict[str, Callable[[Alert], object]]:
    return {
        _("Fired"): lambda alert: alert.opened_at,
        _("Severity"): lambda alert: alert.get_severity_display(),
        _("Customer"): lambda alert: alert.customer.name,
        _("Asset"): lambda alert: alert.asset.name,
        _("Alert"): wording.alert_title,
        _("State"): _state,
        _("Rule"): lambda alert: alert.rule_id,
        _("Value"): lambda alert: alert.value,
        _("First bad point"): lambda alert: alert.first_breach_at,
        _("Detected"): lambda alert: alert.detected_at,
        _("Notified"): lambda alert: alert.notified_at,
        _("Acknowledged"): lambda alert: alert.acknowledged_at,
        pgettext("alert", "Ended"): lambda alert: alert.recovered_at,
        _("How it ended"): lambda alert: alert.get_ending_display(),
        _("Incident"): lambda alert: alert.incident.number if alert.incident else "",
    }
