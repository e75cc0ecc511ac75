"""How the platform itself does: its parts judged, its troubles told, its figures kept for two days.

Trouble here is ours: it is told to administrators and managers, never shown as a customer's outage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import scope
from accounts.models import Role, User
from monitoring.models import PlatformFigure, PlatformTrouble
from monitoring.services import vitals
from monitoring.services.graphs import Window
from notify import services as notify

Text = str | Promise
KEPT: Final = timedelta(days=31)
EVERY: Final = timedelta(seconds=60)
TELL_AFTER: Final = timedelta(seconds=60)
"""Trouble that is over sooner is written down and not told."""
ESCALATE_AFTER: Final = timedelta(minutes=15)
DELAYING: Final = ("polling", "queue-poll", "database")
"""The parts whose trouble makes the customers' figures old."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the platform: which figure tells how it is, from where on it is late and failing, what to do.

    Where the figure is needed, its absence is failing: a worker that was never heard of, a Redis that does not answer.
    """

    id: str
    name: Text
    figure: str
    unit: str
    late: float
    failing: float
    advice: Text
    is_needed: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """A part as it is now."""

    part: Part
    value: float | None
    level: str
    since: datetime | None
    detail: str = ""


def _part(  # noqa: PLR0917  # a row of the table below
    part_id: str,
    name: Text,
    figure: str,
    unit: str,
    late: float,
    failing: float,
    advice: Text,
    *,
    is_needed: bool = True,
) -> Part:
    return Part(part_id, name, figure, unit, late, failing, advice, is_needed)


_POLLER: Final = gettext_lazy("Start more pollers (RDMP_WORKERS, or another machine), and look for targets that hang.")
_WORKER: Final = gettext_lazy("Look at the worker's output; start another worker, on another machine if need be.")
_WAITING: Final = gettext_lazy("See whether a worker listens to this queue and what it does; start another one.")
LONG_JOBS_WAIT: Final = (200, 1000)
TASKS_WAIT: Final = (1000, 10_000)
"""So many tasks in a queue are late and failing: a poller claims up to 2000 targets at once, a job takes minutes."""


def _depth(queue: str) -> Part:
    late, failing = LONG_JOBS_WAIT if queue in settings.LONG_QUEUES else TASKS_WAIT
    name = format_lazy("{}: {}", gettext_lazy("Tasks waiting"), queue)
    return _part(f"depth-{queue}", name, f"queue_depth.{queue}", "count", late, failing, _WAITING)


PARTS: Final = (
    _part("polling", gettext_lazy("Collecting in time"), "poll_lag_s", "s", 30, 120, _POLLER),
    _part("queue-poll", gettext_lazy("Pollers answer"), "queue_silence_s.poll", "s", 60, 180, _POLLER),
    _part("queue-timers", gettext_lazy("Timers are looked after"), "queue_silence_s.timers", "s", 60, 180, _WORKER),
    _part("queue-notify", gettext_lazy("Messages are looked after"), "queue_silence_s.notify", "s", 60, 180, _WORKER),
    _part("queue-default", gettext_lazy("Background work is done"), "queue_silence_s.default", "s", 60, 180, _WORKER),
    _part(
        "queue-probe-results",
        gettext_lazy("Answers of probe points are taken in"),
        "queue_silence_s.probe-results",
        "s",
        60,
        180,
        _POLLER,
    ),
    _part("queue-reports", gettext_lazy("Reports are made"), "queue_silence_s.reports", "s", 900, 3600, _WORKER),
    _part("queue-automation", gettext_lazy("Automation runs"), "queue_silence_s.automation", "s", 900, 3600, _WORKER),
    *map(_depth, settings.QUEUES),
    _part("timers", gettext_lazy("Timers in time"), "timer_late_s", "s", 10, 60, _WORKER),
    _part(
        "deliveries",
        gettext_lazy("Messages waiting"),
        "delivery_wait_s",
        "s",
        60,
        300,
        gettext_lazy("Look at the log of messages: a robot may be muted or its provider away."),
    ),
    _part(
        "delivery-failures",
        gettext_lazy("Messages failed in the last hour"),
        "delivery_failed_1h",
        "count",
        1,
        20,
        gettext_lazy("Look at the log of messages for what the providers answered."),
    ),
    _part(
        "targets",
        gettext_lazy("Targets late"),
        "targets_late_pct",
        "%",
        5,
        25,
        _POLLER,
    ),
    _part(
        "packer",
        gettext_lazy("Hours waiting to be packed"),
        "packer_lag_s",
        "s",
        3 * 3600.0,
        12 * 3600.0,
        gettext_lazy("Look at the worker's output for the packer; the database grows meanwhile."),
        is_needed=False,  # nothing collected, nothing to pack
    ),
    _part(
        "database",
        gettext_lazy("Database"),
        "db_ms",
        "ms",
        250,
        2000,
        gettext_lazy("Look at the database's load, its disk and long transactions."),
    ),
    _part(
        "db-connections",
        gettext_lazy("Connections to the database"),
        "db_connections_pct",
        "%",
        75,
        90,
        gettext_lazy("Raise max_connections, or run fewer processes."),
    ),
    _part(
        "redis-answers",
        gettext_lazy("Redis does not answer"),
        "redis_down",
        "count",
        1,
        1,
        gettext_lazy("Start Redis again: without it no task reaches a worker."),
    ),
    _part(
        "redis",
        gettext_lazy("Redis memory"),
        "redis_memory_pct",
        "%",
        75,
        92,
        gettext_lazy("Raise maxmemory; look for a queue that nobody empties."),
    ),
    _part(
        "probes",
        gettext_lazy("Probe points that do not answer"),
        "probes_silent",
        "count",
        1,
        3,
        gettext_lazy("Start the worker of the location again and look at its way to the broker."),
    ),
)


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of the status page, as a graph."""

    name: Text
    figures: Sequence[str]
    unit: str


