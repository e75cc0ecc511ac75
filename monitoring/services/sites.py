"""What a site's page shows: each place's share of good rounds, how long answers took, when it was down and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from accounts.models import Customer
from accounts.services.customers import contract_in_force
from monitoring import storage
from monitoring.collectors import parse_labels
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.errand import POINT
from monitoring.collectors.places import PHASES, Location, chosen
from monitoring.models import ProbePoint, Series, Target, Through
from monitoring.rules import CODES
from monitoring.services.graphs import Window
from monitoring.services.rounds import locations
from monitoring.services.targets import URL_KINDS

SPANS: Final = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
RESULT, LATENCY, VERDICT = "url.point.result_code", "url.latency_ms", "url.result_code"
OUTAGES_SHOWN: Final = 20
GAP_ROUNDS: Final = 3.5
"""Rounds without a word end an outage: what nobody saw is not counted as down."""


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the matrix."""

    slug: str
    title: str
    row: ProbePoint | None
    state: str
    word: str
    availability: Mapping[str, float | None]
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch in which the site was down, with what its places said most."""

    begins: datetime
    ends: datetime | None
    minutes: int
    cause: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One phase of a request as the waterfall draws it, in thousandths of its width."""

    phase: str
    label: str
    ms: float
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    """One request of the waterfall."""

    name: str
    ok: bool
    text: str
    took_ms: float
    bars: Sequence[Bar]
    found: Mapping[str, int]


def place_title(location: Location | None, slug: str) -> str:
    """A place as people read it; those on this machine say so, lest three of them look like three cities."""
    if slug == POINT:
        return _("through a node")
    if location is None:
        return slug
    return _("%(name)s (this machine)") % {"name": location.title} if location.is_local else location.title


def phase_names() -> dict[str, str]:
    return {
        "dns": "DNS",
        "connect": _("Connect"),
        "tls": _("TLS"),
        "first_byte": _("First byte"),
        "download": _("Download"),
    }


def places_of(target: Target, *, now: datetime, spans: Mapping[str, timedelta] = SPANS) -> list[Place]:
    """The matrix of a site: the places that are asked, and those that were asked and still have figures."""
    known = locations()
    rows = {row.point: row for row in ProbePoint.objects.filter(target=target)}
    slugs = list(dict.fromkeys([*_wanted(target, known), *sorted(rows)]))
    columns = _columns(target, (RESULT,), now - max(spans.values()), now)
    columns |= _columns(target, (LATENCY,), now - SPANS["24h"], now)
    return [_place(slug, known.get(slug), rows.get(slug), columns, spans, now) for slug in slugs]


def _wanted(target: Target, known: Mapping[str, Location]) -> list[str]:
    """Where it is asked from now."""
    if target.through == Through.NODE:
        return [POINT]
    try:
        return [one.slug for one in chosen(target.parsed_config, known)]
    except ConfigError:
        return []


def _place(  # noqa: PLR0917  # what a line of the matrix is made of
    slug: str,
    location: Location | None,
    row: ProbePoint | None,
    columns: Mapping[tuple[str, str], storage.Column],
    spans: Mapping[str, timedelta],
    now: datetime,
) -> Place:
    state, word = _state(row)
    results, latency = columns.get((RESULT, slug)), columns.get((LATENCY, slug))
    shares = {name: _share(results, now - span) for name, span in spans.items()}
    recent = _since(latency, now - SPANS["24h"])
    p50, p95 = (float(np.percentile(recent, share)) if len(recent) else None for share in (50, 95))
    return Place(slug, place_title(location, slug), row, state, word, shares, p50, p95)


def _state(row: ProbePoint | None) -> tuple[str, str]:
    if row is None:
        return "waiting", _("Waiting for the first answer")
    if row.code is None:
        return "missing", _("Could not ask")
    words = CODES[RESULT].get(row.code, ("", ""))
    return ("ok" if row.code == 0 else "bad"), words[0 if (get_language() or "zh").startswith("zh") else 1]


def _columns(
    target: Target, metrics: Sequence[str], start: datetime, end: datetime
) -> dict[tuple[str, str], storage.Column]:
    """The columns of this site's series by metric and place; '' is the site as a whole."""
    if target.asset_id is None:
        return {}
    found = {}
    for series in Series.objects.filter(asset=target.asset_id, metric__in=metrics):
        labels = parse_labels(series.labels)
        if labels.get("url") == target.where:
            found[series.pk] = (series.metric, labels.get("point", ""))
    columns = storage.read(asset_id=target.asset_id, series_ids=list(found), start=start, end=end)
    return {found[pk]: column for pk, column in columns.items()}


def _since(column: storage.Column | None, start: datetime) -> NDArray[np.float64]:
    if column is None:
        return np.empty(0)
    return column.value[column.ts >= start.timestamp() * 1000]


def _share(column: storage.Column | None, start: datetime) -> float | None:
    """Per cent of the rounds since then that passed; None when there was none."""
    values = _since(column, start)
    return float((values == 0).mean() * 100) if len(values) else None


