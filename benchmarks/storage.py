"""How much room samples take at rest and how fast graphs come, on figures of a real host: JSON lines, one per figure.

    python -m benchmarks.storage [--hosts 10] [--year-hosts 3]

It starts a PostgreSQL of its own. `data/host.csv.gz` holds an hour and more of a working two-core machine, read every
15 seconds through the host agent and turned into figures of whole minutes as the collector does it: four readings,
shifted by 15 seconds, so that none repeats another's values. Days are put together from pieces of ten minutes drawn at
random, all figures of the host together. That breaks what goes on smoothly more often than a real day does, and a
repeated piece saves nothing: values are told from the ones before them, and no dictionary is kept of them.
"""

from __future__ import annotations

from benchmarks import _platform  # first: it starts the database and sets Django up

# isort: split

import argparse
import csv
import gzip
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from monitoring import archive, storage
from monitoring.models import Newest, Series
from monitoring.packing import Column
from monitoring.services import graphs, packer

RECORDING = Path(__file__).parent / "data" / "host.csv.gz"
MINUTE_MS = 60_000
PIECE = 10
"""Minutes that stay together."""
COPIES = 20
"""The year of each host is copied to so many others, so that tables and indexes are as deep as they would be."""
TABLES = ("packed", "steps", "open_day")

Figures = tuple[float, str]


