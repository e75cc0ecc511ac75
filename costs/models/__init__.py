"""The rows of the costs app."""

from costs.models.anomalies import CostAnomaly, CostThreshold
from costs.models.bills import BillDay, BillLine, BillReading, Charge
from costs.models.issued import BillDifference, Statement, StatementLine
from costs.models.proposals import ProposalKind, ProposalState, SavingProposal

__all__ = [
    "BillDay",
    "BillDifference",
    "BillLine",
    "BillReading",
    "Charge",
    "CostAnomaly",
    "CostThreshold",
    "ProposalKind",
    "ProposalState",
    "SavingProposal",
    "Statement",
    "StatementLine",
]
