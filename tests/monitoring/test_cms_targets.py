"""CloudMonitor end to end: an account of the simulated Alibaba Cloud becomes targets, targets become series."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from demo.aliyun import JIA_UID, CloudServer, demo_cloud
from monitoring.models import Alert, Series, Target
from monitoring.services import claims, poll, targets, vitals
from notify.models import Delivery
from tests.assets.conftest import register, sync

pytestmark = pytest.mark.django_db


@pytest.fixture
def cloud() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


@pytest.fixture
def account(jia: Customer, cloud: CloudServer) -> CloudAccount:
    with scope.customer(jia):
        account = register(jia, cloud)
        sync(account, datetime.now(UTC))
        return account


def collect_all(now: datetime | None = None) -> int:
    now = now or timezone.now()
    with scope.platform("test"):
        works = claims.claim(now=now)
    stored = 0
    for work in works:
        with scope.customer(work.customer_id):
            stored += poll.collect(work)
    return stored


def test_only_namespaces_with_resources_are_read_and_only_once(account: CloudAccount) -> None:
    with scope.customer(account.customer_id):
        made = targets.create_for_account(account=account, actor=None, now=timezone.now())
        kinds = set(Asset.objects.filter(cloud_account=account).values_list("kind", flat=True))
        again = targets.create_for_account(account=account, actor=None, now=timezone.now())
    assert made
    assert len(made) == len(kinds) + 1, "a namespace for each kind, and the performance API of RDS"
    assert again == []


def test_the_clouds_figures_become_series_of_our_assets(account: CloudAccount) -> None:
    with scope.customer(account.customer_id):
        targets.create_for_account(account=account, actor=None, now=timezone.now())
        assert collect_all() > 0
        problems = dict(Target.objects.exclude(problem_code="").values_list("name", "problem_detail"))
        found = Series.objects.filter(metric="ecs.cpu.util").select_related("asset")
        assert {one.asset.kind for one in found} == {"ecs"}
        assert {one.asset.cloud_account_id for one in found} == {account.pk}
    assert problems == {}


def test_a_memcache_of_the_cloud_is_no_redis_and_is_watched(jia: Customer, cloud: CloudServer) -> None:
    """R161: one list has both; their figures are of different namespaces."""
    estate = cloud.cloud.estate(JIA_UID)
    wanted = str(estate.find("mall-sessions")["InstanceId"])
    with scope.customer(jia):
        account = register(jia, cloud)
        sync(account, datetime.now(UTC))
        cache = Asset.objects.get(provider_id=wanted)
        assert (cache.kind, cache.product, cache.name) == ("memcache", "memcached", "mall-sessions")
        assert Asset.objects.filter(kind="redis").count() == 3
        targets.create_for_account(account=account, actor=None, now=timezone.now())
        assert Target.objects.get(config__namespace="acs_memcache").cloud_account == account
        collect_all()
        watched = set(Series.objects.filter(asset=cache).values_list("metric", flat=True))
    assert {"memcache_cloud.cpu.util", "memcache_cloud.mem.util", "memcache_cloud.connection.util"} <= watched
    assert not any(name.startswith("redis_cloud") for name in watched)


def test_nothing_is_taken_twice(account: CloudAccount) -> None:
    with scope.customer(account.customer_id):
        targets.create_for_account(account=account, actor=None, now=timezone.now())
        first = collect_all()
        Target.objects.update(next_due_at=timezone.now())
        second = collect_all(timezone.now() + timedelta(seconds=1))
    assert second < first / 2


def test_a_refused_key_is_one_message_to_the_engineer_and_no_alert(
    account: CloudAccount, cloud: CloudServer, chen: User
) -> None:
    with scope.customer(account.customer_id):
        made = targets.create_for_account(account=account, actor=None, now=timezone.now())
        CloudAccount.objects.filter(pk=account.pk).update(access_key_id="LTAI-no-such-key")
        for _ in range(4):
            Target.objects.update(next_due_at=timezone.now(), lease_until=None)
            assert collect_all() == 0
        codes = set(Target.objects.values_list("problem_code", flat=True))
        assert not Alert.objects.exists()
    assert len(made) > 1
    assert codes == {"key_invalid"}
    with scope.platform("test"):
        assert Delivery.objects.filter(key__startswith="target:account:").count() == 1


def test_accounts_are_followed_without_anybody_pressing(account: CloudAccount) -> None:
    with scope.platform("test"):
        assert targets.follow_inventory(now=timezone.now()) > 0
        assert targets.follow_inventory(now=timezone.now()) == 0
        CloudAccount.objects.filter(pk=account.pk).update(retired_at=timezone.now())
        assert targets.follow_inventory(now=timezone.now()) > 0
        assert not Target.objects.enabled().exists()


def test_a_cloud_asset_shows_the_namespace_that_watches_it(account: CloudAccount) -> None:
    with scope.customer(account.customer_id):
        targets.create_for_account(account=account, actor=None, now=timezone.now())
        ecs = Asset.objects.filter(kind="ecs").first()
        assert ecs is not None
        assert [target.where for target in Target.objects.watching(ecs)] == ["acs_ecs_dashboard"]


def test_a_cloud_account_that_answers_slowly_counts_in_the_lag_and_a_slow_host_does_not(account: CloudAccount) -> None:
    """The lane of the slow is for hosts (`claims`): a slow account waits like any other, and so it is late like any."""
    now = timezone.now()
    with scope.customer(account.customer_id):
        targets.create_for_account(account=account, actor=None, now=now)
        host = Asset.objects.filter(cloud_account=account).first()
        assert host is not None
        config = {"host": "203.0.113.7", "port": 80}
        tcp = targets.create(asset=host, kind="tcp", config=config, actor=None, now=now)
        Target.objects.update(next_due_at=now + timedelta(hours=1), last_duration_ms=claims.SLOW_MS)
        Target.objects.filter(pk=tcp.pk).update(next_due_at=now - timedelta(seconds=300))
        with scope.platform("test"):
            assert vitals.figures(now=now)["poll_lag_s"] == 0
        cloudy = Target.objects.filter(kind="cms").values_list("pk", flat=True)[:1]
        assert Target.objects.filter(pk__in=list(cloudy)).update(next_due_at=now - timedelta(seconds=90)) == 1
    with scope.platform("test"):
        assert vitals.figures(now=now)["poll_lag_s"] == 90
