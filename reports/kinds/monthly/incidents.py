"""Incidents: how many, of which kind, how fast against what was promised, and what came again and again (R79, R112)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from django.db.models import Count
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from accounts.models import Severity
from incidents import results
from incidents.models import Clock, Incident, IncidentAsset, IncidentKind, IncidentQuerySet
from incidents.results import Line, Result
from monitoring.models import Alert
from reports import cells, figures
from reports.blocks import Block, Cell, Chart, Column, Curve, Figure, Figures, Finding, Part, Source, Table
from reports.kinds.asking import MOST_ROWS, Asked
from reports.kinds.readings import iso

LONGEST: Final = 10
OFTEN: Final = 3
"""Incidents of one resource in a month from which it is named as coming again and again."""


def read(asked: Asked) -> Part:
    result = results.of_month(asked.month, customer=asked.customer)
    found = list(incidents_of(asked).select_related("assignee").prefetch_related("assets"))
    found.sort(key=lambda one: (one.opened_at, one.pk), reverse=True)
    repeated = _repeated(asked)
    alerts = _alerts(asked)
    blocks: list[Block] = [
        _numbers(asked, result, found, alerts),
        _by_severity(asked, found),
        _promises(asked, result),
        _breaches(asked),
        _by_day(asked, found),
        *_kinds(asked, found),
        _repeats(asked, repeated),
        _sides(asked, result),
        _list(asked, found),
        _longest(asked, found),
    ]
    return Part("incidents", _("Incident report"), tuple(blocks), tuple(_findings(result, found, repeated, alerts)))


def incidents_of(asked: Asked, kind: str = IncidentKind.INCIDENT) -> IncidentQuerySet:
    """Opened in the stretch; those that another one carries are told there."""
    rows: IncidentQuerySet = Incident.objects.filter(customer=asked.customer, kind=kind, parent=None, duplicate_of=None)
    return rows.filter(opened_at__gte=asked.start, opened_at__lt=asked.end)


def _numbers(asked: Asked, result: Result, found: Sequence[Incident], alerts: dict[str, int]) -> Figures:
    source = _source(asked, _("Incidents opened in the month, without grouped and duplicate ones."))
    sla = _sla_source(asked)
    requests = incidents_of(asked, IncidentKind.REQUEST).count()
    unsolved = sum(one.resolved_at is None or one.resolved_at >= asked.end for one in found)
    noise = figures.share(alerts["all"] - alerts["told"], alerts["all"])
    return Figures(
        (
            Figure("count", _("Incidents"), len(found), source, better="down"),
            Figure("requests", _("Service requests"), requests, source),
            Figure("unsolved", _("Not solved at the end"), unsolved, source, better="down"),
            Figure("response", _("Responses in time"), result.response.share, sla, kind="share", better="up"),
            Figure("missed", _("Deadlines missed"), result.missed, sla, better="down"),
            Figure("content", _("Satisfaction, 1 to 5"), result.content.mean, sla, better="up",
                   note=_("Nobody gave a score.") if result.content.mean is None else ""),
            Figure("alerts", _("Alerts"), alerts["all"], _alert_source(asked), better="down"),
            Figure("noise", _("Alerts that told nobody"), noise, _alert_source(asked), kind="share",
                   note=_("No alert.") if noise is None else ""),
        )
    )  # fmt: skip


def _by_severity(asked: Asked, found: Sequence[Incident]) -> Table:
    counts = Counter((one.severity, one.source) for one in found)
    sources = [name for name, _count in Counter(one.source for one in found).most_common()]
    columns = [Column(_("Severity")), Column(_("Incidents"), "number")]
    columns += [Column(str(Incident.Source(name).label), "number") for name in sources]
    rows: list[tuple[Cell, ...]] = []
    for severity in Severity:
        mine = [counts[severity, name] for name in sources]
        rows.append((str(severity.label), sum(mine), *mine))
    source = _source(asked, _("By severity and way in."))
    return Table("by_severity", _("By severity and way in"), tuple(columns), tuple(rows), source)


def _promises(asked: Asked, result: Result) -> Table:
    columns = (
        Column(_("Severity")), Column(_("Clock")), Column(pgettext("service level", "Target")),
        Column(_("Count"), "number"), Column(_("Kept"), "share"), Column(_("Kept without others' causes"), "share"),
        Column(_("Missed"), "number"), Column(_("Mean"), "length"),
        Column(_("90 % within"), "length"), Column(_("Paused"), "length"),
    )  # fmt: skip
    rows = tuple(
        (
            str(line.severity.label), str(line.kind.label), target(line), line.tally.count, *_shares(line),
            line.tally.missed, line.mean_s, line.p90_s, line.paused_s,
        )
        for line in result.lines
    )  # fmt: skip
    return Table(
        "promises", _("Service levels"), columns, rows, _sla_source(asked), empty=_("No clock ran in this month."),
        note=limitless(result),
    )  # fmt: skip


def _shares(line: Line) -> tuple[float | None, float | None]:
    return (line.tally.share, line.tally.own_share) if line.has_target else (None, None)


def target(line: Line | None) -> str:
    """How long it may take; empty where nothing ran."""
    if line is None:
        return ""
    return " – ".join(cells.length(60 * minutes) for minutes in line.targets) or _("no limit")


def limitless(result: Result) -> str:
    """What stands below a table in which a share is missing."""
    if all(line.has_target for line in result.lines):
        return ""
    return _("Where the contract sets no limit, nothing can be in time or late. Limits count within their hours.")


def _breaches(asked: Asked) -> Table:
    rows = results.clocks_of(asked.month, customer=asked.customer).exclude(breached_at=None)
    rows = rows.exclude(kind=Clock.Kind.CUSTOMER_REPLY).select_related("incident").order_by("breached_at", "pk")
    columns = (
        Column(_("Incident")), Column(_("Clock")), Column(_("Missed at"), "time"), Column(_("Reason")),
        Column(_("Explanation")),
    )  # fmt: skip
    shown = [
        (
            f"{one.incident.number} {one.incident.title}", str(one.get_kind_display()), iso(one.breached_at),
            str(one.get_breach_code_display()) if one.breach_code else _("not explained yet"), one.breach_note,
        )
        for one in rows[:MOST_ROWS]
    ]  # fmt: skip
    return Table(
        "breaches", _("Missed deadlines and their reasons"), columns, tuple(shown), _sla_source(asked),
        left_out=max(rows.count() - MOST_ROWS, 0), empty=_("Every deadline was met."),
    )  # fmt: skip


def _by_day(asked: Asked, found: Sequence[Incident]) -> Chart:
    days = asked.days()
    counts = Counter((timezone.localdate(one.opened_at), one.severity) for one in found)
    curves = tuple(
        Curve(
            str(severity.label),
            tuple(None if day >= asked.until else float(counts[day.date(), severity]) for day in days),
        )
        for severity in Severity
    )
    labels = tuple(f"{day:%m-%d}" for day in days)
    source = _source(asked, _("By the day on which they were opened, Shanghai time."))
    return Chart("by_day", _("Incidents by day"), labels, curves, source, shape="stack", lowest=0)


def _kinds(asked: Asked, found: Sequence[Incident]) -> list[Table]:
    causes = Counter(one.cause or "" for one in found)
    classes = Counter(one.category for one in found)
    source = _source(asked, _("As the engineer wrote down when the incident was solved."))
    columns = (Column(_("Incidents"), "number"), Column(_("Share"), "share"))
    return [
        Table(
            "by_class", _("By class"), (Column(pgettext("incident", "Class")), *columns),
            tuple((str(Incident.Category(name).label), count, figures.share(count, len(found)))
                  for name, count in classes.most_common()),
            source, empty=_("No incident."),
        ),
        Table(
            "by_cause", _("By cause"), (Column(_("Cause")), *columns),
            tuple((str(Incident.Cause(name).label) if name else _("not known yet"), count,
                   figures.share(count, len(found))) for name, count in causes.most_common()),
            source, empty=_("No incident."),
        ),
    ]  # fmt: skip


def _repeated(asked: Asked) -> list[tuple[str, int]]:
    rows = IncidentAsset.objects.filter(incident__in=incidents_of(asked)).values("asset__name")
    counted = rows.order_by().annotate(count=Count("incident", distinct=True)).filter(count__gte=2)
    return [(row["asset__name"], row["count"]) for row in counted.order_by("-count", "asset__name")[:LONGEST]]


def _repeats(asked: Asked, repeated: Sequence[tuple[str, int]]) -> Table:
    return Table(
        "repeats", _("Resources with several incidents"), (Column(_("Resource")), Column(_("Incidents"), "number")),
        tuple(repeated), _source(asked, _("Incidents of the month by resource.")), empty=_("None."),
    )  # fmt: skip


def _sides(asked: Asked, result: Result) -> Table:
    rows = tuple((side.label, side.incidents, side.handling_s, side.held_s) for side in result.sides)
    columns = (
        Column(_("Cause lay with")), Column(_("Solved incidents"), "number"), Column(_("Handling time"), "length"),
        Column(_("Waited for them"), "length"),
    )  # fmt: skip
    return Table("sides", _("Time by cause"), columns, rows, _sla_source(asked))


def _list(asked: Asked, found: Sequence[Incident]) -> Table:
    columns = (
        Column(_("Number")), Column(_("Title")), Column(_("Severity")), Column(_("Opened"), "time"),
        Column(_("Solved"), "time"), Column(_("Took"), "length"), Column(pgettext("names", "Resources")),
        Column(_("Resolution")),
    )  # fmt: skip
    rows = tuple(
        (
            one.number, one.title, str(Severity(one.severity).label), iso(one.opened_at), iso(one.resolved_at),
            _took(one), ", ".join(asset.name for asset in one.assets.all()[:5]), one.resolution[:300],
        )
        for one in found[:MOST_ROWS]
    )  # fmt: skip
    return Table(
        "list", _("Incidents of the month"), columns, rows, _source(asked, _("Newest first.")),
        left_out=max(len(found) - MOST_ROWS, 0), empty=_("No incident was opened."),
    )  # fmt: skip


def _longest(asked: Asked, found: Sequence[Incident]) -> Table:
    solved = sorted((one for one in found if one.resolved_at), key=lambda one: -(_took(one) or 0))
    rows = tuple((one.number, one.title, str(Severity(one.severity).label), _took(one)) for one in solved[:LONGEST])
    columns = (Column(_("Number")), Column(_("Title")), Column(_("Severity")), Column(_("Took"), "length"))
    return Table(
        "longest", _("The longest"), columns, rows, _source(asked, _("From opened to solved, around the clock.")),
        empty=_("No incident was solved."),
    )  # fmt: skip


def _alerts(asked: Asked) -> dict[str, int]:
    rows = Alert.objects.filter(customer=asked.customer, opened_at__gte=asked.start, opened_at__lt=asked.end)
    return {
        "all": rows.count(),
        "told": rows.exclude(notified_at=None).count(),
        "flapping": rows.exclude(flaps=[]).count(),
    }


def _findings(
    result: Result, found: Sequence[Incident], repeated: Sequence[tuple[str, int]], alerts: dict[str, int]
) -> list[Finding]:
    said = []
    if not found:
        said.append(Finding("good", _("No incident was opened in this month.")))
    if result.response.missed == 0 and result.response.met:
        said.append(Finding("good", _("Every incident was answered in time.")))
    elif result.response.missed:
        text = ngettext(
            "%(count)d response came too late.", "%(count)d responses came too late.", result.response.missed
        )
        said.append(Finding("bad", text % {"count": result.response.missed}))
    severe = [one for one in found if one.severity <= Severity.HIGH]
    if found and not severe:
        said.append(Finding("good", _("None of the incidents was of severity Disaster or High.")))
    for name, count in repeated:
        if count >= OFTEN:
            names = {"name": name, "count": count}
            said.append(Finding("bad", _("%(name)s had %(count)d incidents.") % names))
            said.append(Finding("next", _("Find the common cause of the incidents on %(name)s.") % names))
    unknown = sum(not one.cause for one in found if one.resolved_at)
    if unknown:
        text = ngettext(
            "Write down the cause of %(count)d solved incident.", "Write down the cause of %(count)d solved incidents.",
            unknown,
        )  # fmt: skip
        said.append(Finding("next", text % {"count": unknown}))
    if alerts["flapping"]:
        text = ngettext(
            "Look at the threshold of %(count)d alert that came and went.",
            "Look at the thresholds of %(count)d alerts that came and went.",
            alerts["flapping"],
        )
        said.append(Finding("next", text % {"count": alerts["flapping"]}))
    return said


def _took(incident: Incident) -> int | None:
    return None if incident.resolved_at is None else round((incident.resolved_at - incident.opened_at).total_seconds())


def _source(asked: Asked, how: str) -> Source:
    return Source(how, "incidents, opened_at", f"{reverse('incidents:list')}?customer={asked.customer.pk}")


def _sla_source(asked: Asked) -> Source:
    path = reverse("incidents:sla-customer", args=[asked.customer.pk])
    how = _("Clocks belong to the month in which they started; running ones are not judged yet.")
    return Source(how, "incidents.clock, started_at", f"{path}?month={asked.month}")


def _alert_source(asked: Asked) -> Source:
    return Source(
        _("Alerts opened in the month; silenced and inhibited ones told nobody."), "monitoring.alert, opened_at",
        f"{reverse('monitoring:alerts')}?customer={asked.customer.pk}",
    )  # fmt: skip
