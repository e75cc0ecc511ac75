"""Which sessions belong to a piece of work, or to something that happened to an asset."""

from datetime import timedelta
from typing import Final

from django.db.models import Q

from bastion.models import BastionSession, BastionSessionQuerySet
from changes.models import Change, TrailEvent
from incidents.models import Incident

NEAR: Final = timedelta(minutes=15)
"""A session that ended so shortly before may still be what did it: clouds write late what was begun from a host."""


def of_incident(incident: Incident) -> BastionSessionQuerySet:
    """Those that named it, and those that named a change it led to."""
    rows: BastionSessionQuerySet = BastionSession.objects.filter(Q(incident=incident) | Q(change__incident=incident))
    return rows.exclude(opened_at=None)


def of_change(change: Change) -> BastionSessionQuerySet:
    rows: BastionSessionQuerySet = BastionSession.objects.filter(change=change)
    return rows.exclude(opened_at=None)


def of_event(event: TrailEvent) -> BastionSessionQuerySet:
    """Of an event of the audit trail: those open on its assets at that moment, and those of its change."""
    at = event.occurred_at
    was_open = Q(opened_at__lte=at) & (Q(ended_at=None) | Q(ended_at__gte=at - NEAR))
    theirs = Q(asset__in=event.assets.values("pk")) & was_open
    if event.change_id is not None:
        theirs |= Q(change=event.change_id) & was_open
    rows: BastionSessionQuerySet = BastionSession.objects.filter(theirs)
    return rows
