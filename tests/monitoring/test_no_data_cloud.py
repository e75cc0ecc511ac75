"""CloudMonitor falls silent about a resource, or its account lets nothing be read: two things, and only one is told."""

from datetime import datetime

import pytest

from accounts import scope
from accounts.models import Customer
from assets.models import Asset, CloudAccount
from incidents.models import Incident
from monitoring.extra_rules import CLOUD_NO_DATA
from monitoring.inhibition import Relation
from monitoring.models import Alert, AlertHold, CloudReading, Held, Target
from monitoring.services import cloud, silence, watching
from tests.monitoring.samples import START, alerts, feed, minute, server
from timers.models import Timer

CPU = "ecs.cpu.util"
SPACE = "acs_ecs_dashboard"


@pytest.fixture
def account(jia: Customer) -> CloudAccount:
    with scope.customer(jia):
        return CloudAccount.objects.create(
            customer=jia, name="main", account_uid="1", access_key_id="LTAI", created_at=START
        )


@pytest.fixture
def ecs(jia: Customer, account: CloudAccount) -> Asset:
    return server(jia, "mall-01", kind="ecs", cloud_account=account, provider_id="i-1", status="running")


def asked(account: CloudAccount, ok_at: datetime, *, problem: str = "", failures: int = 0) -> None:
    """How asking CloudMonitor for the account's machines goes."""
    with scope.customer(account.customer_id):
        Target.objects.update_or_create(
            cloud_account=account,
            kind="cms",
            defaults={
                "customer_id": account.customer_id, "name": SPACE, "key": SPACE, "config": {"namespace": SPACE},
                "period_s": 120, "next_due_at": START, "problem_code": problem, "failures": failures,
                "last_ok_at": ok_at, "created_at": START, "changed_at": START,
            },
        )  # fmt: skip


def sweep(customer: Customer, at: float) -> None:
    with scope.customer(customer):
        silence.sweep(customer=customer, now=minute(at))


def incidents(customer: Customer) -> int:
    with scope.customer(customer):
        return Incident.objects.count()


def test_a_resource_that_cloudmonitor_no_longer_shows_is_told_and_is_over_when_it_does(
    jia: Customer, account: CloudAccount, ecs: Asset
) -> None:
    feed(jia, ecs, CPU, [5] * 5)
    asked(account, minute(30))
    sweep(jia, 10)
    assert alerts(jia) == [], "its points come minutes late"
    sweep(jia, 30)
    (alert,) = alerts(jia)
    assert (alert.rule_id, alert.asset_id, alert.held) == (CLOUD_NO_DATA, ecs.pk, "")
    assert "mall-01" in alert.title
    assert alert.first_breach_at == minute(4)
    assert incidents(jia) == 1
    feed(jia, ecs, CPU, [5], start=31)
    sweep(jia, 32)
    (alert,) = alerts(jia)
    assert alert.ending == Alert.Ending.DATA_BACK


def test_each_resource_has_an_alert_of_its_own(jia: Customer, account: CloudAccount, ecs: Asset) -> None:
    other = server(jia, "mall-02", kind="ecs", cloud_account=account, provider_id="i-2")
    for asset in (ecs, other):
        feed(jia, asset, CPU, [5] * 5)
    feed(jia, ecs, CPU, [5] * 26, start=5)
    asked(account, minute(30))
    sweep(jia, 30)
    assert [alert.asset_id for alert in alerts(jia)] == [other.pk]


@pytest.mark.parametrize("state", ["refused", "key_invalid", "every namespace"])
def test_an_account_that_lets_nothing_be_read_holds_back_what_is_missing_of_its_resources(
    jia: Customer, account: CloudAccount, ecs: Asset, state: str
) -> None:
    feed(jia, ecs, CPU, [5] * 5)
    with scope.customer(jia):
        if state == "refused":
            CloudAccount.objects.update(state=CloudAccount.State.REFUSED)
        if state == "key_invalid":
            CloudReading.objects.create(
                customer=jia, cloud_account=account, next_due_at=START, problem_code="key_invalid"
            )
    asked(account, minute(4), problem="provider_error", failures=3)
    sweep(jia, 30)
    (alert,) = alerts(jia)
    assert (alert.rule_id, alert.held) == (CLOUD_NO_DATA, Held.INHIBITED)
    assert incidents(jia) == 0
    with scope.customer(jia):
        assert AlertHold.objects.get(alert=alert).relation == Relation.ACCOUNT


def test_what_is_still_missing_when_the_account_can_be_read_again_is_told_a_while_later(
    jia: Customer, account: CloudAccount, ecs: Asset
) -> None:
    feed(jia, ecs, CPU, [5] * 5)
    asked(account, minute(4), problem="provider_error", failures=3)
    sweep(jia, 30)
    sweep(jia, 31)
    with scope.customer(jia):
        assert not Timer.objects.filter(task="monitoring.settle").exists()
    asked(account, minute(32))
    for at in (32, 33):
        sweep(jia, at)
    with scope.customer(jia):
        timer = Timer.objects.get(task="monitoring.settle")
        assert timer.due_at == minute(42), "set once, and not put off by the next sweep"
        assert alerts(jia)[0].held
        watching.settle(customer=jia, now=minute(42))
    assert not alerts(jia)[0].held
    assert incidents(jia) == 1


@pytest.mark.parametrize(("problem", "failures"), [("quota_exhausted", 9), ("provider_error", 2), ("clock", 9)])
def test_what_we_did_not_read_is_no_alert_of_the_customer(
    jia: Customer, account: CloudAccount, ecs: Asset, problem: str, failures: int
) -> None:
    feed(jia, ecs, CPU, [5] * 5)
    asked(account, minute(4), problem=problem, failures=failures)
    sweep(jia, 60)
    assert alerts(jia) == []


def test_a_poll_that_did_not_run_is_no_silence_of_cloudmonitor(
    jia: Customer, account: CloudAccount, ecs: Asset
) -> None:
    feed(jia, ecs, CPU, [5] * 5)
    asked(account, minute(5))
    sweep(jia, 60)
    assert alerts(jia) == []


def test_a_stopped_machine_and_one_without_a_watch_are_not_missed(
    jia: Customer, account: CloudAccount, ecs: Asset
) -> None:
    feed(jia, ecs, CPU, [5] * 5)
    asked(account, minute(60))
    with scope.customer(jia):
        Asset.objects.update(status=Asset.Status.STOPPED)
    sweep(jia, 60)
    assert alerts(jia) == []
    with scope.customer(jia):
        Asset.objects.update(status=Asset.Status.RUNNING)
    sweep(jia, 61)
    with scope.customer(jia):
        Target.objects.update(is_enabled=False)
    sweep(jia, 62)
    assert alerts(jia)[0].ending == Alert.Ending.RULE_OFF


def test_one_namespace_that_answers_is_an_account_that_can_be_read(jia: Customer, account: CloudAccount) -> None:
    asked(account, START, problem="provider_error", failures=5)
    with scope.customer(jia):
        assert cloud.unreadable() == {account.pk}
        Target.objects.create(
            customer=jia, cloud_account=account, kind="cms", name="x", key="x", next_due_at=START, created_at=START,
            config={"namespace": "acs_rds_dashboard"}, changed_at=START,
        )  # fmt: skip
        assert cloud.unreadable() == frozenset()
