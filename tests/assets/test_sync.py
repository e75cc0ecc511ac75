"""What a pass over a cloud account does to its assets."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import AuditEntry, Customer
from assets.models import CLOUD_KINDS, Asset, CloudAccount, SyncRun
from assets.services import syncing
from demo.aliyun import JIA_UID, READ_ONLY, SimulatedCloud
from tests.assets.conftest import sync
from tests.conftest import NOW

State = SyncRun.State
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def by_name(name: str) -> Asset:
    return Asset.objects.get(name=name)


def steps(run: SyncRun) -> dict[str, str]:
    return {step.kind: step.state for step in run.steps.all()}


def test_the_first_pass_finds_every_kind_of_resource(account: CloudAccount) -> None:
    run = sync(account)

    assert run.state == State.DONE
    found = {kind: Asset.objects.filter(kind=kind).count() for kind in CLOUD_KINDS}
    assert found == {
        "ecs": 14, "rds": 6, "slb": 3, "redis": 3, "memcache": 1, "mongodb": 2, "oss": 3, "cdn": 3, "drds": 2,
        "elasticsearch": 2,
    }  # fmt: skip
    assert all(asset.simulated and asset.customer_id == account.customer_id for asset in Asset.objects.all())


def test_an_asset_has_what_the_provider_says_of_it(account: CloudAccount) -> None:
    sync(account)

    web = by_name("mall-web-04")
    assert (web.region, web.zone, web.spec) == ("cn-hangzhou", "cn-hangzhou-h", "ecs.c7.xlarge 4C8G")
    assert (web.private_ip, web.os, web.status, web.environment) == ("172.16.1.14", "linux", "running", "production")
    assert web.tags == {"env": "production", "project": "mall"}
    assert web.expires_at is not None
    assert by_name("mall-job-01").expires_at is None
    assert by_name("rdmp-ops").public_ip == "47.96.88.12"
    order = by_name("mall-order")
    assert (order.engine, order.product, order.port) == ("MySQL 8.0", "mysql", 3306)
    assert order.tags["project"] == "mall"
    assert by_name("mall-public").details["Listeners"] == "80,443"
    assert by_name("mall-log").details["DBInstanceType"] == "sharding"
    assert by_name("mall-history").product == "polardbx"


def test_what_vanishes_is_retired_and_kept(account: CloudAccount, cloud: SimulatedCloud) -> None:
    sync(account)
    web = by_name("mall-web-01")
    cloud.estate(JIA_UID).remove(web.provider_id)

    run = sync(account, LATER)

    web.refresh_from_db()
    assert web.retired_at == LATER
    assert run.steps.get(kind="ecs").retired == 1
    assert web not in Asset.objects.active()


def test_what_comes_back_is_the_same_asset_again(account: CloudAccount, cloud: SimulatedCloud) -> None:
    sync(account)
    web = by_name("mall-web-01")
    Asset.objects.filter(pk=web.pk).update(owner_name="王工")
    row = cloud.estate(JIA_UID).remove(web.provider_id)
    sync(account, LATER)
    cloud.estate(JIA_UID).put_back("ecs", row)

    run = sync(account, LATER + timedelta(hours=1))

    web.refresh_from_db()
    assert (web.retired_at, web.owner_name) == (None, "王工")
    assert run.steps.get(kind="ecs").returned == 1
    assert Asset.objects.filter(provider_id=web.provider_id).count() == 1


def test_a_second_pass_over_an_unchanged_account_changes_nothing_but_the_time_seen(account: CloudAccount) -> None:
    sync(account)
    written = AuditEntry.objects.filter(action="cloud_account.sync").count()

    run = sync(account, LATER)

    assert {(s.created, s.changed, s.retired, s.returned) for s in run.steps.all()} == {(0, 0, 0, 0)}
    assert AuditEntry.objects.filter(action="cloud_account.sync").count() == written
    web = by_name("mall-web-01")
    assert (web.seen_at, web.changed_at) == (LATER, NOW)


def test_what_people_wrote_survives_a_pass(account: CloudAccount, cloud: SimulatedCloud) -> None:
    sync(account)
    Asset.objects.filter(name="mall-web-01").update(owner_name="王工", role_text="front", environment="test")
    row = next(row for row in cloud.estate(JIA_UID).rows["ecs"] if row["InstanceName"] == "mall-web-01")
    row["InstanceName"] = "mall-web-renamed"

    run = sync(account, LATER)

    web = by_name("mall-web-renamed")
    assert (web.owner_name, web.role_text, web.environment) == ("王工", "front", "test")
    assert run.steps.get(kind="ecs").changed == 1


@pytest.mark.parametrize("kind", ["unavailable", "error", "garbage", "reset", "lost-page"])
def test_a_product_that_fails_retires_none_of_its_assets(
    account: CloudAccount, cloud: SimulatedCloud, kind: str
) -> None:
    sync(account)
    cloud.fail(kind, 99, product="Rds", action="DescribeDBInstances")

    run = sync(account, LATER)

    assert run.state == State.PARTIAL
    failed = run.steps.get(kind="rds")
    assert failed.state == State.FAILED
    assert failed.problem
    assert {state for name, state in steps(run).items() if name != "rds"} == {State.DONE}
    assert Asset.objects.active().filter(kind="rds").count() == 6
    account.refresh_from_db()
    assert (account.state, account.synced_at) == (CloudAccount.State.FAILING, LATER)


def test_one_region_that_fails_retires_nothing_in_the_others(account: CloudAccount, cloud: SimulatedCloud) -> None:
    sync(account)
    cloud.fail("throttle", 99, product="Ecs", region="cn-beijing")

    run = sync(account, LATER)

    assert run.steps.get(kind="ecs").error_code == "Throttling.User"
    assert Asset.objects.active().filter(kind="ecs").count() == 14


def test_throttling_that_passes_is_no_failure(account: CloudAccount, cloud: SimulatedCloud) -> None:
    cloud.fail("throttle", 2, product="Slb", action="DescribeLoadBalancers")

    assert sync(account).state == State.DONE


def test_a_disabled_key_ends_the_pass_at_once_and_says_so(account: CloudAccount, cloud: SimulatedCloud) -> None:
    sync(account)
    cloud.accounts[JIA_UID][0].disable_key(READ_ONLY.access_key_id)
    cloud.forget_calls()

    run = sync(account, LATER)

    account.refresh_from_db()
    assert (run.state, account.state) == (State.FAILED, CloudAccount.State.REFUSED)
    assert cloud.calls() == 0, "a refused request is not counted, and the other kinds are not even asked"
    assert Asset.objects.active().count() == 39
    assert account.synced_at == NOW
    assert "disabled" in account.problem or "禁用" in account.problem


def test_asking_twice_gives_one_pass(account: CloudAccount) -> None:
    first = syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=None, now=NOW)
    second = syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=None, now=NOW)

    assert first.pk == second.pk


def test_a_pass_is_done_once_whoever_is_woken(account: CloudAccount) -> None:
    run = syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=None, now=NOW)

    assert syncing.run(run_id=run.pk, clock=lambda: NOW) is not None
    assert syncing.run(run_id=run.pk, clock=lambda: NOW) is None


def test_accounts_are_synchronised_when_they_are_due(account: CloudAccount) -> None:
    with scope.platform("test"):
        assert syncing.ask_for_due(now=NOW) == 1
        assert syncing.ask_for_due(now=NOW + timedelta(minutes=29)) == 0
    run = SyncRun.objects.get()
    syncing.run(run_id=run.pk, clock=lambda: NOW)
    with scope.platform("test"):
        assert syncing.ask_for_due(now=NOW + timedelta(minutes=30)) == 1


def test_a_pass_whose_worker_died_is_ended_and_asked_for_again(account: CloudAccount) -> None:
    run = syncing.ask(account=account, trigger=SyncRun.Trigger.SCHEDULE, actor=None, now=NOW)
    SyncRun.objects.filter(pk=run.pk).update(state=State.RUNNING, started_at=NOW)

    with scope.platform("test"):
        assert syncing.ask_for_due(now=NOW + timedelta(minutes=5)) == 0
        assert syncing.ask_for_due(now=NOW + timedelta(minutes=21)) == 1

    run.refresh_from_db()
    assert (run.state, run.error_code) == (State.FAILED, "interrupted")
    assert SyncRun.objects.filter(state=State.WAITING).count() == 1


def test_more_resources_do_not_cost_more_queries(account: CloudAccount, cloud: SimulatedCloud) -> None:
    def queries(now_offset: int) -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            sync(account, NOW + timedelta(hours=now_offset))
        return len(seen)

    queries(0)
    few = queries(1)
    for number in range(150):
        cloud.estate(JIA_UID).add_ecs(f"extra-{number}")
    queries(2)
    assert Asset.objects.active().filter(kind="ecs").count() == 164
    assert queries(3) <= few


def test_the_audit_log_names_what_changed(account: CloudAccount, cloud: SimulatedCloud) -> None:
    sync(account)
    cloud.estate(JIA_UID).remove(by_name("mall-web-01").provider_id)
    sync(account, LATER)

    entry = AuditEntry.objects.filter(action="cloud_account.sync").latest("sequence")
    assert entry.detail["retired"]["count"] == 1
    assert entry.detail["retired"]["names"][0].startswith("mall-web-01 ")
