"""The rows of the changes app."""

from changes.models.approvals import (
    ApprovalDuty,
    ApprovalLevel,
    ApprovalNeeds,
    ApprovalVote,
    Delegation,
    DelegationQuerySet,
)
from changes.models.backups import BackupPolicy
from changes.models.change import (
    NOT_PRODUCTION,
    PORT_CLOSING,
    REVIEW_DUE,
    SCRIPT_RUN,
    Change,
    ChangeAsset,
    ChangeEntry,
    ChangeGate,
    ChangeKind,
    ChangeQuerySet,
    ChangeRisk,
    ChangeState,
    ChangeTemplate,
    TemplateAsset,
)
from changes.models.duties import DutyFile, DutyKind, DutyOccurrence, DutyRhythm, RecurringDuty
from changes.models.evidence import BackupRecord, ChangeFile, CheckRecord, TestRecord
from changes.models.ideas import AutomationIdea
from changes.models.restores import TemporaryExtension, TemporaryInstance
from changes.models.runs import OperationRun, RunLine, RunState, RunStep, StepState
from changes.models.script_versions import ScriptVersion
from changes.models.scripts import HostState, ScriptHost, ScriptLine, ScriptRun, ScriptRunState
from changes.models.targets import RequestTarget
from changes.models.trail import TrailActor, TrailEvent, TrailEventAsset, TrailReading, TrailVerdict
from changes.models.transfers import OwnershipTransfer, TransferMethod, TransferStep, TransferTrigger
from changes.models.windows import ChangeWindow, ChangeWindowQuerySet

__all__ = [
    "NOT_PRODUCTION",
    "PORT_CLOSING",
    "REVIEW_DUE",
    "SCRIPT_RUN",
    "ApprovalDuty",
    "ApprovalLevel",
    "ApprovalNeeds",
    "ApprovalVote",
    "AutomationIdea",
    "BackupPolicy",
    "BackupRecord",
    "Change",
    "ChangeAsset",
    "ChangeEntry",
    "ChangeFile",
    "ChangeGate",
    "ChangeKind",
    "ChangeQuerySet",
    "ChangeRisk",
    "ChangeState",
    "ChangeTemplate",
    "ChangeWindow",
    "ChangeWindowQuerySet",
    "CheckRecord",
    "Delegation",
    "DelegationQuerySet",
    "DutyFile",
    "DutyKind",
    "DutyOccurrence",
    "DutyRhythm",
    "HostState",
    "OperationRun",
    "OwnershipTransfer",
    "RecurringDuty",
    "RequestTarget",
    "RunLine",
    "RunState",
    "RunStep",
    "ScriptHost",
    "ScriptLine",
    "ScriptRun",
    "ScriptRunState",
    "ScriptVersion",
    "StepState",
    "TemplateAsset",
    "TemporaryExtension",
    "TemporaryInstance",
    "TestRecord",
    "TrailActor",
    "TrailEvent",
    "TrailEventAsset",
    "TrailReading",
    "TrailVerdict",
    "TransferMethod",
    "TransferStep",
    "TransferTrigger",
]
