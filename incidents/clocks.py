"""The clocks of an incident in the database: started, stopped, re-armed, warned and missed.

Callers hold the incident (`incidents.locks.hold`); after starting or stopping clocks they `arm` it once and save its
`next_due_at`. Every wake-up is a durable timer; one that fires although its clock moved on finds nothing to do.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import Value
from django.db.models.functions import Greatest

from accounts import bulk
from accounts.calendars import ALWAYS, Calendar
from incidents import sla, timeline
from incidents.models import Clock, Incident, Pause, TimelineEntry
from incidents.policy import Policy, calendar_at, calendar_of
from timers import services as timers

WARN_TASK = "incidents.warn_clock"
BREACH_TASK = "incidents.breach_clock"
CHASE_TASK = "incidents.chase_clock"
# A timer that fires within this of its deadline was on time.
ON_TIME = timedelta(seconds=60)
# A stage report that is still missing after so much of its time is told to the manager, too (R80).
CHASED_AT = 1.5
RETIMED = (
    "target_minutes", "calendar_version", "breached_at", "breach_code", "breach_note", "explained_by", "explained_at",
    "warned_at", "warned_share", "due_at", "is_provisional", "stopped_at", "elapsed_seconds", "paused_seconds",
)  # fmt: skip


def plan(incident: Incident, *, now: datetime) -> list[Clock]:
    """The clocks of a new incident, unsaved: notice (alerts only), response around the clock, handling (R54..R58).

    Sets the incident's `next_due_at`. `start` saves them when the incident has its number.
    """
    policy = Policy.from_json(incident.policy)
    began = incident.clock_started_at
    clocks = [_clock(incident, policy, kind, began) for kind in (Clock.Kind.RESPONSE, Clock.Kind.HANDLING)]
    for clock in clocks:
        _time(clock, ())
    incident.next_due_at = _nearest(clocks)
    if incident.source == Incident.Source.MONITORING:
        clocks.append(_notice(incident, policy, now))
    return clocks


def start(planned: Sequence[tuple[Incident, Sequence[Clock]]], *, now: datetime) -> None:
    """Save the planned clocks of incidents that have just been saved, and set their wake-ups."""
    for incident, clocks in planned:
        for clock in clocks:
            clock.incident = incident
    Clock.objects.bulk_create(clock for _, clocks in planned for clock in clocks)
    timers.set_many(
        arming
        for incident, clocks in planned
        for clock in clocks
        if clock.is_running
        for arming in _wake_ups(incident, clock, (), now)
    )


def begin(incident: Incident, kind: Clock.Kind, *, since: datetime) -> None:
    """The next round of a clock; nothing when the terms give it no time, as for stage reports of an older contract."""
    latest = Clock.objects.filter(incident=incident, kind=kind).order_by("-round").first()
    clock = _next_round(incident, kind, latest, since)
    if clock.target is not None:
        clock.save(force_insert=True)


def stop(incident: Incident, *kinds: Clock.Kind, now: datetime) -> None:
    """Stop the running clocks of these kinds; what they used up is stored, and so is a deadline missed meanwhile."""
    pauses = pauses_of(incident)
    for clock in Clock.objects.filter(incident=incident, kind__in=kinds, stopped_at=None):
        _stop(incident, clock, pauses, now)
        clock.save()


def restart(incident: Incident, kind: Clock.Kind) -> None:
    """Let a stopped clock run on; the stretch in between has become a pause of the incident."""
    stopped = Clock.objects.filter(incident=incident, kind=kind)
    stopped.update(stopped_at=None, elapsed_seconds=None, paused_seconds=None)


def apply_policy(incident: Incident, *, now: datetime) -> None:
    """Re-time by the incident's new policy, from the original start and with the pauses (R61).

    Response and handling in every round; of the customer's reply the one that is awaited. Earlier replies, and reports,
    were given under the terms of their time.
    """
    pauses = pauses_of(incident)
    for clock in Clock.objects.filter(incident=incident).exclude(kind=Clock.Kind.NOTICE):
        if clock.kind in (Clock.Kind.RESPONSE, Clock.Kind.HANDLING) or clock.is_running:
            _follow_policy(clock, incident, pauses, now)
            clock.save()


def follow_alerts(incidents: Sequence[Incident], *, since: datetime, now: datetime) -> None:
    """A worse alert on each: handling follows the new severity, and the response is due from the alert on.

    A response clock that still runs keeps its own deadline beside the new one; the nearer of the two counts. Reports
    begin again with that response, and a question to the customer is no longer what the incident waits for.
    """
    pauses = _pauses_by_incident(incidents)
    clocks: dict[int, list[Clock]] = {}
    for clock in Clock.objects.filter(incident__in=incidents):
        clocks.setdefault(clock.incident_id, []).append(clock)
    rounds, moved = [], []
    for incident in incidents:
        own = clocks.get(incident.pk, [])
        for clock in own:
            if clock.kind == Clock.Kind.HANDLING:
                _follow_policy(clock, incident, pauses.get(incident.pk, []), now)
            elif clock.kind in (Clock.Kind.STAGE_REPORT, Clock.Kind.CUSTOMER_REPLY) and clock.is_running:
                _stop(incident, clock, pauses.get(incident.pk, []), now)
            else:
                continue
            moved.append(clock)
        responses = [clock for clock in own if clock.kind == Clock.Kind.RESPONSE]
        latest = max(responses, key=lambda one: one.round, default=None)
        rounds.append(_next_round(incident, Clock.Kind.RESPONSE, latest, since))
    bulk.update(moved, RETIMED)
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
        _count(clock, pauses.get(clock.incident_id, []))
    bulk.update(running, ["stopped_at", "elapsed_seconds", "paused_seconds"])
    for incident in incidents:
        incident.next_due_at = None
    return running


def run_again(incident: Incident, clock_ids: Sequence[int], *, now: datetime) -> None:
    """Clocks that another incident carried count by themselves again, as if they had never stood still."""
    Clock.objects.filter(incident=incident, pk__in=clock_ids).update(
        stopped_at=None, elapsed_seconds=None, paused_seconds=None
    )
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
        _follow_policy(clock, incident, pauses.get(incident.pk, []), now)
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
    bulk.update([clock for own in running.values() for clock in own], ["due_at", "is_provisional"])
    timers.set_many(
        arming
        for incident in incidents
        for clock in running.get(incident.pk, [])
        for arming in _wake_ups(incident, clock, pauses.get(incident.pk, []), now)
    )
    for incident in incidents:
        incident.next_due_at = _nearest(running.get(incident.pk, []))


def due(clock: Clock, pauses: Sequence[sla.Pause]) -> datetime | None:
    """The deadline; None without a target, and while the clock stands still without an end."""
    if clock.target is None:
        return None
    try:
        return sla.add(clock.started_at, clock.target, calendar_of(clock), _pausing(clock, pauses))
    except sla.NeverDueError:
        return None


def elapsed(clock: Clock, until: datetime, pauses: Sequence[sla.Pause]) -> timedelta:
    return sla.elapsed(clock.started_at, until, calendar_of(clock), _pausing(clock, pauses))


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


def _pausing(clock: Clock, pauses: Sequence[sla.Pause]) -> Sequence[sla.Pause]:
    """The pauses that hold this clock: the customer's own runs just while ours stand still."""
    return pauses if clock.is_of_provider else ()


