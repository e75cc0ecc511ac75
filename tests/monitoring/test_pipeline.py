"""From a batch of samples to an alert on an incident, once, whatever is repeated, late or racing."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from accounts import scope
from accounts.models import Customer, Severity
from assets.models import Asset
from incidents import services as incident_services
from incidents.models import Incident, IncidentAlert, TimelineEntry
from monitoring import pipeline, registry, storage
from monitoring.models import Alert, RuleState, Series
from tests.monitoring.forks import status_of
from tests.monitoring.samples import START, Sample, alerts, batch, feed, minute, server

PORT = {"port": "8080"}


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def stored(customer: Customer, asset: Asset, metric: str) -> list[float]:
    with scope.customer(customer):
        series = Series.objects.get(asset=asset, metric=metric)
        points = storage.read(
            asset_id=asset.pk, series_ids=[series.pk], start=START - timedelta(days=20), end=START + timedelta(days=9)
        )
        return [float(value) for value in points[series.pk].value]


def test_the_third_failed_check_opens_one_alert_and_one_incident(jia: Customer, web: Asset) -> None:
    feed(jia, web, "port.result_code", [0, 2, 2], labels=PORT)
    assert alerts(jia) == []
    result = feed(jia, web, "port.result_code", [2], start=3, labels=PORT)
    assert (result.opened, result.stored) == (1, 1)
    (alert,) = alerts(jia)
    assert (alert.rule_id, alert.severity, alert.value) == ("port-not-running", Severity.HIGH, 2.0)
    assert (alert.first_breach_at, alert.opened_at) == (minute(1), minute(3))
    assert [value for _, value in alert.samples or []] == [2.0, 2.0, 2.0]
    with scope.customer(jia):
        incident = Incident.objects.get()
        assert (alert.incident_id, incident.severity) == (incident.pk, Severity.HIGH)
        assert IncidentAlert.objects.get().alert_key == alert.key


@pytest.mark.parametrize(
    ("metric", "labels", "values"),
    [
        ("host.mem.util", {}, [95, 95, 95]),
        ("process.count", {"process": "nginx"}, [0, 0, 0]),
        ("url.result_code", {"url": "http://shop.example.com/"}, [1, 1, 1]),
        ("tomcat.heap.util", {"port": "8080"}, [85, 85, 85]),
        ("nginx.requests", {"port": "80"}, [5000, 10]),
        ("mysql.replica.thread_running", {"port": "3306"}, [0, 0, 0]),
    ],
)
def test_whatever_goes_wrong_on_a_system_or_in_an_application_is_an_incident_to_be_answered(
    jia: Customer, web: Asset, metric: str, labels: dict[str, str], values: list[float]
) -> None:
    feed(jia, web, metric, values, labels=labels)
    (alert,) = alerts(jia)
    with scope.customer(jia):
        incident = Incident.objects.get()
        assert (alert.incident_id, incident.state) == (incident.pk, "open")
        assert list(incident.assets.all()) == [web]
        assert incident.clocks.filter(kind="response", stopped_at=None).exists()


def test_the_alert_says_in_the_customers_language_what_is_wrong(jia: Customer, web: Asset) -> None:
    feed(jia, web, "port.result_code", [2, 2, 2], labels=PORT)
    (alert,) = alerts(jia)
    assert "web-01" in alert.title
    assert "端口没有正常运行" in alert.title
    assert "8080" in alert.title


def test_recovery_is_written_on_the_same_incident_which_stays_open(jia: Customer, web: Asset) -> None:
    feed(jia, web, "port.result_code", [2, 2, 2], labels=PORT)
    result = feed(jia, web, "port.result_code", [0, 0, 0], start=3, labels=PORT)
    assert result.closed == 1
    (alert,) = alerts(jia)
    assert (alert.recovered_at, alert.ending) == (minute(5), Alert.Ending.RECOVERED)
    with scope.customer(jia):
        assert Incident.objects.get().state == "open"
        assert TimelineEntry.objects.filter(kind=TimelineEntry.Kind.RECOVERY).count() == 1


def test_what_is_fine_leaves_no_state_behind(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [10, 95, 95, 20])
    with scope.customer(jia):
        assert not RuleState.objects.exists()


def test_two_of_three_survive_a_restart_of_the_worker(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95])
    registry.forget()
    assert feed(jia, web, "host.cpu.util", [95], start=2).opened == 1


def test_the_same_batch_again_is_neither_stored_nor_counted(jia: Customer, web: Asset) -> None:
    for _ in range(3):
        result = feed(jia, web, "host.cpu.util", [95, 95])
    assert (result.stored, result.repeated) == (0, 2)
    assert alerts(jia) == []
    assert stored(jia, web, "host.cpu.util") == [95, 95]


def test_late_points_are_stored_once_and_not_judged(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95], start=10)
    for _ in range(2):
        feed(jia, web, "host.cpu.util", [91, 92, 93], now=minute(11))
    assert stored(jia, web, "host.cpu.util") == [91, 92, 93, 95, 95]
    assert alerts(jia) == []


def test_late_points_of_another_day_find_their_day(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95])
    result = feed(jia, web, "host.cpu.util", [50], start=-10 * 24 * 60, now=minute(0))
    assert result.stored == 1
    assert stored(jia, web, "host.cpu.util") == [50, 95]


def test_points_from_the_future_or_beyond_retention_are_refused(jia: Customer, web: Asset) -> None:
    points: list[Sample] = [(web, "host.cpu.util", {}, minute(at), 5.0) for at in (-100 * 24 * 60, 0, 60)]
    assert pipeline.ingest(batch(jia, points), now=minute(0)).refused == 2


def test_figures_that_are_no_numbers_are_refused(jia: Customer, web: Asset) -> None:
    result = feed(jia, web, "host.cpu.util", [float("nan"), float("inf"), 5.0])
    assert (result.stored, result.refused) == (1, 2)


def test_samples_of_another_customers_asset_are_refused(jia: Customer, yi: Customer) -> None:
    theirs = server(yi)
    assert feed(jia, theirs, "host.cpu.util", [95, 95, 95]).refused == 3
    assert feed(jia, theirs, "host.cpu.util", [95, 95, 95], start=3).refused == 3
    with scope.platform("look"):
        assert not Series.objects.exists()


def test_several_rules_on_one_asset_join_one_incident(jia: Customer, web: Asset) -> None:
    points: list[Sample] = [
        (web, metric, {}, minute(at), 95.0) for metric in ("host.cpu.util", "host.mem.util") for at in range(3)
    ]
    assert pipeline.ingest(batch(jia, points), now=minute(2)).opened == 2
    assert len({alert.incident_id for alert in alerts(jia)}) == 1


def test_an_alert_that_opens_and_closes_within_one_late_batch_is_told_whole(jia: Customer, web: Asset) -> None:
    result = feed(jia, web, "host.cpu.util", [95, 95, 95, 10, 10, 10, 95, 95, 95])
    assert (result.opened, result.closed) == (2, 1)
    first, second = alerts(jia)
    assert (first.recovered_at, second.is_open) == (minute(5), True)


def test_each_filesystem_has_an_alert_of_its_own(jia: Customer, web: Asset) -> None:
    points: list[Sample] = [
        (web, metric, {"device": "sda", "mountpoint": mount}, minute(at), value)
        for mount in ("/", "/data")
        for metric, value in (("host.fs.free_pct", 3.0), ("host.fs.free_bytes", 2.0 * 1024**3))
        for at in range(3)
    ]
    pipeline.ingest(batch(jia, points), now=minute(2))
    assert sorted(alert.rule_id for alert in alerts(jia)) == ["host-fs-free-10"] * 2 + ["host-fs-free-5"] * 2


def test_the_halves_of_a_rule_over_two_figures_may_come_hours_apart(jia: Customer, web: Asset) -> None:
    disk = {"device": "sda", "mountpoint": "/"}
    low, little = [3.0] * 4, [2.0 * 1024**3] * 4
    assert feed(jia, web, "host.fs.free_pct", [*low, 50.0, 50.0], labels=disk).opened == 0
    registry.forget(jia.pk)
    later = minute(240)
    assert feed(jia, web, "host.fs.free_bytes", little[:2], labels=disk, now=later).opened == 0
    assert feed(jia, web, "host.fs.free_bytes", little[2:], start=2, labels=disk, now=later).opened == 2
    assert sorted(alert.opened_at for alert in alerts(jia)) == [minute(2), minute(2)]


def test_the_second_half_may_be_ahead_as_well(jia: Customer, web: Asset) -> None:
    disk = {"device": "sda", "mountpoint": "/"}
    assert feed(jia, web, "host.fs.free_bytes", [2.0 * 1024**3] * 4, labels=disk).opened == 0
    assert feed(jia, web, "host.fs.free_pct", [3.0, 3.0], labels=disk).opened == 0
    assert feed(jia, web, "host.fs.free_pct", [3.0], start=2, labels=disk).opened == 2


def test_when_the_incident_cannot_be_opened_nothing_of_the_batch_is_kept(
    jia: Customer, web: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(jia, web, "host.cpu.util", [95, 95])
    with monkeypatch.context() as patched:
        patched.setattr(incident_services, "open_from_alerts", _fail)
        with pytest.raises(RuntimeError):
            feed(jia, web, "host.cpu.util", [95], start=2)
    assert stored(jia, web, "host.cpu.util") == [95, 95]
    assert feed(jia, web, "host.cpu.util", [95], start=2).opened == 1


def _fail(**_: object) -> None:
    raise RuntimeError("the worker died here")


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_between_storing_and_alerting_leaves_nothing_half_done(jia: Customer) -> None:
    web = server(jia)
    feed(jia, web, "host.cpu.util", [95, 95])

    def work() -> None:
        setattr(incident_services, "open_from_alerts", _die)  # noqa: B010 - this process is about to end
        feed(jia, web, "host.cpu.util", [95], start=2)

    assert os.WTERMSIG(status_of(work)) == signal.SIGKILL
    assert stored(jia, web, "host.cpu.util") == [95, 95]
    assert feed(jia, web, "host.cpu.util", [95], start=2).opened == 1
    assert len(alerts(jia)) == 1


def _die(**_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_batch_of_many_assets_is_taken_in_by_parts(jia: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "ASSETS_AT_ONCE", 2)
    assets = [server(jia, f"web-{number}") for number in range(5)]
    points: list[Sample] = [(asset, "host.cpu.util", {}, minute(at), 95.0) for asset in assets for at in range(3)]
    result = pipeline.ingest(batch(jia, points), now=minute(2))
    assert (result.stored, result.opened) == (15, 5)


@pytest.mark.django_db(transaction=True)
def test_two_workers_taking_in_the_same_batches_open_one_alert(jia: Customer) -> None:
    web = server(jia)
    batches = [
        batch(jia, [(web, "host.cpu.util", {}, minute(at), 95.0), (web, "host.mem.util", {}, minute(at), 95.0)])
        for at in range(6)
    ]

    def work(_: int) -> int:
        try:
            return sum(pipeline.ingest(one, now=minute(6)).stored for one in batches)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(work, range(4))) == 12
    assert sorted(alert.rule_id for alert in alerts(jia)) == ["host-cpu-util", "host-mem-util"]
    assert stored(jia, web, "host.cpu.util") == [95.0] * 6
