"""Which parts each kind of service report has, in their usual order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from reports.kinds.asking import PartOf
from reports.kinds.costs import COSTS
from reports.kinds.inventory import INVENTORY
from reports.kinds.monthly import MONTHLY
from reports.kinds.performance import PERFORMANCE
from reports.kinds.sessions import SESSIONS
from reports.kinds.sla import SLA
from reports.kinds.slow_sql import SLOW_SQL
from reports.kinds.written import DATABASE_FAULT, INSTALLATION
from reports.models import ReportKind

KINDS: Final[Mapping[str, Sequence[PartOf]]] = {
    ReportKind.MONTHLY: MONTHLY,
    ReportKind.SLA: SLA,
    ReportKind.PERFORMANCE: PERFORMANCE,
    ReportKind.DATABASE_FAULT: DATABASE_FAULT,
    ReportKind.INSTALLATION: INSTALLATION,
    ReportKind.SLOW_SQL: SLOW_SQL,
    ReportKind.SESSIONS: SESSIONS,
    ReportKind.INVENTORY: INVENTORY,
    ReportKind.COSTS: COSTS,
}
