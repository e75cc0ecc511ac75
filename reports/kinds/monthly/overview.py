"""Overview: what is looked after, how well it was, what is at risk, what it cost (R110, R112)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from accounts.models import Severity
from assets.hosting import HOSTS
from assets.models import Asset, Kind
from changes.models import Change, ChangeState, DutyOccurrence
from costs.services import figures as costs
from incidents import results
from incidents.models import Clock
from incidents.months import ZONE
from incidents.results import Result
from incidents.services import interruptions
from monitoring.models import Alert
from monitoring.services import expiry
from reports import figures
from reports.blocks import Block, Cell, Column, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.figures import Score
from reports.kinds import promises
from reports.kinds.asking import Asked
from reports.kinds.monthly import security_hosts
from reports.kinds.monthly.incidents import incidents_of
from reports.kinds.readings import readings
from reports.kinds.words import day

URL: Final = "url.result_code"
EXPIRES_WITHIN: Final = timedelta(days=60)
MOST_RISKS: Final = 10
GOOD_FROM: Final = 99.9
"""Availability of a month in per cent from which it is called good."""
Business = tuple[str, float | None, float, int]


def read(asked: Asked) -> Part:
    result = results.of_month(asked.month, customer=asked.customer)
    businesses = _businesses(asked)
    score = _score(asked, result, businesses)
    ending = _ending(asked)
    risks = _risks(asked, businesses, ending)
    blocks: list[Block] = [
        _numbers(asked, score, result, businesses),
        _health(score),
        _resources(asked),
        _promises(asked, result),
        _availability(asked, businesses),
        Table("risks", _("Top risks"), (Column(_("Risk")), Column(_("Why"))), tuple(risks[:MOST_RISKS]),
              Source(_("Disaster and High alerts open at the end, ends within sixty days, worst availability.")),
              empty=_("Nothing stands out.")),
        ending,
        promises.block(asked),
        *_costs(asked),
    ]  # fmt: skip
    return Part("overview", _("Overview"), tuple(blocks), tuple(_findings(score, businesses, ending, asked)))


def _numbers(asked: Asked, score: Score, result: Result, businesses: Sequence[Business]) -> Figures:
    available = [share for _name, share, _coverage, _count in businesses if share is not None]
    changes = Change.objects.filter(
        customer=asked.customer, state=ChangeState.CLOSED, ended_at__gte=asked.start, ended_at__lt=asked.end
    )
    worst = min(available) if available else None
    return Figures(
        (
            Figure("health", _("Health, 0 to 100"), score.value, _health_source(), better="up",
                   note=_("Nothing of it is known.") if score.value is None else ""),
            Figure("resources", _("Resources at the end"), sum(_is_there(one, asked.end) for one in asked.assets),
                   Source(_("Resources that were not retired at the end of the stretch."), "assets.asset",
                          f"{reverse('assets:list')}?customer={asked.customer.pk}")),
            Figure("incidents", _("Incidents"), incidents_of(asked).count(),
                   Source(_("Opened in the month, without grouped and duplicate ones.")), better="down"),
            Figure("response", _("Responses in time"), result.response.share, _sla_source(asked), kind="share",
                   better="up", note=_("No response was owed.") if result.response.share is None else ""),
            Figure("worst", _("Lowest availability"), worst, _availability_source(asked), kind="share", better="up",
                   note=_("No URL was watched.") if worst is None else ""),
            Figure("changes", _("Changes closed"), changes.count(),
                   Source(_("Changes that were closed in the month."), "changes.change, ended_at",
                          f"{reverse('changes:list')}?customer={asked.customer.pk}")),
        )
    )  # fmt: skip


def _health(score: Score) -> Table:
    names = {
        "availability": _("Availability of the worst business"),
        "service_levels": _("Responses in time"),
        "alerts": _("Severe alerts for each resource"),
        "hardening": _("Hardening of the servers"),
        "care": _("Recurring duties done in time"),
    }
    rows = tuple(
        (names[name], figures.WEIGHTS[name], value, _("not known: the others count more") if value is None else "")
        for name, value in score.parts.items()
    )
    columns = (Column(_("Aspect")), Column(_("Weight"), "number"), Column(_("Points of 100"), "number"), Column(""))
    return Table("health", _("How the health is reckoned"), columns, rows, _health_source())


def _resources(asked: Asked) -> Table:
    before = Counter(one.kind for one in asked.assets if one.created_at < asked.start)
    after = Counter(one.kind for one in asked.assets if _is_there(one, asked.end))
    came = Counter(one.kind for one in asked.assets if one.created_at >= asked.start)
    gone = Counter(one.kind for one in asked.assets if not _is_there(one, asked.end))
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
    found = {(line.severity, line.kind): line.tally for line in result.lines}
    rows: list[tuple[Cell, ...]] = []
    for severity in Severity:
        tallies = [found.get((severity, kind)) for kind in kinds]
        count = tallies[0].count if tallies[0] else 0
        rows.append((str(severity.label), count, *(tally.share if tally else None for tally in tallies)))
    columns = (
        Column(_("Severity")), Column(_("Incidents"), "number"), Column(_("Response in time"), "share"),
        Column(_("Handled in time"), "share"),
    )  # fmt: skip
    return Table("sla", _("Service levels by severity"), columns, tuple(rows), _sla_source(asked))


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


def _long_outages(asked: Asked) -> list[Asset]:
    """The resources of Disaster and High incidents that were out for more than 30 minutes."""
    rows = incidents_of(asked).filter(severity__lte=Severity.HIGH).prefetch_related("alerts", "assets")
    found: list[Asset] = []
    for incident in rows:
        outage = interruptions.of(incident, now=asked.until)
        if outage is not None and outage.has_crossed(asked.until):
            found += incident.assets.all()
    return found


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


def _score(asked: Asked, result: Result, businesses: Sequence[Business]) -> Score:
    available = [share for _name, share, _coverage, _count in businesses if share is not None]
    alerts = Alert.objects.filter(customer=asked.customer, opened_at__gte=asked.start, opened_at__lt=asked.end)
    severe = alerts.filter(severity__lte=Severity.HIGH).count()
    watched = sum(_is_there(one, asked.end) for one in asked.assets)
    looks = security_hosts.looks([one for one in asked.assets if one.kind in HOSTS], asked.until)
    duties = _duties(asked)
    return figures.score(
        {
            "availability": figures.availability_score(min(available) if available else None),
            "service_levels": result.response.share,
            "alerts": figures.alerts_score(severe, watched),
            "hardening": figures.mean(look.score for look in looks.values()),
            "care": figures.share(sum(duties), len(duties)),
        }
    )


def _duties(asked: Asked) -> list[bool]:
    """Of each duty that fell due, or was done before it did: was it done in time? In days of Shanghai."""
    rows = DutyOccurrence.objects.filter(customer=asked.customer, dropped_at=None)
    rows = rows.filter(due_on__gte=asked.start.astimezone(ZONE).date(), due_on__lt=asked.end.astimezone(ZONE).date())
    today = asked.until.astimezone(ZONE).date()
    return [
        one.done_at is not None and one.done_at.astimezone(ZONE).date() <= one.due_on
        for one in rows
        if one.done_at is not None or one.due_on < today
    ]


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
        _("What ends within sixty days after the figures were read."), "monitoring.expiry",
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
    if known and all(share >= GOOD_FROM for _name, share in known):
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
        said.append(Finding("good", _("The health of the month is %(score).0f of 100.") % {"score": score.value}))
    soon = [row for row in ending.rows if isinstance(row[3], int) and row[3] <= 30 and row[4] != _("renews itself")]
    if soon:
        text = ngettext(
            "Decide about %(count)d thing that ends within thirty days.",
            "Decide about %(count)d things that end within thirty days.",
            len(soon),
        )
        said.append(Finding("next", text % {"count": len(soon)}))
    return said


def _is_there(asset: Asset, at: datetime) -> bool:
    return asset.retired_at is None or asset.retired_at >= at


def _health_source() -> Source:
    return Source(
        _(
            "Weighted mean of five sides, each 0 to 100: availability of the worst business (20 points for each per "
            "cent missing), responses in time, Disaster and High alerts for each resource, mean hardening score, "
            "recurring duties done in time. What is not known leaves its weight to the others."
        )
    )


def _sla_source(asked: Asked) -> Source:
    path = reverse("incidents:sla-customer", args=[asked.customer.pk])
    return Source(_("Clocks that started in the month."), "incidents.clock, started_at", f"{path}?month={asked.month}")


def _availability_source(asked: Asked) -> Source:
    return Source(
        _("Share of checks in which the site was not down by the quorum of its probe points; time without data is "
          "left out."),
        "url.result_code, 5 min", f"{reverse('monitoring:targets')}?customer={asked.customer.pk}",
    )  # fmt: skip
