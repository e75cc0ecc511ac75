"""The demo's past is what the simulated cloud would have told, and nothing is judged by it."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts import scope
from accounts.models import Customer
from assets.models import Asset, CloudAccount
from demo import history
from demo.aliyun import cloud
from demo.aliyun.metrics import CATALOGUE, curve, series_of
from monitoring import storage
from monitoring.models import Alert, Series
from tests.conftest import NOW


@pytest.mark.django_db
def test_the_past_week_is_what_the_cloud_draws_and_opens_no_alert(jia: Customer) -> None:
    simulated = cloud.demo_cloud()
    uid, (_, estate) = next(iter(simulated.accounts.items()))
    metric = CATALOGUE["acs_ecs_dashboard", "CPUUtilization"]
    dimensions = next(iter(series_of(metric, estate)))
    with scope.customer(jia):
        account = CloudAccount.objects.create(
            customer=jia, name="a", account_uid=uid, access_key_id="k", created_at=NOW
        )
        asset = Asset.objects.create(
            customer=jia, cloud_account=account, kind="ecs", name="web", provider_id=dimensions["instanceId"],
            created_at=NOW, changed_at=NOW,
        )  # fmt: skip
        stored = history.write(customer=jia, account=account, estate=estate, metrics=simulated.metrics, now=NOW)
        series = Series.objects.get(asset=asset, metric="ecs.cpu.util")
        span = {"start": NOW - timedelta(days=7), "end": NOW}
        column = storage.read(asset_id=asset.pk, series_ids=[series.pk], **span)[series.pk]
        alerts = Alert.objects.count()
    assert stored >= len(column.ts) > 600
    assert alerts == 0
    newest = datetime.fromtimestamp(int(column.ts[-1]) / 1000, UTC)
    assert NOW - timedelta(minutes=40) < newest < NOW - timedelta(minutes=10)
    assert column.value.tolist() == [curve(metric, dimensions, at) for at in column.ts.tolist()]
