"""The clocks of an incident in the database: started, stopped, re-armed, warned and missed.

Callers hold the incident (`incidents.locks.hold`). Every wake-up is a durable timer; one that fires although its clock
moved on finds nothing to do.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Value
from django.db.models.functions import Greatest

from accounts import bulk
from incidents import sla, timeline
from incidents.models import Clock, Incident, Pause, TimelineEntry
from incidents.policy import Policy, calendar_of
from timers import services as timers

WARN_TASK = "incidents.warn_clock"
BREACH_TASK = "incidents.breach_clock"
# A timer that fires within this of its deadline was on time.
ON_TIME = timedelta(seconds=60)
RETIMED = (
    "target_minutes", "calendar_version", "breached_at", "warned_at", "due_at", "is_provisional", "elapsed_seconds",
)  # fmt: skip


def plan(incident: Incident, *, now: datetime) -> list[Clock]:
    """The clocks of a new incident, unsaved: notice (alerts only), response around the clock, handling (R54..R58).

    Sets the incident's `next_due_at`. `start` saves them when the incident has its number.
    """
    policy = Policy.from_json(incident.policy)
    began = incident.clock_started_at
    clocks = [
        _clock(incident, Clock.Kind.RESPONSE, began, policy.response_target(incident.source)),
        _clock(incident, Clock.Kind.HANDLING, began, policy.handling_minutes, policy.calendar_version_id),
    ]
    for clock in clocks:
        _time(clock, ())
    incident.next_due_at = _nearest(clocks)
    if incident.source == Incident.Source.MONITORING:
        clocks.append(_notice(incident, policy, now))
    return clocks


def start(planned: Sequence[tuple[Incident, Sequence[Clock]]]) -> None:
    """Save the planned clocks of incidents that have just been saved, and set their wake-ups."""
    for incident, clocks in planned:
        for clock in clocks:
            clock.incident = incident
    saved = Clock.objects.bulk_create(clock for _, clocks in planned for clock in clocks)
    timers.set_many(arming for clock in saved if clock.is_running for arming in _wake_ups(clock, ()))


def ask_for_response_again(incident: Incident, *, since: datetime, now: datetime) -> None:
    """A new round of the response clock: the customer reopened, or a worse alert came in."""
    _next_response(incident, incident.response, since).save(force_insert=True)
    arm(incident, now=now)


def stop(incident: Incident, *kinds: Clock.Kind, now: datetime) -> None:
    """Stop the running clocks of these kinds; what they used up is stored, and so is a deadline missed meanwhile."""
    pauses = pauses_of(incident)
    for clock in Clock.objects.filter(incident=incident, kind__in=kinds, stopped_at=None):
        clock.stopped_at = max(now, clock.started_at)
        clock.elapsed_seconds = int(elapsed(clock, clock.stopped_at, pauses).total_seconds())
        if clock.due_at is not None and clock.stopped_at > clock.due_at and not clock.is_breached:
            miss(incident, clock, now=now)
        clock.save()
    arm(incident, now=now)


def restart(incident: Incident, kind: Clock.Kind, *, now: datetime) -> None:
    """Let a stopped clock run on; the stretch in between has become a pause of the incident."""
    Clock.objects.filter(incident=incident, kind=kind).update(stopped_at=None, elapsed_seconds=None)
    arm(incident, now=now)


def apply_policy(incident: Incident, *kinds: Clock.Kind, now: datetime) -> None:
    """Re-time these clocks by the incident's new policy, from their original start and with its pauses (R61)."""
    pauses = pauses_of(incident)
    for clock in Clock.objects.filter(incident=incident, kind__in=kinds):
        _follow_policy(clock, incident, pauses)
        clock.save()
    arm(incident, now=now)


def follow_alerts(incidents: Sequence[Incident], *, since: datetime, now: datetime) -> None:
    """A worse alert on each: handling follows the new severity, and the response is due from the alert on.

    A response clock that still runs keeps its own deadline beside the new one; the nearer of the two counts.
    """
    pauses = _pauses_by_incident(incidents)
    clocks: dict[int, list[Clock]] = {}
    for clock in Clock.objects.filter(incident__in=incidents):
        clocks.setdefault(clock.incident_id, []).append(clock)
    rounds, handlings = [], []
    for incident in incidents:
        own = clocks.get(incident.pk, [])
        for clock in own:
            if clock.kind == Clock.Kind.HANDLING:
                _follow_policy(clock, incident, pauses.get(incident.pk, []))
                handlings.append(clock)
        responses = [clock for clock in own if clock.kind == Clock.Kind.RESPONSE]
        rounds.append(_next_response(incident, max(responses, key=lambda one: one.round, default=None), since))
    bulk.update(handlings, RETIMED)
    Clock.objects.bulk_create(rounds)
    arm_many(incidents, now=now)


