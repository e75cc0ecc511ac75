"""Samples in and out of PostgreSQL: binary COPY into the day's partition, reading through the customers' wall.

A row of `samples.block` is everything that one asset reported at one moment: series ids and values as two arrays.
Against one row per sample with the index that graphs need, that is a sixth of the bytes and a fraction of the time.
Measured on two cores: 3.6 million samples a second into COPY, 14 bytes a sample, one series' day out of 26 million
samples in 20 ms by the (asset, time) index. BRIN would be smaller still but reads the whole day. See docs/adr/0004.

`samples.block` is under no row-level security, because PostgreSQL refuses COPY into a table that is. Instead the
application's role has no right on it whatsoever: it is written under `rdmp_ingest`, which may insert there and do
nothing else, in the transaction that also judges the batch and opens its alerts. So whatever dies in between leaves
nothing half done, and a repeated batch finds its points already known. It is read through `samples.readable`, a
security-barrier view that follows the scope.

Each point is stored once: a point is new when it is later than the newest of its series (`Newest`, one row per
asset); what comes late or again is compared with what is stored.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from accounts.postgres.base import APP_ROLE
from monitoring.models import Series

INGEST_ROLE: Final = "rdmp_ingest"
DAYS_AHEAD: Final = 3
DAY_MS: Final = 86_400_000
EPOCH_2000_MS: Final = 946_684_800_000
INT4_OID, FLOAT8_OID = 23, 701
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"
COPY_CHUNK: Final = 1 << 20

HEAD: Final = np.dtype([("series", "<i4"), ("ts", "<i8"), ("value", "<f8"), ("step", "<i4")])
"""One series in `Newest.data`: id, Unix ms of its newest point, the value, and the usual ms between points."""

Ids = NDArray[np.int32]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """The points of one series, oldest first; `ts` in Unix milliseconds."""

    ts: Ints
    value: Floats


@dataclass(frozen=True, slots=True)
class Rollup:
    """Steps of one series that have at least one point, oldest first; `ts` is where each begins, in Unix ms."""

    ts: Ints
    low: Floats
    high: Floats
    mean: Floats
    count: Ids


Step = Literal[300, 3600]

# --- days ----------------------------------------------------------------------------------------------------------

_days_made: set[date] = set()


def make_days(days: Iterable[date]) -> None:
    """See to it that these days (UTC) have a partition."""
    missing = sorted(set(days) - _days_made)
    if not missing:
        return
    with connection.cursor() as cursor:
        for day in missing:
            cursor.execute("SELECT samples.make_day(%s)", [day])
    if not connection.in_atomic_block:  # a partition made in a transaction may yet be rolled back
        _days_made.update(missing)


def make_days_ahead(*, now: datetime) -> None:
    today = now.astimezone(UTC).date()
    make_days(today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1))


def drop_days_before(oldest: date) -> int:
    """Forget the samples of all days before `oldest`; returns how many days."""
    _days_made.clear()
    with connection.cursor() as cursor:
        cursor.execute("SELECT samples.drop_days_before(%s)", [oldest])
        return int(cursor.fetchone()[0])


def days_of(ts: Ints) -> set[date]:
    return {date(1970, 1, 1) + timedelta(days=int(day)) for day in np.unique(ts // DAY_MS)}


# --- writing -------------------------------------------------------------------------------------------------------


def write(*, customer_id: int, asset: Ints, ts: Ints, series: Ids, value: Floats) -> None:
    """COPY samples into their days, in the caller's transaction. Their days must have been made."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {INGEST_ROLE}")
        data = io.BytesIO(encode(customer_id=customer_id, asset=asset, ts=ts, series=series, value=value))
        cursor.copy_expert(
            "COPY samples.block (customer_id, asset_id, ts, series, value) FROM STDIN (FORMAT binary)",
            data,
            COPY_CHUNK,
        )
        cursor.execute(f"SET LOCAL ROLE {APP_ROLE}")


