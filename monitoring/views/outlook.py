"""What is expected to be full, and what is usual: advice, no alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import tables
from accounts.models import Customer
from accounts.permissions import is_provider, person_of
from assets.models import Asset
from monitoring.models import Outlook, Series
from monitoring.rules import METRICS
from monitoring.services import outlooks
from monitoring.units import shown
from monitoring.wording import labels_shown

WITHIN: Final = timedelta(days=90)
OF_ASSET: Final = timedelta(days=60)
SOON_DAYS: Final = 7
LONGEST: Final = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Line:
    """One outlook in words."""

    outlook: Outlook
    part: str
    level: str
    per_day: str
    days: int
    is_soon: bool


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Everything in reach that is expected to be full within three months, the soonest first."""
    person, now = person_of(request), timezone.now()
    filters: dict[str, tables.Filter] = {"asset": "series__asset_id"}
    if is_provider(person):
        customers = [(customer.pk, str(customer)) for customer in Customer.objects.all()]
        filters["customer"] = tables.Choice(_("Customer"), customers, "customer_id")
    page = tables.page(
        request,
        Outlook.objects.filling(now + WITHIN).select_related("series__asset", "customer"),
        sort={"full": "full_at", "asset": ("series__asset__name", "full_at")},
        default="full",
        search=["series__asset__name", "series__labels", "customer__name"],
        filters=filters,
    )
    context = {"page": page, "lines": lines(page.rows, now), "shows_customer": is_provider(person)}
    return render(request, "monitoring/outlook_list.html", context)


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """What of one asset will be full before long: a fragment of its page, empty when nothing will."""
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    now = timezone.now()
    rows = Outlook.objects.filling(now + OF_ASSET).filter(series__asset=asset).select_related("series__asset")
    return render(request, "monitoring/_outlook.html", {"lines": lines(list(rows[:5]), now)})


@require_safe
def usual(request: HttpRequest, series_id: int) -> HttpResponse:
    """The band of what is usual for a series between two moments (Unix milliseconds), for its graph; the last day
    when none are given."""
    series = get_object_or_404(Series.objects, pk=series_id)
    now = timezone.now()
    try:
        start, end = (
            _moment(request.GET[name]) if name in request.GET else otherwise
            for name, otherwise in (("start", now - timedelta(days=1)), ("end", now))
        )
    except (ValueError, OverflowError) as problem:
        raise Http404 from problem
    if not start < end <= start + LONGEST:
        raise Http404
    found = outlooks.usual(series=series, start=start, end=end)
    body = {"ts": found.ts, "low": found.low, "high": found.high, "unusual": found.unusual}
    return JsonResponse(body)


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(int(text[:15]) / 1000, tz=UTC)


def lines(rows: list[Outlook], now: datetime) -> list[Line]:
    language = get_language() or "zh-hans"
    found = []
    for row in rows:
        metric = METRICS[row.series.metric]
        days = row.days_left(now) or 0.0
        change = f"{row.per_day:+.2f} {metric.unit}"
        level = shown(row.level, metric.unit, metric=metric.name, language=language)
        found.append(Line(row, labels_shown(row.series.labels), level, change, round(days), days <= SOON_DAYS))
    return found
