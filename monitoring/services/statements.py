"""Slow statements that collectors told of, summed up day by day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db import connection
from django.utils import timezone

from monitoring.collectors import Statement
from monitoring.models import SlowStatement, Target

MOST_A_DAY: Final = 500
"""Kinds of statements kept of one server and day: a server that makes new ones all the time fills no disk."""


def keep(target: Target, statements: Sequence[Statement], *, at: datetime) -> None:
    """Add to the sums of the day, within the caller's transaction. Needs the customer's scope."""
    day = timezone.localdate(at)
    rows = SlowStatement.objects.filter(asset=target.asset, day=day)
    known = set(rows.values_list("database", "digest"))
    room = MOST_A_DAY - len(known)
    new = {(one.database, one.digest) for one in statements} - known
    kept = known | set(sorted(new)[: max(room, 0)])
    said = [
        {
            "database": one.database, "digest": one.digest, "text": one.text.replace("\x00", ""), "count": one.count,
            "total_s": one.total_s, "longest_s": one.longest_s, "rows_examined": one.rows_examined,
        }
        for one in sorted(statements, key=lambda one: (one.database, one.digest))
        if (one.database, one.digest) in kept
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitoring_slowstatement AS kept"
            " (customer_id, asset_id, day, database, digest, text, count, total_s, longest_s, rows_examined)"
            " SELECT %s, %s, %s, said.* FROM jsonb_to_recordset(%s::jsonb) AS said"
            " (database text, digest text, text text, count bigint, total_s float8, longest_s float8,"
            " rows_examined bigint)"
            " ON CONFLICT (asset_id, day, database, digest) DO UPDATE SET count = kept.count + excluded.count,"
            " total_s = kept.total_s + excluded.total_s,"
            " longest_s = greatest(kept.longest_s, excluded.longest_s),"
            " rows_examined = kept.rows_examined + excluded.rows_examined",
            [target.customer_id, target.asset_id, day, json.dumps(said)],
        )
