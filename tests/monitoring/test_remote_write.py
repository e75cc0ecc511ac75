"""Prometheus remote write in: by a customer's token, into its assets, once, with the answers of the protocol."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import cramjam
import pytest
from django.conf import LazySettings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.live_server_helper import LiveServer

from accounts import scope
from accounts.errors import DomainError
from accounts.models import ApiToken, Customer, Role, User
from accounts.services import tokens
from assets.models import Asset
from monitoring import remote_write, storage
from monitoring.models import RemoteSource, Series
from monitoring.services import graphs, remote
from tests.conftest import make_person
from tests.monitoring.samples import server
from tests.monitoring.test_agent import TOKEN, agent, wait_until

HEADERS = {
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]

Rows = list[tuple[Mapping[str, str], list[int], list[float]]]


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, private_ip="10.1.2.3", provider_id="i-bp1abc")


def key_of(person: User, kind: str = ApiToken.Scope.METRICS) -> str:
    with scope.platform("test"):
        return tokens.issue(
            actor=person, name="prometheus", scope=kind, valid_for=timedelta(days=30), now=timezone.now()
        )[1]


def body_of(rows: Rows) -> bytes:
    return remote_write.write((remote_write.encode_labels(labels), ts, values) for labels, ts, values in rows)


def send(key: str, body: bytes, **headers: str) -> HttpResponse:
    said = {"Authorization": f"Bearer {key}", **HEADERS, **{name.replace("_", "-"): v for name, v in headers.items()}}
    kind = said.pop("Content-Type", remote_write.CONTENT_TYPE)
    return Client(headers=said).post("/api/v1/write", body, content_type=kind)  # type: ignore[return-value]  # not streamed


def ms(at: datetime | None = None, back_s: float = 0) -> int:
    return round(((at or timezone.now()).timestamp() - back_s) * 1000)


def points(asset: Asset, metric: str) -> list[float]:
    now = timezone.now()
    with scope.customer(asset.customer_id):
        series = Series.objects.filter(asset=asset, metric=metric).first()
        if series is None:
            return []
        found = storage.read(
            asset_id=asset.pk, series_ids=[series.pk], start=now - timedelta(days=2), end=now + timedelta(hours=1)
        )
        return [float(value) for value in found[series.pk].value]


# --- the message ---------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=20)
LABELS = st.dictionaries(TEXT.filter(bool), TEXT, max_size=5).map(lambda labels: {**labels, "__name__": "m"})
SAMPLES = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)), max_size=5)


@given(st.lists(st.tuples(LABELS, SAMPLES), max_size=5))
def test_what_is_written_is_read_back(rows: list[tuple[dict[str, str], list[tuple[int, float]]]]) -> None:
    body = body_of([(labels, [at for at, _ in samples], [value for _, value in samples]) for labels, samples in rows])
    found = remote_write.read(remote_write.decompress(body))
    assert [remote_write.labels_of(one) for one in found.labels] == [labels for labels, _ in rows]
    assert found.ts.tolist() == [at for _, samples in rows for at, _ in samples]
    assert found.value.tolist() == [value for _, samples in rows for _, value in samples]
    assert found.index.tolist() == [place for place, (_, samples) in enumerate(rows) for _ in samples]


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(body: bytes) -> None:
    for message in (body, bytes(cramjam.snappy.compress_raw(body))):
        try:
            for one in remote_write.read(remote_write.decompress(message)).labels:
                remote_write.labels_of(one)
        except (remote_write.BadRequestError, remote_write.TooLargeError):
            pass


def test_fields_of_no_interest_are_passed_over() -> None:
    labels = remote_write.encode_labels({"__name__": "m"})
    exemplar = b"\x1a\x02\x0a\x00"
    series = labels + b"\x12\x0b\x09" + struct.pack("<d", 5.0) + b"\x10\x07" + exemplar
    message = b"\x0a" + bytes([len(series)]) + series + b"\x1a\x02\x08\x01" + b"\x18\x05"
    found = remote_write.read(message)
    assert (found.ts.tolist(), found.value.tolist()) == ([7], [5.0])


# --- whose ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        {"instance": "10.1.2.3:9100"},
        {"instance": "web-01"},
        {"instance": "web-01:9100"},
        {"host": "web-01", "instance": "10.9.9.9:9100"},
        {"rdmp_asset": "i-bp1abc", "instance": "localhost:9090"},
    ],
)
def test_samples_find_their_asset_by_their_labels(web: Asset, alice: User, labels: dict[str, str]) -> None:
    answer = send(key_of(alice), body_of([({"__name__": "app_orders", **labels}, [ms()], [12.5])]))
    assert (answer.status_code, answer.content) == (204, b"")
    assert points(web, "app_orders") == [12.5]


def test_samples_of_what_is_no_asset_are_counted_and_shown_not_stored(jia: Customer, web: Asset, alice: User) -> None:
    key = key_of(alice)
    rows: Rows = [({"__name__": "up", "instance": "10.7.7.7:9100"}, [ms()], [1.0])]
    assert send(key, body_of(rows)).status_code == 204
    with scope.customer(jia):
        source = RemoteSource.objects.get()
        assert (source.name, source.asset, source.refused, source.samples) == ("10.7.7.7:9100", None, 1, 0)
        assert not Series.objects.exists()
        Asset.objects.filter(pk=web.pk).update(private_ip="10.7.7.7")
    assert send(key, body_of(rows)).status_code == 204
    assert points(web, "up") == [1.0]
    with scope.customer(jia):
        assert RemoteSource.objects.get().asset_id == web.pk


def test_two_assets_of_one_address_are_not_guessed_between(jia: Customer, web: Asset, alice: User) -> None:
    server(jia, "web-02", private_ip="10.1.2.3")
    with scope.customer(jia):
        assert remote.match(["10.1.2.3:9100", "web-02", "i-bp1abc"]).keys() == {"web-02", "i-bp1abc"}


def test_a_token_writes_into_its_own_customer_alone(jia: Customer, yi: Customer, web: Asset, eve: User) -> None:
    theirs = server(yi, "theirs")
    names = [{"instance": "web-01"}, {"rdmp_asset": str(web.pk)}, {"rdmp_asset": "i-bp1abc"}, {"host": "theirs"}]
    rows: Rows = [({"__name__": "orders", **labels}, [ms()], [1.0]) for labels in names]
    assert send(key_of(eve), body_of(rows)).status_code == 204
    assert points(web, "orders") == []
    assert points(theirs, "orders") == [1.0]
    with scope.customer(jia):
        assert not RemoteSource.objects.exists()
    with scope.customer(yi):
        assert RemoteSource.objects.filter(asset=None).count() == 3


@pytest.mark.parametrize(
    ("who", "kind", "status"),
    [
        ("alice", "metrics", 204),
        ("alice", "write", 204),
        ("alice", "read", 403),
        ("chen", "metrics", 403),
        ("nobody", "", 401),
    ],
)
def test_who_may_write_samples(web: Asset, alice: User, chen: User, who: str, kind: str, status: int) -> None:
    people = {"alice": alice, "chen": chen}
    key = key_of(people[who], kind) if who in people else "rdmp_wrong"
    assert send(key, body_of([({"__name__": "a", "host": "web-01"}, [ms()], [1.0])])).status_code == status


def test_a_token_for_samples_reads_nothing(alice: User) -> None:
    key = key_of(alice)
    answer = Client(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/alerts/")
    assert answer.status_code == 403


def test_a_viewer_makes_no_token_for_samples(jia: Customer) -> None:
    viewer = make_person("viktor", Role.CUSTOMER_VIEWER, jia)
    with pytest.raises(DomainError):
        key_of(viewer)


# --- what ----------------------------------------------------------------------------------------------------------


def test_what_comes_again_or_out_of_order_is_stored_once(web: Asset, alice: User) -> None:
    key, now = key_of(alice), ms()
    labels = {"__name__": "orders", "host": "web-01"}
    for times in ([now - 60_000, now], [now - 120_000, now - 60_000], [now - 90_000], [now]):
        assert send(key, body_of([(labels, times, [float(at % 1000) for at in times])])).status_code == 204
    assert len(points(web, "orders")) == 4


def test_stale_markers_and_no_numbers_are_no_samples(web: Asset, alice: User) -> None:
    now = ms()
    rows: Rows = [
        (
            {"__name__": "a", "host": "web-01"},
            [now - 3, now - 2, now - 1, now],
            [1.0, STALE, float("nan"), float("inf")],
        )
    ]
    assert send(key_of(alice), body_of(rows)).status_code == 204
    assert points(web, "a") == [1.0]


def page(cpu_idle: float, received: float, at: int) -> Rows:
    """A small page of a node_exporter; 60 seconds of two modes."""
    figures = {
        ("node_cpu_seconds_total", (("cpu", "0"), ("mode", "idle"))): cpu_idle,
        ("node_cpu_seconds_total", (("cpu", "0"), ("mode", "user"))): at / 1000 - cpu_idle,
        ("node_network_receive_bytes_total", (("device", "eth0"),)): received,
        ("node_network_receive_bytes_total", (("device", "lo"),)): 5.0,
        ("node_load1", ()): 0.5,
        ("node_memory_MemTotal_bytes", ()): 1000.0,
        ("node_memory_MemAvailable_bytes", ()): 250.0,
    }
    return [
        ({"__name__": name, "instance": "10.1.2.3:9100", "job": "node", **dict(labels)}, [at], [value])
        for (name, labels), value in figures.items()
    ]


def test_a_node_exporters_page_becomes_host_figures_though_it_comes_in_pieces(web: Asset, alice: User) -> None:
    key, now = key_of(alice), ms()
    first, second = page(1000.0, 0.0, now - 60_000), page(1045.0, 6000.0, now)
    for rows in (first[:3], first[3:], second[:5], second[2:], second):
        assert send(key, body_of(rows)).status_code == 204
    assert points(web, "host.mem.util") == [75.0, 75.0]
    assert points(web, "host.cpu.util") == [pytest.approx(25.0)]
    assert points(web, "host.net.in_bytes_per_s") == [pytest.approx(100.0)]
    with scope.customer(web.customer_id):
        assert not Series.objects.filter(metric__startswith="node_").exists()


# --- limits --------------------------------------------------------------------------------------------------------


def test_too_many_series_are_refused_for_good_and_old_ones_go_on(
    web: Asset, alice: User, settings: LazySettings
) -> None:
    settings.REMOTE_SERIES = 3
    key, now = key_of(alice), ms()

    def rows(count: int, at: int) -> Rows:
        return [({"__name__": f"m{number}", "host": "web-01"}, [at], [1.0]) for number in range(count)]

    assert send(key, body_of(rows(3, now - 1))).status_code == 204
    answer = send(key, body_of(rows(5, now)))
    assert answer.status_code == 400
    assert b"2 series are too many" in answer.content
    assert points(web, "m2") == [1.0, 1.0]
    assert points(web, "m3") == []


def test_too_many_samples_are_told_when_to_come_again(web: Asset, alice: User, settings: LazySettings) -> None:
    settings.REMOTE_SAMPLES_PER_MINUTE = 10
    key, now = key_of(alice), ms()
    rows: Rows = [({"__name__": "m", "host": "web-01"}, [now - 7 + at for at in range(7)], [1.0] * 7)]
    with pytest.MonkeyPatch.context() as clock:
        fixed = timezone.now().replace(second=20, microsecond=0)
        clock.setattr(timezone, "now", lambda: fixed)
        assert send(key, body_of(rows)).status_code == 204
        answer = send(key, body_of(rows))
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) == 40


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (lambda good: b"\x80", {}, 400),
        (lambda good: b"not snappy at all", {}, 400),
        (lambda good: bytes(cramjam.snappy.compress_raw(b"\x0a\x7f")), {}, 400),
        (lambda good: b"\xff\xff\xff\xff\x0f" + good, {}, 413),
        (lambda good: b"x" * (remote_write.LARGEST + 1), {}, 413),
        (lambda good: bytes(cramjam.snappy.compress_raw(bytes(remote_write.LARGEST_PLAIN + 1))), {}, 413),
        (lambda good: good, {"Content_Encoding": "gzip"}, 415),
        (lambda good: good, {"Content_Type": "application/json"}, 415),
        (lambda good: good, {"Content_Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415),
        (lambda good: good, {"X_Prometheus_Remote_Write_Version": "2.0.0"}, 400),
        (lambda good: good, {"Content_Type": "application/x-protobuf;proto=prometheus.WriteRequest"}, 204),
    ],
)
def test_what_is_no_write_request_is_refused_for_good(
    web: Asset, alice: User, body: Callable[[bytes], bytes], headers: dict[str, str], status: int
) -> None:
    good = body_of([({"__name__": "m", "host": "web-01"}, [ms()], [1.0])])
    assert send(key_of(alice), body(good), **headers).status_code == status


def test_the_good_part_of_a_request_is_kept(web: Asset, alice: User) -> None:
    rows: Rows = [
        ({"__name__": "good", "host": "web-01"}, [ms()], [1.0]),
        ({"__name__": "nobody"}, [ms()], [1.0]),
        ({"host": "web-01"}, [ms()], [1.0]),
        ({"__name__": "early", "host": "web-01"}, [ms(back_s=90 * 86400)], [1.0]),
    ]
    answer = send(key_of(alice), body_of(rows))
    assert answer.status_code == 400
    assert b"without a name" in answer.content
    assert b"none of the labels" in answer.content
    assert b"too old" in answer.content
    assert points(web, "good") == [1.0]


# --- a real Prometheus ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_real_prometheus_writes_what_the_agent_of_a_host_says(
    alice: User, jia: Customer, live_server: LiveServer, tmp_path: Path
) -> None:
    asset = server(jia, "web-01")
    with agent() as (_process, port), prometheus(tmp_path, port, f"{live_server.url}/api/v1/write", key_of(alice)):
        wait_until(lambda: len(points(asset, "host.cpu.util")) > 1 and len(points(asset, "up")) > 1, 60)
    assert 0 <= points(asset, "host.mem.util")[-1] <= 100
    assert points(asset, "host.net.in_bytes_per_s")
    assert set(points(asset, "up")) == {1.0}
    with scope.customer(jia):
        assert RemoteSource.objects.get(name="web-01").asset_id == asset.pk


@contextlib.contextmanager
def prometheus(state: Path, agent_port: int, url: str, key: str) -> Iterator[None]:
    """Debian's Prometheus, scraping a host agent every second and writing everything to us."""
    config = state / "prometheus.yml"
    config.write_text(
        f"""
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - job_name: hosts
    authorization: {{credentials: {TOKEN}}}
    static_configs: [{{targets: ["127.0.0.1:{agent_port}"], labels: {{host: web-01}}}}]
remote_write:
  - url: {url}
    authorization: {{credentials: {key}}}
    queue_config: {{batch_send_deadline: 500ms, max_samples_per_send: 40}}
"""
    )
    log = (state / "prometheus.log").open("w")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={state / 'tsdb'}",
            "--web.listen-address=127.0.0.1:0",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        yield
    except AssertionError as error:
        raise AssertionError((state / "prometheus.log").read_text()[-3000:]) from error
    finally:
        process.kill()
        process.wait()
        log.close()


def test_a_customers_own_metric_has_a_graph_of_its_own(web: Asset, alice: User) -> None:
    assert (
        send(key_of(alice), body_of([({"__name__": "app_orders", "host": "web-01"}, [ms()], [12.5])])).status_code
        == 204
    )
    now = timezone.now()
    with scope.customer(web.customer_id):
        (panel,) = graphs.panels_of(web)
        found = graphs.graph(web, panel, graphs.Window.of(now - timedelta(hours=1), now + timedelta(minutes=1)))
    assert (panel.id, found["series"][0]["v"]) == ("app_orders", [12.5])
