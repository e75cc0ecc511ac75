"""What the timers of an incident do when they are due: warn, and record a miss. Both may come twice or late."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from incidents import clocks, locks, messages, timeline
from incidents.models import Clock, Incident, TimelineEntry
from notify import live


@transaction.atomic
def warn(*, clock_id: int, due_at: datetime, now: datetime) -> bool:
    """Say that a deadline is near, once. False when the clock was stopped, warned or re-timed meanwhile."""
    held = _hold(clock_id)
    if held is None:
        return False
    incident, clock = held
    if clock.warned_at is not None or clock.is_breached or clock.due_at is None or now >= clock.due_at:
        return False
    clock.warned_at = now
    clock.save(update_fields=["warned_at"])
    data = {"clock": clock.kind, "due_at": clock.due_at.isoformat(), "late": now - due_at > clocks.ON_TIME}
    timeline.write(incident, TimelineEntry.Kind.WARNING, actor=None, now=now, data=data, is_internal=True)
    messages.deadline_near(incident, clock, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return True


@transaction.atomic
def breach(*, clock_id: int, now: datetime) -> bool:
    """Record a missed deadline, once. False when it was met, recorded or moved meanwhile."""
    held = _hold(clock_id)
    if held is None:
        return False
    incident, clock = held
    if clock.is_breached or clock.due_at is None or now < clock.due_at:
        return False
    clocks.miss(incident, clock, now=now)
    clock.save(update_fields=["breached_at"])
    detail = {"clock": clock.kind, "round": clock.round, "due_at": clock.due_at.isoformat()}
    audit.record(action="incident.breach", actor=None, customer=incident.customer, obj=incident, detail=detail, now=now)
    messages.deadline_missed(incident, clock, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return True


def _hold(clock_id: int) -> tuple[Incident, Clock] | None:
    """The incident, held, and its clock read after that; None when the clock no longer runs."""
    found = Clock.objects.select_related("incident").filter(pk=clock_id).first()
    if found is None:
        return None
    incident = locks.hold(found.incident)
    clock = Clock.objects.filter(pk=clock_id, stopped_at=None).first()
    return None if clock is None else (incident, clock)
