"""Packed history in and out of PostgreSQL, under the role that moves it. Reading it for people: `monitoring.storage`.

A row of `samples.packed` is an hour of one asset, or a day of it once the day is over; a row of `samples.steps` is a
day of it in steps. Assets with very many series have several rows for each. `rdmp_pack` may read and delete raw rows
and write packed ones, and nothing else. These tables are under no row-level security (neither is the raw one), so every
statement here names its customer.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import numpy as np
from django.db import connection

from accounts.postgres.base import APP_ROLE
from monitoring import packing
from monitoring.packing import Column, Rollup
from monitoring.storage import COPY_HEADER, DAY_MS, EPOCH_2000_MS, HOUR_MS, Floats, merged, steps

PACK_ROLE: Final = "rdmp_pack"
SERIES_IN_A_ROW: Final = 400
LOCK: Final = 0x5061636B
"""The first half of the advisory lock of a customer whose history is being packed."""
FIXED: Final = struct.Struct(">hiqiqi")
"""What each row of a binary COPY of (asset, time, series, values) begins with, up to the size of the first array."""
ARRAY: Final = 20
"""Bytes before the elements of an array."""
ELEMENT_IDS: Final = np.dtype([("size", ">i4"), ("item", ">i4")])
ELEMENT_VALUES: Final = np.dtype([("size", ">i4"), ("item", ">f8")])

Row = tuple[object, ...]
Place = tuple[int, int]
"""An asset and the Unix ms where its hour or day begins."""


@contextmanager
def as_packer() -> Generator[None]:
    """Statements of this transaction under the role that may move samples. What fails inside ends the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {PACK_ROLE}")
        yield
        cursor.execute(f"SET LOCAL ROLE {APP_ROLE}")


def claim(customer_id: int) -> bool:
    """Be the only one that packs this customer's history until the transaction ends; False: somebody else is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK, customer_id])
        return bool(cursor.fetchone()[0])


# --- raw rows ------------------------------------------------------------------------------------------------------


def waiting(customer_id: int, asset_ids: Sequence[int], before: datetime) -> list[tuple[int, datetime]]:
    """Of these assets those with raw rows before a moment, and their oldest. One look into the index for each."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT asset_id, oldest FROM unnest(%s::bigint[]) AS asset (asset_id), LATERAL"
            " (SELECT min(ts) AS oldest FROM samples.block WHERE block.asset_id = asset.asset_id"
            " AND customer_id = %s AND ts < %s) AS found WHERE oldest IS NOT NULL ORDER BY asset_id",
            [list(asset_ids), customer_id, before],
        )
        return list(cursor.fetchall())


def take_raw(customer_id: int, asset_ids: Sequence[int], before: datetime) -> dict[Place, dict[int, Column]]:
    """Remove raw rows before a moment and return what they held, by asset and hour."""
    data = io.BytesIO()
    with connection.cursor() as cursor:
        taking = cursor.cursor.mogrify(
            "COPY (DELETE FROM samples.block WHERE asset_id = ANY(%s) AND customer_id = %s AND ts < %s"
            " RETURNING asset_id, ts, series, value) TO STDOUT (FORMAT binary)",
            [list(asset_ids), customer_id, before],
        )
        cursor.copy_expert(taking.decode(), data)
    return by_hours(rows_of(data.getbuffer()))


def rows_of(data: memoryview) -> Iterable[tuple[int, int, bytes, Floats]]:
    """Asset, Unix ms, series (as big-endian bytes) and values of each row of a binary COPY."""
    at = len(COPY_HEADER)
    while True:
        if bytes(data[at : at + 2]) == b"\xff\xff":
            return
        _fields, _size, asset_id, _size, micros, size = FIXED.unpack_from(data, at)
        at += FIXED.size
        count = (size - ARRAY) // ELEMENT_IDS.itemsize
        series = np.frombuffer(data, ELEMENT_IDS, count, at + ARRAY)["item"]
        at += size + 4
        value = np.frombuffer(data, ELEMENT_VALUES, count, at + ARRAY)["item"]
        at += ARRAY + count * ELEMENT_VALUES.itemsize
        yield asset_id, micros // 1000 + EPOCH_2000_MS, series.tobytes(), value


