"""Saving many rows in one statement. Django's `bulk_update` compares each row with every other; this costs per row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection, models


def update(rows: Sequence[models.Model], fields: Sequence[str]) -> int:
    """Write these fields of saved rows of one model, by primary key; returns how many rows there still were.

    Row-level security holds as for any statement. A row must come once only.
    """
    if not rows:
        return 0
    meta = rows[0]._meta
    by_name = {field.name: field for field in meta.concrete_fields}
    columns = [field for field in meta.concrete_fields if field.primary_key] + [by_name[name] for name in fields]
    names = [connection.ops.quote_name(str(column.column)) for column in columns]
    # a JSON value travels as text: PostgreSQL has no way to write an array of them that drivers agree on
    kinds = ["text" if isinstance(column, models.JSONField) else column.rel_db_type(connection) for column in columns]
    casts = ["::jsonb" if isinstance(column, models.JSONField) else "" for column in columns]
    sets = ", ".join(f"{name} = new.{name}{cast}" for name, cast in list(zip(names, casts, strict=True))[1:])
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
    table = connection.ops.quote_name(meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} AS row SET {sets} FROM unnest({arrays}) AS new ({', '.join(names)})"  # noqa: S608 - names of columns only
            f" WHERE row.{names[0]} = new.{names[0]}",
            [[_value(column, row) for row in rows] for column in columns],
        )
        return int(cursor.rowcount)


def _value(column: models.Field[Any, Any], row: models.Model) -> object:
    value = getattr(row, column.attname)
    if isinstance(column, models.JSONField):
        return json.dumps(value, cls=column.encoder)
    return column.get_db_prep_save(value, connection)