def encode(*, customer_id: int, asset: Ints, ts: Ints, series: Ids, value: Floats) -> bytes:
    """The body of a binary COPY: one row per asset and moment.

    All rows with the same number of series have the same shape, so that numpy writes them as one structured array.
    """
    span = int(ts.max() - ts.min()) + 1 if len(ts) else 1
    key = asset * span + (ts - (ts.min() if len(ts) else 0))
    if np.any(key[1:] < key[:-1]):
        order = np.argsort(key, kind="stable")
        key, asset, ts, series, value = key[order], asset[order], ts[order], series[order], value[order]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
    sizes = np.diff(np.append(starts, len(key)))
    parts = [COPY_HEADER]
    for size in np.unique(sizes):
        at = starts[sizes == size]
        cells = at[:, None] + np.arange(size)
        rows = np.zeros(len(at), dtype=_row(int(size)))
        rows["fields"] = 5
        rows["customer_size"] = rows["asset_size"] = rows["ts_size"] = 8
        rows["customer"] = customer_id
        rows["asset"] = asset[at]
        rows["ts"] = (ts[at] - EPOCH_2000_MS) * 1000
        rows["series_size"], rows["value_size"] = 20 + 8 * size, 20 + 12 * size
        for name, oid in (("series", INT4_OID), ("value", FLOAT8_OID)):
            rows[f"{name}_dims"], rows[f"{name}_type"], rows[f"{name}_length"], rows[f"{name}_bound"] = 1, oid, size, 1
        rows["series"]["size"], rows["series"]["item"] = 4, series[cells]
        rows["value"]["size"], rows["value"]["item"] = 8, value[cells]
        parts.append(rows.tobytes())
    return b"".join([*parts, COPY_TRAILER])


def _row(size: int) -> np.dtype[np.void]:
    """PostgreSQL's binary COPY row: each field and each array element has its length before it, big-endian."""
    array = [("dims", ">i4"), ("nulls", ">i4"), ("type", ">i4"), ("length", ">i4"), ("bound", ">i4")]
    fields: list[tuple[str, object] | tuple[str, object, int]] = [
        ("fields", ">i2"),
        ("customer_size", ">i4"), ("customer", ">i8"),
        ("asset_size", ">i4"), ("asset", ">i8"),
        ("ts_size", ">i4"), ("ts", ">i8"),
    ]  # fmt: skip
    for name, item in (("series", ">i4"), ("value", ">f8")):
        fields.append((f"{name}_size", ">i4"))
        fields.extend((f"{name}_{part}", kind) for part, kind in array)
        fields.append((name, np.dtype([("size", ">i4"), ("item", item)]), size))
    return np.dtype(fields)


def stored(*, asset: Ints, ts: Ints, series: Ids) -> NDArray[np.bool_]:
    """Which of these points are stored already. For late and repeated points only: it looks each moment up."""
    moments = np.unique(np.stack([asset, ts], axis=1), axis=0) if len(ts) else np.empty((0, 2), np.int64)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT asset_id, ts, series FROM unnest(%s::bigint[], %s::timestamptz[]) AS wanted (asset_id, ts)"
            " JOIN samples.readable USING (asset_id, ts)",
            [moments[:, 0].tolist(), [_moment(one) for one in moments[:, 1].tolist()]],
        )
        known = {(asset_id, _ms(at), one) for asset_id, at, ids in cursor for one in ids}
    points = zip(asset.tolist(), ts.tolist(), series.tolist(), strict=True)
    return np.fromiter((point in known for point in points), dtype=np.bool_, count=len(ts))


# --- newest values -------------------------------------------------------------------------------------------------


