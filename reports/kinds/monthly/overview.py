"""Overview: what is looked after, how well it was, what is at risk, what it cost (R110, R112)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from django.db.models import Count, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from accounts.models import Severity
from assets.models import Asset, Kind
from costs.services import figures as costs
from incidents import results
from incidents.models import Clock
from incidents.results import Result
from incidents.services import interruptions
from monitoring.models import Alert
from monitoring.services import expiry
from reports import figures
from reports.blocks import Block, Cell, Chart, Column, Curve, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.figures import Score
from reports.kinds import promises
from reports.kinds.asking import Asked
from reports.kinds.monthly import overview_done, overview_health
from reports.kinds.monthly.incidents import incidents_of, limitless, target
from reports.kinds.readings import readings
from reports.kinds.words import day, page

URL: Final = "url.result_code"
EXPIRES_WITHIN: Final = timedelta(days=60)
MOST_RISKS: Final = 10
GOOD_FROM: Final = 99.9
"""Availability of a month in per cent from which it is called good."""
MOST_BARS: Final = 8
FLOORS: Final = (99.0, 95.0, 90.0, 50.0)
Business = tuple[str, float | None, float, int]


def read(asked: Asked) -> Part:
    result = results.of_month(asked.month, customer=asked.customer)
    businesses = _businesses(asked)
    seen = [one for one in businesses if one[2] >= figures.ENOUGH]
    score = overview_health.score(asked, result, _known(seen))
    ending = _ending(asked)
    risks = _risks(asked, businesses, ending)
    done = overview_done.summary(asked)
    blocks: list[Block] = [
        _numbers(asked, score, result, businesses),
        done,
        overview_health.chart(asked, score),
        overview_health.sides(asked, score, _availability_source(asked), _sla_source(asked)),
        _resources(asked),
        _by_severity(asked),
        _promises(asked, result),
        *_available(asked, businesses),
        _availability(asked, businesses),
        Table("risks", _("Top risks"), (Column(_("Risk")), Column(_("Why"))), tuple(risks[:MOST_RISKS]),
              page(asked, _("Disaster and High alerts open at the end, ends within sixty days, worst availability."),
                   "monitoring.alert, recovered_at; monitoring.expiry; url.result_code", "monitoring:alerts"),
              empty=_("Nothing stands out.")),
        ending,
        promises.block(asked),
        *_costs(asked),
    ]  # fmt: skip
    findings = [*overview_done.findings(done), *_findings(score, businesses, ending, asked)]
    return Part("overview", _("Overview"), tuple(blocks), tuple(findings))


def _numbers(asked: Asked, score: Score, result: Result, businesses: Sequence[Business]) -> Figures:
    worst = min(_known(businesses), default=None)
    return Figures(
        (
            overview_health.figure(score),
            Figure("resources", _("Resources at the end"), sum(asked.is_there(one) for one in asked.assets),
                   Source(_("Resources that were not retired at the end of the stretch."), "assets.asset",
                          f"{reverse('assets:list')}?customer={asked.customer.pk}")),
            Figure("incidents", _("Incidents"), incidents_of(asked).count(),
                   page(asked, _("Opened in the month, without grouped and duplicate ones."),
                        "incidents.incident, opened_at", "incidents:list"), better="down"),
            Figure("response", _("Responses in time"), result.response.share, _sla_source(asked), kind="share",
                   better="up", note=_("No response was owed.") if result.response.share is None else ""),
            Figure("worst", _("Lowest availability"), worst, _availability_source(asked), kind="share", better="up",
                   note=_("No URL was watched.") if worst is None else ""),
        )
    )  # fmt: skip


def _resources(asked: Asked) -> Table:
    before = Counter(one.kind for one in asked.assets if one.created_at < asked.start)
    after = Counter(one.kind for one in asked.assets if asked.is_there(one))
    came = Counter(one.kind for one in asked.assets if one.created_at >= asked.start)
    gone = Counter(one.kind for one in asked.assets if not asked.is_there(one))
    kinds = sorted(before.keys() | after.keys() | came.keys(), key=lambda kind: (-after[kind], kind))
    columns = (
        Column(_("Kind")), Column(_("At the beginning"), "number"), Column(_("Came"), "number"),
        Column(_("Went"), "number"), Column(pgettext("count", "At the end"), "number"),
    )  # fmt: skip
    rows = tuple((str(Kind(kind).label), before[kind], came[kind], gone[kind], after[kind]) for kind in kinds)
    source = Source(
        _("By the day on which a resource was first seen and retired."), "assets.asset, created_at, retired_at",
        f"{reverse('assets:list')}?customer={asked.customer.pk}",
    )  # fmt: skip
    return Table("resources", _("Resources by kind"), columns, rows, source, empty=_("No resource is looked after."))


def _promises(asked: Asked, result: Result) -> Table:
    kinds = (Clock.Kind.RESPONSE, Clock.Kind.HANDLING)
    found = {(line.severity, line.kind): line for line in result.lines}
    rows: list[tuple[Cell, ...]] = []
    for severity in Severity:
        lines = [found.get((severity, kind)) for kind in kinds]
        count = lines[0].tally.count if lines[0] else 0
        sides = [(target(line), line.tally.share if line and line.has_target else None) for line in lines]
        rows.append((str(severity.label), count, *(cell for side in sides for cell in side)))
    columns = (
        Column(_("Severity")), Column(_("Incidents"), "number"), Column(_("Response target")),
        Column(_("Response in time"), "share"), Column(_("Handling target")), Column(_("Handled in time"), "share"),
    )  # fmt: skip
    note = limitless(result)
    return Table("sla", _("Service levels by severity"), columns, tuple(rows), _sla_source(asked), note=note)


def _businesses(asked: Asked) -> list[Business]:
    """Name, availability in per cent, share of time with data, and outages over 30 minutes of each business: a resource
    with a URL, by what its owner calls it."""
    outages = Counter(asset.pk for asset in _long_outages(asked))
    found: list[Business] = []
    for asset, mine in readings(asked, asked.assets, [URL]):
        if not mine:
            continue
        bad, count = (np.concatenate([getattr(one.rollup, name) for one in mine]) for name in ("mean", "count"))
        coverage = figures.mean(one.summary.coverage for one in mine) or 0.0
        found.append((asset.role_text or asset.name, figures.availability(bad, count), coverage, outages[asset.pk]))
    return sorted(found, key=lambda one: (one[1] is None, one[1] or 0.0, one[0]))


def _known(businesses: Sequence[Business]) -> list[float]:
    return [share for _name, share, _coverage, _count in businesses if share is not None]


def _long_outages(asked: Asked) -> list[Asset]:
    """The resources of Disaster and High incidents that were out for more than 30 minutes."""
    rows = incidents_of(asked).filter(severity__lte=Severity.HIGH).prefetch_related("alerts", "assets")
    found: list[Asset] = []
    for incident in rows:
        outage = interruptions.of(incident, now=asked.until)
        if outage is not None and outage.has_crossed(asked.until):
            found += incident.assets.all()
    return found


def _available(asked: Asked, businesses: Sequence[Business]) -> list[Chart]:
    """The worst of them as bars, which would all look alike from zero on."""
    known, shown = _known(businesses), businesses[:MOST_BARS]
    if not shown:
        return []
    lowest = _floor(min(known)) if known else 0.0
    return [
        Chart(
            "availability_bars", _("Lowest availability, from %(lowest)d %% on") % {"lowest": lowest},
            tuple(name for name, _share, _coverage, _count in shown),
            (Curve(_("Available"), tuple(share for _name, share, _coverage, _count in shown)),),
            _availability_source(asked), shape="bar", unit="%", lowest=lowest, highest=100,
        )
    ]  # fmt: skip


def _floor(worst: float) -> float:
    """Where an axis up to 100 begins so that the lowest bar is still one."""
    return next((low for low in FLOORS if worst - low >= (100 - low) / 10), 0.0)


def _by_severity(asked: Asked) -> Chart:
    """This month beside the one before."""
    before = asked.month.shifted(-1)
    was_there = asked.customer.created_at < before.ends_at
    counts = _severities(asked, before.starts_at, before.ends_at) if was_there else None
    now = _severities(asked, asked.start, asked.end)
    curves = (
        Curve(str(before), tuple(None if counts is None else float(counts[one]) for one in Severity)),
        Curve(str(asked.month), tuple(float(now[one]) for one in Severity)),
    )
    source = page(
        asked, _("Opened in either month, without grouped and duplicate ones."),
        "incidents.incident, opened_at, severity", "incidents:list",
    )  # fmt: skip
    labels = tuple(str(one.label) for one in Severity)
    return Chart("severities", _("Incidents by severity"), labels, curves, source, shape="bar", lowest=0)


def _severities(asked: Asked, start: datetime, end: datetime) -> Counter[int]:
    rows = incidents_of(replace(asked, start=start, end=end)).order_by().values_list("severity")
    return Counter(dict(rows.annotate(Count("pk"))))


def _availability(asked: Asked, businesses: Sequence[Business]) -> Table:
    columns = (
        Column(_("Business")), Column(_("Available"), "share"), Column(_("Time with data"), "share"),
        Column(_("Outages over 30 minutes"), "number"),
    )  # fmt: skip
    rows = tuple((name, share, 100 * coverage, outages) for name, share, coverage, outages in businesses)
    return Table(
        "availability", _("Availability by business"), columns, rows, _availability_source(asked),
        empty=_("No URL of this customer is watched."),
    )  # fmt: skip


def _ending(asked: Asked) -> Table:
    rows = [
        (one.name, str(one.what), day(one.ends_at), one.days_left(asked.until),
         _("renews itself") if one.renews_itself else _("is not renewed by itself"))
        for one in expiry.listed()
        if one.customer.pk == asked.customer.pk and one.ends_at < asked.until + EXPIRES_WITHIN
    ]  # fmt: skip
    columns = (
        Column(_("Resource")), Column(_("Kind")), Column(_("Ends"), "day"), Column(_("Days left"), "number"),
        Column(_("Renewal")),
    )  # fmt: skip
    source = Source(
        _("What ends within sixty days after the end of the month."), "monitoring.expiry",
        f"{reverse('monitoring:expiry')}?customer={asked.customer.pk}",
    )  # fmt: skip
    return Table("expiring", _("What ends soon"), columns, tuple(rows), source, empty=_("Nothing ends soon."))


def _risks(asked: Asked, businesses: Sequence[Business], ending: Table) -> list[tuple[Cell, ...]]:
    alerts = Alert.objects.filter(customer=asked.customer, severity__lte=Severity.HIGH, opened_at__lt=asked.until)
    alerts = alerts.filter(Q(recovered_at=None) | Q(recovered_at__gte=asked.until))
    rows: list[tuple[Cell, ...]] = [
        (alert.asset.name, f"{Severity(alert.severity).label}: {alert.title}")
        for alert in alerts.select_related("asset").worst_first()[:MOST_RISKS]
    ]
    for name, share, _coverage, _count in businesses:
        if share is not None and share < GOOD_FROM:
            rows.append((name, _("available %(share).2f %% of the time") % {"share": share}))
    for resource, what, _ends, left, _renewal in ending.rows:
        if isinstance(left, int) and left <= 15:
            names = {"what": what, "days": left}
            rows.append((resource, _("%(what)s ends in %(days)d days") % names))
    return rows


def _costs(asked: Asked) -> list[Block]:
    view = costs.month_view(asked.customer, asked.month, asked.now)
    source = Source(
        _("Bills of Alibaba Cloud by product and day, before tax and vouchers are settled."), "costs.billline, day",
        f"{reverse('costs:customer', args=[asked.customer.pk])}?month={asked.month}",
    )  # fmt: skip
    before, this = costs.months(asked.customer.pk, asked.month, 2)
    if not this.days_read:
        return [Remark(_("No bill of this month was read, so that nothing is said about costs."))]
    rows = tuple(
        (one.name, float(one.amount), float(one.before) if before.days_read else None, one.resources)
        for one in view.products
    )
    columns = (
        Column(_("Product")), Column(_("This month"), "money", "CNY"), Column(_("Month before"), "money", "CNY"),
        Column(_("Resources"), "number"),
    )  # fmt: skip
    found: list[Block] = [
        Figures((Figure("cost", _("Costs"), float(view.total), source, kind="money", unit="CNY", better="down"),)),
        Table("costs", _("Costs by product"), columns, rows, source, drawn=20),
    ]
    if view.missing:
        text = ngettext(
            "The bill of %(count)d day is not known.", "The bills of %(count)d days are not known.", len(view.missing)
        )
        found.append(Remark(text % {"count": len(view.missing)}, is_warning=True))
    return found


def _findings(score: Score, businesses: Sequence[Business], ending: Table, asked: Asked) -> list[Finding]:
    said = []
    known = [(name, share) for name, share, _coverage, _count in businesses if share is not None]
    is_seen = all(share is not None and coverage >= figures.ENOUGH for _name, share, coverage, _count in businesses)
    if known and is_seen and all(share >= GOOD_FROM for _name, share in known):
        said.append(Finding("good", _("Every business was available for at least 99.9 % of the time.")))
    said += [
        Finding(
            "bad", _("%(name)s was available for %(share).2f %% of the time only.") % {"name": name, "share": share}
        )
        for name, share in known
        if share < GOOD_FROM
    ]
    blind = [name for name, _share, coverage, _count in businesses if coverage < figures.ENOUGH]
    if blind:
        names = {"names": ", ".join(blind[:5])}
        said.append(Finding("bad", _("Data is missing for more than a tenth of the time: %(names)s.") % names))
    if score.value is not None and score.value >= 90:
        said.append(Finding("good", overview_health.sentence(score)))
    soon = [row for row in ending.rows if isinstance(row[3], int) and row[3] <= 30 and row[4] != _("renews itself")]
    if soon:
        text = ngettext(
            "Decide about %(count)d thing that ends within thirty days.",
            "Decide about %(count)d things that end within thirty days.",
            len(soon),
        )
        said.append(Finding("next", text % {"count": len(soon)}))
    return said


def _sla_source(asked: Asked) -> Source:
    path = reverse("incidents:sla-customer", args=[asked.customer.pk])
    return Source(_("Clocks that started in the month."), "incidents.clock, started_at", f"{path}?month={asked.month}")


def _availability_source(asked: Asked) -> Source:
    return Source(
        _("Share of checks in which the site was not down by the quorum of its probe points; time without data is "
          "left out."),
        "url.result_code, 5 min", f"{reverse('monitoring:targets')}?customer={asked.customer.pk}",
    )  # fmt: skip
