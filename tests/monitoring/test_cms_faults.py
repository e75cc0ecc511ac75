"""Reading CloudMonitor over HTTP while it throttles, refuses, breaks off, lags and renames: nothing lost, nothing
doubled, and our trouble never the customer's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from demo.aliyun import JIA_UID, CloudServer, FaultKind, demo_cloud
from monitoring import governor, registry, storage
from monitoring.models import Alert, CloudReading, CloudUse, Series, Target
from monitoring.services import claims, cloud, poll, targets
from notify.models import Delivery
from tests.assets.conftest import HASTY, register, sync
from tests.conftest import ClientFor

pytestmark = pytest.mark.django_db

SPACE = "acs_slb_dashboard"
METRIC = "slb.drop_connections_per_s"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions are as many as ever; the pauses between them are short."""
    monkeypatch.setattr("assets.services.accounts.PATIENCE", HASTY)


@pytest.fixture
def server() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


@pytest.fixture
def account(jia: Customer, server: CloudServer) -> Iterator[CloudAccount]:
    """An account with its load balancers and databases, which is enough to go wrong."""
    estate = server.cloud.estate(JIA_UID)
    for product, rows in estate.rows.items():
        if product not in ("slb", "rds"):
            rows.clear()
    with scope.customer(jia):
        made = register(jia, server)
        sync(made, datetime.now(UTC))
        targets.create_for_account(account=made, actor=None, now=timezone.now())
        yield made


def target(namespace: str = SPACE) -> Target:
    return Target.objects.get(config__namespace=namespace)


def collect(namespace: str = SPACE, minutes: float = 0) -> int:
    """One run of one namespace, at a moment that may lie ahead."""
    now = timezone.now() + timedelta(minutes=minutes)
    lease = now + claims.CMS_LEASE
    Target.objects.filter(pk=target(namespace).pk).update(lease_until=lease)
    found = target(namespace)
    with scope.customer(found.customer_id):
        work = claims.Work(found.customer_id, found.kind, [found.pk], lease)
        return poll.collect(work, clock=lambda: now)


