"""Saving many rows in one statement.

Django's `bulk_update` compares each row with every other, and its `bulk_create` writes each value of each row into the
text of the statement, where PostgreSQL parses it. These send a column as one literal, and a value that all rows share
once: a quarter of the time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from django.db import connection, models

AS_THEY_ARE: Final = frozenset({int, float, str, bool, datetime, type(None)})
"""Types that the driver writes as any field of Django would have them."""
NUMBERS: Final = frozenset({int, float, bool})


def array(values: Sequence[Any]) -> Any:
    """Values of one kind as the text of a PostgreSQL array, which costs a third of what a list costs on either side.

    Lists of what has no such text here go as they are.
    """
    kinds = set(map(type, values))
    if kinds <= NUMBERS:
        return f"{{{','.join(map(str, values))}}}"
    if kinds <= AS_THEY_ARE:
        return f"{{{','.join(map(_element, values))}}}"
    return list(values)


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    text = str(value)
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def insert(rows: Sequence[models.Model], *, skip_known: bool = False) -> None:
    """Write new rows of one model and give them their primary keys.

    Row-level security holds as for any statement. `skip_known`: rows that break a unique constraint are left out, and
    none is given its key.
    """
    if not rows:
        return
    meta = rows[0]._meta
    columns = [field for field in meta.concrete_fields if not (field.primary_key or field.generated)]
    picks, arrays, shared = [], [], []
    for column in columns:
        if isinstance(column, models.ForeignKey):
            _follow(column, rows)
        values = _prepared(column, rows)
        # texts travel without their limit: a cast to varchar(n) would cut them off in silence
        kind = "text" if isinstance(column, models.CharField | models.JSONField) else column.rel_db_type(connection)
        cast = "::jsonb" if isinstance(column, models.JSONField) else ""
        if values.count(values[0]) == len(values):
            picks.append(f"%s::{kind}{cast}")
            shared.append(values[0])
        else:
            arrays.append((f"%s::{kind}[]", values))
            picks.append(f"new.c{len(arrays)}{cast}")
    arrays.append(("%s::int[]", list(range(len(rows)))))
    names = ", ".join(connection.ops.quote_name(str(column.column)) for column in columns)
    table, key = connection.ops.quote_name(meta.db_table), connection.ops.quote_name(str(meta.pk.column))
    given = ", ".join(f"c{at + 1}" for at in range(len(arrays)))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(picks)}"  # noqa: S608 - names of columns only
            f" FROM unnest({', '.join(text for text, _ in arrays)}) AS new ({given}) ORDER BY new.c{len(arrays)}"
            + (" ON CONFLICT DO NOTHING" if skip_known else f" RETURNING {key}"),
            [*shared, *(array(values) for _, values in arrays)],
        )
        keys = [] if skip_known else [pk for (pk,) in cursor]
    for row, pk in zip(rows, keys, strict=False):
        row.pk = pk
        row._state.adding = False
        row._state.db = connection.alias


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
            [array(_prepared(column, rows)) for column in columns],
        )
        return int(cursor.rowcount)


def _follow(column: models.ForeignKey[Any, Any], rows: Sequence[models.Model]) -> None:
    """Rows may have been made before what they point to had its key."""
    for row in rows:
        if getattr(row, column.attname) is None and column.is_cached(row):
            target = getattr(row, column.name)
            setattr(row, column.attname, None if target is None else target.pk)


def _prepared(column: models.Field[Any, Any], rows: Sequence[models.Model]) -> list[Any]:
    """The column of these rows as the driver takes it."""
    values: list[Any] = list(map(attrgetter(column.attname), rows))
    if isinstance(column, models.JSONField):
        distinct = {id(value): value for value in values}
        texts = {at: None if value is None else json.dumps(value, cls=column.encoder) for at, value in distinct.items()}
        return [texts[id(value)] for value in values]
    if set(map(type, values)) <= AS_THEY_ARE:
        return values
    return [column.get_db_prep_save(value, connection) for value in values]
