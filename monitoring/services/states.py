"""Loading and saving the states of rules that are breaching or firing: only what changed is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from accounts import bulk
from monitoring.evaluate import States
from monitoring.plan import Plan

COLUMNS = ("bad", "good", "firing", "first_ts", "counted_ts", "last_bad_ts", "last_ts")


def load(plan: Plan) -> States:
    """The states of the customer in scope. Those whose binding the plan no longer has are left alone."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT series_id, rule_id, {', '.join(COLUMNS)} FROM monitoring_rulestate")  # noqa: S608
        rows = cursor.fetchall()
    return _placed(plan, rows)


def _placed(plan: Plan, rows: Sequence[tuple[int | str | bool, ...]]) -> States:
    placed = [(binding, *row[2:]) for row in rows if (binding := plan.find(int(row[0]), str(row[1]))) is not None]
    if not placed:
        return States.none()
    placed.sort(key=lambda row: row[0])
    columns = [np.array(column) for column in zip(*placed, strict=True)]
    bindings, bad, good, firing, first, counted, last_bad, last = (column.astype(np.int64) for column in columns)
    return States(bindings, bad, good, firing.astype(np.bool_), first, counted, last_bad, last)


def save(customer_id: int, plan: Plan, before: States, touched: States) -> None:
    """Write the states that changed, delete those that are over."""
    worth = touched.is_worth_keeping
    over = touched.take(~worth & np.isin(touched.binding, before.binding))
    if len(over):
        _delete(plan, over.binding)
    changed = touched.take(worth)
    if len(changed):
        _upsert(customer_id, plan, changed)


def _delete(plan: Plan, bindings: NDArray[np.int64]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM monitoring_rulestate s USING unnest(%s::int[], %s::text[]) AS over (series_id, rule_id)"
            " WHERE s.series_id = over.series_id AND s.rule_id = over.rule_id",
            [
                bulk.array(plan.first[bindings].tolist()),
                bulk.array([plan.rule_of(one).id for one in bindings.tolist()]),
            ],
        )


def _upsert(customer_id: int, plan: Plan, states: States) -> None:
    bindings = states.binding
    columns = {name: bulk.array(getattr(states, name).tolist()) for name in COLUMNS}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO monitoring_rulestate (customer_id, series_id, asset_id, rule_id, {", ".join(COLUMNS)})
            SELECT %s, * FROM unnest(%s::int[], %s::bigint[], %s::text[], %s::int[], %s::int[], %s::bool[],
                                     %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
            ON CONFLICT (series_id, rule_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}
            """,  # noqa: S608 - our own names
            [
                customer_id,
                bulk.array(plan.first[bindings].tolist()),
                bulk.array(plan.asset[bindings].tolist()),
                bulk.array([plan.rule_of(one).id for one in bindings.tolist()]),
                *(columns[name] for name in COLUMNS),
            ],
        )