def stored(asset: str = "mall-internal") -> list[int]:
    """The minutes of one series that are stored, as often as they are."""
    series = Series.objects.get(metric=METRIC, asset__name=asset)
    found = storage.read(
        asset_id=series.asset_id,
        series_ids=[series.pk],
        start=timezone.now() - timedelta(days=2),
        end=timezone.now() + timedelta(days=1),
    )[series.pk]
    return [int(ts) // 60_000 for ts in found.ts.tolist()]


def ask_all_names() -> None:
    """As if every metric were due: the figures that no rule needs rest otherwise."""
    row = target()
    row.state["due"] = {}
    row.save(update_fields=["state"])


def test_after_an_outage_every_minute_is_there_once(account: CloudAccount) -> None:
    collect(minutes=0)
    row = target()
    back = round((timezone.now() - timedelta(hours=7)).timestamp() * 1000)
    row.state["read"][METRIC] = back
    row.save(update_fields=["state"])
    before = set(stored())
    collect()
    minutes = stored()
    assert len(minutes) == len(set(minutes)), "nothing twice"
    assert np.diff(minutes).max() == 1, "no gap"
    assert minutes[0] <= back // 60_000
    assert before <= set(minutes)


def test_points_that_come_three_minutes_late_are_not_lost(account: CloudAccount, server: CloudServer) -> None:
    server.cloud.metrics.spread = timedelta(minutes=3)
    collect()
    server.cloud.metrics.spread = timedelta(0)
    server.cloud.metrics.lag = timedelta(0)
    collect()
    for asset in ("mall-internal", "mall-public", "bi-public"):
        series = Series.objects.filter(metric=METRIC, asset__name=asset)
        for one in series:
            found = storage.read(
                asset_id=one.asset_id,
                series_ids=[one.pk],
                start=timezone.now() - timedelta(hours=1),
                end=timezone.now(),
            )[one.pk]
            assert np.all(np.diff(found.ts) == 60_000)


def test_throttled_calls_are_repeated_and_nothing_is_missing(account: CloudAccount, server: CloudServer) -> None:
    server.cloud.fail(FaultKind.THROTTLE, 2, product="Cms", action="DescribeMetricList")
    collect()
    assert target().problem_code == ""
    assert stored()
    assert CloudUse.objects.get(namespace=SPACE).throttled == 2


def test_throttling_without_end_is_our_trouble_and_passes(account: CloudAccount, server: CloudServer) -> None:
    server.cloud.fail(FaultKind.THROTTLE, 1000, product="Cms", action="DescribeMetricList")
    collect()
    assert target().problem_code == "throttled"
    assert not Alert.objects.exists()
    server.cloud.heal()
    collect()
    assert target().problem_code == ""
    assert np.diff(stored()).max(initial=1) == 1


@pytest.mark.parametrize("kind", [FaultKind.HALF, FaultKind.GARBAGE, FaultKind.RESET, FaultKind.UNAVAILABLE])
def test_a_broken_answer_is_asked_again(account: CloudAccount, server: CloudServer, kind: FaultKind) -> None:
    server.cloud.fail(kind, 1, product="Cms", action="DescribeMetricList")
    collect()
    assert target().problem_code == ""
    assert stored()


def test_a_page_that_fails_for_good_moves_no_mark(account: CloudAccount, server: CloudServer) -> None:
    collect()
    before = target().state["read"]
    ask_all_names()
    server.cloud.fail(FaultKind.ERROR, 1000, product="Cms", action="DescribeMetricList")
    collect()
    assert target().state["read"] == before
    assert target().problem_code == "provider_error"


def test_a_spent_quota_rests_the_reading_and_is_told_once(
    account: CloudAccount, server: CloudServer, chen: User
) -> None:
    collect()
    server.cloud.quota[JIA_UID] = 0
    ask_all_names()
    for _ in range(3):
        collect()
    assert target().problem_code == "quota_exhausted"
    calls = server.cloud.calls(action="DescribeMetricList")
    collect()
    assert server.cloud.calls(action="DescribeMetricList") == calls, "no call while it rests"
    assert not Alert.objects.exists()
    with scope.platform("test"):
        assert Delivery.objects.filter(user=chen, key__contains="quota_exhausted").count() == 1
    server.cloud.quota[JIA_UID] = 1000
    collect(minutes=61)
    assert target().problem_code == ""
    assert CloudReading.objects.get(cloud_account=account).problem_code == ""
    with scope.platform("test"):
        assert Delivery.objects.filter(user=chen, key__contains=":well:").count() == 1


def test_the_performance_of_rds_is_read_while_the_quota_is_spent(account: CloudAccount, server: CloudServer) -> None:
    server.cloud.quota[JIA_UID] = 0
    collect()
    assert collect("rds_performance") > 0
    assert target("rds_performance").problem_code == ""
    assert Series.objects.filter(metric="rds.mysql.myisam_key_usage_pct", asset__name="mall-order").exists()
    assert Series.objects.filter(metric="rds.sqlserver.buffer_hit_pct", asset__name="erp").exists()
    assert Series.objects.filter(metric="rds.pg.iops", asset__name="bi-warehouse").exists()


def test_a_refused_key_is_one_spell_however_many_namespaces(
    account: CloudAccount, server: CloudServer, chen: User
) -> None:
    server.cloud.accounts[JIA_UID][0].disable_key(account.access_key_id)
    for namespace in (SPACE, "acs_rds_dashboard", "rds_performance", SPACE):
        collect(namespace)
        assert target(namespace).problem_code == "key_invalid"
    assert not Alert.objects.exists()
    with scope.platform("test"):
        assert Delivery.objects.filter(user=chen, key__contains="key_invalid").count() == 1
    key = server.cloud.accounts[JIA_UID][0].find_key(account.access_key_id)
    assert key is not None
    key[1].active = True
    collect()
    server.cloud.accounts[JIA_UID][0].disable_key(account.access_key_id)
    collect(minutes=1)
    with scope.platform("test"):
        assert Delivery.objects.filter(user=chen, key__contains="key_invalid").count() == 2, "a new spell is told anew"


def test_a_clock_that_is_wrong_is_said_to_be_ours(account: CloudAccount, server: CloudServer) -> None:
    server.cloud.clock = lambda: datetime.now(UTC) + timedelta(hours=1)
    collect()
    assert target().problem_code == "clock"


def test_a_name_that_went_away_costs_nothing_and_hides_nothing(account: CloudAccount, server: CloudServer) -> None:
    server.cloud.metrics.gone.add((SPACE, "DropConnection"))
    collect()
    assert target().problem_code == ""
    assert not Series.objects.filter(metric=METRIC).exists()
    assert Series.objects.filter(metric="slb.unhealthy_servers").exists()


def test_calls_are_counted_and_the_governor_stretches_periods(account: CloudAccount, chen: User) -> None:
    collect()
    calls = CloudUse.objects.get(namespace=SPACE).calls
    assert calls >= 5
    collect()
    assert CloudUse.objects.get(namespace=SPACE).calls > calls
    now = timezone.now()
    assert cloud.govern(account=account, now=now).stretch == 1
    assert target().period_s == 120
    used = round(governor.FREE_CALLS * governor.PLANNED_SHARE) - 100
    CloudUse.objects.filter(namespace=SPACE).update(calls=used)
    found = cloud.govern(account=account, now=now)
    assert found.stretch > 1
    assert target().period_s == round(120 * found.stretch)
    assert target("rds_performance").period_s == 300
    cloud.govern(account=account, now=now)
    with scope.platform("test"):
        assert Delivery.objects.filter(user=chen, key__startswith="cloud-quota:").count() == 1, "once a month"


def test_at_the_end_of_the_free_calls_reading_stops_until_the_month_does(
    account: CloudAccount, server: CloudServer
) -> None:
    collect()
    CloudUse.objects.filter(namespace=SPACE).update(calls=governor.FREE_CALLS)
    cloud.govern(account=account, now=timezone.now())
    before = server.cloud.calls(action="DescribeMetricList")
    collect(minutes=5)
    assert server.cloud.calls(action="DescribeMetricList") == before
    assert target().problem_code == "quota_exhausted"
    reading = CloudReading.objects.get(cloud_account=account)
    assert reading.exhausted_until is not None
    assert abs(reading.exhausted_until - governor.next_month(timezone.now())) < timedelta(minutes=1)


def test_readers_of_another_edition_are_not_asked_for(account: CloudAccount, server: CloudServer) -> None:
    """Without a SQL Server its figures are no call."""
    Asset.objects.filter(product="sqlserver").update(retired_at=timezone.now())
    collect("acs_rds_dashboard")
    state = target("acs_rds_dashboard").state
    assert "rds.mysql.qps" in state["read"]
    assert "rds.sqlserver.net_in_bits_per_s" not in state["read"]


def test_a_process_that_dies_after_storing_reads_again_and_doubles_nothing(account: CloudAccount) -> None:
    state = dict(target().state)
    collect()
    first = stored()
    Target.objects.filter(pk=target().pk).update(state=state)  # what it had learnt was not written
    registry.forget()
    collect()
    minutes = stored()
    assert len(minutes) == len(set(minutes))
    assert set(first) <= set(minutes)


def test_the_accounts_page_shows_how_reading_goes(account: CloudAccount, client_for: ClientFor, chen: User) -> None:
    collect()
    page = client_for(chen).get(f"/monitoring/for-account/{account.pk}/").content.decode()
    assert SPACE in page
    assert "1000000" in page.replace(",", "")
    trial = client_for(chen).post(f"/monitoring/for-account/{account.pk}/test/").content.decode()
    assert "rds_performance" in trial
