"""What a clock shows to people: the deadline it runs to, or the time used; read from stored and prefetched rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.models import SlaTerm
from incidents import clocks
from incidents.models import Clock, Incident
from incidents.states import State


@dataclass(frozen=True, slots=True)
class Face:
    """One clock on a page. Without a deadline it shows `used`; paused, it shows that it stands still."""

    label: str
    kind: str
    started_at: datetime
    due_at: datetime | None
    stopped_at: datetime | None
    is_breached: bool
    is_paused: bool
    is_provisional: bool
    used: timedelta
    target: timedelta | None
    hours: str
    round: int

    @property
    def is_running(self) -> bool:
        return self.stopped_at is None and not self.is_paused


def faces(incident: Incident, *, now: datetime) -> list[Face]:
    """Every clock of the incident, response first, the latest round of each first."""
    order = {Clock.Kind.RESPONSE: 0, Clock.Kind.HANDLING: 1, Clock.Kind.NOTICE: 2}
    rows = sorted(incident.clocks.all(), key=lambda clock: (order[Clock.Kind(clock.kind)], -clock.round))
    return [_face(incident, clock, now) for clock in rows]


def nearest(incident: Incident, *, now: datetime) -> Face | None:
    """The clock that matters now: the running one that is due first, else the running one without a deadline."""
    running = [clock for clock in incident.clocks.all() if clock.is_running]
    if not running:
        return None
    with_deadline = [clock for clock in running if clock.due_at is not None]
    clock = min(with_deadline, key=lambda each: each.due_at or now) if with_deadline else running[-1]
    return _face(incident, clock, now)


def _face(incident: Incident, clock: Clock, now: datetime) -> Face:
    pauses = [pause.as_interval() for pause in incident.pauses.all()]
    stored = clock.elapsed_seconds
    used = clocks.elapsed(clock, now, pauses) if stored is None else timedelta(seconds=stored)
    always = clock.calendar_version_id is None
    return Face(
        label=clock.get_kind_display(),
        kind=clock.kind,
        started_at=clock.started_at,
        due_at=clock.due_at,
        stopped_at=clock.stopped_at,
        is_breached=clock.is_breached,
        is_paused=clock.is_running and incident.stage is State.WAITING_CUSTOMER,
        is_provisional=clock.is_provisional,
        used=used,
        target=clock.target,
        hours=str((SlaTerm.HandlingCalendar.ALWAYS if always else SlaTerm.HandlingCalendar.BUSINESS).label),
        round=clock.round,
    )