def _stop(incident: Incident, clock: Clock, pauses: Sequence[sla.Pause], now: datetime) -> None:
    """Stop a clock (unsaved)."""
    clock.stopped_at = max(now, clock.started_at)
    _count(clock, pauses)
    if clock.due_at is not None and clock.stopped_at > clock.due_at and not clock.is_breached:
        miss(incident, clock, now=now)


def _count(clock: Clock, pauses: Sequence[sla.Pause]) -> None:
    """Keep what a stopped clock (unsaved) used up, and how long it stood still."""
    assert clock.stopped_at is not None  # noqa: S101 - callers stop it first
    span = (clock.started_at, clock.stopped_at, calendar_of(clock))
    clock.elapsed_seconds = int(elapsed(clock, clock.stopped_at, pauses).total_seconds())
    clock.paused_seconds = int(sla.paused(*span, _pausing(clock, pauses)).total_seconds())


def _follow_policy(clock: Clock, incident: Incident, pauses: Sequence[sla.Pause], now: datetime) -> None:
    """Give a clock (unsaved) the terms of the incident's policy, and see what that makes of its past.

    A miss that the new terms make of a running clock is left to its timer, which tells people; one that was told
    already stays with its reason.
    """
    terms = Policy.from_json(incident.policy).terms(Clock.Kind(clock.kind), incident.source)
    was_missed = clock.is_breached
    clock.target_minutes, clock.calendar_version_id = terms.minutes, terms.calendar_version_id
    clock.breached_at = clock.warned_at = None
    clock.warned_share = 0
    _time(clock, pauses)
    if clock.stopped_at is not None:
        _count(clock, pauses)
    if clock.due_at is not None and (was_missed or clock.stopped_at is not None):
        clock.breached_at = clock.due_at if (clock.stopped_at or now) > clock.due_at else None
    if not clock.is_breached:
        clock.breach_code = clock.breach_note = ""
        clock.explained_by = clock.explained_at = None