@dataclass(frozen=True)
class Recording:
    """Some readings of one host: for each the milliseconds past the minute, and a row of values per figure."""

    keys: list[tuple[str, str]]
    jitter: list[NDArray[np.int64]]
    values: list[NDArray[np.float64]]

    def minutes(self, count: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """So many minutes in random pieces: milliseconds past each minute, and values."""
        jitter, values = [], []
        for _ in range(-(-count // PIECE)):
            reading = int(random.integers(len(self.values)))
            at = int(random.integers(self.values[reading].shape[1] - PIECE + 1))
            jitter.append(self.jitter[reading][at : at + PIECE])
            values.append(self.values[reading][:, at : at + PIECE])
        return np.concatenate(jitter)[:count], np.concatenate(values, axis=1)[:, :count]


def recording() -> Recording:
    readings: dict[str, dict[tuple[str, str], list[tuple[int, float]]]] = {}
    with gzip.open(RECORDING, "rt") as file:
        for host, metric, labels, points in list(csv.reader(file))[1:]:
            pairs = [point.split(":") for point in points.split()]
            readings.setdefault(host, {})[metric, labels] = [(int(at), float(value)) for at, value in pairs]
    keys = sorted(set.intersection(*(set(figures) for figures in readings.values())))
    jitter, values = [], []
    for figures in readings.values():
        shared = sorted(set.intersection(*({at for at, _ in figures[key]} for key in keys)))
        first = shared[0]
        jitter.append(np.array([(at - first + MINUTE_MS // 2) % MINUTE_MS - MINUTE_MS // 2 + 500 for at in shared]))
        values.append(np.array([[dict(figures[key])[at] for at in shared] for key in keys]))
    return Recording(keys, jitter, values)


def make_hosts(count: int, source: Recording, now: datetime, code: str) -> dict[int, list[int]]:
    """Hosts with their series: ids of series by asset."""
    with scope.platform("benchmark"):
        customer = Customer.objects.create(name=code, short_name=code, code=code, created_at=now)
        found = {}
        for number in range(count):
            asset = Asset.objects.create(
                customer=customer, kind="server", os="linux", name=f"h{number}", created_at=now, changed_at=now
            )
            rows = [
                Series(customer=customer, asset=asset, metric=metric, labels=labels, created_at=now)
                for metric, labels in source.keys
            ]
            found[asset.pk] = [row.pk for row in Series.objects.bulk_create(rows)]
            Newest.objects.create(customer=customer, asset=asset, data=b"")
        return found


def owner(hosts: dict[int, list[int]]) -> int:
    with scope.platform("benchmark"):
        return int(Asset.objects.get(pk=next(iter(hosts))).customer_id)


def bytes_per_sample(hosts: int = 10, days: int = 4) -> Iterator[tuple[str, Figures]]:
    """Days of some hosts through COPY and the packer, and by how much a day makes the tables grow, indexes and all.

    The first day is not counted: it also makes the room that packed hours of the running day take, which every later
    day uses again. VACUUM, which PostgreSQL does by itself within minutes, is called after each day.
    """
    source, random = recording(), np.random.default_rng(7)
    now = datetime.now(UTC)
    first = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days + 1)
    made = make_hosts(hosts, source, now, "day")
    customer_id = owner(made)
    samples, raw, cpu, wall = 0, 0, 0.0, 0.0
    sizes = []
    for number in range(days):
        day = first + timedelta(days=number)
        storage.make_days([day.date()])
        for asset_id, ids in made.items():
            place = (asset_id, round(day.timestamp() * 1000))
            samples += write_day(customer_id, place, ids, source.minutes(1440, random))
        raw += size("block_" + day.strftime("%Y%m%d"))
        cpu, wall = cpu - _platform.cpu_seconds(), wall - time.monotonic()
        for hour in range(25):  # as the beat does: hour by hour, then the day
            packer.run(now=day + timedelta(hours=hour + 1, minutes=15))
        cpu, wall = cpu + _platform.cpu_seconds(), wall + time.monotonic()
        vacuum()
        sizes.append([size(table) for table in TABLES])
    later = samples * (days - 1) / days
    points, steps, rest = ((last - before) / later for before, last in zip(sizes[0], sizes[-1], strict=True))
    print(f"{samples} samples, {len(source.keys)} figures a host, {raw / samples:.2f} bytes before", file=sys.stderr)
    yield "monitoring.bytes_per_sample", (points + steps + rest, "bytes")
    yield "monitoring.bytes_per_sample.points", (points, "bytes")
    yield "monitoring.bytes_per_sample.steps", (steps, "bytes")
    yield "monitoring.pack_cpu_s_per_million", (cpu / samples * 1e6, "s")
    yield "monitoring.pack_samples_per_s", (samples / wall, "samples/s")


def write_day(
    customer_id: int, place: archive.Place, ids: list[int], minutes: tuple[NDArray[np.int64], NDArray[np.float64]]
) -> int:
    """A day of one host into the raw rows; returns how many samples."""
    asset_id, start = place
    jitter, values = minutes
    ts = np.repeat(start + MINUTE_MS * np.arange(1440) + jitter, len(ids))
    with scope.customer(customer_id), transaction.atomic():
        storage.write(
            customer_id=customer_id,
            asset=np.full(len(ts), asset_id),
            ts=ts,
            series=np.tile(np.array(ids, dtype=np.int32), 1440),
            value=values.T.ravel(),
        )
    return len(ts)


def vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        for table in TABLES:
            cursor.execute(f"VACUUM samples.{table}")
        cursor.execute("SET ROLE rdmp_app")


def size(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s::regclass)", [f"samples.{table}"])
        return int(cursor.fetchone()[0])


def graph_times(hosts: int = 3) -> Iterator[tuple[str, Figures]]:
    """Every graph of some hosts with a packed year, over every range."""
    source, random = recording(), np.random.default_rng(8)
    now = datetime.now(UTC)
    end = now.replace(hour=0, minute=0, second=0, microsecond=0)
    made = make_hosts(hosts, source, now, "year")
    customer_id = owner(made)
    for asset_id, ids in made.items():
        for number in range(366):
            day = round((end - timedelta(days=number + 1)).timestamp() * 1000)
            put_day(customer_id, (asset_id, day), ids, source.minutes(1440, random))
    copy_years(list(made))
    views = {name: graphs.Window.of(end - length, end) for name, length in graphs.RANGES.items()}
    times: dict[str, list[float]] = {name: [] for name in views}
    with scope.customer(customer_id):
        assets = list(Asset.objects.filter(pk__in=made))
        for asset in assets:
            for panel in graphs.panels_of(asset):
                for name, view in views.items():
                    began = time.perf_counter()
                    graph = graphs.graph(asset, panel, view)
                    times[name].append(time.perf_counter() - began)
                    assert all(one["t"] for one in graph["series"]), (panel.id, name)
    for name, taken in times.items():
        yield f"monitoring.graph_p95_s.{name}", (float(np.quantile(taken, 0.95)), "s")
    yield "monitoring.graph_p95_s", (float(np.quantile(np.concatenate(list(times.values())), 0.95)), "s")
    yield "monitoring.graph_max_s", (max(map(max, times.values())), "s")


def put_day(
    customer_id: int, place: archive.Place, ids: list[int], minutes: tuple[NDArray[np.int64], NDArray[np.float64]]
) -> None:
    """A packed day with its steps, without the way through the raw rows."""
    asset_id, start = place
    jitter, values = minutes
    ts = start + MINUTE_MS * np.arange(1440) + jitter
    hours = {
        (asset_id, start + hour * storage.HOUR_MS): {
            one: Column(ts[60 * hour : 60 * hour + 60], values[place, 60 * hour : 60 * hour + 60])
            for place, one in enumerate(ids)
        }
        for hour in range(24)
    }
    with transaction.atomic(), archive.as_packer():
        archive.add(customer_id, hours)
        archive.close_days(customer_id, [(asset_id, start)])


def copy_years(assets: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        for table, moment, rest in (
            ("packed", "hour", "hours, part, low_series, high_series, points, data"),
            ("steps", "day", "part, low_series, high_series, fives, hours"),
        ):
            cursor.execute(
                f"INSERT INTO samples.{table} SELECT customer_id, asset_id + 1000000 * copy, {moment}, {rest}"
                f" FROM samples.{table}, generate_series(1, %s) AS copy WHERE asset_id = ANY(%s)",
                [COPIES // len(assets), assets],
            )
        cursor.execute("ANALYZE")
        cursor.execute("SET ROLE rdmp_app")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=10, help="0: no bytes")
    parser.add_argument("--year-hosts", type=int, default=3, help="0: no graphs")
    options = parser.parse_args()
    for figures, count in ((bytes_per_sample, options.hosts), (graph_times, options.year_hosts)):
        for name, (value, unit) in figures(count) if count else ():
            print(json.dumps({"name": name, "value": round(value, 4), "unit": unit}), flush=True)


if __name__ == "__main__":
    main()
