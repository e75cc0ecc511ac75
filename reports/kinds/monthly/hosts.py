"""Hosts: what each used of CPU, memory, disk and network, when it will be full, its ports, and what to change
(R111, §2.2.7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from monitoring.rules import CODES
from reports import capacity, figures
from reports.blocks import Block, Cell, Chart, Column, Curve, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.figures import Summary
from reports.kinds import filling
from reports.kinds.asking import Asked
from reports.kinds.monthly.host_use import (
    BOOT,
    CPU,
    DISK,
    LOAD,
    MEMORY,
    NETWORK,
    PORT,
    Disk,
    Host,
    Port,
    hosts_and_ports,
)
from reports.kinds.readings import day_chart, enough_of, is_chinese, listed, missing, names_of, patchy, table

TOP: Final = 10
DRAWN: Final = 5
Advice = tuple[Host, capacity.Rule]


def read(asked: Asked) -> Part:
    hosts, ports = hosts_and_ports(asked)
    known = [host for host in hosts if host.is_known]
    unknown = [host.name for host in hosts if not host.is_known]
    advice = _advice(asked, known)
    blocks: list[Block] = [
        _numbers(asked, hosts, known, ports, advice),
        *missing(unknown),
        *patchy({host.name: host.coverage for host in known}),
        _use(asked, known),
        _top(asked, "top_cpu", _("Most CPU"), known, lambda host: host.cpu),
        _top(asked, "top_memory", _("Most memory"), known, lambda host: host.memory),
        _top_disks(asked, known),
        _chart(asked, "cpu_by_day", _("CPU by day"), known, lambda host: (host.cpu.mean, host.cpu_by_day)),
        _chart(asked, "memory_by_day", _("Memory by day"), known, lambda host: (host.memory.mean, host.memory_by_day)),
        _chart(asked, "disk_by_day", _("Fullest disk by day"), known, _fullest),
        _disks(asked, known),
        _network(asked, known),
        _ports(asked, ports),
        _advised(asked, advice),
    ]
    if not hosts:
        blocks.insert(0, Remark(_("No host was looked after in this time.")))
    return Part("hosts", _("Host report"), tuple(blocks), tuple(_findings(asked, hosts, unknown, ports, advice)))


# --- advice ---


def _advice(asked: Asked, hosts: Sequence[Host]) -> list[Advice]:
    return [(host, rule) for host in hosts for rule in capacity.advice("host", _measured(asked, host))]


def _measured(asked: Asked, host: Host) -> dict[str, float | None]:
    left = [days for disk in host.disks if (days := filling.days_left(disk.forecast, asked.until)) is not None]
    return {
        "cpu_p95": host.cpu.p95,
        "cpu_high": host.cpu.high,
        "memory_p95": host.memory.p95,
        "disk_last": None if host.worst is None else host.worst.summary.last,
        "disk_days": min(left, default=None),
        "load_per_core_p95": host.per_core,
        "coverage": 100.0 * host.coverage,
        "days": host.days,
    }


# --- blocks ---


def _numbers(
    asked: Asked, hosts: Sequence[Host], known: Sequence[Host], ports: Sequence[Port], advice: Sequence[Advice]
) -> Figures:
    use, disks = _use_source(asked), _disk_source(asked)
    fullest = max((host.worst.last for host in known if host.worst), default=None)
    reboots = [host.reboots for host in known if host.reboots is not None]
    no_data = _("No data.")
    short = {host.asset.pk for host, rule in advice if rule.is_severe}
    cpu, memory = (figures.mean([one.mean for one in each]) for each in (
        [host.cpu for host in known], [host.memory for host in known],
    ))  # fmt: skip
    return Figures(
        (
            Figure("hosts", _("Hosts"), len(hosts), use),
            Figure("cpu", _("CPU, mean of all hosts"), cpu, use, kind="share", note="" if cpu is not None else no_data),
            Figure("memory", _("Memory, mean of all hosts"), memory, use, kind="share",
                   note="" if memory is not None else no_data),
            Figure("fullest", _("Fullest disk"), fullest, disks, kind="share", better="down",
                   note="" if fullest is not None else no_data),
            Figure("short", _("Hosts that lack something"), len(short) if known else None, use, better="down",
                   note="" if known else no_data),
            Figure("filling", _("Disks full within 30 days"), len(_filling(asked, known)), disks, better="down"),
            Figure("reboots", _("Reboots"), sum(reboots) if reboots else None, _boot_source(asked),
                   note="" if reboots else no_data),
            Figure("ports", _("Ports checked"), len(ports), _port_source(asked)),
            Figure("closed", _("Ports not open at the end"), sum(port.code != 0 for port in ports),
                   _port_source(asked), better="down"),
        )
    )  # fmt: skip


def _filling(asked: Asked, hosts: Sequence[Host]) -> list[tuple[float, Host, Disk]]:
    """Disks expected to be full soon, the soonest first."""
    found = []
    for host in hosts:
        for disk in host.disks:
            left = filling.days_left(disk.forecast, asked.until)
            if left is not None and left < filling.SOON_DAYS:
                found.append((left, host, disk))
    return sorted(found, key=lambda one: (one[0], one[1].name, one[2].name))


def _use(asked: Asked, hosts: Sequence[Host]) -> Table:
    columns = (
        Column(_("Host")), Column(_("CPU, mean"), "share"), Column(_("CPU, p95"), "share"),
        Column(_("CPU, highest"), "share"), Column(_("Memory, mean"), "share"), Column(_("Memory, p95"), "share"),
        Column(_("Memory, highest"), "share"), Column(_("Load5, p95"), "number"),
        Column(_("Reboots"), "number"), Column(_("Time with data"), "share"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            host.name, host.cpu.mean, host.cpu.p95, host.cpu.high, host.memory.mean, host.memory.p95, host.memory.high,
            host.load.p95, host.reboots, 100.0 * host.coverage,
        )
        for host in hosts
    ]  # fmt: skip
    return table("use", _("CPU, memory and load"), columns, rows, _use_source(asked), _("No host has data."))


def _disks(asked: Asked, hosts: Sequence[Host]) -> Table:
    columns = (
        Column(_("Host")), Column(_("Fullest disk")), Column(_("Mean"), "share"), Column("p95", "share"),
        Column(_("Highest"), "share"), Column(_("Used at the end"), "share"),
        Column(_("Change per day"), "number", _("points")), Column(_("Expected to be full"), "day"),
        Column(_("Confidence")), Column(_("Disks"), "number"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for host in sorted(hosts, key=lambda one: (-one.worst.last if one.worst else 1.0, one.name)):
        disk = host.worst
        if disk is not None:
            rows.append((
                host.name, disk.name, disk.summary.mean, disk.summary.p95, disk.summary.high, disk.summary.last,
                None if disk.forecast is None else disk.forecast.per_day,
                filling.full_on(disk.forecast), filling.confidence(disk.forecast), len(host.disks),
            ))  # fmt: skip
    return table("disks", _("Disks"), columns, rows, _disk_source(asked), _("No disk has data."))


def _network(asked: Asked, hosts: Sequence[Host]) -> Table:
    unit = "Mbit/s"
    columns = (
        Column(_("Host")), Column(_("In, mean"), "number", unit), Column(_("In, p95"), "number", unit),
        Column(_("In, highest"), "number", unit), Column(_("Out, mean"), "number", unit),
        Column(_("Out, p95"), "number", unit), Column(_("Out, highest"), "number", unit),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            host.name, host.incoming.mean, host.incoming.p95, host.incoming.high, host.outgoing.mean,
            host.outgoing.p95, host.outgoing.high,
        )
        for host in hosts
        if host.incoming.coverage or host.outgoing.coverage
    ]  # fmt: skip
    source = Source(
        _("All devices together; p95 and the highest are of the means of five minutes. Without an agent, what "
          "CloudMonitor says of internet and intranet together."),
        ", ".join(NETWORK), listed(asked, "assets:list"),
    )  # fmt: skip
    return table("network", _("Network"), columns, rows, source, _("No host has data."))


def _top(asked: Asked, key: str, title: str, hosts: Sequence[Host], of: Callable[[Host], Summary]) -> Table:
    columns = (Column(_("Host")), Column(_("Mean"), "share"), Column("p95", "share"), Column(_("Highest"), "share"))
    seen = [(host.name, of(host)) for host in hosts if of(host).mean is not None]
    seen.sort(key=lambda one: (-(one[1].mean or 0.0), one[0]))
    rows: list[tuple[Cell, ...]] = [(name, one.mean, one.p95, one.high) for name, one in seen[:TOP]]
    return table(key, title, columns, rows, _use_source(asked), _("No host has data."))


def _top_disks(asked: Asked, hosts: Sequence[Host]) -> Table:
    columns = (Column(_("Host")), Column(_("Disk")), Column(_("Used at the end"), "share"))
    seen = [(host.name, disk) for host in hosts for disk in host.disks]
    seen.sort(key=lambda one: (-one[1].last, one[0], one[1].name))
    rows: list[tuple[Cell, ...]] = [(name, disk.name, disk.summary.last) for name, disk in seen[:TOP]]
    return table("top_disks", _("Fullest disks"), columns, rows, _disk_source(asked), _("No disk has data."))


def _chart(
    asked: Asked,
    key: str,
    title: str,
    hosts: Sequence[Host],
    of: Callable[[Host], tuple[float | None, Sequence[float | None]]],
) -> Chart:
    """The hosts that stand highest, with their mean of each day."""
    seen = [(level, host.name, by_day) for host in hosts for level, by_day in [of(host)] if level is not None]
    seen.sort(key=lambda one: (-one[0], one[1]))
    curves = [Curve(name, tuple(by_day)) for _level, name, by_day in seen[:DRAWN]]
    return day_chart(asked, key, title, curves, _use_source(asked), unit="%", lowest=0, highest=100)


def _fullest(host: Host) -> tuple[float | None, Sequence[float | None]]:
    return (None, ()) if host.worst is None else (host.worst.summary.last, host.worst.by_day)


def _ports(asked: Asked, ports: Sequence[Port]) -> Table:
    columns = (
        Column(_("Asset")), Column(_("Port")), Column(_("Found open"), "share"), Column(_("At the end")),
        Column(_("Time with data"), "share"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            port.asset.name, port.number, port.reading.availability, _code_text(port.code),
            100.0 * port.reading.summary.coverage,
        )
        for port in sorted(ports, key=lambda one: (one.reading.availability or 0.0, one.asset.name, one.number))
    ]  # fmt: skip
    return table("ports", _("Ports"), columns, rows, _port_source(asked), _("No port was checked."))


def _code_text(code: int) -> str:
    return CODES[PORT].get(code, (str(code), str(code)))[0 if is_chinese() else 1]


def _advised(asked: Asked, advice: Sequence[Advice]) -> Table:
    rows: list[tuple[Cell, ...]] = [(host.name, rule.advice(get_language() or "zh")) for host, rule in advice]
    source = Source(
        _("Rules over the figures of each host; those of which a figure is not known say nothing."),
        ", ".join(sorted({rule.id for _host, rule in advice})) or capacity.WHERE, listed(asked, "assets:list"),
    )  # fmt: skip
    columns = (Column(_("Host")), Column(_("Advice")))
    return table("advice", _("Capacity advice"), columns, rows, source, _("Nothing is to be changed."))


# --- sentences ---


def _findings(
    asked: Asked,
    hosts: Sequence[Host],
    unknown: Sequence[str],
    ports: Sequence[Port],
    advice: Sequence[Advice],
) -> list[Finding]:
    said: list[Finding] = []
    closed = [f"{port.asset.name}:{port.number}" for port in ports if port.code != 0]
    if not any(rule.is_severe for _one, rule in advice):
        said += _praise(hosts)
    if ports and not closed:
        said.append(Finding("good", _("Every watched port was open at the end.")))
    if closed:
        said.append(Finding("bad", _("Ports that were not open at the end: %(names)s.") % {"names": names_of(closed)}))
    restarted = [host for host in hosts if host.reboots]
    if restarted:
        count = sum(host.reboots or 0 for host in restarted)
        text = ngettext("%(count)d reboot: %(names)s.", "%(count)d reboots: %(names)s.", count)
        words = {"count": count, "names": names_of([host.name for host in restarted])}
        said.append(Finding("bad", text % words))
    for left, host, disk in _filling(asked, hosts)[:DRAWN]:
        full = {"host": host.name, "disk": disk.name, "days": math.floor(left)}
        said.append(Finding("bad", _("%(disk)s of %(host)s is expected to be full; days left: %(days)d.") % full))
    if unknown:
        said.append(Finding("next", _("Find out why there is no data of %(names)s.") % {"names": names_of(unknown)}))
    by_rule: dict[str, list[str]] = {}
    for host, rule in advice:
        by_rule.setdefault(rule.advice(get_language() or "zh"), []).append(host.name)
    for text, names in by_rule.items():
        said.append(Finding("next", _("%(names)s: %(advice)s") % {"names": names_of(names), "advice": text}))
    return said


def _praise(hosts: Sequence[Host]) -> list[Finding]:
    """Of what was seen on every host for long enough, and of nothing else."""
    seen = {
        _("CPU"): [host.cpu for host in hosts],
        _("memory"): [host.memory for host in hosts],
        _("disk"): [disk.summary for host in hosts for disk in host.disks] if all(h.disks for h in hosts) else [],
    }
    enough = enough_of(seen)
    if len(enough) == len(seen):
        return [Finding("good", _("Every host had enough CPU, memory and disk."))]
    if not enough:
        return []
    text = _("Every host had enough of what was seen on all of them: %(what)s.")
    return [Finding("good", text % {"what": names_of(enough)})]


# --- sources ---


def _use_source(asked: Asked) -> Source:
    return Source(
        _("Of steps of five minutes while the host was there: their mean weighted by points, p95 of the steps' means, "
          "the highest single point. An agent's figures before CloudMonitor's."),
        ", ".join((*CPU, *MEMORY, *LOAD)), listed(asked, "assets:list"),
    )  # fmt: skip


def _disk_source(asked: Asked) -> Source:
    return Source(
        _("The filesystem that is fullest at the end; its trend is a robust line through the last 14 days. Guesses "
          "have a day but count nowhere."),
        ", ".join(DISK), listed(asked, "monitoring:outlook"),
    )  # fmt: skip


def _boot_source(asked: Asked) -> Source:
    return Source(
        _("How often the moment of starting moved on; two within five minutes count once. Without an agent, what was "
          "told as an event."),
        ", ".join(BOOT), listed(asked, "monitoring:events"),
    )  # fmt: skip


def _port_source(asked: Asked) -> Source:
    return Source(
        _("Of the checks that were made, those that found the port open; at the end: the last check."), PORT,
        listed(asked, "monitoring:alerts"),
    )  # fmt: skip
