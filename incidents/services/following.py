"""What happens to the children of an incident when something happens to it: they go where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from accounts import audit, bulk
from accounts.models import User
from incidents import clocks, timeline
from incidents.models import UNSOLVED_STATES, Incident, IncidentState, Pause, TimelineEntry

Kind = TimelineEntry.Kind
FOLLOWED = (
    "state", "acknowledged_at", "acknowledged_by", "assignee", "resolved_at", "closed_at", "resolution", "cause",
    "next_due_at", "version", "changed_at",
)  # fmt: skip


def acknowledged(parent: Incident, *, actor: User, now: datetime) -> None:
    """Whoever has the root in hand has all of it in hand."""
    children = _held(parent, [IncidentState.OPEN])
    for child in children:
        child.state = IncidentState.ACKNOWLEDGED
        child.acknowledged_at, child.acknowledged_by = now, actor
        child.assignee_id = child.assignee_id or parent.assignee_id
    _save(parent, children, Kind.ACKNOWLEDGED, "incident.acknowledge", actor=actor, now=now)


def resolved(parent: Incident, *, actor: User, now: datetime) -> None:
    """What solved the root solved what followed from it."""
    children = _held(parent, UNSOLVED_STATES)
    for child in children:
        if child.state == IncidentState.OPEN:
            child.acknowledged_at, child.acknowledged_by = now, actor
        child.state = IncidentState.RESOLVED
        child.resolved_at = now
        child.resolution, child.cause = parent.resolution, parent.cause
    Pause.objects.filter(incident__in=children, ended_at=None).update(ended_at=now)
    clocks.carry(children, now=now)
    _save(parent, children, Kind.RESOLVED, "incident.resolve", actor=actor, now=now, data={"cause": parent.cause})


def closed(parent: Incident, *, actor: User | None, now: datetime) -> None:
    children = _held(parent, [IncidentState.RESOLVED])
    for child in children:
        child.state = IncidentState.CLOSED
        child.closed_at = now
    _save(parent, children, Kind.CLOSED, "incident.close", actor=actor, now=now)


def _held(parent: Incident, states: Sequence[str]) -> list[Incident]:
    rows = Incident.objects.select_for_update(no_key=True, of=("self",))
    return list(rows.filter(parent=parent, state__in=states).order_by("pk"))


def _save(
    parent: Incident,
    children: Sequence[Incident],
    kind: TimelineEntry.Kind,
    action: str,
    *,
    actor: User | None,
    now: datetime,
    data: dict[str, object] | None = None,
) -> None:
    if not children:
        return
    with_parent = {**(data or {}), "with": parent.number}
    for child in children:
        child.version += 1
        child.changed_at = now
    bulk.update(children, FOLLOWED)
    TimelineEntry.objects.bulk_create(
        timeline.entry_of(child, kind, actor=actor, now=now, data=with_parent) for child in children
    )
    acts = [audit.Act(action, child, with_parent) for child in children]
    audit.record_many(acts=acts, actor=actor, customer=parent.customer, now=now)
