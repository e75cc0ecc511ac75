"""Batches that also go to a store outside by Prometheus remote write (VictoriaMetrics), and graphs read back from it.

What is taken in is written into `samples.outgoing` by the same transaction, and leaves it when the store has said that
it has it: an outage delays, a crash may repeat, nothing is lost (VictoriaMetrics forgets repetitions with
`-dedup.minScrapeInterval=1ms`). What has waited longest is dropped when more waits than the setting allows, and
said so.

Every series carries its customer. Reading names the customer in the query and checks it in the answer.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import numpy as np
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection, transaction
from numpy.typing import NDArray

from accounts import scope
from monitoring import archive, remote_write
from monitoring.collectors import parse_labels
from monitoring.models import Series
from monitoring.packing import NO_STEPS, Rollup
from monitoring.storage import OUT_ROW

log = logging.getLogger(__name__)

LOCK: Final = 0x4F757447
POINTS_AT_ONCE: Final = 50_000
ROWS_AT_ONCE: Final = 50
SAMPLES_IN_A_REQUEST: Final = 10_000
TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=5)
LONGEST: Final = timedelta(seconds=50)
RESERVED: Final = frozenset({"customer", "asset", "series", "__name__"})


@dataclass(frozen=True, slots=True)
class Sent:
    """What a round has done. `problem` is why it stopped before the end."""

    points: int = 0
    dropped: int = 0
    problem: str = ""


class NotTakenError(Exception):
    """The store did not take a request; `for_good`: it never will."""

    def __init__(self, text: str, *, for_good: bool = False) -> None:
        super().__init__(text)
        self.for_good = for_good


# --- sending -------------------------------------------------------------------------------------------------------


def run(*, until: datetime | None = None) -> Sent:
    """Send what waits, oldest first."""
    if not settings.REMOTE_WRITE_URL:
        return Sent()
    dropped = _drop_excess()
    points = 0
    while until is None or datetime.now(UTC) < until:
        try:
            sent = _send_some()
        except NotTakenError as error:
            log.warning("the store outside takes no samples, they wait: %s", error)
            return Sent(points, dropped, str(error))
        if sent is None:
            break
        points += sent
    return Sent(points, dropped)


def _send_some() -> int | None:
    """Send a portion and forget it; None when nothing waits or somebody else is at it.

    No transaction is open while the store is waited for. A portion that the store has and that we could not forget
    goes again.
    """
    with _alone() as is_ours:
        rows = _oldest() if is_ours else []
        if not rows:
            return None
        for customer_id in sorted({row.customer_id for row in rows}):
            mine = [zlib.decompress(row.data) for row in rows if row.customer_id == customer_id]
            points = np.concatenate([np.frombuffer(data, dtype=OUT_ROW) for data in mine])
            with scope.customer(customer_id):
                _send(customer_id, points)
        with transaction.atomic(), archive.as_packer(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM samples.outgoing WHERE id = ANY(%s)", [[row.id for row in rows]])
        return sum(row.points for row in rows)


@contextmanager
def _alone() -> Generator[bool]:
    """Whether nobody else sends at the moment, and nobody will until the end of this: the lock is the connection's, so
    it ends with a process that dies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [LOCK])
        is_ours = bool(cursor.fetchone()[0])
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [LOCK])


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A batch that waits: who it belongs to, its samples, and how many they are."""

    id: int
    customer_id: int
    data: bytes
    points: int


def _oldest() -> list[_Waiting]:
    """What has waited longest, a request or several long."""
    rows: list[_Waiting] = []
    with transaction.atomic(), archive.as_packer(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, customer_id, data, points FROM samples.outgoing ORDER BY id LIMIT %s", [ROWS_AT_ONCE]
        )
        for pk, customer_id, data, points in cursor:
            rows.append(_Waiting(pk, customer_id, bytes(data), points))
            if sum(row.points for row in rows) >= POINTS_AT_ONCE:
                break
    return rows


def _send(customer_id: int, points: NDArray[np.void]) -> None:
    points = points[np.lexsort((points["ts"], points["series"]))]
    labels = _labels(customer_id, np.unique(points["series"]).tolist())
    for low in range(0, len(points), SAMPLES_IN_A_REQUEST):
        part = points[low : low + SAMPLES_IN_A_REQUEST]
        starts = np.flatnonzero(np.append(True, part["series"][1:] != part["series"][:-1]))
        series = [
            (labels[int(one["series"][0])], one["ts"].tolist(), one["value"].tolist())
            for one in np.split(part, starts[1:])
            if int(one["series"][0]) in labels
        ]
        try:
            _post(remote_write.write(series))
        except NotTakenError as error:
            if not error.for_good:
                raise
            log.error("the store outside refuses %s samples for good: %s", len(part), error)


def _labels(customer_id: int, series_ids: Sequence[int]) -> dict[int, bytes]:
    """The labels of series as a store has them: names of its own kind, and whose they are."""
    rows = Series.objects.filter(customer_id=customer_id, pk__in=series_ids)
    found = {}
    for pk, asset_id, metric, labels in rows.values_list("pk", "asset_id", "metric", "labels"):
        own = {_name(name): value for name, value in parse_labels(labels).items()}
        named = {name if name not in RESERVED else f"exported_{name}": value for name, value in own.items() if value}
        named |= {"customer": str(customer_id), "asset": str(asset_id), "series": str(pk), "__name__": _name(metric)}
        found[pk] = remote_write.encode_labels(named)
    return found


def _name(text: str) -> str:
    """A metric's or label's name in the letters that Prometheus allows."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "_" for letter in text)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _drop_excess() -> int:
    """Forget the oldest rows beyond what may wait; returns how many samples."""
    with transaction.atomic(), archive.as_packer(), connection.cursor() as cursor:
        cursor.execute(
            "WITH newer AS (SELECT id, sum(points) OVER (ORDER BY id DESC) AS waiting FROM samples.outgoing), gone AS"
            " (DELETE FROM samples.outgoing USING newer WHERE newer.id = outgoing.id AND waiting > %s RETURNING points)"
            " SELECT coalesce(sum(points), 0) FROM gone",
            [settings.REMOTE_WRITE_BACKLOG],
        )
        dropped = int(cursor.fetchone()[0])
    if dropped:
        log.error("%s samples had waited too long for the store outside and will not reach it", dropped)
    return dropped