def by_hours(rows: Iterable[tuple[int, int, bytes, Floats]]) -> dict[Place, dict[int, Column]]:
    """Rows as columns. Those of one hour with the same series (the usual case) are turned as one table."""
    tables: dict[Place, dict[bytes, list[tuple[int, Floats]]]] = {}
    for asset_id, ts, series, value in rows:
        hour = tables.setdefault((asset_id, ts // HOUR_MS * HOUR_MS), {})
        hour.setdefault(series, []).append((ts, value))
    found: dict[Place, dict[int, Column]] = {}
    for place, hour in tables.items():
        pieces: dict[int, list[Column]] = {}
        for series, points in hour.items():
            points.sort(key=lambda point: point[0])
            moments = np.array([at for at, _ in points], dtype=np.int64)
            table = np.array([value for _, value in points], dtype=np.float64).T.copy()
            for one, row in zip(np.frombuffer(series, ">i4").tolist(), table, strict=True):
                there = ~np.isnan(row)
                piece = Column(moments, row) if there.all() else Column(moments[there], row[there])
                pieces.setdefault(one, []).append(piece)
        found[place] = {one: column for one, parts in pieces.items() if len((column := merged(parts)).ts)}
    return {place: columns for place, columns in found.items() if columns}


# --- packed hours --------------------------------------------------------------------------------------------------


def add(customer_id: int, hours: Mapping[Place, Mapping[int, Column]]) -> int:
    """Put points into packed hours, together with what those hold already; returns how many points are new there.

    Their days are opened: what was one row becomes hours again, and steps are forgotten until they are made anew.
    """
    days = sorted({(asset_id, hour // DAY_MS * DAY_MS) for asset_id, hour in hours})
    closed = load(customer_id, days, hours=24)
    before = load(customer_id, sorted(hours), hours=1)
    for (asset_id, _day), columns in closed.items():
        for hour, part in _by_hour(columns).items():
            before[asset_id, hour] = part
    news = 0
    rows: list[Row] = []
    for place in sorted(hours.keys() | before.keys()):
        old, new = before.get(place, {}), hours.get(place, {})
        whole = {
            one: merged([part[one] for part in (old, new) if one in part]) if one in new else old[one]
            for one in (old.keys() | new.keys())
        }
        news += sum(len(column.ts) for column in whole.values()) - sum(len(column.ts) for column in old.values())
        rows += _packed_rows(place, 1, whole)
    _replace(customer_id, before.keys() | closed.keys(), rows)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM samples.steps USING unnest(%s::bigint[], %s::timestamptz[]) AS old (asset_id, day)"
            " WHERE steps.asset_id = old.asset_id AND steps.day = old.day AND customer_id = %s",
            [*_columns(days), customer_id],
        )
        cursor.execute(
            "INSERT INTO samples.open_day (customer_id, asset_id, day)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::timestamptz[]) ON CONFLICT DO NOTHING",
            [customer_id, *_columns(days)],
        )
    return news


def load(customer_id: int, places: Sequence[Place], *, hours: int) -> dict[Place, dict[int, Column]]:
    """What rows of so many hours hold that begin at these places."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT asset_id, hour, data FROM samples.packed"
            " JOIN unnest(%s::bigint[], %s::timestamptz[]) AS wanted (asset_id, hour) USING (asset_id, hour)"
            " WHERE customer_id = %s AND hours = %s",
            [*_columns(places), customer_id, hours],
        )
        found: dict[Place, dict[int, Column]] = {}
        for asset_id, hour, data in cursor:
            found.setdefault((asset_id, _ms(hour)), {}).update(packing.unpack(data))
        return found


def _packed_rows(place: Place, hours: int, columns: Mapping[int, Column]) -> Iterable[Row]:
    for part, piece in enumerate(_parts(columns)):
        points = sum(len(column.ts) for column in piece.values())
        yield (*place, hours, part, min(piece), max(piece), points, packing.pack(piece))


def _replace(customer_id: int, old: Iterable[Place], rows: Sequence[Row]) -> None:
    """Rows in the place of all that begin at these places."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM samples.packed USING unnest(%s::bigint[], %s::timestamptz[]) AS old (asset_id, hour)"
            " WHERE packed.asset_id = old.asset_id AND packed.hour = old.hour AND customer_id = %s",
            [*_columns(old), customer_id],
        )
        cursor.execute(
            "INSERT INTO samples.packed (customer_id, asset_id, hour, hours, part, low_series, high_series, points,"
            " data) SELECT %s, * FROM unnest(%s::bigint[], %s::timestamptz[], %s::smallint[], %s::smallint[],"
            " %s::int[], %s::int[], %s::int[], %s::bytea[])",
            [customer_id, *_listed(rows, 8)],
        )


def _by_hour(columns: Mapping[int, Column]) -> dict[int, dict[int, Column]]:
    """A day's columns cut into hours, by the Unix ms where each begins."""
    found: dict[int, dict[int, Column]] = {}
    for one, column in columns.items():
        begins = column.ts // HOUR_MS * HOUR_MS
        cuts = np.flatnonzero(begins[1:] != begins[:-1]) + 1
        pieces = zip(np.split(column.ts, cuts), np.split(column.value, cuts), strict=True)
        for ts, value in pieces:
            found.setdefault(int(ts[0]) // HOUR_MS * HOUR_MS, {})[one] = Column(ts, value)
    return found


# --- days in steps -------------------------------------------------------------------------------------------------


def open_days(customer_id: int, before: datetime, most: int) -> list[Place]:
    """Days that ended before a moment and whose steps are to be made."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT asset_id, day FROM samples.open_day WHERE customer_id = %s AND day <= %s - interval '1 day'"
            " ORDER BY day, asset_id LIMIT %s",
            [customer_id, before, most],
        )
        return [(asset_id, _ms(day)) for asset_id, day in cursor]


def close_days(customer_id: int, days: Sequence[Place]) -> None:
    """Put the hours of these days into one row each, which takes a quarter less, and make their steps."""
    rows: list[Row] = []
    for asset_id, day in days:
        hours = load(customer_id, [(asset_id, day + hour * HOUR_MS) for hour in range(24)], hours=1)
        columns: dict[int, list[Column]] = {}
        for place in sorted(hours):
            for one, column in hours[place].items():
                columns.setdefault(one, []).append(column)
        whole = {one: merged(pieces) for one, pieces in columns.items()}
        _replace(customer_id, hours, list(_packed_rows((asset_id, day), 24, whole)))
        for part, piece in enumerate(_parts(whole)):
            fives, wholes = (_steps(piece, step) for step in (300, 3600))
            rows.append((asset_id, day, part, min(piece), max(piece), fives, wholes))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO samples.steps (customer_id, asset_id, day, part, low_series, high_series, fives, hours)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::timestamptz[], %s::smallint[], %s::int[], %s::int[],"
            " %s::bytea[], %s::bytea[])",
            [customer_id, *_listed(rows, 7)],
        )
        cursor.execute(
            "DELETE FROM samples.open_day USING unnest(%s::bigint[], %s::timestamptz[]) AS made (asset_id, day)"
            " WHERE open_day.asset_id = made.asset_id AND open_day.day = made.day AND customer_id = %s",
            [*_columns(days), customer_id],
        )


def _steps(columns: Mapping[int, Column], step_s: int) -> bytes:
    rollups: dict[int, Rollup] = {one: steps(column, step_s) for one, column in columns.items()}
    return packing.pack_rollups(rollups)


# --- forgetting ----------------------------------------------------------------------------------------------------


def forget(customer_id: int, asset_ids: Sequence[int], *, points_before: datetime, steps_before: datetime) -> int:
    """Delete packed hours and days in steps that are past what the customer keeps; returns how many rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM samples.packed WHERE asset_id = ANY(%s) AND customer_id = %s AND hour < %s",
            [list(asset_ids), customer_id, points_before],
        )
        gone = int(cursor.rowcount)
        cursor.execute(
            "DELETE FROM samples.steps WHERE asset_id = ANY(%s) AND customer_id = %s AND day < %s",
            [list(asset_ids), customer_id, steps_before],
        )
        return gone + int(cursor.rowcount)


def _parts(columns: Mapping[int, Column]) -> Iterable[dict[int, Column]]:
    ids = sorted(columns)
    for low in range(0, len(ids), SERIES_IN_A_ROW):
        yield {one: columns[one] for one in ids[low : low + SERIES_IN_A_ROW]}


def _columns(places: Iterable[Place]) -> tuple[list[int], list[datetime]]:
    listed = sorted(places)
    return [asset_id for asset_id, _ in listed], [_moment(at) for _, at in listed]


def _listed(rows: Sequence[Row], width: int) -> list[list[object]]:
    """Rows as columns, the second of which is a moment."""
    return [[_moment(row[1]) if at == 1 else row[at] for row in rows] for at in range(width)]  # type: ignore[arg-type]  # an int


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
