"""Each of the contract's 122 items is collected, by a collector that there is, as figures that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from assets.models import Asset, CloudAccount
from demo.aliyun import JIA_UID, CloudServer, demo_cloud
from monitoring.collectors.config import Kind
from monitoring.collectors.config.cloud import NAMESPACES, PERFORMANCE
from monitoring.collectors.products import PRODUCTS
from monitoring.items import CONTRACT, ITEMS, Item, as_markdown, load
from monitoring.models import Series, Target
from monitoring.panels import panels_for
from monitoring.rules import METRICS
from monitoring.services import claims, poll, targets
from tests.assets.conftest import register, sync

DOCUMENT = Path(__file__).parents[2] / "docs" / "monitoring-items.md"
COUNTS = {
    "Tomcat": 17, "Nginx": 7, "Zookeeper": 17, "Redis": 9, "RDS for MySQL": 33, "SLB": 7,
    "MySQL (section 6)": 14, "SQL Server (section 6)": 14, "PostgreSQL (section 6)": 2, "RDS for PPAS (section 6)": 2,
}  # fmt: skip
CLOUD_PRODUCTS = {
    "RDS for MySQL": ("rds", "mysql"),
    "MySQL (section 6)": ("rds", "mysql"),
    "SQL Server (section 6)": ("rds", "sqlserver"),
    "PostgreSQL (section 6)": ("rds", "postgresql"),
    "RDS for PPAS (section 6)": ("rds", "ppas"),
    "SLB": ("slb", ""),
}
"""What an asset is, of which the cloud tells a product's items."""


def test_the_items_are_the_contracts() -> None:
    assert len(ITEMS) == CONTRACT == sum(COUNTS.values())
    assert Counter(item.product for item in ITEMS) == COUNTS
    assert len({(item.product, item.name) for item in ITEMS}) == CONTRACT


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.product}-{item.name}")
def test_an_item_is_collected_and_drawn(item: Item) -> None:
    assert item.collector in PRODUCTS or item.collector == Kind.CMS
    sources = {METRICS[name].source for name in item.metrics}
    assert sources <= ({"cms", "rds"} if item.collector == Kind.CMS else {"agent"})
    drawn = {name for panel in panels_for(item.metrics) for name in panel.metrics}
    starts = {name for name in item.metrics if METRICS[name].kind == "start"}
    assert set(item.metrics) - starts <= drawn


def test_an_item_that_nothing_stands_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("product,item,name_zh,collector,metrics,fact,note_zh,note_en\nNginx,active,x,nginx,nginx.none,,,\n")
    with pytest.raises(ValueError, match=r"nginx\.none"):
        load(path)


def test_the_document_says_the_same() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == as_markdown()


@pytest.fixture
def account(jia: Customer) -> Iterator[CloudAccount]:
    """An account with at least one instance of everything that the contract has items for."""
    cloud = demo_cloud()
    cloud.estate(JIA_UID).add_rds("erp-ppas", engine="PPAS", version="10.0", spec="ppas.x4.large.2")
    with CloudServer(cloud) as server, scope.customer(jia):
        made = register(jia, server)
        sync(made, datetime.now(UTC))
        targets.create_for_account(account=made, actor=None, now=timezone.now())
        yield made


@pytest.mark.django_db
def test_each_item_of_the_cloud_is_read_from_every_instance_that_has_it(account: CloudAccount) -> None:
    with scope.platform("test"):
        works = claims.claim(now=timezone.now())
    with scope.customer(account.customer_id):
        for work in works:
            poll.collect(work)
        answered = Target.objects.filter(last_ok_at__isnull=False, problem_code="")
        read = set(answered.values_list("config__namespace", flat=True))
        series = set(Series.objects.values_list("asset_id", "metric"))
        assets: dict[tuple[str, str], list[Asset]] = {}
        for asset in Asset.objects.filter(cloud_account=account):
            assets.setdefault((asset.kind, asset.product), []).append(asset)
    assert read == {*NAMESPACES.values(), PERFORMANCE}
    missing = [
        f"{item.product}: {item.name}: {name} of {asset.name}"
        for item in ITEMS
        if item.collector == Kind.CMS
        for asset in assets[CLOUD_PRODUCTS[item.product]]
        for name in item.metrics
        if (asset.pk, name) not in series
    ]
    assert missing == []
