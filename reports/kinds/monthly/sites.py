"""The URLs that were watched, as their places found them, with outages, certificates and domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

import numpy as np
from django.db.models import Q
from django.utils.translation import gettext as _

from assets.models import Asset
from monitoring import storage
from monitoring.collectors import parse_labels
from monitoring.models import Alert, Series, Target
from monitoring.packing import NO_POINTS, Column
from monitoring.rules import CODES
from monitoring.services.targets import URL_KINDS
from reports import figures
from reports.kinds.asking import Asked
from reports.kinds.readings import Reading, is_chinese, readings, stay

VERDICT: Final = "url.result_code"
POINT: Final = "url.point.result_code"
LATENCY: Final = "url.latency_ms"
SITE: Final = (VERDICT, POINT, LATENCY)
NAMES: Final = ("url.cert_days_left", "probe.tls.days_left", "probe.domain.days_left")
DOMAIN: Final = "probe.domain.days_left"
SITE_RULE: Final = "website-failed"
PORT_RULE: Final = "port-not-running"


@dataclass(frozen=True)
class Site:
    """A URL of an asset: the verdicts of its rounds in steps, the points of its places as they were read."""

    asset: Asset
    url: str
    verdict: Reading | None
    results: dict[str, Column]
    latency: dict[str, Column]

    @property
    def is_known(self) -> bool:
        return bool(self.coverage) or any(len(one.ts) for one in self.results.values())

    @property
    def coverage(self) -> float:
        return 0.0 if self.verdict is None else self.verdict.summary.coverage

    @cached_property
    def available(self) -> float | None:
        return None if self.verdict is None else self.verdict.availability

    @cached_property
    def all_latency(self) -> Column:
        """Of all places, in the order of time."""
        return together(list(self.latency.values()))


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate or a domain, as it was last seen."""

    what: str
    name: str
    days: float
    ends_at: datetime


def sites_and_endings(asked: Asked) -> tuple[list[Site], list[Ending]]:
    sites: list[Site] = []
    endings: list[Ending] = []
    watched = _watched(asked)
    of_places = asked.series((POINT, LATENCY))
    for asset, found in readings(asked, asked.assets, (VERDICT, *NAMES)):
        verdicts = {one.labels.get("url", ""): one for one in found if one.metric == VERDICT}
        places = of_places.get(asset.pk, [])
        urls = {*verdicts, *watched.get(asset.pk, ()), *(parse_labels(one.labels).get("url", "") for one in places)}
        points = _points(asked, asset, places)
        for url in sorted(urls):
            results, latency = (
                {place: column for (metric, its, place), column in points.items() if (metric, its) == (wanted, url)}
                for wanted in (POINT, LATENCY)
            )
            sites.append(Site(asset, url, verdicts.get(url), results, latency))
        endings += [_ending(asked, asset, one) for one in found if one.metric in NAMES and len(one.rollup.ts)]
    return sites, sorted(endings, key=lambda one: (one.days, one.name))


def _watched(asked: Asked) -> dict[int, set[str]]:
    """What is to be watched, whether figures came of it or not, by asset."""
    found: dict[int, set[str]] = {}
    rows = Target.objects.filter(customer=asked.customer, kind__in=URL_KINDS, created_at__lt=asked.until).enabled()
    for target in rows:
        if target.asset_id is not None:
            found.setdefault(target.asset_id, set()).add(target.where)
    return found


def _points(asked: Asked, asset: Asset, series: Sequence[Series]) -> dict[tuple[str, str, str], Column]:
    """Every point of an asset's URLs by metric, URL and place: percentiles and causes cannot be had of steps."""
    start, end = stay(asked, asset)
    if not series or start >= end:
        return {}
    columns = storage.read(asset_id=asset.pk, series_ids=[one.pk for one in series], start=start, end=end)
    labels = {one.pk: (one.metric, parse_labels(one.labels)) for one in series}
    return {
        (metric, its.get("url", ""), its.get("point", "")): columns[pk] for pk, (metric, its) in sorted(labels.items())
    }


def _ending(asked: Asked, asset: Asset, reading: Reading) -> Ending:
    seen = int(reading.rollup.ts[-1])
    at = round(asked.until.timestamp() * 1000)
    days = figures.days_left(float(reading.rollup.mean[-1]), seen, at)
    name = reading.labels.get("url") or reading.labels.get("name") or asset.name
    what = _("Domain") if reading.metric == DOMAIN else _("Certificate")
    return Ending(what, name, days, asked.until + timedelta(days=days))


def alerts_of(asked: Asked, rule_id: str) -> list[Alert]:
    """Alerts of a rule that reach into the stretch, the first first."""
    rows = Alert.objects.filter(asset__in=[asset.pk for asset in asked.assets], rule_id=rule_id)
    rows = rows.filter(first_breach_at__lt=asked.until)
    rows = rows.filter(Q(recovered_at=None) | Q(recovered_at__gt=asked.start))
    return list(rows.select_related("asset", "incident").order_by("first_breach_at", "pk"))


def of_site(site: Site, outages: Sequence[Alert]) -> list[Alert]:
    return [one for one in outages if one.asset_id == site.asset.pk and parse_labels(one.labels).get("url") == site.url]


def time_down(asked: Asked, alerts: Sequence[Alert]) -> timedelta:
    return figures.down([(one.first_breach_at, one.recovered_at) for one in alerts], asked.start, asked.until)


def cause(site: Site | None, alert: Alert, until: datetime) -> str:
    """What the engineer found, else what the places said most while it lasted."""
    if alert.incident is not None and alert.incident.cause:
        return str(alert.incident.get_cause_display())
    if site is None:
        return ""
    first, last = _ms(alert.first_breach_at), _ms(alert.recovered_at or until)
    said = [
        column.value[(column.ts >= first) & (column.ts < last) & (column.value != 0)]
        for column in site.results.values()
    ]
    code = figures.commonest(np.concatenate(said)) if said else None
    return "" if code is None else CODES[POINT].get(code, ("", ""))[0 if is_chinese() else 1]


def together(pieces: Sequence[Column]) -> Column:
    """Column of several series, in the order of time."""
    if not pieces:
        return NO_POINTS
    ts, value = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("ts", "value"))
    order = np.argsort(ts, kind="stable")
    return Column(ts[order], value[order])


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