def carry(incidents: Sequence[Incident], *, now: datetime) -> list[Clock]:
    """Another incident's clocks count for these from now on: theirs stop where they are, without a verdict.

    Returns the clocks that ran; the caller saves the incidents' `next_due_at`, which is none.
    """
    timers.cancel_many(prefixes=[f"incidents:{incident.pk}:" for incident in incidents])
    pauses = _pauses_by_incident(incidents)
    running = list(Clock.objects.filter(incident__in=incidents, stopped_at=None).order_by("pk"))
    for clock in running:
        clock.stopped_at = max(now, clock.started_at)
        used = elapsed(clock, clock.stopped_at, pauses.get(clock.incident_id, []))
        clock.elapsed_seconds = int(used.total_seconds())
    bulk.update(running, ["stopped_at", "elapsed_seconds"])
    for incident in incidents:
        incident.next_due_at = None
    return running


def run_again(incident: Incident, clock_ids: Sequence[int], *, now: datetime) -> None:
    """Clocks that another incident carried count by themselves again, as if they had never stood still."""
    Clock.objects.filter(incident=incident, pk__in=clock_ids).update(stopped_at=None, elapsed_seconds=None)
    arm(incident, now=now)


def begin_at(starts: Sequence[tuple[Incident, datetime]], *, now: datetime) -> None:
    """Count the first response and the handling of each from this moment; the incidents are saved by the caller."""
    incidents = [incident for incident, _ in starts]
    by_pk = {incident.pk: (incident, at) for incident, at in starts}
    pauses = _pauses_by_incident(incidents)
    kinds = (Clock.Kind.RESPONSE, Clock.Kind.HANDLING)
    moved = list(Clock.objects.filter(incident__in=incidents, kind__in=kinds, round=1))
    for clock in moved:
        incident, at = by_pk[clock.incident_id]
        clock.started_at = at
        _follow_policy(clock, incident, pauses.get(incident.pk, []))
    bulk.update(moved, ["started_at", *RETIMED])
    for incident, at in starts:
        incident.clock_started_at = at
    arm_many(incidents, now=now)


def begin_pause(incident: Incident, reason: Pause.Reason, *, now: datetime) -> None:
    Pause.objects.create(customer_id=incident.customer_id, incident=incident, reason=reason, started_at=now)


def end_pause(incident: Incident, *, now: datetime) -> None:
    end_pauses([incident], now=now)


def end_pauses(incidents: Sequence[Incident], *, now: datetime) -> None:
    Pause.objects.filter(incident__in=incidents, ended_at=None).update(ended_at=Greatest("started_at", Value(now)))


def arm(incident: Incident, *, now: datetime) -> None:
    """Set deadline and wake-ups of every running clock anew; the caller saves the incident's `next_due_at`."""
    arm_many([incident], now=now)


def arm_many(incidents: Sequence[Incident], *, now: datetime) -> None:
    """Like `arm`, for any number of incidents with one statement of each kind."""
    timers.cancel_many(prefixes=[f"incidents:{incident.pk}:" for incident in incidents])
    pauses = _pauses_by_incident(incidents)
    running: dict[int, list[Clock]] = {}
    for clock in Clock.objects.filter(incident__in=incidents, stopped_at=None):
        _time(clock, pauses.get(clock.incident_id, []))
        running.setdefault(clock.incident_id, []).append(clock)
    clocks = [clock for own in running.values() for clock in own]
    bulk.update(clocks, ["due_at", "is_provisional"])
    timers.set_many(arming for clock in clocks for arming in _wake_ups(clock, pauses.get(clock.incident_id, [])))
    for incident in incidents:
        incident.next_due_at = _nearest(running.get(incident.pk, []))


def due(clock: Clock, pauses: Sequence[sla.Pause]) -> datetime | None:
    """The deadline; None without a target, and while the clock stands still without an end."""
    if clock.target is None:
        return None
    try:
        return sla.add(clock.started_at, clock.target, calendar_of(clock), pauses)
    except sla.NeverDueError:
        return None


