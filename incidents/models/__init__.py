"""The models of incidents, one file a noun."""

from incidents.models.incident import (
    UNSOLVED_STATES,
    Attachment,
    Clock,
    Incident,
    IncidentAlert,
    IncidentAsset,
    IncidentKind,
    IncidentQuerySet,
    IncidentState,
    Pause,
    TimelineEntry,
)
from incidents.models.merging import UNDO_WITHIN, Merge

__all__ = [
    "UNDO_WITHIN",
    "UNSOLVED_STATES",
    "Attachment",
    "Clock",
    "Incident",
    "IncidentAlert",
    "IncidentAsset",
    "IncidentKind",
    "IncidentQuerySet",
    "IncidentState",
    "Merge",
    "Pause",
    "TimelineEntry",
]
