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
    is_of_provider: bool
    pk: int
    breach_code: str
    reason: str

    @property
    def is_running(self) -> bool:
        return self.stopped_at is None and not self.is_paused


ORDER = (
    Clock.Kind.CUSTOMER_REPLY, Clock.Kind.RESPONSE, Clock.Kind.HANDLING, Clock.Kind.STAGE_REPORT, Clock.Kind.NOTICE
)  # fmt: skip


def faces(incident: Incident, *, now: datetime) -> list[Face]:
    """What a page shows of the clocks: the customer's reply first while it is awaited, the latest round of each first.

    Of replies and reports, which come in any number, only the latest and those that were missed.
    """
    rows = sorted(incident.clocks.all(), key=lambda clock: (ORDER.index(Clock.Kind(clock.kind)), -clock.round))
    latest: set[str] = set()
    shown = []
    for clock in rows:
        many = clock.kind in (Clock.Kind.CUSTOMER_REPLY, Clock.Kind.STAGE_REPORT)
        if not many or clock.kind not in latest or (clock.is_breached and clock.is_of_provider):
            shown.append(_face(incident, clock, now))
        latest.add(clock.kind)
    return shown


def nearest(incident: Incident, *, now: datetime) -> Face | None:
    """The clock that matters now: the running one that is due first, else the running one without a deadline.

    While the customer is waited for, that is the customer's own.
    """
    running = [clock for clock in incident.clocks.all() if clock.is_running]
    if not running:
        return None
    with_deadline = [clock for clock in running if clock.due_at is not None]
    if with_deadline:
        return _face(incident, min(with_deadline, key=lambda each: each.due_at or now), now)
    return _face(incident, next((clock for clock in running if clock.kind == Clock.Kind.HANDLING), running[-1]), now)


def _face(incident: Incident, clock: Clock, now: datetime) -> Face:
    pauses = [pause.as_interval() for pause in incident.pauses.all()]
    stored = clock.elapsed_seconds
    used = clocks.elapsed(clock, now, pauses) if stored is None else timedelta(seconds=stored)
    always = clock.calendar_version_id is None
    return Face(
        label=str(Clock.Kind(clock.kind).label),
        kind=clock.kind,
        started_at=clock.started_at,
        due_at=clock.due_at,
        stopped_at=clock.stopped_at,
        is_breached=clock.is_breached,
        is_paused=clock.is_running and clock.is_of_provider and incident.stage is State.WAITING_CUSTOMER,
        is_provisional=clock.is_provisional,
        used=used,
        target=clock.target,
        hours=str((SlaTerm.HandlingCalendar.ALWAYS if always else SlaTerm.HandlingCalendar.BUSINESS).label),
        round=clock.round,
        is_of_provider=clock.is_of_provider,
        pk=clock.pk,
        breach_code=clock.breach_code,
        reason=_reason(clock),
    )


def _reason(clock: Clock) -> str:
    """Why it was missed, as both sides read it."""
    if not clock.breach_code:
        return ""
    return f"{clock.get_breach_code_display()}: {clock.breach_note}"
