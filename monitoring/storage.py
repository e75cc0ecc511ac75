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

Closed hours are moved, in one transaction, into `samples.packed`, and the steps of closed days are kept beside them
(`monitoring.archive` and `monitoring.packing`, docs/adr/0007). Reading asks the raw rows first and the packed ones
then: a point that is moved in between is seen twice, which does no harm, and never missed.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import numpy as np
from django.conf import settings
from django.db import connection
from numpy.typing import NDArray

from accounts import bulk
from accounts.postgres.base import APP_ROLE
from monitoring import packing
from monitoring.models import Series

INGEST_ROLE: Final = "rdmp_ingest"
DAYS_AHEAD: Final = 3
DAYS_KEPT: Final = 2
"""Days whose partitions stay although all of them may be packed."""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
EPOCH_2000_MS: Final = 946_684_800_000
INT4_OID, FLOAT8_OID = 23, 701
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"
COPY_CHUNK: Final = 1 << 20

HEAD: Final = np.dtype([("series", "<i4"), ("ts", "<i8"), ("value", "<f8"), ("step", "<i4")])
"""One series in `Newest.data`: id, Unix ms of its newest point, the value, and the usual ms between points."""

OUT_ROW: Final = np.dtype([("series", "<i4"), ("ts", "<i8"), ("value", "<f8")])
"""One sample on its way to a store outside (`services.outgoing`)."""

Ids = NDArray[np.int32]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


Column = packing.Column
Rollup = packing.Rollup
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
        settled = _oldest_kept()
        _days_made.update(day for day in missing if day > settled)


def _oldest_kept() -> date:
    """Days before this one, and it, may be dropped by another process as soon as they are empty."""
    return datetime.now(UTC).date() - timedelta(days=DAYS_KEPT)


def _hold_days(ts: Ints) -> None:
    """Let nobody drop the days that have passed until the transaction ends; makes those that were dropped again."""
    held = _oldest_kept()
    if not len(ts) or int(ts.min()) >= (held - date(1969, 12, 31)).days * DAY_MS:
        return
    with connection.cursor() as cursor:
        for day in sorted(day for day in days_of(ts) if day <= held):
            cursor.execute("SELECT samples.hold_day(%s)", [day])


def make_days_ahead(*, now: datetime) -> None:
    today = now.astimezone(UTC).date()
    make_days(today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1))


def drop_empty_days_before(oldest: date) -> int:
    """Drop the partitions of days before `oldest` from which everything has been packed; returns how many."""
    _days_made.clear()
    with connection.cursor() as cursor:
        cursor.execute("SELECT samples.drop_empty_days_before(%s)", [oldest])
        return int(cursor.fetchone()[0])


