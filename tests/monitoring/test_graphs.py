"""What graphs show: buckets, gaps, peaks, alarms; whose they are; and the page piece that holds them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone, translation

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring import panels, pipeline
from monitoring.collectors import labels_text, parse_labels
from monitoring.models import Target
from monitoring.rules import METRICS
from monitoring.services import graphs, packer, targets
from tests.conftest import NOW, ClientFor
from tests.monitoring.samples import START, batch, feed, minute, server

HOUR = timedelta(hours=1)


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def view(start: float, end: float, step: int = 60) -> graphs.Window:
    return graphs.Window(minute(start), minute(end), step)


def shown(asset: Asset, panel: str, window: graphs.Window, since: datetime | None = None) -> dict[str, object]:
    found = panels.panel(panel)
    assert found is not None
    with scope.customer(asset.customer_id):
        return graphs.graph(asset, found, window, since=since)


def curve(asset: Asset, panel: str, window: graphs.Window, place: int = 0) -> list[tuple[float, float | None]]:
    """A curve as minutes and values."""
    series = shown(asset, panel, window)["series"]
    assert isinstance(series, list)
    one = series[place]
    return [((ms / 1000 - START.timestamp()) / 60, value) for ms, value in zip(one["t"], one["v"], strict=True)]


@pytest.mark.django_db
def test_points_come_back_in_order_with_their_values(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.mem.util", [10, 20, 30])
    assert curve(web, "memory", view(0, 10)) == [(0, 10), (1, 20), (2, 30)]


@pytest.mark.django_db
def test_a_bucket_has_the_mean_and_keeps_the_peak(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.mem.util", [10, 10, 10, 10, 100, 10])
    [one] = shown(web, "memory", view(0, 10, 300))["series"][:1]  # type: ignore[index]  # JSON
    assert one["v"] == [28.0, 10.0]
    assert one["lo"] == [10.0, 10.0]
    assert one["hi"] == [100.0, 10.0]


@pytest.mark.django_db
@pytest.mark.parametrize(("length", "step"), [(2, 30), (12, 120), (24, 300), (7 * 24, 1800), (366 * 24, 86_400)])
def test_any_range_shows_the_same_extremes_before_and_after_packing(
    jia: Customer, web: Asset, length: int, step: int
) -> None:
    feed(jia, web, "host.mem.util", [10, 20, 99, 30, 5] * 24)
    window = graphs.Window.of(minute(120) - timedelta(hours=length), minute(120))
    assert window.step == step
    before = shown(web, "memory", window)["series"]
    packer.run(now=minute(60 * 48))
    after = shown(web, "memory", window)["series"]
    assert after == before
    assert isinstance(after, list)
    [one] = after
    assert max(one["hi"] or one["v"]) == 99
    assert min(one["lo"] or one["v"]) == 5


@pytest.mark.django_db
def test_a_code_is_never_averaged(jia: Customer, web: Asset) -> None:
    feed(jia, web, "port.result_code", [0, 0, 2, 2, 2], labels={"port": "80"})
    assert [value for _, value in curve(web, "port", view(0, 10, 300))] == [2.0]


@pytest.mark.django_db
def test_silence_breaks_the_line_instead_of_bridging_it(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.mem.util", [10] * 10)
    feed(jia, web, "host.mem.util", [20] * 10, start=40)
    values = [value for _, value in curve(web, "memory", view(0, 60))]
    assert values == [10] * 10 + [None] + [20] * 10


@pytest.mark.django_db
def test_a_graph_that_goes_on_brings_only_what_is_new(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.mem.util", range(30))
    everything = shown(web, "memory", view(0, 60))
    rest = shown(web, "memory", view(0, 60), since=minute(25))
    assert len(everything["series"][0]["t"]) == 30  # type: ignore[index]  # JSON
    assert rest["series"][0]["v"] == [25, 26, 27, 28, 29]  # type: ignore[index]  # JSON
    assert rest["from"] == everything["from"]


@pytest.mark.django_db
def test_an_alarm_is_drawn_while_it_was_open(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [10, 95, 95, 95, 95, 10, 10, 10, 10])
    found = shown(web, "cpu", view(0, 60))["alarms"]
    assert isinstance(found, list)
    [alarm] = found
    assert alarm["from"] == round(minute(3).timestamp() * 1000)
    assert alarm["to"] is not None
    assert alarm["severity"] == 3
    assert "/incidents/" in alarm["url"]
    assert shown(web, "memory", view(0, 60))["alarms"] == []
    assert shown(web, "cpu", view(30, 60))["alarms"] == []


@pytest.mark.django_db
def test_an_alarm_on_free_space_shows_on_the_graph_of_used_space(jia: Customer, web: Asset) -> None:
    labels = {"device": "/dev/vda1", "mountpoint": "/"}
    full = {"host.fs.used_pct": 97.0, "host.fs.free_bytes": 2.0**30, "host.fs.free_pct": 3.0}
    points = [(web, metric, labels, minute(at), value) for at in range(5) for metric, value in full.items()]
    pipeline.ingest(batch(jia, points), now=minute(5))
    assert shown(web, "disk-space", view(0, 60))["alarms"]


@pytest.mark.django_db
def test_curves_are_named_by_what_tells_them_apart(jia: Customer, web: Asset) -> None:
    for point in ("杭州", "北京"):
        feed(jia, web, "url.latency_ms", [1, 2], labels={"url": "https://shop.example.com/", "point": point})
    for device in ("vda", "vdb"):
        feed(jia, web, "host.disk.read_bytes_per_s", [1, 2], labels={"device": device})
    feed(jia, web, "host.disk.write_bytes_per_s", [1, 2], labels={"device": "vda"})
    feed(jia, web, "host.mem.util", [1, 2])
    with translation.override("en"):
        assert names(web, "url-time") == ["北京", "杭州"]
        assert names(web, "disk-io") == ["Disk read rate vda", "Disk read rate vdb", "Disk write rate vda"]
        assert names(web, "memory") == ["Memory utilization"]


def names(asset: Asset, panel: str) -> list[str]:
    series = shown(asset, panel, view(0, 10))["series"]
    assert isinstance(series, list)
    return [one["name"] for one in series]


@pytest.mark.django_db
def test_cores_are_in_the_order_people_count(jia: Customer, web: Asset) -> None:
    for core in (10, 2, 1):
        feed(jia, web, "host.cpu.core_util", [1, 2], labels={"core": str(core)})
    assert names(web, "cores") == ["1", "2", "10"]


@pytest.mark.parametrize(("length", "step"), [(HOUR, 10), (6 * HOUR, 60), (24 * HOUR, 300), (timedelta(days=30), 7200)])
def test_any_range_has_a_few_hundred_buckets_of_a_round_length(length: timedelta, step: int) -> None:
    window = graphs.Window.of(NOW - length, NOW)
    assert window.step == step
    assert window.start.timestamp() % step == 0


def test_a_range_that_makes_no_sense_is_the_usual_one() -> None:
    usual = graphs.window("6h", None, None, now=NOW)
    assert graphs.window("nonsense", None, None, now=NOW) == usual
    assert graphs.window("6h", NOW, NOW - HOUR, now=NOW) == usual
    assert graphs.window("6h", NOW - timedelta(days=4000), NOW, now=NOW) == usual
    assert graphs.window("6h", NOW - HOUR, NOW, now=NOW).end == NOW


def test_every_metric_is_on_one_panel_or_hidden_and_labels_survive_the_way() -> None:
    reachable = {metric for panel in panels.panels_for(METRICS) for metric in panel.metrics}
    assert set(METRICS) - reachable == {name for name in METRICS if METRICS[name].kind == "start"} | panels.HIDDEN
    odd = {"path": 'C:\\a "b"', "note": "x\ny,z=1"}
    assert parse_labels(labels_text(odd)) == odd


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_data_of_a_graph_is_for_who_may_see_the_asset(
    jia: Customer, web: Asset, vera: User, chen: User, eve: User, client_for: ClientFor
) -> None:
    feed(jia, web, "host.mem.util", [10, 20])
    start, end = (round(minute(at).timestamp() * 1000) for at in (0, 10))
    url = f"/monitoring/graphs/{web.pk}/memory.json?start={start}&end={end}"
    for person in (vera, chen):
        answer = client_for(person).get(url)
        assert answer.status_code == 200
        assert answer.json()["series"][0]["v"] == [10, 20]
        assert "no-store" in answer["Cache-Control"]
    assert client_for(eve).get(url).status_code == 404
    assert client_for(vera).get(f"/monitoring/graphs/{web.pk}/no-such-panel.json").status_code == 404
    assert client_for(vera).post(url).status_code == 405


@pytest.mark.django_db
def test_strange_addresses_are_harmless(web: Asset, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    for query in ("range=%00", "start=x&end=y", "start=-1&end=99999999999999999999", "since=1e9", "range=1h&since=5"):
        assert browser.get(f"/monitoring/graphs/{web.pk}/cpu.json?{query}").status_code == 200


@pytest.mark.django_db
def test_the_export_has_every_point_and_opens_in_a_spreadsheet(
    jia: Customer, web: Asset, alice: User, client_for: ClientFor
) -> None:
    feed(jia, web, "host.fs.used_pct", [10, 20], labels={"device": "=cmd|x", "mountpoint": "=1+1"})
    start, end = (round(minute(at).timestamp() * 1000) for at in (0, 10))
    answer = client_for(alice).get(f"/monitoring/graphs/{web.pk}/disk-space.csv?start={start}&end={end}")
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert len(lines) == 3
    assert "'=1+1" in lines[1]
    assert "10.0" in lines[1]


@pytest.mark.django_db
def test_the_asset_page_piece_shows_graphs_alerts_and_checks(
    jia: Customer, web: Asset, alice: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        targets.create(asset=web, kind="tcp", config={"host": "10.0.0.1", "port": 22}, actor=None, now=timezone.now())
    feed(jia, web, "host.cpu.util", [95, 95, 95, 95])
    page = client_for(alice).get(f"/monitoring/for-asset/{web.pk}/")
    text = page.content.decode()
    assert f"/monitoring/graphs/{web.pk}/cpu.json" in text
    assert text.count("data-chart ") == 1
    assert "severity" in text or "alert" in text
    assert f"/monitoring/targets/new/{web.pk}/tcp/" not in text, "customers do not set up checks"
    assert client_for(eve).get(f"/monitoring/for-asset/{web.pk}/").status_code == 404


@pytest.mark.django_db
def test_an_asset_without_checks_says_what_to_do(jia: Customer, chen: User, vera: User, client_for: ClientFor) -> None:
    shop = server(jia, "shop", kind="url", url="https://shop.example.com/")
    offered = client_for(chen).get(f"/monitoring/for-asset/{shop.pk}/").content.decode()
    assert f"/monitoring/targets/suggested/{shop.pk}/" in offered
    told = client_for(vera).get(f"/monitoring/for-asset/{shop.pk}/").content.decode()
    assert "suggested" not in told
    answer = client_for(chen).post(f"/monitoring/targets/suggested/{shop.pk}/")
    assert answer.status_code == 302
    with scope.customer(jia):
        assert [target.where for target in Target.objects.all()] == ["https://shop.example.com/"]


@pytest.mark.django_db
def test_a_month_of_a_hosts_graph_takes_a_bounded_number_of_queries(
    jia: Customer, web: Asset, django_assert_max_num_queries: object
) -> None:
    for core in range(30):
        feed(jia, web, "host.cpu.core_util", [1, 2, 3], labels={"core": str(core)})
    panel = panels.panel("cores")
    assert panel is not None
    with scope.customer(jia), django_assert_max_num_queries(8):  # type: ignore[operator]  # a pytest-django fixture
        found = graphs.graph(web, panel, graphs.Window.of(minute(0), minute(43_200)))
    assert len(found["series"]) == graphs.SERIES_AT_ONCE
    assert found["hidden"] == 30 - graphs.SERIES_AT_ONCE


def test_the_zone_of_a_window_does_not_matter() -> None:
    assert graphs.Window.of(NOW - HOUR, NOW).start.tzinfo is UTC
