"""The rows of the changes app."""

from changes.models.approvals import (
    ApprovalDuty,
    ApprovalLevel,
    ApprovalNeeds,
    ApprovalVote,
    Delegation,
)
from changes.models.backups import BackupPolicy
from changes.models.change import (
    PORT_CLOSING,
    REVIEW_DUE,
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
from changes.models.scripts import HostState, ScriptHost, ScriptLine, ScriptRun, ScriptRunState, ScriptVersion
from changes.models.targets import RequestTarget
from changes.models.trail import TrailActor, TrailEvent, TrailEventAsset, TrailReading, TrailVerdict
from changes.models.transfers import OwnershipTransfer, TransferMethod, TransferStep, TransferTrigger
from changes.models.windows import ChangeWindow

__all__ = [
    "PORT_CLOSING",
    "REVIEW_DUE",
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
    "CheckRecord",
    "Delegation",
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
