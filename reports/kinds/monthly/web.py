"""The web: how available each URL was and how fast, from each place; its outages, certificates, domains, ports
(R111, §2.2.7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring.collectors import parse_labels
from monitoring.models import Alert
from monitoring.packing import NO_POINTS
from monitoring.packing import Column as Points
from monitoring.services.rounds import locations
from monitoring.services.sites import place_title
from monitoring.wording import duration
from reports import figures
from reports.blocks import Block, Cell, Chart, Column, Curve, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.kinds.asking import Asked
from reports.kinds.monthly.sites import (
    LATENCY,
    NAMES,
    POINT,
    PORT_RULE,
    SITE_RULE,
    VERDICT,
    Ending,
    Site,
    alerts_of,
    cause,
    of_site,
    sites_and_endings,
    time_down,
    together,
)
from reports.kinds.readings import NAMED, day_chart, edges, iso, listed, missing, names_of, patchy, table

GOOD: Final = 99.9
"""Per cent of a month from which a URL is called available: 43 minutes of 30 days are less."""
SLOW_MS: Final = 3000.0
SOON_DAYS: Final = 30.0
DRAWN: Final = 8
"""Curves of a chart, the worst first."""


def read(asked: Asked) -> Part:
    sites, endings = sites_and_endings(asked)
    known = [site for site in sites if site.is_known]
    outages = alerts_of(asked, SITE_RULE)
    ports = alerts_of(asked, PORT_RULE)
    unknown = [site.url for site in sites if not site.is_known]
    blocks: list[Block] = [
        _numbers(asked, sites, outages, endings),
        *missing(unknown),
        *patchy({site.url: site.coverage for site in known}),
        _sites(asked, sites, outages),
        _available_by_day(asked, known),
        _slow_by_day(asked, known),
        _places(asked, known),
        _outages(asked, known, outages),
        _endings(asked, endings),
        _ports(asked, ports),
    ]
    if not sites:
        blocks.insert(0, Remark(_("No URL was watched in this time."), is_warning=True))
    return Part("web", _("Web report"), tuple(blocks), tuple(_findings(asked, sites, unknown, outages, endings, ports)))


# --- blocks ---


def _numbers(asked: Asked, sites: Sequence[Site], outages: Sequence[Alert], endings: Sequence[Ending]) -> Figures:
    shares = [site.available for site in sites if site.available is not None]
    worst = min(shares, default=None)
    every = together([site.all_latency for site in sites])
    no_data = "" if shares else _("No data.")
    return Figures(
        (
            Figure("urls", _("URLs watched"), len(sites), _site_source(asked)),
            Figure("available", _("Availability, mean of all URLs"), figures.mean(shares),
                   _site_source(asked), kind="share", better="up", note=no_data),
            Figure("worst", _("Availability of the worst URL"), worst, _site_source(asked), kind="share", better="up",
                   note=no_data),
            Figure("outages", _("Outages"), len(outages), _outage_source(asked), better="down"),
            Figure("down", _("Time down"), round(time_down(asked, outages).total_seconds()), _outage_source(asked),
                   kind="length", better="down"),
            Figure("p95", _("Response time, 95 % within"), figures.percentile(every.value, 95), _latency_source(asked),
                   unit="ms", better="down", note="" if len(every.ts) else _("No data.")),
            Figure("endings", _("Certificates and domains that end within 30 days"),
                   sum(one.days <= SOON_DAYS for one in endings), _ending_source(asked), better="down"),
        )
    )  # fmt: skip


def _sites(asked: Asked, sites: Sequence[Site], outages: Sequence[Alert]) -> Table:
    columns = (
        Column(_("URL")), Column(_("Asset")), Column(_("Availability"), "share"), Column(_("Outages"), "number"),
        Column(_("Time down"), "length"), Column("p50", "number", "ms"), Column("p95", "number", "ms"),
        Column("p99", "number", "ms"), Column(_("Time with data"), "share"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for site in sorted(sites, key=lambda one: (_rank(one.available), one.url)):
        mine = of_site(site, outages)
        rows.append((
            site.url, site.asset.name, site.available, len(mine), round(time_down(asked, mine).total_seconds()),
            *_percentiles(site.all_latency), 100.0 * site.coverage,
        ))  # fmt: skip
    return table("sites", _("URLs"), columns, rows, _site_source(asked), _("No URL was watched."))


def _places(asked: Asked, sites: Sequence[Site]) -> Table:
    columns = (
        Column(_("URL")), Column(_("Probe point")), Column(_("Availability"), "share"), Column("p50", "number", "ms"),
        Column("p95", "number", "ms"), Column("p99", "number", "ms"), Column(_("Number of checks"), "number"),
    )  # fmt: skip
    known = locations()
    rows: list[tuple[Cell, ...]] = []
    for site in sites:
        for place in sorted({*site.results, *site.latency}):
            results = site.results.get(place, NO_POINTS)
            good = figures.share(float(np.count_nonzero(results.value == 0)), len(results.ts))
            latency = site.latency.get(place, NO_POINTS)
            rows.append((
                site.url, place_title(known.get(place), place), good, *_percentiles(latency), len(results.ts)
            ))  # fmt: skip
    source = Source(
        _("Of single checks: those that passed among those made; response times of checks that got an answer."),
        f"{POINT}, {LATENCY}", listed(asked, "monitoring:sites"),
    )  # fmt: skip
    return table("places", _("By probe point"), columns, rows, source, _("No probe point said anything."))


def _outages(asked: Asked, sites: Sequence[Site], outages: Sequence[Alert]) -> Table:
    columns = (
        Column(_("URL")), Column(_("Began"), "time"), Column(_("Ended"), "time"), Column(_("Length"), "length"),
        Column(_("Cause")), Column(_("Incident")),
    )  # fmt: skip
    by_url = {(site.asset.pk, site.url): site for site in sites}
    rows = []
    for alert in outages:
        url = parse_labels(alert.labels).get("url", "")
        site = by_url.get((alert.asset_id, url))
        rows.append((
            url or alert.asset.name, iso(alert.first_breach_at), iso(alert.recovered_at),
            round(time_down(asked, [alert]).total_seconds()), cause(site, alert, asked.until),
            "" if alert.incident is None else alert.incident.number,
        ))  # fmt: skip
    return table("outages", _("Outages"), columns, rows, _outage_source(asked), _("No URL was down."))


def _available_by_day(asked: Asked, sites: Sequence[Site]) -> Chart:
    worst = sorted((site for site in sites if site.verdict), key=lambda one: (_rank(one.available), one.url))[:DRAWN]
    curves = [Curve(site.url, tuple(_good_by_day(asked, site))) for site in worst]
    title = _("Availability by day")
    return day_chart(asked, "available_by_day", title, curves, _site_source(asked), unit="%", highest=100)


def _good_by_day(asked: Asked, site: Site) -> list[float | None]:
    if site.verdict is None:
        return []
    kept = site.verdict.rollup
    bad = figures.by_day(kept.ts, figures.bad_share(kept.mean, kept.high), kept.count, edges(asked))
    return [None if value is None else 100.0 * (1.0 - value) for value in bad]


def _slow_by_day(asked: Asked, sites: Sequence[Site]) -> Chart:
    seen = [site for site in sites if len(site.all_latency.ts)]
    slowest = sorted(seen, key=lambda one: (-(figures.percentile(one.all_latency.value, 95) or 0), one.url))[:DRAWN]
    curves = [
        Curve(
            site.url,
            tuple(figures.percentile_by_day(site.all_latency.ts, site.all_latency.value, edges(asked), 95)),
        )
        for site in slowest
    ]
    title = _("Response time by day, 95 % within")
    return day_chart(asked, "p95_by_day", title, curves, _latency_source(asked), unit="ms", lowest=0)


def _endings(asked: Asked, endings: Sequence[Ending]) -> Table:
    columns = (Column(_("What")), Column(_("Name")), Column(_("Days left"), "number"), Column(_("Ends on"), "day"))
    rows = tuple(
        (one.what, one.name, math.floor(one.days), f"{timezone.localtime(one.ends_at):%Y-%m-%d}") for one in endings
    )
    empty = _("No certificate and no domain was watched.")
    return table("endings", _("Certificates and domains"), columns, rows, _ending_source(asked), empty)


def _ports(asked: Asked, alerts: Sequence[Alert]) -> Table:
    columns = (
        Column(_("Asset")), Column(_("Port"), "text"), Column(_("Times down"), "number"),
        Column(_("Time down"), "length"), Column(_("Last began"), "time"),
    )  # fmt: skip
    found: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        found.setdefault((alert.asset.name, parse_labels(alert.labels).get("port", "")), []).append(alert)
    rows = [
        (name, port, len(mine), round(time_down(asked, mine).total_seconds()), iso(mine[-1].first_breach_at))
        for (name, port), mine in found.items()
    ]
    rows.sort(key=lambda row: (-row[3], row[0], row[1]))
    source = Source(
        _("Alerts of the rule for ports that reach into the time, from the first bad check to the one that ended it."),
        f"monitoring.alert, {PORT_RULE}", listed(asked, "monitoring:alerts"),
    )  # fmt: skip
    return table("ports", _("TCP ports that were down"), columns, rows, source, _("No watched port was down."))


# --- sentences ---


def _findings(  # noqa: PLR0917 - what a part knows
    asked: Asked,
    sites: Sequence[Site],
    unknown: Sequence[str],
    outages: Sequence[Alert],
    endings: Sequence[Ending],
    ports: Sequence[Alert],
) -> list[Finding]:
    said: list[Finding] = []
    weak = [site for site in sites if site.available is not None and site.available < GOOD]
    covered = [site for site in sites if site.available is not None and site.coverage >= figures.ENOUGH]
    if covered and not weak:
        text = _("Every URL was available for at least %(share)s %% of the time.")
        if len(covered) < len(sites):
            text = _("What was watched for long enough, %(count)d of %(all)d URLs, was available for at least "
                     "%(share)s %% of the time.")  # fmt: skip
        said.append(Finding("good", text % {"share": GOOD, "count": len(covered), "all": len(sites)}))
    if sites and len(covered) == len(sites) and not outages:
        said.append(Finding("good", _("No URL was down.")))
    for site in sorted(weak, key=lambda one: _rank(one.available))[:NAMED]:
        words = {"url": site.url, "share": f"{site.available:.2f}"}
        said.append(Finding("bad", _("%(url)s was available for %(share)s %% of the time.") % words))
    if outages:
        lasted = {"count": len(outages), "length": duration(time_down(asked, outages))}
        text = ngettext(
            "There was %(count)d outage; URLs were down for %(length)s.",
            "There were %(count)d outages; URLs were down for %(length)s.",
            len(outages),
        )
        said.append(Finding("bad", text % lasted))
    if ports:
        names = sorted({f"{one.asset.name}:{parse_labels(one.labels).get('port', '')}" for one in ports})
        said.append(Finding("bad", _("Ports that were down: %(names)s.") % {"names": names_of(names)}))
    if unknown:
        said.append(Finding("next", _("Find out why there is no data of %(names)s.") % {"names": names_of(unknown)}))
    slow = [site.url for site in sites if (figures.percentile(site.all_latency.value, 95) or 0) > SLOW_MS]
    if slow:
        words = {"seconds": f"{SLOW_MS / 1000:g}", "names": names_of(slow)}
        text = _("Find out what takes more than %(seconds)s s in one of twenty answers of %(names)s.")
        said.append(Finding("next", text % words))
    for one in [one for one in endings if one.days <= SOON_DAYS][:NAMED]:
        left = {"name": one.name, "what": one.what, "days": math.floor(one.days)}
        said.append(Finding("next", _("Renew %(name)s (%(what)s); days left: %(days)d.") % left))
    return said


def _rank(share: float | None) -> float:
    """Worst first, what is not known last."""
    return math.inf if share is None else share


def _percentiles(points: Points) -> tuple[float | None, ...]:
    return tuple(figures.percentile(points.value, share) for share in (50, 95, 99))


# --- sources ---


def _site_source(asked: Asked) -> Source:
    return Source(
        _("Of the rounds that gave a verdict, those in which the URL was good: a round is bad when two thirds of its "
          "probe points failed. Time without data counts neither way."),
        VERDICT, listed(asked, "monitoring:sites"),
    )  # fmt: skip


def _latency_source(asked: Asked) -> Source:
    return Source(
        _("Of all checks of all probe points that got an answer (nearest rank)."), LATENCY,
        listed(asked, "monitoring:sites"),
    )  # fmt: skip


def _outage_source(asked: Asked) -> Source:
    return Source(
        _("Alerts of the rule for URLs that reach into the time, from the first bad round to the one that ended it; of "
          "the length, what lies within. Outages at the same time count once in the sum."),
        f"monitoring.alert, {SITE_RULE}", listed(asked, "monitoring:alerts"),
    )  # fmt: skip


def _ending_source(asked: Asked) -> Source:
    return Source(
        _("As last seen, less the days since then, at the end of the time."), ", ".join(NAMES),
        listed(asked, "monitoring:expiry"),
    )  # fmt: skip