PLOTS: Final[Mapping[str, Plot]] = {
    "lag": Plot(gettext_lazy("Lag of collecting"), ("poll_lag_s",), "s"),
    "queues": Plot(
        gettext_lazy("Tasks waiting in queues"),
        tuple(f"queue_depth.{queue}" for queue in settings.QUEUES),
        "count",
    ),
    "samples": Plot(gettext_lazy("Samples stored"), ("samples_per_s",), "count/s"),
    "batches": Plot(gettext_lazy("Time of a batch"), ("batch_s",), "s"),
    "timers": Plot(gettext_lazy("Lateness of timers"), ("timer_late_s",), "s"),
    "deliveries": Plot(gettext_lazy("Messages"), ("deliveries_waiting", "delivery_failed_1h"), "count"),
    "database": Plot(gettext_lazy("Size of the database"), ("db_bytes",), "B"),
    "redis": Plot(gettext_lazy("Redis memory"), ("redis_bytes",), "B"),
}


# --- judging -------------------------------------------------------------------------------------------------------


def level_of(part: Part, value: float | None) -> str:
    """ "" well, "late" or "failing"; a figure that cannot be had is failing where it always must be there."""
    if value is None:
        return PlatformTrouble.Level.FAILING if part.is_needed else ""
    if value >= part.failing:
        return PlatformTrouble.Level.FAILING
    return PlatformTrouble.Level.LATE if value >= part.late else ""


def parts(*, now: datetime) -> list[State]:
    """Every part with its figure now and the trouble it has."""
    found = vitals.figures(now=now)
    troubles = {trouble.part: trouble for trouble in PlatformTrouble.objects.filter(over_at=None)}
    states = []
    for part in PARTS:
        value = found.get(part.figure)
        trouble = troubles.get(part.id)
        level = level_of(part, value)
        states.append(State(part, value, level or "ok", trouble.since if trouble and level else None))
    return states


def history(*, now: datetime) -> list[tuple[Text, PlatformTrouble]]:
    """The troubles of the last days, by the names of their parts."""
    names = {part.id: part.name for part in PARTS}
    rows = PlatformTrouble.objects.filter(since__gte=now - timedelta(days=7)).order_by("-since")[:20]
    return [(names.get(row.part, row.part), row) for row in rows]


def delayed_since(*, now: datetime) -> datetime | None:
    """Since when the customers' figures are older than usual; None when they are not."""
    trouble = PlatformTrouble.objects.filter(over_at=None, part__in=DELAYING, since__lte=now - TELL_AFTER).order_by(
        "since"
    )
    found = trouble.first()
    return found.since if found else None


def watch(*, now: datetime, read: Callable[..., Mapping[str, float]] = vitals.figures) -> list[PlatformTrouble]:
    """Look at all parts: keep the figures, open and end troubles, tell and escalate. Returns the open troubles."""
    figures = read(now=now)
    keep(figures, now=now)
    return judge(figures, now=now)


