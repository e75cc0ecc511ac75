"""Tables of monitoring, one module per noun."""

from monitoring.models.alert import NO_DATA, Alert, AlertHold, Held
from monitoring.models.cloud import CloudReading, CloudUse, ExpiryLadder
from monitoring.models.custom import CustomRule
from monitoring.models.dashboard import Dashboard, DashboardShare
from monitoring.models.event import Event
from monitoring.models.group import AssetGroup, AssetGroupMember, ExpectedProcess, RuleMacro, RuleSchedule
from monitoring.models.history import RemoteSource, Retention
from monitoring.models.host import HostReading
from monitoring.models.outlook import Outlook
from monitoring.models.platform import PlatformFigure, PlatformTrouble
from monitoring.models.probe import ProbePoint, ProbeRound
from monitoring.models.rule import RuleOverride, RuleState
from monitoring.models.series import Ledger, Newest, Series, metric_name
from monitoring.models.silence import Silence
from monitoring.models.statement import SlowStatement
from monitoring.models.target import CollectorKind, Health, Target, Through
from monitoring.models.template import MonitoringTemplate, TemplateTask

__all__ = [
    "NO_DATA",
    "Alert",
    "AlertHold",
    "AssetGroup",
    "AssetGroupMember",
    "CloudReading",
    "CloudUse",
    "CollectorKind",
    "CustomRule",
    "Dashboard",
    "DashboardShare",
    "Event",
    "ExpectedProcess",
    "ExpiryLadder",
    "Health",
    "Held",
    "HostReading",
    "Ledger",
    "MonitoringTemplate",
    "Newest",
    "Outlook",
    "PlatformFigure",
    "PlatformTrouble",
    "ProbePoint",
    "ProbeRound",
    "RemoteSource",
    "Retention",
    "RuleMacro",
    "RuleOverride",
    "RuleSchedule",
    "RuleState",
    "Series",
    "Silence",
    "SlowStatement",
    "Target",
    "TemplateTask",
    "Through",
    "metric_name",
]
