"""Loading and saving the states of rules that are breaching or firing: only what changed is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from accounts import bulk
from monitoring.evaluate import States
from monitoring.plan import Plan

COLUMNS = ("bad", "good", "firing", "first_ts", "counted_ts", "last_bad_ts", "last_ts")


def load(plans: Mapping[int, Plan]) -> dict[int, States]:
    """The states of these customers, who are in scope, each by the bindings of its plan.

    Those whose binding the plan no longer has are left alone.
    """
    rows: dict[int, list[tuple[int | str | bool, ...]]] = {customer_id: [] for customer_id in plans}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT customer_id, series_id, rule_id, {', '.join(COLUMNS)} FROM monitoring_rulestate"  # noqa: S608
            " WHERE customer_id = ANY(%s)",
            [bulk.array(list(plans))],
        )
        for customer_id, *row in cursor:
            rows[customer_id].append(tuple(row))
    return {customer_id: _placed(plan, rows[customer_id]) for customer_id, plan in plans.items()}


def _placed(plan: Plan, rows: Sequence[tuple[int | str | bool, ...]]) -> States:
    placed = [(binding, *row[2:]) for row in rows if (binding := plan.find(int(row[0]), str(row[1]))) is not None]
    if not placed:
        return States.none()
    placed.sort(key=lambda row: row[0])
    columns = [np.array(column) for column in zip(*placed, strict=True)]
    bindings, bad, good, firing, first, counted, last_bad, last = (column.astype(np.int64) for column in columns)
    return States(bindings, bad, good, firing.astype(np.bool_), first, counted, last_bad, last)


def save(customers: NDArray[np.int64], plan: Plan, before: States, touched: States) -> None:
    """Write the states that changed, delete those that are over. `customers`: of each state touched."""
    worth = touched.is_worth_keeping
    over = touched.take(~worth & np.isin(touched.binding, before.binding))
    if len(over):
        _delete(plan, over.binding)
    changed = touched.take(worth)
    if len(changed):
        _upsert(customers[worth], plan, changed)


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


def _upsert(customers: NDArray[np.int64], plan: Plan, states: States) -> None:
    bindings = states.binding
    columns = {name: bulk.array(getattr(states, name).tolist()) for name in COLUMNS}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO monitoring_rulestate (customer_id, series_id, asset_id, rule_id, {", ".join(COLUMNS)})
            SELECT * FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::text[], %s::int[], %s::int[], %s::bool[],
                                     %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
            ON CONFLICT (series_id, rule_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}
            """,  # noqa: S608 - our own names
            [
                bulk.array(customers.tolist()),
                bulk.array(plan.first[bindings].tolist()),
                bulk.array(plan.asset[bindings].tolist()),
                bulk.array([plan.rule_of(one).id for one in bindings.tolist()]),
                *(columns[name] for name in COLUMNS),
            ],
        )
