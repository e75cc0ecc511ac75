"""Databases: the contract's items of each instance, slow SQL, space, backups, restore drills, and what to change
(R111, R118, R158, R159, §6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from msgspec.structs import replace

from changes.models import BackupPolicy, DutyOccurrence
from monitoring.models.series import metric_name
from monitoring.rules import METRICS
from monitoring.units import SILENT
from reports import capacity, figures
from reports.blocks import Block, Cell, Chart, Column, Curve, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.figures import Summary
from reports.kinds import filling
from reports.kinds.asking import Asked
from reports.kinds.monthly import database_care as care
from reports.kinds.monthly import slow_sql
from reports.kinds.monthly.database_use import CONNECTIONS, CPU, IOPS, MEMORY, SPACE, Database, Item, databases
from reports.kinds.readings import day_chart, enough_of, listed, missing, names_of, patchy, table

DETAILED: Final = 20
"""Instances whose items are drawn one by one; those of the others are in the workbook alone."""
DRAWN: Final = 5
SLOWEST: Final = 20
State = BackupPolicy.State
Advice = tuple[Database, capacity.Rule]


def read(asked: Asked) -> Part:
    found = databases(asked)
    known = [one for one in found if one.coverage]
    unknown = [one.name for one in found if not one.coverage]
    assets = [one.asset for one in found]
    slow = slow_sql.read(asked, assets)
    agreed, drills = care.policies(assets), care.drills_of(asked)
    advice = [(one, rule) for one in known for rule in capacity.advice("database", _measured(asked, one))]
    blocks: list[Block] = [
        _numbers(asked, found, known, slow, agreed, advice),
        *missing(unknown),
        *patchy({one.name: one.coverage for one in known}),
        _instances(asked, known),
        _chart(asked, "cpu_by_day", _("CPU by day"), known, lambda one: (one.cpu, one.cpu_by_day)),
        _chart(asked, "connections_by_day", _("Connections by day"), known, _connections_by_day),
        _chart(asked, "space_by_day", _("Space by day"), known, lambda one: (one.space, one.space_by_day)),
        _space(asked, known),
        slow_sql.listed(asked, slow, SLOWEST),
        *slow_sql.remarks(slow),
        care.backups(asked, assets, agreed),
        care.drills(asked, drills),
        care.restores(asked),
        _advised(asked, advice),
        *(_items(asked, one) for one in found[:DETAILED]),
        *(replace(_items(asked, one), drawn=0) for one in found[DETAILED:]),
    ]
    if len(found) > DETAILED:
        text = _("The items of %(names)s are in the workbook.")
        blocks.append(Remark(text % {"names": names_of([one.name for one in found[DETAILED:]])}))
    if not found:
        blocks.insert(0, Remark(_("No database was looked after in this time.")))
    said = _findings(asked, found, unknown, slow, agreed, drills, advice)
    return Part("databases", _("Database report"), tuple(blocks), tuple(said))


def _connections_by_day(one: Database) -> tuple[Summary, Sequence[float | None]]:
    return one.connections, one.connections_by_day


def _measured(asked: Asked, one: Database) -> dict[str, float | None]:
    return {
        "cpu_p95": one.cpu.p95,
        "cpu_high": one.cpu.high,
        "memory_p95": one.memory.p95,
        "connections_high": one.connections.high,
        "iops_p95": one.iops.p95,
        "disk_last": one.space.last,
        "disk_days": filling.days_left(one.forecast, asked.until),
        "coverage": 100.0 * one.coverage,
        "days": one.days,
    }


# --- blocks ---


def _numbers(  # noqa: PLR0917 - what a part knows
    asked: Asked,
    found: Sequence[Database],
    known: Sequence[Database],
    slow: slow_sql.Found,
    agreed: Mapping[int, BackupPolicy],
    advice: Sequence[Advice],
) -> Figures:
    use, space = _use_source(asked), _space_source(asked)
    no_data = _("No data.")
    short = {one.asset.pk for one, rule in advice if rule.is_severe}
    cpu = figures.mean(one.cpu.mean for one in known)
    connections = max((one.connections.high for one in known if one.connections.high is not None), default=None)
    fullest = max((one.space.last for one in known if one.space.last is not None), default=None)
    slow_count = sum(one.count for one in slow.statements) if slow.read else None
    differing = sum(row.state == State.DIFFERS for row in agreed.values())
    return Figures(
        (
            Figure("databases", _("Databases"), len(found), use),
            Figure("cpu", _("CPU, mean of all databases"), cpu, use, kind="share",
                   note="" if cpu is not None else no_data),
            Figure("connections", _("Connections, highest use"), connections, use, kind="share", better="down",
                   note="" if connections is not None else no_data),
            Figure("fullest", _("Fullest storage"), fullest, space, kind="share", better="down",
                   note="" if fullest is not None else no_data),
            Figure("short", _("Databases that lack something"), len(short) if known else None, use, better="down",
                   note="" if known else no_data),
            Figure("filling", _("Storage full within 30 days"), len(_filling(asked, known)), space, better="down"),
            Figure("slow", _("Slow SQL executions"), slow_count, slow_sql.source(asked), better="down",
                   note="" if slow.read else _("No source told of slow SQL.")),
            Figure("backups", _("Backups not as agreed"), differing, care.backup_source(), better="down"),
        )
    )  # fmt: skip


def _filling(asked: Asked, known: Sequence[Database]) -> list[tuple[float, Database]]:
    left = [(filling.days_left(one.forecast, asked.until), one) for one in known]
    soon = [(days, one) for days, one in left if days is not None and days < filling.SOON_DAYS]
    return sorted(soon, key=lambda one: (one[0], one[1].name))


def _instances(asked: Asked, known: Sequence[Database]) -> Table:
    columns = (
        Column(_("Database")), Column(_("Engine")), Column(_("CPU, mean"), "share"), Column(_("CPU, p95"), "share"),
        Column(_("Memory, p95"), "share"), Column(_("Connections, p95"), "share"),
        Column(_("Connections, highest"), "share"), Column(_("IOPS, p95"), "share"),
        Column(_("Time with data"), "share"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            one.name, one.engine, one.cpu.mean, one.cpu.p95, one.memory.p95, one.connections.p95, one.connections.high,
            one.iops.p95, 100.0 * one.coverage,
        )
        for one in known
    ]  # fmt: skip
    return table("instances", _("Use of resources"), columns, rows, _use_source(asked), _("No database has data."))


def _space(asked: Asked, known: Sequence[Database]) -> Table:
    columns = (
        Column(_("Database")), Column(_("Used at the end"), "share"),
        Column(_("Change per day"), "number", _("points")), Column(_("Expected to be full"), "day"),
        Column(_("Confidence")),
    )  # fmt: skip
    there = sorted((one for one in known if one.space.coverage), key=lambda one: (-(one.space.last or 0.0), one.name))
    rows: list[tuple[Cell, ...]] = [
        (
            one.name, one.space.last, None if one.forecast is None else one.forecast.per_day,
            filling.full_on(one.forecast), filling.confidence(one.forecast),
        )
        for one in there
    ]  # fmt: skip
    return table("space", _("Storage"), columns, rows, _space_source(asked), _("No storage has data."))


def _chart(
    asked: Asked,
    key: str,
    title: str,
    known: Sequence[Database],
    of: Callable[[Database], tuple[Summary, Sequence[float | None]]],
) -> Chart:
    """The databases that stand highest, with their mean of each day."""
    seen = [(use.mean, one.name, by_day) for one in known for use, by_day in [of(one)] if use.mean is not None]
    seen.sort(key=lambda one: (-one[0], one[1]))
    curves = [Curve(name, tuple(by_day)) for _level, name, by_day in seen[:DRAWN]]
    return day_chart(asked, key, title, curves, _use_source(asked), unit="%", lowest=0, highest=100)


def _items(asked: Asked, one: Database) -> Table:
    columns = [
        Column(_("Monitored item")), Column(_("Unit")), Column(_("Mean"), "number"), Column("p95", "number"),
        Column(_("Highest"), "number"), Column(_("Time with data"), "share"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [_item_name(item), _unit(item), item.use.mean, item.use.p95, item.use.high, 100.0 * item.use.coverage]
        for item in one.items
    ]
    if any(item.growth is not None for item in one.items):
        columns.append(Column(_("Growth"), "number"))
        for row, item in zip(rows, one.items, strict=True):
            row.append(item.growth)
    source = Source(
        _("The contract's items of this engine and whatever else is known. Steps of five minutes: mean weighted by "
          "points, p95 of the steps' means, the highest single point; of counters, by how much they grew."),
        ", ".join(dict.fromkeys(item.metric for item in one.items)) or "monitoring.series, metric",
        reverse("assets:detail", args=[one.asset.pk]),
    )  # fmt: skip
    title = _("%(name)s (%(engine)s)") % {"name": one.name, "engine": one.engine}
    return table(
        f"items_{one.asset.pk}",
        title,
        tuple(columns),
        [tuple(row) for row in rows],
        source,
        _("Nothing is read of it."),
    )


def _item_name(item: Item) -> str:
    name = metric_name(item.metric)
    return _("%(name)s (%(part)s)") % {"name": name, "part": item.labels} if item.labels else name


def _unit(item: Item) -> str:
    unit = METRICS[item.metric].unit
    return "" if unit in SILENT else unit.removeprefix("count")


def _advised(asked: Asked, advice: Sequence[Advice]) -> Table:
    rows: list[tuple[Cell, ...]] = [(one.name, rule.advice(get_language() or "zh")) for one, rule in advice]
    source = Source(
        _("Rules over the figures of each database; those of which a figure is not known say nothing."),
        ", ".join(sorted({rule.id for _one, rule in advice})) or capacity.WHERE, listed(asked, "assets:list"),
    )  # fmt: skip
    columns = (Column(_("Database")), Column(_("Advice")))
    return table("advice", _("Advice"), columns, rows, source, _("Nothing is to be changed."))


# --- sentences ---


def _findings(  # noqa: PLR0917 - what a part knows
    asked: Asked,
    found: Sequence[Database],
    unknown: Sequence[str],
    slow: slow_sql.Found,
    agreed: Mapping[int, BackupPolicy],
    drills: Sequence[DutyOccurrence],
    advice: Sequence[Advice],
) -> list[Finding]:
    said: list[Finding] = []
    if not any(rule.is_severe for _one, rule in advice):
        said += _praise(found)
    if slow.read and not slow.statements and not slow.untold and not slow.failed:
        said.append(Finding("good", _("No statement was slow.")))
    if agreed and all(row.state == State.AS_AGREED for row in agreed.values()):
        said.append(Finding("good", _("Every backup is as agreed.")))
    for days, one in _filling(asked, found)[:DRAWN]:
        words = {"name": one.name, "days": math.floor(days)}
        said.append(Finding("bad", _("The storage of %(name)s is expected to be full; days left: %(days)d.") % words))
    differing = [row.asset.name for row in agreed.values() if row.state == State.DIFFERS]
    if differing:
        said.append(Finding("bad", _("Backups that are not as agreed: %(names)s.") % {"names": names_of(differing)}))
    failed = [one for one in drills if care.is_done(asked, one) and one.result == DutyOccurrence.Result.FAILED]
    if failed:
        said.append(Finding("bad", _("A restore drill failed.")))
    if any(not care.is_done(asked, one) for one in drills):
        said.append(Finding("next", _("Do the restore drill that is overdue.")))
    if slow.statements:
        worst = slow.statements[0]
        words = {"name": worst.instance, "statement": worst.text[:100]}
        said.append(Finding("next", _("Tune what takes longest on %(name)s: %(statement)s") % words))
    if unknown:
        said.append(Finding("next", _("Find out why there is no data of %(names)s.") % {"names": names_of(unknown)}))
    by_rule: dict[str, list[str]] = {}
    for one, rule in advice:
        by_rule.setdefault(rule.advice(get_language() or "zh"), []).append(one.name)
    for text, names in by_rule.items():
        said.append(Finding("next", _("%(names)s: %(advice)s") % {"names": names_of(names), "advice": text}))
    return said


def _praise(found: Sequence[Database]) -> list[Finding]:
    """Of what was seen of every database for long enough, and of nothing else."""
    seen = {
        _("CPU"): [one.cpu for one in found],
        _("connections"): [one.connections for one in found],
        _("storage"): [one.space for one in found],
    }
    enough = enough_of(seen)
    if len(enough) == len(seen):
        return [Finding("good", _("Every database had enough CPU, connections and storage."))]
    if not enough:
        return []
    text = _("Every database had enough of what was seen of all of them: %(what)s.")
    return [Finding("good", text % {"what": names_of(enough)})]


# --- sources ---


def _use_source(asked: Asked) -> Source:
    return Source(
        _("Of steps of five minutes while the database was there: their mean weighted by points, p95 of the steps' "
          "means, the highest single point. Of several nodes the one that stands highest."),
        ", ".join((*CPU, *MEMORY, *CONNECTIONS, *IOPS)), listed(asked, "assets:list"),
    )  # fmt: skip


def _space_source(asked: Asked) -> Source:
    return Source(
        _("The share in use at the end; its trend is a robust line through the last 14 days. Guesses have a day but "
          "count nowhere."),
        ", ".join(SPACE), listed(asked, "monitoring:outlook"),
    )  # fmt: skip
