"""Tables of monitoring, one module per noun."""

from monitoring.models.alert import NO_DATA, Alert
from monitoring.models.rule import RuleOverride, RuleState
from monitoring.models.series import Ledger, Newest, Series, metric_name
from monitoring.models.target import CollectorKind, Health, Target

__all__ = [
    "NO_DATA",
    "Alert",
    "CollectorKind",
    "Health",
    "Ledger",
    "Newest",
    "RuleOverride",
    "RuleState",
    "Series",
    "Target",
    "metric_name",
]