def heads(asset_ids: Sequence[int]) -> dict[int, NDArray[np.void]]:
    """The newest point of each series of these assets (`HEAD` arrays by asset)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT asset_id, data FROM monitoring_newest WHERE asset_id = ANY(%s)", [list(asset_ids)])
        return {asset_id: np.frombuffer(data, dtype=HEAD) for asset_id, data in cursor}


def save_heads(*, customer_id: int, assets: Sequence[int], data: Sequence[bytes]) -> None:
    """Write the `Newest` rows of assets. Updating is the usual case and, within a page of the table, the cheap one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE monitoring_newest n SET data = new.data"
            " FROM unnest(%s::bigint[], %s::bytea[]) AS new (asset_id, data) WHERE n.asset_id = new.asset_id",
            [list(assets), list(data)],
        )
        if cursor.rowcount < len(assets):
            cursor.execute(
                "INSERT INTO monitoring_newest (customer_id, asset_id, data)"
                " SELECT %s, * FROM unnest(%s::bigint[], %s::bytea[]) ON CONFLICT (asset_id) DO NOTHING",
                [customer_id, list(assets), list(data)],
            )


def newest(asset_ids: Sequence[int]) -> dict[int, tuple[int, float]]:
    """(Unix ms, value) of the newest point of every series of these assets, by series id."""
    return {
        int(row["series"]): (int(row["ts"]), float(row["value"])) for head in heads(asset_ids).values() for row in head
    }


# --- reading -------------------------------------------------------------------------------------------------------


def read(*, asset_id: int, series_ids: Collection[int], start: datetime, end: datetime) -> dict[int, Column]:
    """The points of series of one asset with start <= ts < end, by series id; those without a point are empty.

    A point that two racing writers stored twice comes once.
    """
    wanted = list(dict.fromkeys(series_ids))
    picks = ", ".join(["value[array_position(series, %s)]"] * len(wanted))
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT extract(epoch FROM ts)::float8, {picks} FROM samples.readable"  # noqa: S608 - placeholders only
            " WHERE asset_id = %s AND ts >= %s AND ts < %s AND series && %s ORDER BY ts",
            [*wanted, asset_id, start, end, wanted],
        )
        rows = cursor.fetchall()
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(wanted))
    ts = np.rint(table[:, 0] * 1000).astype(np.int64)
    return {one: _column(ts, table[:, 1 + at]) for at, one in enumerate(wanted)}


def rollup(*, series_ids: Collection[int], start: datetime, end: datetime, step_s: Step) -> dict[int, Rollup]:
    """Low, high, mean and count of each step that begins at start <= ts < end, by series id. Needs a scope.

    Series out of reach come back empty, like those without a point. A step that has not ended counts what it has.
    """
    wanted = list(dict.fromkeys(series_ids))
    owners = dict(Series.objects.filter(pk__in=wanted).values_list("pk", "asset_id"))
    columns: dict[int, Column] = {}
    for asset_id in sorted(set(owners.values())):
        mine = [one for one in wanted if owners.get(one) == asset_id]
        columns |= read(asset_id=asset_id, series_ids=mine, start=start, end=end)
    return {one: steps(columns.get(one, NOTHING), step_s) for one in wanted}


def steps(column: Column, step_s: int) -> Rollup:
    """Points of one series by steps."""
    begins = column.ts // (step_s * 1000) * (step_s * 1000)
    first = np.flatnonzero(np.append(True, begins[1:] != begins[:-1])[: len(begins)])
    if not len(first):
        nothing = np.empty(0)
        return Rollup(np.empty(0, np.int64), nothing, nothing, nothing, np.empty(0, np.int32))
    count = np.diff(np.append(first, len(begins)))
    return Rollup(
        begins[first],
        np.minimum.reduceat(column.value, first),
        np.maximum.reduceat(column.value, first),
        np.add.reduceat(column.value, first) / count,
        count.astype(np.int32),
    )


NOTHING: Final = Column(np.empty(0, np.int64), np.empty(0))


def _column(ts: Ints, value: Floats) -> Column:
    present = ~np.isnan(value)
    ts, value = ts[present], value[present]
    first = np.append(True, ts[1:] != ts[:-1])[: len(ts)]
    return Column(ts[first], value[first])


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
