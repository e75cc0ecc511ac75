"""The platform ends an incident that it opened itself: what was wrong is over, and nobody has to close it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts import audit
from incidents import clocks, locks, timeline
from incidents.models import Clock, Incident, IncidentState, TimelineEntry
from incidents.services import escalating
from incidents.services.handling import close
from incidents.services.marks import touch
from notify import live


@transaction.atomic
def settle(*, incident: Incident, cause: Incident.Cause, resolution: str, now: datetime) -> bool:
    """Resolved and closed. False: people did so before. Within the scope of its customer."""
    incident = locks.hold(incident)
    if not incident.is_unsolved:
        return False
    incident.state, incident.resolved_at = IncidentState.RESOLVED, now
    incident.cause, incident.resolution = cause, resolution
    clocks.end_pause(incident, now=now)
    clocks.stop(incident, Clock.Kind.RESPONSE, Clock.Kind.HANDLING, Clock.Kind.STAGE_REPORT, now=now)
    clocks.arm(incident, now=now)
    because = escalating.Because.RESOLVED
    escalating.stop(customer=incident.customer, incidents=[incident], because=because, now=now)
    touch(incident, now=now)
    kind, data = TimelineEntry.Kind.RESOLVED, {"cause": str(cause)}
    timeline.write(incident, kind, actor=None, now=now, body=resolution, data=data)
    audit.record(action="incident.recover", actor=None, customer=incident.customer, obj=incident, now=now)
    close(incident=incident, actor=None, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return True
