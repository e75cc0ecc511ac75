"""What an Alibaba Cloud account tells beside figures: events, maintenance, changes, names, agents, subscriptions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset, CloudAccount, Subscription
from demo.aliyun import JIA_UID, CloudServer, FaultKind, demo_cloud
from demo.aliyun.account import MONITOR_READ_ONLY, READ_ONLY_ACCESS
from demo.aliyun.happenings import add_event, move_maintenance, plan_maintenance
from incidents.models import Incident
from monitoring.models import Alert, CloudReading, Event
from monitoring.services import happenings
from notify.models import Delivery
from tests.assets.conftest import sync
from tests.monitoring.watched_account import later, look, watched

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


@pytest.fixture
def account(jia: Customer, server: CloudServer) -> Iterator[CloudAccount]:
    with watched(jia, server) as made:
        yield made


def instance(server: CloudServer, name: str) -> str:
    row = server.cloud.estate(JIA_UID).find(name)
    return str(row.get("InstanceId") or row["DBInstanceId"])


def test_a_critical_event_becomes_an_alert_and_an_incident_once(account: CloudAccount, server: CloudServer) -> None:
    estate = server.cloud.estate(JIA_UID)
    add_event(
        estate,
        product="RDS",
        name="Instance_Failure_Start",
        level="CRITICAL",
        resource_id=instance(server, "mall-order"),
        at=later(-3),
    )
    look(account)
    look(account)
    alert = Alert.objects.get(rule_id="cloud-event", asset__name="mall-order")
    assert alert.severity == Severity.HIGH
    assert alert.is_open
    assert "实例故障开始" in alert.title
    assert alert.incident_id is not None
    assert Incident.objects.filter(pk=alert.incident_id).count() == 1
    assert Event.objects.filter(kind="instance-failure-start").count() == 1


def test_the_end_of_a_failure_ends_its_alert(account: CloudAccount, server: CloudServer) -> None:
    estate, order = server.cloud.estate(JIA_UID), instance(server, "mall-order")
    add_event(estate, product="RDS", name="Instance_Failure_Start", level="CRITICAL", resource_id=order, at=later(-9))
    look(account)
    add_event(estate, product="RDS", name="Instance_Failure_End", level="WARN", resource_id=order, at=later(-2))
    look(account)
    alert = Alert.objects.get(rule_id="cloud-event", asset__name="mall-order")
    assert not alert.is_open
    assert Event.objects.get(kind="instance-failure-end").severity is None


def test_an_event_without_an_end_passes_after_an_hour(account: CloudAccount, server: CloudServer) -> None:
    add_event(
        server.cloud.estate(JIA_UID),
        product="RDS",
        name="Instance_Failover",
        level="WARN",
        resource_id=instance(server, "mall-order"),
        at=later(-3),
    )
    look(account)
    assert Alert.objects.open().filter(asset__name="mall-order").exists()
    happenings.pass_over(customer=account.customer, now=later(61))
    assert not Alert.objects.open().filter(asset__name="mall-order").exists()


def test_what_is_old_when_first_seen_is_listed_and_alarms_nobody(account: CloudAccount) -> None:
    look(account)
    event = Event.objects.get(kind="disk-error-detected")
    assert event.severity == Severity.HIGH
    assert not Alert.objects.filter(rule_id="cloud-event").exists()
    info = Event.objects.get(kind="instance-state-change")
    assert info.severity is None


def test_an_event_that_is_listed_late_is_not_lost(account: CloudAccount, server: CloudServer) -> None:
    look(account)
    add_event(
        server.cloud.estate(JIA_UID),
        product="ECS",
        name="Instance:StateChange",
        level="INFO",
        resource_id=instance(server, "mall-web-01"),
        at=later(-10),
    )
    look(account)
    assert Event.objects.filter(asset__name="mall-web-01", kind="instance-state-change").exists()


def test_more_events_than_a_page_all_come(account: CloudAccount, server: CloudServer) -> None:
    estate = server.cloud.estate(JIA_UID)
    for number in range(230):
        add_event(
            estate,
            product="ECS",
            name="Instance:StateChange",
            level="INFO",
            resource_id=instance(server, "mall-web-01"),
            at=later(-600 + number),
        )
    look(account)
    assert Event.objects.filter(asset__name="mall-web-01", kind="instance-state-change").count() == 230


def test_planned_maintenance_is_announced_moved_and_done(account: CloudAccount, server: CloudServer) -> None:
    estate = server.cloud.estate(JIA_UID)
    begins = later(60 * 24 * 2).replace(second=0, microsecond=0)
    known = plan_maintenance(
        estate, instance_id=instance(server, "mall-web-02"), published=later(-60), not_before=begins
    )
    look(account)
    event = Event.objects.get(key=f"ecs:{known}")
    assert (event.source, event.occurred_at, event.ends_at) == ("maintenance", begins, None)
    assert list(Event.objects.upcoming(later()).values_list("asset__name", flat=True)) == ["mall-web-02", "mall-app-02"]
    alert = Alert.objects.get(rule_id="maintenance", asset__name="mall-web-02")
    assert alert.severity == Severity.WARNING

    moved = begins + timedelta(days=1)
    plan_maintenance(estate, instance_id="i-x", published=later(-60), not_before=begins)
    estate.maintenance[known]["NotBefore"] = f"{moved:%Y-%m-%dT%H:%M:%SZ}"
    look(account)
    event.refresh_from_db()
    assert event.occurred_at == moved

    move_maintenance(estate, known, "Executed", finished=moved + timedelta(minutes=7))
    look(account)
    event.refresh_from_db()
    alert.refresh_from_db()
    assert event.ends_at == moved + timedelta(minutes=7)
    assert not alert.is_open


def test_maintenance_that_is_called_off_is_no_longer_upcoming(account: CloudAccount, server: CloudServer) -> None:
    look(account)
    event = Event.objects.get(asset__name="mall-app-02", source="maintenance")
    move_maintenance(server.cloud.estate(JIA_UID), event.key.removeprefix("ecs:"), "Canceled")
    look(account)
    event.refresh_from_db()
    assert event.cancelled_at is not None
    assert not Event.objects.upcoming(later()).exists()
    assert not Alert.objects.open().filter(rule_id="maintenance").exists()


def test_maintenance_told_by_both_apis_is_one_event(account: CloudAccount, server: CloudServer) -> None:
    look(account)
    known = Event.objects.get(asset__name="mall-app-02", source="maintenance")
    before = Event.objects.count()
    add_event(
        server.cloud.estate(JIA_UID),
        product="ECS",
        name="Instance:SystemMaintenance.Reboot:Scheduled",
        level="WARN",
        resource_id=instance(server, "mall-app-02"),
        at=later(-5),
        content={"eventId": known.key.removeprefix("ecs:")},
    )
    look(account)
    assert Event.objects.count() == before


def test_what_became_of_a_resource_is_written_down(account: CloudAccount, server: CloudServer) -> None:
    look(account)
    assert not Event.objects.filter(kind="resource-changed").exists(), "the first look only remembers"
    estate = server.cloud.estate(JIA_UID)
    row = estate.find("mall-web-02")
    row["InstanceType"], row["Status"] = "ecs.c7.2xlarge", "Stopped"
    gone = estate.remove(instance(server, "mall-web-03"))
    estate.add_ecs("mall-web-09", private_ip="172.16.1.19")
    sync(account, datetime.now(UTC))
    look(account)
    titles = set(Event.objects.filter(kind__startswith="resource-").values_list("title_en", flat=True))
    assert "mall-web-02: status changed from running to stopped" in titles
    assert any(title.startswith("mall-web-02: specification changed from ecs.c7.xlarge 4C8G") for title in titles)
    assert "New ECS: mall-web-09" in titles
    assert f"ECS released: {gone['InstanceName']}" in titles
    count = Event.objects.count()
    look(account)
    assert Event.objects.count() == count, "told once"


def test_a_locked_resource_is_an_alert_until_it_is_free_again(account: CloudAccount, server: CloudServer) -> None:
    look(account)
    row = server.cloud.estate(JIA_UID).find("mall-member")
    row["LockMode"] = "ManualLock"
    sync(account, datetime.now(UTC))
    look(account, later(1))
    alert = Alert.objects.get(asset__name="mall-member", rule_id="cloud-event")
    assert alert.is_open
    row["LockMode"] = "Unlock"
    sync(account, datetime.now(UTC))
    look(account, later(2))
    alert.refresh_from_db()
    assert not alert.is_open


def test_names_that_drifted_away_are_reported(account: CloudAccount, server: CloudServer) -> None:
    server.cloud.metrics.gone.add(("acs_slb_dashboard", "DropConnection"))
    look(account)
    reading = CloudReading.objects.get(cloud_account=account)
    assert "slb.drop_connections_per_s" in reading.missing
    assert "DropConnection" not in reading.names["acs_slb_dashboard"]
    assert "memory_usedutilization" in reading.names["acs_ecs_dashboard"]


def test_instances_without_the_agent_are_known(account: CloudAccount, server: CloudServer) -> None:
    look(account)
    reading = CloudReading.objects.get(cloud_account=account)
    assert reading.agents == {instance(server, "erp-win-01"): "not_installed"}


def test_subscriptions_come_from_one_list_and_vanish_when_released(account: CloudAccount, server: CloudServer) -> None:
    look(account)
    domain = Subscription.objects.get(product="domain")
    assert domain.asset is None
    mine = Subscription.objects.get(asset__name="mall-web-01")
    assert mine.renewal == Subscription.Renewal.AUTO
    asset = Asset.objects.get(name="mall-web-01")
    assert asset.expires_at is not None
    assert abs(mine.ends_at - asset.expires_at) < timedelta(minutes=1)
    server.cloud.estate(JIA_UID).subscriptions.clear()
    look(account, later(60 * 7))
    domain.refresh_from_db()
    assert domain.gone_at is not None


def test_a_missing_right_is_named_with_its_policy_and_hides_nothing_else(
    account: CloudAccount, server: CloudServer, chen: User
) -> None:
    """The customer took back all rights but those of CloudMonitor."""
    user = server.cloud.accounts[JIA_UID][0].user("rdmp-readonly")
    assert user is not None
    user.policies[:] = [MONITOR_READ_ONLY]
    look(account)
    look(account)
    reading = CloudReading.objects.get(cloud_account=account)
    assert "QueryAvailableInstances" in reading.denied
    assert reading.events_until is not None, "system events came all the same"
    assert reading.problem_code == ""
    with scope.platform("test"):
        told = Delivery.objects.filter(key__contains=":rights:")
        assert told.count() == 1
        assert "AliyunBSSReadOnlyAccess" in told.get().text
    user.policies[:] = [READ_ONLY_ACCESS, MONITOR_READ_ONLY]
    look(account)
    reading.refresh_from_db()
    assert reading.denied == {}


def test_trouble_of_one_api_does_not_move_its_mark_nor_stop_the_others(
    account: CloudAccount, server: CloudServer
) -> None:
    look(account)
    before = CloudReading.objects.get(cloud_account=account).events_until
    server.cloud.fail(FaultKind.ERROR, 20, product="Cms", action="DescribeSystemEventAttribute")
    add_event(
        server.cloud.estate(JIA_UID),
        product="RDS",
        name="Instance_Failover",
        level="WARN",
        resource_id=instance(server, "mall-order"),
        at=later(-1),
    )
    look(account)
    assert CloudReading.objects.get(cloud_account=account).events_until == before
    server.cloud.heal()
    look(account)
    assert Event.objects.filter(asset__name="mall-order", kind="instance-failover").exists()


def test_accounts_are_claimed_once_and_come_again(account: CloudAccount) -> None:
    now = later()
    with scope.platform("test"):
        assert len(happenings.claim(now=now)) == 1
        assert happenings.claim(now=now) == []
        assert happenings.claim(now=now + happenings.EVERY) == [], "the lease still holds"
        assert len(happenings.claim(now=now + happenings.LEASE)) == 1
