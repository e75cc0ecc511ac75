"""The models of incidents, one file a noun."""

from incidents.models.escalation import EscalationPolicy, EscalationStep, Target
from incidents.models.follow_up import OPEN_STATES, FollowUp, FollowUpQuerySet, FollowUpState
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
from incidents.models.knowledge import Article, ArticleLink, ArticleQuerySet, ArticleVersion, ArticleVote
from incidents.models.merging import UNDO_WITHIN, Merge
from incidents.models.notice import ResponderNotice
from incidents.models.replies import CannedReply, SavedFilter

__all__ = [
    "OPEN_STATES",
    "UNDO_WITHIN",
    "UNSOLVED_STATES",
    "Article",
    "ArticleLink",
    "ArticleQuerySet",
    "ArticleVersion",
    "ArticleVote",
    "Attachment",
    "CannedReply",
    "Clock",
    "EscalationPolicy",
    "EscalationStep",
    "FollowUp",
    "FollowUpQuerySet",
    "FollowUpState",
    "Incident",
    "IncidentAlert",
    "IncidentAsset",
    "IncidentKind",
    "IncidentQuerySet",
    "IncidentState",
    "Merge",
    "Pause",
    "ResponderNotice",
    "SavedFilter",
    "Target",
    "TimelineEntry",
]