def elapsed(clock: Clock, until: datetime, pauses: Sequence[sla.Pause]) -> timedelta:
    return sla.elapsed(clock.started_at, until, calendar_of(clock), pauses)


def miss(incident: Incident, clock: Clock, *, now: datetime) -> None:
    """Record a missed deadline on the clock (unsaved) and the timeline; `late` marks a record that came late."""
    assert clock.due_at is not None  # noqa: S101 - a clock without a deadline cannot miss it
    clock.breached_at = clock.due_at
    timeline.write(
        incident,
        TimelineEntry.Kind.BREACH,
        actor=None,
        now=now,
        data={"clock": clock.kind, "due_at": clock.due_at.isoformat(), "late": now - clock.due_at > ON_TIME},
    )


def pauses_of(incident: Incident) -> list[sla.Pause]:
    return _pauses_by_incident([incident]).get(incident.pk, [])


def _pauses_by_incident(incidents: Sequence[Incident]) -> dict[int, list[sla.Pause]]:
    found: dict[int, list[sla.Pause]] = {}
    for pause in Pause.objects.filter(incident__in=incidents):
        found.setdefault(pause.incident_id, []).append(pause.as_interval())
    return found


def _follow_policy(clock: Clock, incident: Incident, pauses: Sequence[sla.Pause]) -> None:
    """Give a clock (unsaved) the terms of the incident's policy, and see what that makes of its past."""
    policy = Policy.from_json(incident.policy)
    if clock.kind == Clock.Kind.RESPONSE:
        clock.target_minutes = policy.response_target(incident.source)
    else:
        clock.target_minutes = policy.handling_minutes
        clock.calendar_version_id = policy.calendar_version_id
    clock.breached_at = clock.warned_at = None
    _time(clock, pauses)
    if clock.stopped_at is not None:
        clock.elapsed_seconds = int(elapsed(clock, clock.stopped_at, pauses).total_seconds())
        if clock.due_at is not None and clock.stopped_at > clock.due_at:
            clock.breached_at = clock.due_at


def _next_response(incident: Incident, latest: Clock | None, since: datetime) -> Clock:
    target = Policy.from_json(incident.policy).response_target(incident.source)
    clock = _clock(incident, Clock.Kind.RESPONSE, since, target)
    clock.round = 1 if latest is None else latest.round + 1
    return clock


def _nearest(clocks: Sequence[Clock]) -> datetime | None:
    return min((clock.due_at for clock in clocks if clock.due_at is not None), default=None)


def _time(clock: Clock, pauses: Sequence[sla.Pause]) -> None:
    clock.due_at = due(clock, pauses)
    if clock.due_at is not None:
        clock.is_provisional = sla.is_provisional(clock.started_at, clock.due_at, calendar_of(clock))


def _wake_ups(clock: Clock, pauses: Sequence[sla.Pause]) -> Iterator[timers.Arming]:
    if clock.due_at is None or clock.target is None or clock.is_breached:
        return
    key = f"incidents:{clock.incident_id}:{clock.kind}:{clock.round}"
    args = {"clock_id": clock.pk}
    yield timers.Arming(f"{key}:breach", clock.due_at, BREACH_TASK, args, clock.customer_id)
    if clock.warned_at is None:
        warn_at = sla.share_of(
            clock.started_at, clock.target, settings.INCIDENT_WARNING_SHARE, calendar_of(clock), pauses
        )
        yield timers.Arming(f"{key}:warn", warn_at, WARN_TASK, args, clock.customer_id)


def _clock(
    incident: Incident,
    kind: Clock.Kind,
    started_at: datetime,
    target_minutes: int | None,
    calendar_version_id: int | None = None,
) -> Clock:
    return Clock(
        customer_id=incident.customer_id,
        incident=incident,
        kind=kind,
        started_at=started_at,
        target_minutes=target_minutes,
        calendar_version_id=calendar_version_id,
    )


def _notice(incident: Incident, policy: Policy, now: datetime) -> Clock:
    """The notice is given by opening: the messages go out in the same transaction (SOW table 1, "30 分钟告警")."""
    clock = _clock(incident, Clock.Kind.NOTICE, incident.detected_at, policy.notice_minutes)
    clock.due_at = due(clock, ())
    clock.stopped_at = max(now, clock.started_at)
    clock.elapsed_seconds = int((clock.stopped_at - clock.started_at).total_seconds())
    if clock.due_at is not None and clock.stopped_at > clock.due_at:
        clock.breached_at = clock.due_at
    return clock
