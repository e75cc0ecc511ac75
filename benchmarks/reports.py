"""How long monthly reports take: JSON lines, one per figure.

    python -m benchmarks.reports [--hosts 200] [--customers 100] [--only one,batch]

It starts a PostgreSQL of its own and fills it with hosts whose month is that of a real one (`benchmarks.storage`), kept
packed as it is a month later. Packing so many days would take longer than all that is measured: some variants of each
day are packed, and each host has one of them under its own series. `reports.web_s` is the page of an issued report,
`reports.pdf_s` the document of the same on one core, from the frozen figures to the bytes,
`reports.pdf_peak_rss_bytes` what that process held at most, `reports.batch100_s` the drafts of a hundred customers by
two workers.
"""

from __future__ import annotations

from benchmarks import _platform  # noqa: F401  # first: it starts the database and sets Django up

# isort: split

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from numpy.typing import NDArray

from accounts import scope
from accounts.models import Contract, Customer, Role, User
from benchmarks import storage
from benchmarks._crowd import signed_in
from incidents.months import Month
from monitoring import archive, packing
from monitoring.packing import Column
from monitoring.storage import steps
from reports.models import ReportKind, ServiceFigures, ServiceReport
from reports.services import service_reports, writing

Figures = Iterator[tuple[str, float, str]]
ROUNDS: Final = 20
WORKERS: Final = 2
HOSTS_EACH: Final = 2
"""Hosts of each customer of the batch."""
DAYS: Final = 32
"""From the UTC day in which a month begins in Shanghai to that in which the longest one ends."""
VARIANTS: Final = 8
"""Different days of hosts that are packed for each date."""


def month() -> Month:
    return Month.of(timezone.localdate()).shifted(-1)


@dataclass(frozen=True)
class Day:
    """A packed day of a host, whose series are numbered from 1."""

    starts_at: datetime
    points: bytes
    fives: bytes
    hours: bytes


@functools.cache
def days() -> list[list[Day]]:
    """Of each date the variants."""
    source, random = storage.recording(), np.random.default_rng(3)
    midnight = month().starts_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dates = [midnight + timedelta(days=number) for number in range(DAYS)]
    return [[packed(date, *source.minutes(1440, random)) for _variant in range(VARIANTS)] for date in dates]


def packed(starts_at: datetime, jitter: NDArray[np.int64], values: NDArray[np.float64]) -> Day:
    ts = round(starts_at.timestamp() * 1000) + storage.MINUTE_MS * np.arange(1440) + jitter
    columns = {number: Column(ts, row) for number, row in enumerate(np.ascontiguousarray(values), 1)}
    fives, hours = ({one: steps(column, step) for one, column in columns.items()} for step in (300, 3600))
    return Day(starts_at, packing.pack(columns), packing.pack_rollups(fives), packing.pack_rollups(hours))


def renamed(block: bytes, ids: Sequence[int]) -> bytes:
    """A packed block with other series, which must ascend: only what it says of their numbers is written anew."""
    version, clocks, series, columns, size, plain = packing.HEADER.unpack_from(block)
    head = zlib.decompress(block[packing.HEADER.size : packing.HEADER.size + size])
    apart = np.diff(np.array([0, *ids])).astype("<u4")
    own = apart.view(np.uint8).reshape(-1, 4).T.tobytes()
    coded = zlib.compress(own + head[len(own) :], packing.LEVEL)
    start = packing.HEADER.pack(version, clocks, series, columns, len(coded), plain)
    return start + coded + block[packing.HEADER.size + size :]


def filled(hosts: int, code: str) -> Customer:
    """A customer under contract with so many hosts and their packed month."""
    source, random = storage.recording(), np.random.default_rng(len(code))
    first = month().starts_at
    made = storage.make_hosts(hosts, source, first - timedelta(days=40), code)
    customer_id = storage.owner(made)
    for asset_id, ids in made.items():
        put_month(customer_id, asset_id, ids, [each[int(random.integers(VARIANTS))] for each in days()])
    with scope.platform("benchmark"):
        customer = Customer.objects.get(pk=customer_id)
        Customer.objects.filter(pk=customer_id).update(status=Customer.Status.IN_SERVICE)
        Contract.objects.create(
            customer=customer, number=code, provider_name="P", customer_party="C", signed_on=first.date(),
            starts_on=(first - timedelta(days=365)).date(), ends_on=(first + timedelta(days=365)).date(),
            sow_version="1", governing_document="SOW",
        )  # fmt: skip
    return customer