def outages(target: Target, *, now: datetime) -> list[Outage]:
    """When the site was down in the last 30 days, the latest first."""
    columns = _columns(target, (VERDICT, RESULT), now - SPANS["30d"], now)
    verdict = columns.get((VERDICT, ""))
    if verdict is None or not len(verdict.ts):
        return []
    down = verdict.value != 0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], down, [False])).astype(np.int8)))
    found = []
    for first, last in zip(edges[::2], edges[1::2] - 1, strict=True):
        begins, seen = int(verdict.ts[first]), int(verdict.ts[last])
        over = int(verdict.ts[last + 1]) if last + 1 < len(verdict.ts) else None
        silent = target.interval.total_seconds() * 1000 * GAP_ROUNDS
        if over is not None and over - seen > silent:
            over = seen
        if over is None and now.timestamp() * 1000 - seen > silent:
            over = seen
        ends = _moment(over) if over is not None else None
        length = max(1, math.ceil(((ends or now) - _moment(begins)).total_seconds() / 60))
        found.append(Outage(_moment(begins), ends, length, _cause(columns, begins, seen)))
    return found[::-1][:OUTAGES_SHOWN]


def _cause(columns: Mapping[tuple[str, str], storage.Column], begins: int, seen: int) -> str:
    """What the failing places said most while it was down."""
    said: list[NDArray[np.float64]] = []
    for (metric, _point), column in columns.items():
        if metric == RESULT:
            within = (column.ts >= begins) & (column.ts <= seen) & (column.value != 0)
            said.append(column.value[within])
    codes = np.concatenate(said) if said else np.empty(0)
    if not len(codes):
        return ""
    values, counts = np.unique(codes, return_counts=True)
    words = CODES[RESULT].get(int(values[counts.argmax()]), ("", ""))
    return words[0 if (get_language() or "zh").startswith("zh") else 1]


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def latency(target: Target, view: Window, *, since: datetime | None = None) -> dict[str, Any]:
    """Median and 95th percentile of each place in buckets, as the chart draws it (JSON)."""
    known = locations()
    columns = _columns(target, (LATENCY,), max(view.start, since) if since else view.start, view.end)
    step = view.step * 1000
    series = []
    for number, ((_metric, slug), column) in enumerate(sorted(columns.items())):
        if len(column.ts):
            buckets = column.ts // step * step
            edges = np.flatnonzero(np.diff(buckets)) + 1
            groups = np.split(column.value, edges)
            times = buckets[np.concatenate(([0], edges))].tolist()
            for share, name in ((50, "p50"), (95, "p95")):
                series.append(
                    {
                        "id": number * 100 + share,
                        "name": f"{place_title(known.get(slug), slug)} {name}",
                        "codes": {},
                        "t": times,
                        "v": [float(f"{np.percentile(group, share):.6g}") for group in groups],
                        "lo": [],
                        "hi": [],
                    }
                )
    return {
        "id": f"site-{target.pk}",
        "title": _("Response time"),
        "unit": "ms",
        "state": False,
        "min": 0,
        "max": None,
        "from": round(view.start.timestamp() * 1000),
        "to": round(view.end.timestamp() * 1000),
        "step": step,
        "hidden": 0,
        "series": series,
        "alarms": [],
    }


def waterfall(answer: Mapping[str, Any]) -> list[Line]:
    """The requests of one answer and where the time of each went, drawn to one scale."""
    requests = answer.get("steps") or [{**answer, "name": ""}]
    starts = np.concatenate(([0.0], np.cumsum([float(one.get("took_ms", 0)) for one in requests])))
    whole = max(float(starts[-1]), 0.001)
    return [_line(request, float(begin), whole) for request, begin in zip(requests, starts[:-1].tolist(), strict=True)]


def _line(request: Mapping[str, Any], begin: float, whole: float) -> Line:
    names = phase_names()
    phases = [(name, float(request.get("phases", {}).get(name, 0))) for name in PHASES]
    rest = max(0.0, float(request.get("took_ms", 0)) - sum(ms for _name, ms in phases))
    at = begin + rest  # redirects before the last hop
    bars = []
    for name, ms in phases:
        if ms > 0:
            bars.append(Bar(name, names[name], ms, at / whole * 1000, max(1.5, ms / whole * 1000)))
            at += ms
    status = f"HTTP {request['status']}" if request.get("status") else ""
    detail = str(request.get("detail", "") or request.get("reason", ""))
    text = detail if status in detail else f"{status} {detail}".strip()
    return Line(
        str(request.get("name", "")), request.get("code") == 0, text, float(request.get("took_ms", 0)), bars,
        request.get("found", {}),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quota:
    """URLs and points against what the contract counts."""

    urls: int
    url_quota: int
    points: int
    point_quota: int

    @property
    def is_over(self) -> bool:
        return bool(self.url_quota) and (self.urls > self.url_quota or self.points > self.point_quota)


def quota(customer: Customer, *, now: datetime) -> Quota | None:
    """How much of the contract's URLs and points is used (R7: 5 URLs with 3 points each)."""
    contract = contract_in_force(customer, timezone.localdate(now))
    if contract is None:
        return None
    known = locations()
    watched = list(Target.objects.filter(customer=customer, kind__in=URL_KINDS).enabled().only("kind", "config"))
    points = 0
    for target in watched:
        try:
            points += len(chosen(target.parsed_config, known))
        except ConfigError:
            continue
    limit = contract.url_quota * contract.probe_points_per_url
    return Quota(len(watched), contract.url_quota, points, limit)


def days_left(target: Target, *, now: datetime) -> float | None:
    """Days until the certificate of the site ends, by what its places saw last."""
    ends = [
        float(row.answer["certificate_ends"])
        for row in ProbePoint.objects.filter(target=target)
        if row.answer.get("certificate_ends")
    ]
    return (min(ends) - now.timestamp()) / 86_400 if ends else None
