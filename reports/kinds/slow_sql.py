"""The list of slow SQL, on demand: of all databases, or of those that somebody named (R118)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from reports.blocks import Block, Figure, Figures, Finding, Part
from reports.kinds.asking import MOST_ROWS, Asked, PartOf
from reports.kinds.monthly import slow_sql
from reports.kinds.monthly.database_use import KINDS


def read(asked: Asked) -> Part:
    telling = slow_sql.telling(asked, asked.assets)
    found = slow_sql.read(asked, [asset for asset in asked.assets if asset.kind in KINDS or asset in telling])
    note = "" if found.read else _("No source told of slow SQL.")
    count = sum(one.count for one in found.statements) if found.read else None
    took = round(sum(one.total_s for one in found.statements)) if found.read else None
    source = slow_sql.source(asked)
    blocks: list[Block] = [
        Figures(
            (
                Figure("slow", _("Slow SQL executions"), count, source, better="down", note=note),
                Figure("took", _("Altogether"), took, source, kind="length", better="down", note=note),
            )
        ),
        slow_sql.listed(asked, found, MOST_ROWS),
        *slow_sql.remarks(found),
    ]
    said = [Finding("good", _("No statement was slow."))] if found.read and not found.statements else []
    return Part("slow_sql", _("Slow SQL"), tuple(blocks), tuple(said))


SLOW_SQL: Final[Sequence[PartOf]] = (PartOf("slow_sql", gettext_lazy("Slow SQL"), read),)
