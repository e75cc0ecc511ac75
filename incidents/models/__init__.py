"""The models of incidents, one file a noun."""

from incidents.models.announcement import Announcement, AnnouncementCopy, AnnouncementKind, AnnouncementReading
from incidents.models.attestations import SIGNERS, Attestation, AttestationAnswer, Purpose
from incidents.models.calling import ContactCall
from incidents.models.causes import CauseNotice
from incidents.models.clock import Clock, Pause
from incidents.models.desk import DeskForward
from incidents.models.escalation import EscalationPolicy, EscalationStep, Target
from incidents.models.faults import Fault, FaultDecision, FaultIncident
from incidents.models.follow_up import OPEN_STATES, FollowUp, FollowUpQuerySet, FollowUpState
from incidents.models.inbound import (
    ALARM_KINDS,
    CHAT_KINDS,
    ChatCode,
    ChatIdentity,
    InboundKind,
    InboundMessage,
    InboundSource,
    StandIn,
)
from incidents.models.incident import (
    UNSOLVED_STATES,
    Attachment,
    Incident,
    IncidentAlert,
    IncidentAsset,
    IncidentKind,
    IncidentQuerySet,
    IncidentState,
    RequestPhase,
    TimelineEntry,
)
from incidents.models.knowledge import Article, ArticleLink, ArticleQuerySet, ArticleVersion, ArticleVote
from incidents.models.merging import UNDO_WITHIN, Merge
from incidents.models.notice import ResponderNotice
from incidents.models.quotes import Quote, QuoteLine
from incidents.models.replies import CannedReply, SavedFilter
from incidents.models.requests import ServiceRequest
from incidents.models.satisfaction import Satisfaction
from incidents.models.third_parties import ThirdPartyTime
from incidents.models.violations import Violation

__all__ = [
    "ALARM_KINDS",
    "CHAT_KINDS",
    "OPEN_STATES",
    "SIGNERS",
    "UNDO_WITHIN",
    "UNSOLVED_STATES",
    "Announcement",
    "AnnouncementCopy",
    "AnnouncementKind",
    "AnnouncementReading",
    "Article",
    "ArticleLink",
    "ArticleQuerySet",
    "ArticleVersion",
    "ArticleVote",
    "Attachment",
    "Attestation",
    "AttestationAnswer",
    "CannedReply",
    "CauseNotice",
    "ChatCode",
    "ChatIdentity",
    "Clock",
    "ContactCall",
    "DeskForward",
    "EscalationPolicy",
    "EscalationStep",
    "Fault",
    "FaultDecision",
    "FaultIncident",
    "FollowUp",
    "FollowUpQuerySet",
    "FollowUpState",
    "InboundKind",
    "InboundMessage",
    "InboundSource",
    "Incident",
    "IncidentAlert",
    "IncidentAsset",
    "IncidentKind",
    "IncidentQuerySet",
    "IncidentState",
    "Merge",
    "Pause",
    "Purpose",
    "Quote",
    "QuoteLine",
    "RequestPhase",
    "ResponderNotice",
    "Satisfaction",
    "SavedFilter",
    "ServiceRequest",
    "StandIn",
    "Target",
    "ThirdPartyTime",
    "TimelineEntry",
    "Violation",
]