def days_of(ts: Ints) -> set[date]:
    return {date(1970, 1, 1) + timedelta(days=int(day)) for day in np.unique(ts // DAY_MS)}


# --- writing -------------------------------------------------------------------------------------------------------


def write(*, customer_id: int | Ints, asset: Ints, ts: Ints, series: Ids, value: Floats) -> None:
    """COPY samples, of one customer or each of its own, into their days, in the caller's transaction. Their days must
    have been made."""
    customer = np.broadcast_to(np.asarray(customer_id, dtype=np.int64), ts.shape)
    _hold_days(ts)
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {INGEST_ROLE}")
        data = io.BytesIO(encode(customer=customer, asset=asset, ts=ts, series=series, value=value))
        cursor.copy_expert(
            "COPY samples.block (customer_id, asset_id, ts, series, value) FROM STDIN (FORMAT binary)",
            data,
            COPY_CHUNK,
        )
        if settings.REMOTE_WRITE_URL and len(ts):
            rows = np.empty(len(ts), dtype=OUT_ROW)
            rows["series"], rows["ts"], rows["value"] = series, ts, value
            for one in np.unique(customer).tolist():
                mine = rows[customer == one]
                cursor.execute(
                    "INSERT INTO samples.outgoing (customer_id, points, data) VALUES (%s, %s, %s)",
                    [one, len(mine), zlib.compress(mine.tobytes(), 1)],
                )
        cursor.execute(f"SET LOCAL ROLE {APP_ROLE}")


def encode(*, customer: Ints, asset: Ints, ts: Ints, series: Ids, value: Floats) -> bytes:
    """The body of a binary COPY: one row per asset and moment.

    All rows with the same number of series have the same shape, so that numpy writes them as one structured array.
    """
    span = int(ts.max() - ts.min()) + 1 if len(ts) else 1
    key = asset * span + (ts - (ts.min() if len(ts) else 0))
    if np.any(key[1:] < key[:-1]):
        order = np.argsort(key, kind="stable")
        key, customer = key[order], customer[order]
        asset, ts, series, value = asset[order], ts[order], series[order], value[order]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
    sizes = np.diff(np.append(starts, len(key)))
    parts = [COPY_HEADER]
    for size in np.unique(sizes):
        at = starts[sizes == size]
        cells = at[:, None] + np.arange(size)
        rows = np.zeros(len(at), dtype=_row(int(size)))
        rows["fields"] = 5
        rows["customer_size"] = rows["asset_size"] = rows["ts_size"] = 8
        rows["customer"] = customer[at]
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
    known |= _packed_points(asset, ts, series)
    points = zip(asset.tolist(), ts.tolist(), series.tolist(), strict=True)
    return np.fromiter((point in known for point in points), dtype=np.bool_, count=len(ts))


def _packed_points(asset: Ints, ts: Ints, series: Ids) -> set[tuple[int, int, int]]:
    """The points of these series in the packed hours of these moments."""
    hours = sorted(set(zip(asset.tolist(), (ts // HOUR_MS * HOUR_MS).tolist(), strict=True)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT packed.asset_id, data FROM unnest(%s::bigint[], %s::timestamptz[]) AS wanted (asset_id, hour)"
            " JOIN samples.packed_readable AS packed ON packed.asset_id = wanted.asset_id"
            " AND packed.hour IN (wanted.hour, date_bin('1 day', wanted.hour, 'epoch'))",
            [[asset_id for asset_id, _ in hours], [_moment(hour) for _, hour in hours]],
        )
        rows = cursor.fetchall()
    wanted = set(series.tolist())
    return {
        (asset_id, at, one)
        for asset_id, data in rows
        for one, column in packing.unpack(data, wanted).items()
        for at in column.ts.tolist()
    }


# --- newest values -------------------------------------------------------------------------------------------------


def heads(asset_ids: Sequence[int]) -> dict[int, NDArray[np.void]]:
    """The newest point of each series of these assets (`HEAD` arrays by asset)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT asset_id, data FROM monitoring_newest WHERE asset_id = ANY(%s)", [list(asset_ids)])
        return {asset_id: np.frombuffer(data, dtype=HEAD) for asset_id, data in cursor}


def save_heads(*, customers: Sequence[int], assets: Sequence[int], data: Sequence[bytes]) -> None:
    """Write the `Newest` rows of assets. Updating is the usual case and, within a page of the table, the cheap one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE monitoring_newest n SET data = new.data"
            " FROM unnest(%s::bigint[], %s::bytea[]) AS new (asset_id, data) WHERE n.asset_id = new.asset_id",
            [bulk.array(assets), list(data)],
        )
        if cursor.rowcount < len(assets):
            cursor.execute(
                "INSERT INTO monitoring_newest (customer_id, asset_id, data)"
                " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) ON CONFLICT (asset_id) DO NOTHING",
                [bulk.array(customers), bulk.array(assets), list(data)],
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
    if not wanted:
        return {}
    raw = _raw(asset_id, wanted, start, end)
    pieces: dict[int, list[Column]] = {one: [] for one in wanted}
    for block in _packed(asset_id, wanted, start, end):
        for one, column in block.items():
            pieces[one].append(column)
    first, last = _ms(start), _ms(end)
    return {one: _within(merged([*pieces[one], raw[one]]), first, last) for one in wanted}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one series of one asset, both ends included; Unix milliseconds."""

    asset_id: int
    series_id: int
    first: int
    last: int


def read_spans(spans: Sequence[Span]) -> dict[int, Column]:
    """The points of many short stretches, one per series, with two statements however many there are."""
    arrays: list[list[int] | list[datetime]] = [
        [span.asset_id for span in spans],
        [span.series_id for span in spans],
        [_moment(span.first) for span in spans],
        [_moment(span.last) for span in spans],
    ]
    table = (
        "unnest(%s::bigint[], %s::int[], %s::timestamptz[], %s::timestamptz[]) AS span (asset_id, series, low, high)"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT span.series, extract(epoch FROM row.ts)::float8,"  # noqa: S608 - a table of placeholders
            f" row.value[array_position(row.series, span.series)] FROM {table}"
            " JOIN samples.readable row ON row.asset_id = span.asset_id AND row.ts BETWEEN span.low AND span.high",
            arrays,
        )
        raw = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 3)
        cursor.execute(
            "SELECT DISTINCT packed.asset_id, packed.hour, packed.data"  # noqa: S608 - a table of placeholders
            f" FROM {table} JOIN samples.packed_readable packed ON packed.asset_id = span.asset_id"
            " AND packed.hour > span.low - interval '1 day' AND packed.hour <= span.high"
            " AND packed.hour + packed.hours * interval '1 hour' > span.low"
            " AND packed.low_series <= span.series AND packed.high_series >= span.series",
            arrays,
        )
        packed = cursor.fetchall()
    return _columns_of(spans, raw, packed)


def _columns_of(spans: Sequence[Span], raw: Floats, packed: Sequence[tuple[int, datetime, bytes]]) -> dict[int, Column]:
    raw = raw[~np.isnan(raw[:, 2])]
    raw = raw[np.lexsort((raw[:, 1], raw[:, 0]))]
    low, high = (np.searchsorted(raw[:, 0], [span.series_id for span in spans], side) for side in ("left", "right"))
    blocks: dict[int, list[dict[int, Column]]] = {}
    of_asset: dict[int, list[int]] = {}
    if packed:
        for span in spans:
            of_asset.setdefault(span.asset_id, []).append(span.series_id)
    for asset_id, _hour, data in packed:
        blocks.setdefault(asset_id, []).append(packing.unpack(data, of_asset[asset_id]))
    found = {}
    for at, span in enumerate(spans):
        rows = raw[low[at] : high[at]]
        pieces = [block[span.series_id] for block in blocks.get(span.asset_id, ()) if span.series_id in block]
        pieces.append(Column(np.rint(rows[:, 1] * 1000).astype(np.int64), rows[:, 2]))
        found[span.series_id] = _within(merged(pieces), span.first, span.last + 1)
    return found


def _raw(asset_id: int, wanted: Sequence[int], start: datetime, end: datetime) -> dict[int, Column]:
    picks = ", ".join(["value[array_position(series, %s)]"] * len(wanted))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT extract(epoch FROM ts)::float8, {picks} FROM samples.readable"  # noqa: S608 - placeholders only
            " WHERE asset_id = %s AND ts >= %s AND ts < %s AND series && %s ORDER BY ts",
            [*wanted, asset_id, start, end, list(wanted)],
        )
        rows = cursor.fetchall()
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(wanted))
    ts = np.rint(table[:, 0] * 1000).astype(np.int64)
    return {one: _present(ts, table[:, 1 + at]) for at, one in enumerate(wanted)}


def _present(ts: Ints, value: Floats) -> Column:
    there = ~np.isnan(value)
    return Column(ts[there], value[there])


def _packed(asset_id: int, wanted: Sequence[int], start: datetime, end: datetime) -> Iterator[dict[int, Column]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT data FROM samples.packed_readable WHERE asset_id = %s AND hour > %s AND hour < %s"
            " AND hour + hours * interval '1 hour' > %s AND low_series <= %s AND high_series >= %s ORDER BY hour",
            [asset_id, start - timedelta(days=1), end, start, max(wanted), min(wanted)],
        )
        rows = cursor.fetchall()
    for (data,) in rows:
        yield packing.unpack(data, wanted)


def merged(pieces: Sequence[Column]) -> Column:
    """One column of several: each moment once, and of two values for one moment the earlier piece's."""
    full = [piece for piece in pieces if len(piece.ts)]
    if len(full) < 2 and all(np.all(np.diff(piece.ts) > 0) for piece in full):
        return full[0] if full else packing.NO_POINTS
    ts, value = np.concatenate([piece.ts for piece in full]), np.concatenate([piece.value for piece in full])
    if np.any(ts[1:] <= ts[:-1]):
        order = np.argsort(ts, kind="stable")
        ts, value = ts[order], value[order]
        first = np.append(True, ts[1:] != ts[:-1])
        ts, value = ts[first], value[first]
    return Column(ts, value)


def _within(column: Column, first: int, last: int) -> Column:
    low, high = np.searchsorted(column.ts, [first, last])
    return column if high - low == len(column.ts) else Column(column.ts[low:high], column.value[low:high])


# --- steps ---------------------------------------------------------------------------------------------------------


def rollup(*, series_ids: Collection[int], start: datetime, end: datetime, step_s: Step) -> dict[int, Rollup]:
    """Low, high, mean and count of each step that begins at start <= ts < end, by series id. Needs a scope.

    Series out of reach come back empty, like those without a point. A step that has not ended counts what it has.
    Days that are kept in steps are read from those; the rest, and days in which late points wait to be packed, are
    reckoned from the points.
    """
    wanted = list(dict.fromkeys(series_ids))
    owners = dict(Series.objects.filter(pk__in=wanted).values_list("pk", "asset_id"))
    first, last = _step_edge(start, step_s), _step_edge(end, step_s)
    found: dict[int, Rollup] = {}
    for asset_id in sorted(set(owners.values())):
        mine = [one for one in wanted if owners.get(one) == asset_id]
        found |= _rollup(asset_id, mine, first, last, step_s)
    return {one: found.get(one, packing.NO_STEPS) for one in wanted}


def _step_edge(at: datetime, step_s: int) -> int:
    """The first beginning of a step that is not before this moment."""
    step = step_s * 1000
    return -(-_ms(at) // step) * step


def _rollup(asset_id: int, wanted: Sequence[int], first: int, last: int, step_s: Step) -> dict[int, Rollup]:
    pieces: dict[int, list[Rollup]] = {one: [] for one in wanted}
    loose = _loose_days(asset_id, first, last)
    for low, high in _stretches(loose):
        start, end = _moment(max(low, first)), _moment(min(high, last))
        for one, column in read(asset_id=asset_id, series_ids=wanted, start=start, end=end).items():
            pieces[one].append(steps(column, step_s))
    column_name = "fives" if step_s == 300 else "hours"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT day, {column_name} FROM samples.steps_readable WHERE asset_id = %s"  # noqa: S608 - one of two names
            " AND day > %s AND day < %s AND low_series <= %s AND high_series >= %s ORDER BY day",
            [asset_id, _moment(first - DAY_MS), _moment(last), max(wanted), min(wanted)],
        )
        rows = cursor.fetchall()
    for day, data in rows:
        if _ms(day) not in loose:
            for one, part in packing.unpack_rollups(data, wanted).items():
                pieces[one].append(part)
    return {one: _joined(parts, first, last) for one, parts in pieces.items()}


def _loose_days(asset_id: int, first: int, last: int) -> list[int]:
    """Days (Unix ms) whose points are not, or not all, in steps: raw ones wait, or steps have not been made."""
    span: tuple[int, datetime, datetime] = (asset_id, _moment(first // DAY_MS * DAY_MS), _moment(last))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT date_bin('1 day', ts, 'epoch') FROM samples.readable WHERE asset_id = %s AND ts >= %s AND ts < %s"
            " UNION (SELECT date_bin('1 day', hour, 'epoch') FROM samples.packed_readable"
            " WHERE asset_id = %s AND hour >= %s AND hour < %s"
            " EXCEPT SELECT day FROM samples.steps_readable WHERE asset_id = %s AND day >= %s AND day < %s) ORDER BY 1",
            [*span, *span, *span],
        )
        return [_ms(day) for (day,) in cursor]


def _stretches(days: Sequence[int]) -> list[tuple[int, int]]:
    """Days that follow each other as stretches, half open."""
    found: list[tuple[int, int]] = []
    for day in days:
        begin = found.pop()[0] if found and found[-1][1] == day else day
        found.append((begin, day + DAY_MS))
    return found


def _joined(parts: Sequence[Rollup], first: int, last: int) -> Rollup:
    if not parts:
        return packing.NO_STEPS
    names = ("ts", "low", "high", "mean", "count")
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    order = np.argsort(whole["ts"], kind="stable")
    order = order[(whole["ts"][order] >= first) & (whole["ts"][order] < last)]
    return Rollup(**{name: column[order] for name, column in whole.items()})


def steps(column: Column, step_s: int) -> Rollup:
    """Points of one series by steps."""
    begins = column.ts // (step_s * 1000) * (step_s * 1000)
    first = np.flatnonzero(np.append(True, begins[1:] != begins[:-1])[: len(begins)])
    if not len(first):
        return packing.NO_STEPS
    count = np.diff(np.append(first, len(begins)))
    return Rollup(
        begins[first],
        np.minimum.reduceat(column.value, first),
        np.maximum.reduceat(column.value, first),
        np.add.reduceat(column.value, first) / count,
        count.astype(np.int32),
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