def waiting() -> int:
    """How many samples wait to be sent."""
    with transaction.atomic(), archive.as_packer(), connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(points), 0) FROM samples.outgoing")
        return int(cursor.fetchone()[0])


@async_to_sync
async def _post(body: bytes) -> None:
    headers = {
        "Content-Type": remote_write.CONTENT_TYPE,
        "Content-Encoding": remote_write.ENCODING,
        "X-Prometheus-Remote-Write-Version": remote_write.VERSION,
        "User-Agent": "rdmp",
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.post(settings.REMOTE_WRITE_URL, data=body, headers=headers) as answer,
        ):
            if answer.status // 100 != 2:
                for_good = answer.status // 100 == 4 and answer.status not in (401, 403, 404, 408, 429)
                text = (await answer.text())[:200]
                raise NotTakenError(f"HTTP {answer.status} {text}".strip(), for_good=for_good)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NotTakenError(f"{type(error).__name__} {error}".strip()) from error


# --- reading back --------------------------------------------------------------------------------------------------


class NotReadError(Exception):
    """The store outside did not answer."""


def read_back(
    *, series_ids: Sequence[int], start: datetime, end: datetime, step_s: int, last: bool = False
) -> dict[int, Rollup]:
    """Steps of series from the store outside; with `last` their last value takes the place of the mean. Needs a scope:
    series out of reach come back empty."""
    rows = Series.objects.filter(pk__in=series_ids).values_list("pk", "customer_id", "asset_id")
    mine = {pk: (customer_id, asset_id) for pk, customer_id, asset_id in rows}
    found = dict.fromkeys(series_ids, NO_STEPS)
    for customer_id in sorted({customer_id for customer_id, _ in mine.values()}):
        ids = [pk for pk, owner in mine.items() if owner[0] == customer_id]
        assets = sorted({mine[pk][1] for pk in ids})
        chosen = f'customer="{customer_id}",asset=~"{_either(assets)}",series=~"{_either(ids)}"'
        found |= _query(_Asked(chosen, start, end, step_s, "last" if last else "avg"), {pk: mine[pk] for pk in ids})
    return found


def _either(numbers: Iterable[int]) -> str:
    return "|".join(map(str, numbers))


@dataclass(frozen=True, slots=True)
class _Asked:
    chosen: str
    start: datetime
    end: datetime
    step_s: int
    middle: str


def _query(asked: _Asked, mine: dict[int, tuple[int, int]]) -> dict[int, Rollup]:
    """Four figures of each step. A query at the last millisecond of a step looks back over all of it."""
    step = asked.step_s * 1000
    first = -(-round(asked.start.timestamp() * 1000) // step) * step
    last = -(-round(asked.end.timestamp() * 1000) // step) * step - step
    if last < first:
        return {}
    tables = []
    for function in ("min", "max", asked.middle, "count"):
        query = {
            "query": f"{function}_over_time({{{asked.chosen}}}[{asked.step_s}s])",
            "start": f"{(first + step - 1) / 1000:.3f}",
            "end": f"{(last + step - 1) / 1000:.3f}",
            "step": f"{asked.step_s}s",
            "nocache": "1",
        }
        tables.append(_figures(_get(query), mine, step))
    low, high, middle, count = tables
    return {
        pk: Rollup(ts, values, high[pk][1], middle[pk][1], np.rint(count[pk][1]).astype(np.int32))
        for pk, (ts, values) in low.items()
        if pk in high and pk in middle and pk in count and len(ts) == len(high[pk][0]) == len(middle[pk][0])
    }


def _figures(
    answer: Any, mine: dict[int, tuple[int, int]], step: int
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    found = {}
    for one in answer["data"]["result"]:
        labels = one["metric"]
        pk = int(labels.get("series", -1))
        if pk not in mine or mine[pk] != (int(labels["customer"]), int(labels["asset"])):
            raise NotReadError("the store outside answered with series that were not asked for")
        table = np.array(one["values"], dtype=np.float64).reshape(-1, 2)
        found[pk] = (np.rint(table[:, 0] * 1000).astype(np.int64) + 1 - step, table[:, 1])
    return found


@async_to_sync
async def _get(asked: dict[str, str]) -> Any:
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.post(f"{settings.REMOTE_READ_URL}/api/v1/query_range", data=asked) as answer,
        ):
            if answer.status != 200:
                raise NotReadError(f"HTTP {answer.status} {(await answer.text())[:200]}")
            return await answer.json()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NotReadError(f"{type(error).__name__} {error}") from error
