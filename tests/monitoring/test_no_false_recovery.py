"""Missing data is not good data: each way in which figures can go missing, while an alert fires.

The alert stays open, nobody is told that anything recovered, and real good points end it afterwards.
"""

from collections.abc import Iterator
from datetime import timedelta

import psycopg2.errors
import pytest
from django.db import connection

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset, CloudAccount
from incidents.models import TimelineEntry
from monitoring import pipeline, registry
from monitoring.models import NO_DATA, Alert, RuleOverride, Target
from monitoring.rules import RULES
from monitoring.services import housekeeping, overrides, packer, silence
from monitoring.services.overrides import Wish
from notify.models import Delivery
from tests.monitoring.samples import START, Sample, alerts, batch, feed, minute, server

CPU, MEMORY, PING, DISK = "host.cpu.util", "host.mem.util", "ping.result_code", "host.fs.free_pct"


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


@pytest.fixture
def firing(jia: Customer, web: Asset) -> Alert:
    """A CPU that is too busy since minute 0, known in minute 2."""
    feed(jia, web, CPU, [95, 95, 95])
    return alerts(jia)[0]


def sweep(customer: Customer, at: float) -> None:
    with scope.customer(customer):
        silence.sweep(customer=customer, now=minute(at))


def target(asset: Asset, kind: str = "prometheus", **fields: object) -> Target:
    values = {"config": {}, "failures": 0, "problem_code": "", "last_ok_at": minute(2), **fields}
    with scope.customer(asset.customer_id):
        return Target.objects.create(
            customer_id=asset.customer_id, asset=asset, kind=kind, name=kind, key=f"{kind}-{asset.pk}",
            next_due_at=START, created_at=START, changed_at=START, **values,
        )  # fmt: skip


def still_fires(customer: Customer, alert: Alert) -> bool:
    """Open, and neither the incident nor a message speaks of an end."""
    with scope.platform("look at everything"):
        found = Alert.objects.get(pk=alert.pk)
        ended = TimelineEntry.objects.filter(customer=customer, kind="recovery", data__title=alert.title).exists()
        told = Delivery.objects.filter(customer=customer, key__contains=":recovery:").exists()
    return found.is_open and not ended and not told


@pytest.fixture
def ends_by_good_points(jia: Customer, web: Asset, firing: Alert) -> Iterator[None]:
    """After whatever the test did, and one more bad point, three good ones end the alert, and two do not."""
    yield
    feed(jia, web, CPU, [95, 10, 10], start=9_999)
    assert still_fires(jia, firing)
    feed(jia, web, CPU, [10], start=10_002)
    with scope.customer(jia):
        assert Alert.objects.get(pk=firing.pk).ending == Alert.Ending.RECOVERED


pytestmark = pytest.mark.usefixtures("ends_by_good_points")


def test_the_agent_stops(jia: Customer, web: Asset, firing: Alert) -> None:
    target(web, problem_code="refused", failures=9)
    sweep(jia, 60)
    assert still_fires(jia, firing)
    assert [alert.rule_id for alert in alerts(jia)] == ["host-cpu-util", NO_DATA]


def test_the_target_is_switched_off(jia: Customer, web: Asset, firing: Alert) -> None:
    row = target(web)
    with scope.customer(jia):
        Target.objects.filter(pk=row.pk).update(is_enabled=False)
    sweep(jia, 60)
    assert still_fires(jia, firing)


@pytest.mark.parametrize("problem", ["throttled", "quota", "auth", "credentials", "blocked", "store"])
def test_the_collector_is_slowed_down_or_refused(jia: Customer, web: Asset, firing: Alert, problem: str) -> None:
    target(web, problem_code=problem, failures=50)
    sweep(jia, 60)
    assert still_fires(jia, firing)
    assert len(alerts(jia)) == 1


def test_the_access_key_is_refused(jia: Customer, firing: Alert) -> None:
    with scope.customer(jia):
        account = CloudAccount.objects.create(
            customer=jia, name="main", account_uid="1", access_key_id="LTAI-test-key", created_at=START,
            state=CloudAccount.State.REFUSED,
        )  # fmt: skip
    cloud = server(jia, "i-1", kind="ecs", cloud_account=account, provider_id="i-1")
    feed(jia, cloud, "ecs.cpu.util", [95, 95, 95])
    busy = alerts(jia)[1]
    sweep(jia, 600)
    assert still_fires(jia, firing)
    assert still_fires(jia, busy)
    assert len(alerts(jia)) == 2
    with scope.customer(jia):
        assert Alert.objects.get(pk=busy.pk).stale_since == minute(2)


def test_the_exporters_page_loses_the_series(jia: Customer, web: Asset, firing: Alert) -> None:
    feed(jia, web, MEMORY, [10] * 60, start=3)
    sweep(jia, 62)
    assert still_fires(jia, firing)


def test_a_disk_is_unmounted(jia: Customer, web: Asset, firing: Alert) -> None:
    gone, there = {"mountpoint": "/data"}, {"mountpoint": "/"}
    feed(jia, web, "host.fs.inode_free_pct", [1, 1, 1], labels=gone)
    full = next(alert for alert in alerts(jia) if alert.rule_id == "host-fs-inode-free")
    feed(jia, web, "host.fs.inode_free_pct", [50] * 60, start=3, labels=there)
    sweep(jia, 62)
    assert still_fires(jia, full)
    assert still_fires(jia, firing)


