"""Sites: all URLs and flows with their places, and the page of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.permissions import is_provider, person_of
from monitoring.collectors.config import Kind
from monitoring.forms import WindowForm
from monitoring.models import Alert, Target
from monitoring.services import graphs, sites, targets

AT_ONCE = 60
DAY = {"24h": timedelta(hours=24)}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every site in reach with how each place finds it, and how much of the contract is used."""
    person = person_of(request)
    now = timezone.now()
    watched = list(Target.objects.for_lists().filter(kind__in=targets.URL_KINDS).enabled()[:AT_ONCE])
    customers = {target.customer_id: target.customer for target in watched}
    if person.customer is not None:
        customers = {person.customer.pk: person.customer}
    quotas = [(customer, found) for customer in customers.values() if (found := sites.quota(customer, now=now))]
    context = {
        "rows": [
            (target, target.health(now), sites.places_of(target, now=now, spans=DAY), sites.days_left(target, now=now))
            for target in watched
        ],
        "quotas": quotas,
        "names": _names(),
        "shows_customer": is_provider(person),
        "now": now,
    }
    fragment = request.headers.get("HX-Target") == "sites"
    return render(request, "monitoring/_site_rows.html" if fragment else "monitoring/site_list.html", context)


def _names() -> list[Target]:
    """What is watched of names: certificates, domains, DNS records."""
    kinds = (Kind.TLS, Kind.DOMAIN, Kind.DNS)
    return list(Target.objects.select_related("customer", "asset").filter(kind__in=kinds).enabled()[:AT_ONCE])


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One site: matrix, graph, waterfall, outages."""
    target = get_object_or_404(Target.objects.for_lists().filter(kind__in=targets.URL_KINDS), pk=pk)
    now = timezone.now()
    places = sites.places_of(target, now=now)
    context = {
        "target": target,
        "health": target.health(now),
        "places": places,
        "spans": list(sites.SPANS),
        "falls": [(place, sites.waterfall(place.row.answer)) for place in places if place.row and place.row.answer],
        "phases": sites.phase_names(),
        "outages": sites.outages(target, now=now),
        "days_left": sites.days_left(target, now=now),
        "quota": sites.quota(target.customer, now=now),
        "alerts": _alerts(target)[:5],
        "ranges": list(graphs.RANGES),
        "range": graphs.DEFAULT_RANGE,
        "may_change": is_provider(person_of(request)),
        "now": now,
    }
    fragment = request.headers.get("HX-Target") == "site"
    return render(request, "monitoring/_site.html" if fragment else "monitoring/site_detail.html", context)


def _alerts(target: Target) -> QuerySet[Alert]:
    """What is open about this site; others of the same asset have pages of their own."""
    about = Q(rule_id="website-failed", labels__contains=f'url="{target.where}"')
    about |= Q(open_key__contains=f"url-region:{target.pk}:") | Q(open_key__endswith=f"tls-expiry:{target.pk}")
    found: QuerySet[Alert] = Alert.objects.filter(about, asset=target.asset).open().worst_first()
    return found


@require_safe
def latency(request: HttpRequest, pk: int) -> JsonResponse:
    """Response times of one site by place."""
    target = get_object_or_404(Target.objects.filter(kind__in=targets.URL_KINDS), pk=pk)
    form = WindowForm(request.GET)
    form.is_valid()
    asked = form.cleaned_data
    view = graphs.window(asked.get("range", ""), None, None, now=timezone.now())
    since = datetime.fromtimestamp(asked["since"] / 1000, UTC) if asked.get("since") else None
    response = JsonResponse(sites.latency(target, view, since=since))
    response["Cache-Control"] = "private, no-store"
    return response