@transaction.atomic
def keep(figures: Mapping[str, float], *, now: datetime) -> None:
    """Write the figures of this minute down; twice in a minute counts once."""
    minute = now.replace(second=0, microsecond=0)
    rows = [PlatformFigure(at=minute, name=name, value=value) for name, value in figures.items()]
    PlatformFigure.objects.bulk_create(rows, ignore_conflicts=True)
    if minute.minute == 0:
        PlatformFigure.objects.filter(at__lt=now - KEPT).delete()
        PlatformTrouble.objects.filter(over_at__lt=now - KEPT).delete()


@transaction.atomic
def judge(figures: Mapping[str, float], *, now: datetime) -> list[PlatformTrouble]:
    """Open, change and end troubles by these figures; tell what lasts, and tell louder what lasts long."""
    open_ones = {row.part: row for row in PlatformTrouble.objects.select_for_update().filter(over_at=None)}
    for part in PARTS:
        value, row = figures.get(part.figure), open_ones.get(part.id)
        level = level_of(part, value)
        if level and row is None:
            row = PlatformTrouble(part=part.id, since=now)
        if row is None:
            continue
        row.over_at = None if level else now
        row.level, row.detail = level or row.level, _detail(part, value)
        if level and row.told_at is None and now - row.since >= TELL_AFTER:
            row.told_at = now
            _tell(part, row, "told", ("inbox",), now)
        lasts = now - row.since >= ESCALATE_AFTER
        if level == PlatformTrouble.Level.FAILING and lasts and row.escalated_at is None:
            row.escalated_at = now
            _tell(part, row, "escalated", ("inbox", "email"), now)
        if not level and row.told_at is not None:
            _tell(part, row, "over", ("inbox",), now)
        row.save()
        open_ones[part.id] = row
    return [row for row in open_ones.values() if row.over_at is None]


def _detail(part: Part, value: float | None) -> str:
    return "—" if value is None else f"{value:.6g} {part.unit}"


def _tell(part: Part, row: PlatformTrouble, step: str, channels: Sequence[str], now: datetime) -> None:
    """Administrators hear of it at once; when it lasts, managers do too, and by mail."""
    roles = (Role.ADMIN,) if step == "told" else (Role.ADMIN, Role.MANAGER)
    with scope.platform("telling of trouble of the platform"):
        for person in User.objects.filter(is_active=True, role__in=roles):
            with translation.override(person.language):
                subject = _("The platform: %(part)s is well again") if step == "over" else _("The platform: %(part)s")
                message = notify.Message(
                    topic="account",
                    subject=subject % {"part": part.name},
                    text=f"{row.get_level_display()} · {row.detail}\n\n{part.advice}".strip(),
                    url="/monitoring/platform/",
                )
            key = f"platform:{part.id}:{row.since:%Y%m%d%H%M%S}:{step}"
            notify.tell(user=person, key=key, message=message, now=now, channels=channels)


# --- plots ---------------------------------------------------------------------------------------------------------


def plotted(plot_id: str, view: Window) -> dict[str, Any]:
    """Figures of the last days, as the chart draws them (JSON)."""
    plot = PLOTS[plot_id]
    rows = PlatformFigure.objects.filter(name__in=plot.figures, at__gte=view.start, at__lt=view.end).order_by("at")
    columns: dict[str, tuple[list[int], list[float]]] = {name: ([], []) for name in plot.figures}
    for name, at, value in rows.values_list("name", "at", "value"):
        columns[name][0].append(round(at.timestamp() * 1000))
        columns[name][1].append(value)
    return {
        "id": plot_id,
        "title": str(plot.name),
        "unit": plot.unit,
        "state": False,
        "min": 0,
        "max": None,
        "from": round(view.start.timestamp() * 1000),
        "to": round(view.end.timestamp() * 1000),
        "step": max(view.step, 60) * 1000,
        "hidden": 0,
        "series": [
            {"id": number, "name": _series_name(name), "codes": {}, "t": times, "v": values, "lo": [], "hi": []}
            for number, (name, (times, values)) in enumerate(columns.items())
            if times
        ],
        "alarms": [],
    }


def _series_name(figure: str) -> str:
    what, _dot, which = figure.partition(".")
    names = {
        "deliveries_waiting": _("waiting"),
        "delivery_failed_1h": _("failed in the last hour"),
        "poll_lag_s": _("lag"),
        "samples_per_s": _("samples"),
        "batch_s": _("mean"),
    }
    return which or str(names.get(what, what))
