"""What the timers of an incident do when they are due: warn, and record a miss. Both may come twice or late."""

from datetime import datetime

from django.db import transaction

from accounts import audit
from incidents import clocks, locks, messages, timeline
from incidents.models import Clock, Incident, TimelineEntry
from notify import live


@transaction.atomic
def warn(*, clock_id: int, share: int, due_at: datetime, now: datetime) -> bool:
    """Say that a deadline is near, once per share. False when the clock was stopped, warned or re-timed meanwhile."""
    held = _hold(clock_id)
    if held is None:
        return False
    incident, clock = held
    if clock.warned_share >= share or clock.is_breached or clock.due_at is None or now >= clock.due_at:
        return False
    clock.warned_at, clock.warned_share = now, share
    clock.save(update_fields=["warned_at", "warned_share"])
    data = {"clock": clock.kind, "due_at": clock.due_at.isoformat(), "late": now - due_at > clocks.ON_TIME}
    kind = TimelineEntry.Kind.WARNING
    timeline.write(incident, kind, actor=None, now=now, data=data, is_internal=clock.is_of_provider)
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
    action = "incident.breach" if clock.is_of_provider else "incident.reply_late"
    detail = {"clock": clock.kind, "round": clock.round, "due_at": clock.due_at.isoformat()}
    audit.record(action=action, actor=None, customer=incident.customer, obj=incident, detail=detail, now=now)
    messages.deadline_missed(incident, clock, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return True


@transaction.atomic
def chase(*, clock_id: int, now: datetime) -> bool:
    """A stage report is still missing: the manager hears of it. False when it was given meanwhile."""
    held = _hold(clock_id)
    if held is None:
        return False
    incident, clock = held
    if not clock.is_breached:
        return False
    messages.report_still_missing(incident, clock, now=now)
    return True


def _hold(clock_id: int) -> tuple[Incident, Clock] | None:
    """The incident, held, and its clock read after that; None when the clock no longer runs."""
    found = Clock.objects.select_related("incident").filter(pk=clock_id).first()
    if found is None:
        return None
    incident = locks.hold(found.incident)
    clock = Clock.objects.filter(pk=clock_id, stopped_at=None).first()
    return None if clock is None else (incident, clock)