def test_the_customers_network_is_down_and_ping_says_so(jia: Customer, web: Asset, firing: Alert) -> None:
    target(web, problem_code="timeout", failures=9)
    feed(jia, web, PING, [1] * 30, start=3)
    sweep(jia, 32)
    assert still_fires(jia, firing)
    assert {alert.rule_id: alert.held for alert in alerts(jia)} == {
        "host-cpu-util": "", "ping-unreachable": "", NO_DATA: "inhibited",
    }  # fmt: skip


def test_no_worker_ran_for_hours(jia: Customer, web: Asset, firing: Alert) -> None:
    target(web)  # nobody asked since
    sweep(jia, 600)
    sweep(jia, 601)
    assert still_fires(jia, firing)
    assert len(alerts(jia)) == 1


def test_good_points_come_late_and_are_older_than_the_bad_ones(jia: Customer, web: Asset, firing: Alert) -> None:
    feed(jia, web, CPU, [10] * 20, start=-20, now=minute(5))
    sweep(jia, 5)
    assert still_fires(jia, firing)


def test_points_come_in_disorder(jia: Customer, web: Asset, firing: Alert) -> None:
    points: list[Sample] = [(web, CPU, {}, minute(at), value) for at, value in ((5, 10), (3, 10), (4, 95), (6, 10))]
    pipeline.ingest(batch(jia, points), now=minute(6))
    assert still_fires(jia, firing)


def test_the_same_good_point_is_read_again_and_again(jia: Customer, web: Asset, firing: Alert) -> None:
    for _ in range(5):
        feed(jia, web, CPU, [10], start=3)
    assert still_fires(jia, firing)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number(jia: Customer, web: Asset, firing: Alert, value: float) -> None:
    result = feed(jia, web, CPU, [value] * 10, start=3)
    assert (result.stored, result.refused) == (0, 10)
    assert still_fires(jia, firing)


def test_a_clock_that_runs_far_ahead(jia: Customer, web: Asset, firing: Alert) -> None:
    assert feed(jia, web, CPU, [10] * 5, start=600, now=minute(4)).refused == 5
    assert still_fires(jia, firing)


def test_a_clock_that_was_put_back(jia: Customer, web: Asset, firing: Alert) -> None:
    feed(jia, web, CPU, [10] * 3, start=-60, now=minute(3))
    sweep(jia, 3)
    assert still_fires(jia, firing)


def test_storing_fails(jia: Customer, web: Asset, firing: Alert) -> None:
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute("REVOKE INSERT ON samples.block FROM rdmp_ingest")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            feed(jia, web, CPU, [10, 10, 10], start=3)
        cursor.execute("RESET ROLE")
        cursor.execute("GRANT INSERT ON samples.block TO rdmp_ingest")
        cursor.execute("SET ROLE rdmp_app")
    assert still_fires(jia, firing)


def test_our_process_starts_anew(jia: Customer, web: Asset, firing: Alert) -> None:
    feed(jia, web, CPU, [10], start=3)
    registry.forget()
    feed(jia, web, CPU, [10], start=4)
    sweep(jia, 60)
    assert still_fires(jia, firing)


def test_the_plan_is_made_anew_while_it_fires(jia: Customer, web: Asset, firing: Alert) -> None:
    for name in ("a-01", "b-01"):
        feed(jia, server(jia, name), CPU, [10, 10, 10], start=3)
    feed(jia, web, MEMORY, [10, 10, 10], start=3)
    sweep(jia, 60)
    assert still_fires(jia, firing)


def override(customer: Customer, actor: User, wish: Wish) -> None:
    with scope.customer(customer):
        overrides.override(
            customer=customer, rule=RULES["host-cpu-util"], wish=wish, reason="batch host", actor=actor, now=minute(3)
        )


@pytest.mark.parametrize(
    "wish",
    [
        Wish(thresholds=(99.0,)),
        Wish(times=5),
        Wish(severity=Severity.WARNING),
        Wish(period_s=3600),
    ],
)
def test_the_rule_is_changed_while_it_fires(jia: Customer, firing: Alert, chen: User, wish: Wish) -> None:
    override(jia, chen, wish)
    sweep(jia, 4)
    sweep(jia, 60)
    assert still_fires(jia, firing)
    with scope.customer(jia):
        for row in list(RuleOverride.objects.all()):
            overrides.restore(override=row, reason="over", actor=chen, now=minute(61))


def test_the_hours_around_it_are_packed(jia: Customer, web: Asset, firing: Alert) -> None:
    with scope.platform("pack"):
        packer.run(now=START + timedelta(hours=6))
    housekeeping.run(now=START + timedelta(hours=6))
    assert still_fires(jia, firing)


def test_another_product_on_the_same_asset_speaks(jia: Customer, web: Asset, firing: Alert) -> None:
    """The host's agent says nothing of a cluster whose status cannot be read: its objects are not gone."""
    feed(jia, web, "k8s.workload.failed_pods", [1, 1, 1], labels={"namespace": "shop", "workload": "job"})
    failed = next(alert for alert in alerts(jia) if alert.rule_id == "k8s-pod-failed")
    feed(jia, web, MEMORY, [10] * 60, start=3)
    sweep(jia, 62)
    assert still_fires(jia, failed)
    assert still_fires(jia, firing)
