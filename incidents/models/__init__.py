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

__all__ = [
    "UNSOLVED_STATES",
    "Attachment",
    "Clock",
    "Incident",
    "IncidentAlert",
    "IncidentAsset",
    "IncidentKind",
    "IncidentQuerySet",
    "IncidentState",
    "Pause",
    "TimelineEntry",
]
