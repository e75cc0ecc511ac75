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
from incidents.models.replies import CannedReply, SavedFilter

__all__ = [
    "UNDO_WITHIN",
    "UNSOLVED_STATES",
    "Attachment",
    "CannedReply",
    "Clock",
    "Incident",
    "IncidentAlert",
    "IncidentAsset",
    "IncidentKind",
    "IncidentQuerySet",
    "IncidentState",
    "Merge",
    "Pause",
    "SavedFilter",
    "TimelineEntry",
]