def _next_round(incident: Incident, kind: Clock.Kind, latest: Clock | None, since: datetime) -> Clock:
    clock = _clock(incident, Policy.from_json(incident.policy), kind, since)
    clock.round = 1 if latest is None else latest.round + 1
    return clock


def _nearest(clocks: Sequence[Clock]) -> datetime | None:
    """The nearest deadline of the provider's."""
    return min((clock.due_at for clock in clocks if clock.due_at is not None and clock.is_of_provider), default=None)


def _time(clock: Clock, pauses: Sequence[sla.Pause]) -> None:
    clock.due_at = due(clock, pauses)
    if clock.due_at is not None:
        clock.is_provisional = sla.is_provisional(clock.started_at, clock.due_at, calendar_of(clock))


def _wake_ups(incident: Incident, clock: Clock, pauses: Sequence[sla.Pause], now: datetime) -> Iterator[timers.Arming]:
    if clock.due_at is None or clock.target is None:
        return
    key = f"incidents:{clock.incident_id}:{clock.kind}:{clock.round}"
    args = {"clock_id": clock.pk}
    if clock.kind == Clock.Kind.STAGE_REPORT:
        chase_at = _moment(clock, CHASED_AT, pauses)
        if chase_at is not None:
            yield timers.Arming(f"{key}:chase", chase_at, CHASE_TASK, args, clock.customer_id)
    if clock.is_breached:
        return
    yield timers.Arming(f"{key}:breach", clock.due_at, BREACH_TASK, args, clock.customer_id)
    for share, warn_at in _warnings(incident, clock, pauses, now):
        yield timers.Arming(f"{key}:warn:{share}", warn_at, WARN_TASK, {**args, "share": share}, clock.customer_id)


def _warnings(
    incident: Incident, clock: Clock, pauses: Sequence[sla.Pause], now: datetime
) -> Iterator[tuple[int, datetime]]:
    """The warnings still to come before the deadline, each in hours in which people are reminded (T3, T7).

    Of several whose time is past already the last one says it all.
    """
    policy = Policy.from_json(incident.policy)
    reminders = calendar_at(policy.reminders_version(clock))
    shares = [share for share in policy.warning_shares if share > clock.warned_share]
    pending = [(share, _moment(clock, share / 100, pauses, reminders)) for share in shares]
    past = [share for share, moment in pending if moment is not None and moment <= now]
    for share, moment in pending:
        if moment is None or clock.due_at is None or moment >= clock.due_at:
            continue
        if moment > now or share == past[-1]:
            yield share, moment


def _moment(clock: Clock, share: float, pauses: Sequence[sla.Pause], reminders: Calendar = ALWAYS) -> datetime | None:
    """When this share of the clock's time is used up, or the next hour of reminders after it; None for never."""
    if clock.target is None:
        return None
    try:
        used_up = sla.add(clock.started_at, clock.target * share, calendar_of(clock), _pausing(clock, pauses))
        return sla.next_open(used_up, reminders)
    except sla.NeverDueError:
        return None


def _clock(incident: Incident, policy: Policy, kind: Clock.Kind, started_at: datetime) -> Clock:
    terms = policy.terms(kind, incident.source)
    return Clock(
        customer_id=incident.customer_id,
        incident=incident,
        kind=kind,
        started_at=started_at,
        target_minutes=terms.minutes,
        calendar_version_id=terms.calendar_version_id,
    )


def _notice(incident: Incident, policy: Policy, now: datetime) -> Clock:
    """The notice is given by opening: the messages go out in the same transaction (SOW table 1, "30 分钟告警")."""
    clock = _clock(incident, policy, Clock.Kind.NOTICE, incident.detected_at)
    clock.due_at = due(clock, ())
    clock.stopped_at = max(now, clock.started_at)
    _count(clock, ())
    if clock.due_at is not None and clock.stopped_at > clock.due_at:
        clock.breached_at = clock.due_at
    return clock
