"""Which parts each kind of service report has, in their usual order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from reports.kinds.asking import PartOf
from reports.kinds.monthly import MONTHLY
from reports.models import ReportKind

KINDS: Final[Mapping[str, Sequence[PartOf]]] = {
    ReportKind.MONTHLY: MONTHLY,
}
