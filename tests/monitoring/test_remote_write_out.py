"""Samples also go to a real VictoriaMetrics, outlive its outages, and graphs are read back, each customer's own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from monitoring import archive, panels, pipeline, remote_write
from monitoring.models import Series
from monitoring.services import graphs, outgoing
from tests.monitoring.samples import Sample, batch, server
from tests.monitoring.test_agent import wait_until


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


@pytest.fixture
def hour() -> datetime:
    """The beginning of an hour some time ago: VictoriaMetrics takes only what is recent."""
    return timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)


@pytest.fixture(autouse=True)
def _nothing_waits(db: None, settings: LazySettings) -> None:
    settings.REMOTE_WRITE_URL = "http://127.0.0.1:9/api/v1/write"  # the discard port: nobody is there
    with transaction.atomic(), archive.as_packer(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM samples.outgoing")


@contextlib.contextmanager
def victoria(state: Path, port: int) -> Iterator[str]:
    """Debian's VictoriaMetrics; the same state directory brings the same samples back."""
    log = (state / "victoria.log").open("a")
    process = subprocess.Popen(
        [
            "victoria-metrics",
            f"-storageDataPath={state / 'victoria'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-dedup.minScrapeInterval=1ms",
            "-search.latencyOffset=1ms",
            "-memory.allowedBytes=64MB",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/health"), 30)
        yield url
    finally:
        process.terminate()  # it keeps the newest seconds in memory only
        process.wait(30)
        log.close()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def exported(url: str) -> dict[str, list[float]]:
    """Everything the store has: values by customer and name."""
    urllib.request.urlopen(f"{url}/internal/force_flush", timeout=10).close()
    query = urllib.parse.urlencode({"match[]": '{customer!=""}'})
    with urllib.request.urlopen(f"{url}/api/v1/export?{query}", timeout=10) as answer:
        rows: list[Any] = [json.loads(line) for line in answer.read().decode().splitlines()]
    return {f"{row['metric']['customer']} {row['metric']['__name__']}": row["values"] for row in rows}


def take_in(customer: Customer, asset: Asset, hour: datetime, values: dict[float, float], now: datetime) -> None:
    rows: list[Sample] = [
        (asset, "host.mem.util", {}, hour + timedelta(minutes=at), value) for at, value in values.items()
    ]
    pipeline.ingest(batch(customer, rows), now=now)


def curve(asset: Asset, hour: datetime, step: int) -> dict[str, Any]:
    found = panels.panel("memory")
    assert found is not None
    with scope.customer(asset.customer_id):
        one: dict[str, Any] = graphs.graph(asset, found, graphs.Window(hour, hour + timedelta(hours=1), step))[
            "series"
        ][0]
        return one


def test_samples_reach_the_store_once_through_an_outage_and_a_restart(
    jia: Customer, yi: Customer, web: Asset, hour: datetime, settings: LazySettings, tmp_path: Path
) -> None:
    theirs, now = server(yi), timezone.now()
    port = free_port()
    take_in(jia, web, hour, {0: 10.5, 1: 20}, now)
    assert outgoing.run().problem, "nobody is there"
    assert outgoing.waiting() == 2
    settings.REMOTE_WRITE_URL = f"http://127.0.0.1:{port}/api/v1/write"
    with victoria(tmp_path, port) as url:
        assert outgoing.run() == outgoing.Sent(points=2)
        assert outgoing.waiting() == 0
        take_in(jia, web, hour, {2: 30}, now)
        take_in(yi, theirs, hour, {2: 99}, now)
        assert outgoing.run() == outgoing.Sent(points=2)
        expected = {f"{jia.pk} host_mem_util": [10.5, 20, 30], f"{yi.pk} host_mem_util": [99]}
        assert exported(url) == expected
    take_in(jia, web, hour, {3: 40, 0.5: 15}, now)
    assert outgoing.run().problem
    with victoria(tmp_path, port) as url:
        assert outgoing.run() == outgoing.Sent(points=2)
        expected[f"{jia.pk} host_mem_util"] = [10.5, 15, 20, 30, 40]
        assert exported(url) == expected


def test_graphs_are_read_back_from_the_store_and_show_the_same(
    jia: Customer, yi: Customer, web: Asset, hour: datetime, settings: LazySettings, tmp_path: Path
) -> None:
    theirs, now = server(yi), timezone.now()
    take_in(jia, web, hour, {at: (at * 37) % 100 for at in range(40)}, now)
    take_in(yi, theirs, hour, dict.fromkeys(range(40), 55), now)
    port = free_port()
    own = {step: curve(web, hour, step) for step in (60, 300, 3600)}
    settings.REMOTE_WRITE_URL = f"http://127.0.0.1:{port}/api/v1/write"
    settings.REMOTE_READ_URL = f"http://127.0.0.1:{port}"
    assert curve(web, hour, 300) == own[300], "while the store does not answer, our own history is shown"
    with victoria(tmp_path, port) as url:
        assert outgoing.run().points == 80
        exported(url)
        with transaction.atomic(), archive.as_packer(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM samples.block")  # so that nothing else can answer
        for step, expected in own.items():
            assert curve(web, hour, step) == expected
        end = hour + timedelta(hours=1)
        with scope.platform("ids"):
            foreign = Series.objects.get(asset=theirs).pk
        with scope.customer(jia):
            assert len(outgoing.read_back(series_ids=[foreign], start=hour, end=end, step_s=300)[foreign].ts) == 0
        with scope.customer(yi):
            assert (
                outgoing.read_back(series_ids=[foreign], start=hour, end=end, step_s=300)[foreign].high.tolist()
                == [55.0] * 8
            )


def test_a_store_that_answers_with_others_series_is_not_believed(
    jia: Customer, web: Asset, hour: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(jia, web, hour, {0: 1}, timezone.now())
    with scope.customer(jia):
        series = Series.objects.get().pk
        labels = {"series": str(series), "customer": str(jia.pk + 1), "asset": str(web.pk)}
        answer = {"data": {"result": [{"metric": labels, "values": [[hour.timestamp(), "1"]]}]}}
        monkeypatch.setattr(outgoing, "_get", lambda _: answer)
        with pytest.raises(outgoing.NotReadError):
            outgoing.read_back(series_ids=[series], start=hour, end=hour + timedelta(hours=1), step_s=300)


def test_what_waits_is_bounded_and_the_oldest_goes_first(
    jia: Customer, web: Asset, hour: datetime, settings: LazySettings
) -> None:
    settings.REMOTE_WRITE_BACKLOG = 5
    for at in range(4):
        take_in(jia, web, hour, {2 * at: 1, 2 * at + 1: 2}, timezone.now())
    assert outgoing.run().dropped == 4
    assert outgoing.waiting() == 4


def test_nothing_is_kept_for_a_store_that_is_not_configured(
    jia: Customer, web: Asset, hour: datetime, settings: LazySettings
) -> None:
    settings.REMOTE_WRITE_URL = ""
    take_in(jia, web, hour, {0: 1}, timezone.now())
    assert outgoing.waiting() == 0
    assert outgoing.run() == outgoing.Sent()


def test_labels_are_in_the_letters_of_prometheus_and_nobody_forges_a_customer(
    jia: Customer, web: Asset, hour: datetime
) -> None:
    labels = {"customer": "999", "mount-point": "/data", "series": "1"}
    pipeline.ingest(batch(jia, [(web, "host.fs.used_pct", labels, hour, 5.0)]), now=timezone.now())
    with scope.customer(jia):
        series = Series.objects.get()
        found = remote_write.labels_of(outgoing._labels(jia.pk, [series.pk])[series.pk])
    assert found["customer"] == str(jia.pk)
    assert found["series"] == str(series.pk)
    assert found["exported_customer"] == "999"
    assert found["__name__"] == "host_fs_used_pct"


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_store_is_waited_for_and_nobody_sends_beside(
    jia: Customer, web: Asset, hour: datetime, settings: LazySettings
) -> None:
    take_in(jia, web, hour, {0: 1, 1: 2}, timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    seen: list[tuple[list[str], outgoing.Sent]] = []

    class Store(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with scope.platform("look"), connection.cursor() as cursor:
                cursor.execute("SELECT locktype FROM pg_locks WHERE pid = %s ORDER BY 1", [backend])
                seen.append(([locktype for (locktype,) in cursor], outgoing.run()))
            connection.close()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nothing is written down."""

    store = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    settings.REMOTE_WRITE_URL = f"http://127.0.0.1:{store.server_port}/api/v1/write"
    try:
        assert outgoing.run() == outgoing.Sent(points=2)
    finally:
        store.shutdown()
        store.server_close()
    assert seen == [(["advisory"], outgoing.Sent())], "a transaction would hold a virtualxid as well"
    assert outgoing.waiting() == 0
    assert outgoing.run() == outgoing.Sent(), "the lock is free again"
