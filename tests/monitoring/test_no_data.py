"""Silence never reads as recovery: stale, no-data, gone, passed."""

from datetime import datetime, timedelta

import pytest
from django.db import connection

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from incidents.models import Incident
from monitoring import pipeline, storage
from monitoring.models import NO_DATA, Alert, RuleState, Target
from monitoring.services import housekeeping, silence
from tests.monitoring.samples import START, Sample, alerts, batch, feed, minute, server


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def sweep(customer: Customer, now: datetime) -> int:
    with scope.customer(customer):
        return silence.sweep(customer=customer, now=now)


def agent_of(asset: Asset, *, problem: str = "refused", failures: int = 3, ok_at: datetime | None = None) -> Target:
    with scope.customer(asset.customer_id):
        return Target.objects.create(
            customer_id=asset.customer_id,
            asset=asset,
            kind="prometheus",
            name="agent",
            key=f"agent-{asset.pk}",
            config={},
            next_due_at=START,
            problem_code=problem,
            failures=failures,
            last_ok_at=ok_at,
            created_at=START,
            changed_at=START,
        )


def test_an_alert_whose_data_stops_stays_open_and_says_since_when(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    sweep(jia, minute(60))
    (alert,) = alerts(jia)
    assert (alert.is_open, alert.stale_since) == (True, minute(2))


def test_an_alert_whose_data_comes_back_bad_is_no_longer_stale(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    sweep(jia, minute(60))
    feed(jia, web, "host.cpu.util", [95], start=61)
    sweep(jia, minute(61))
    (alert,) = alerts(jia)
    assert (alert.is_open, alert.stale_since) == (True, None)


def test_data_that_is_a_little_late_is_not_silence(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    assert sweep(jia, minute(4)) == 0
    assert alerts(jia)[0].stale_since is None


def test_a_silent_agent_that_was_asked_opens_one_alert_for_the_asset(jia: Customer, web: Asset) -> None:
    points: list[Sample] = [
        (web, metric, {}, minute(at), 5.0) for metric in ("host.cpu.util", "host.mem.util") for at in range(3)
    ]
    pipeline.ingest(batch(jia, points), now=minute(2))
    agent_of(web)
    assert sweep(jia, minute(10)) == 1
    assert sweep(jia, minute(10)) == 0
    (alert,) = alerts(jia)
    assert (alert.rule_id, alert.first_breach_at, alert.value) == (NO_DATA, minute(2), None)
    with scope.customer(jia):
        assert Incident.objects.get().pk == alert.incident_id


@pytest.mark.parametrize(("problem", "failures"), [("refused", 2), ("blocked", 9), ("store", 9), ("", 0)])
def test_silence_that_is_our_own_is_not_the_customers_alert(
    jia: Customer, web: Asset, problem: str, failures: int
) -> None:
    feed(jia, web, "host.cpu.util", [5, 5, 5])
    agent_of(web, problem=problem, failures=failures, ok_at=minute(2))
    assert sweep(jia, minute(60)) == 0


def test_an_agent_that_answers_without_the_figures_is_silent_too(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [5, 5, 5])
    agent_of(web, problem="", failures=0, ok_at=minute(9))
    assert sweep(jia, minute(10)) == 1


def test_an_asset_that_nobody_asks_any_more_is_not_missed(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [5, 5, 5])
    assert sweep(jia, minute(60)) == 0


def test_the_no_data_alert_ends_when_data_arrives(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [5, 5, 5])
    agent_of(web)
    sweep(jia, minute(10))
    feed(jia, web, "host.cpu.util", [5], start=11)
    sweep(jia, minute(11))
    (alert,) = alerts(jia)
    assert alert.ending == Alert.Ending.DATA_BACK


def test_a_process_that_is_no_longer_listed_is_a_failure_while_its_host_speaks(jia: Customer, web: Asset) -> None:
    feed(jia, web, "process.count", [2, 2, 2], labels={"process": "nginx"})
    feed(jia, web, "host.cpu.util", [5] * 12)
    sweep(jia, minute(11))
    (alert,) = alerts(jia)
    assert (alert.rule_id, alert.value) == ("process-not-running", None)
    feed(jia, web, "process.count", [2, 2, 2], start=12, labels={"process": "nginx"})
    assert alerts(jia)[0].ending == Alert.Ending.RECOVERED


def test_a_workload_that_was_deleted_resolves_while_its_cluster_speaks(jia: Customer, web: Asset) -> None:
    one, other = ({"namespace": "shop", "workload": name} for name in ("job", "web"))
    feed(jia, web, "k8s.workload.failed_pods", [1, 1, 1], labels=one)
    feed(jia, web, "k8s.workload.failed_pods", [0] * 12, labels=other)
    sweep(jia, minute(11))
    assert alerts(jia)[0].ending == Alert.Ending.GONE


def test_a_failed_pod_stays_while_the_whole_cluster_is_silent(jia: Customer, web: Asset) -> None:
    feed(jia, web, "k8s.workload.failed_pods", [1, 1, 1], labels={"namespace": "shop", "workload": "job"})
    sweep(jia, minute(60))
    assert alerts(jia)[0].is_open


def test_a_restart_passes_by_the_clock_even_without_data(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.boot_time", [1e9, 1e9 + 5000])
    assert alerts(jia)[0].rule_id == "host-restarted"
    sweep(jia, minute(10))
    assert alerts(jia)[0].is_open
    sweep(jia, minute(11))
    assert alerts(jia)[0].ending == Alert.Ending.PASSED
    with scope.customer(jia):
        assert not RuleState.objects.exists()


def test_alerts_of_a_retired_asset_end(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    with scope.customer(jia):
        Asset.objects.filter(pk=web.pk).update(retired_at=minute(3))
    sweep(jia, minute(3))
    assert alerts(jia)[0].ending == Alert.Ending.RETIRED


def test_an_alert_acknowledged_with_its_incident_remembers_when(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [95, 95, 95])
    with scope.customer(jia):
        Incident.objects.update(acknowledged_at=minute(5), state="acknowledged")
        housekeeping.note_moments(customer_id=jia.pk)
    assert alerts(jia)[0].acknowledged_at == minute(5)


def test_old_days_are_dropped_and_new_ones_made(db: None) -> None:
    now = datetime.now(START.tzinfo)
    storage.make_days([(now - timedelta(days=90)).date()])
    storage.make_days_ahead(now=now)
    assert storage.drop_empty_days_before((now - timedelta(days=40)).date()) >= 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"samples.block_{now:%Y%m%d}"])
        assert cursor.fetchone()[0] is not None