def put_month(customer_id: int, asset_id: int, ids: Sequence[int], month_of: Sequence[Day]) -> None:
    place, span = (customer_id, asset_id), (0, min(ids), max(ids))
    with transaction.atomic(), archive.as_packer(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO samples.packed (customer_id, asset_id, hour, hours, part, low_series, high_series, points,"
            " data) VALUES (%s, %s, %s, 24, %s, %s, %s, %s, %s)",
            [(*place, day.starts_at, *span, 1440 * len(ids), renamed(day.points, ids)) for day in month_of],
        )
        cursor.executemany(
            "INSERT INTO samples.steps (customer_id, asset_id, day, part, low_series, high_series, fives, hours)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(*place, day.starts_at, *span, renamed(day.fives, ids), renamed(day.hours, ids)) for day in month_of],
        )


def opened(customer: Customer) -> ServiceReport:
    with scope.customer(customer.pk):
        report = service_reports.open_by_plan(customer=customer, month=month(), now=timezone.now())
    assert report is not None, "it was there already"
    return report


def one(hosts: int) -> Figures:
    """One customer with many hosts: the draft, its page, its document."""
    customer = filled(hosts, "one")
    report = opened(customer)
    began = time.monotonic()
    with scope.platform("benchmark"):
        assert service_reports.read_figures(reading_id=ServiceFigures.objects.get(report=report).pk)
        yield "reports.figures_s", time.monotonic() - began, "s"
        now = timezone.now()
        people = [
            User.objects.create(email=f"{role}@example.com", name=role, role=role, phone="13800000000")
            for role in (Role.ENGINEER, Role.MANAGER)
        ]
        report = ServiceReport.objects.select_related("customer", "author").get(pk=report.pk)
        writing.submit(report=report, actor=people[1], now=now)
        issue = writing.sign(report=report, actor=people[1], now=now)
    browser = signed_in(people[1])
    times = []
    for _round in range(ROUNDS):
        began = time.monotonic()
        answer = browser.get(f"/reports/service/{report.pk}/issues/{issue.pk}/")
        times.append(time.monotonic() - began)
        assert answer.status_code == 200
    yield "reports.web_s", float(np.percentile(times[1:], 95)), "s"
    yield from document(issue.content)


def document(content: dict[str, object]) -> Figures:
    with tempfile.TemporaryDirectory() as place:
        kept = Path(place) / "content.json"
        kept.write_text(json.dumps(content))
        said = json.loads(child("document", str(kept)))
    yield "reports.pdf_s", said["seconds"], "s"
    yield "reports.pdf_peak_rss_bytes", said["rss"], "bytes"
    yield "reports.pdf_bytes", said["bytes"], "bytes"
    yield "reports.pdf_pages", said["pages"], "pages"


def batch(customers: int) -> Figures:
    """Everybody's draft at once."""
    for number in range(customers):
        opened(filled(HOSTS_EACH, f"batch-{number:03}"))
    began = time.monotonic()
    workers = [subprocess.Popen(command("read"), cwd=settings.BASE_DIR) for _worker in range(WORKERS)]
    assert [worker.wait() for worker in workers] == [0] * WORKERS
    took = time.monotonic() - began
    with scope.platform("benchmark"):
        left = ServiceReport.objects.filter(kind=ReportKind.MONTHLY, figures_at=None).count()
    assert left == 0, f"{left} drafts are missing"
    yield f"reports.batch{customers}_s", took, "s"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks._report_worker", *words]


def child(*words: str) -> str:
    done = subprocess.run(command(*words), cwd=settings.BASE_DIR, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--customers", type=int, default=100)
    parser.add_argument("--only", default="one,batch")
    asked = parser.parse_args()
    runs = {"one": lambda: one(asked.hosts), "batch": lambda: batch(asked.customers)}
    for name in asked.only.split(","):
        for figure, value, unit in runs[name]():
            print(json.dumps({"name": figure, "value": round(value, 4), "unit": unit}), flush=True)


if __name__ == "__main__":
    main()
