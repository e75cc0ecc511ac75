"""Each of the contract's 122 items is collected, by a collector that there is, as figures that there are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from monitoring.collectors.config import Kind
from monitoring.collectors.products import PRODUCTS
from monitoring.items import CONTRACT, ITEMS, Item, as_markdown, load
from monitoring.panels import panels_for
from monitoring.rules import METRICS

DOCUMENT = Path(__file__).parents[2] / "docs" / "monitoring-items.md"
COUNTS = {
    "Tomcat": 17, "Nginx": 7, "Zookeeper": 17, "Redis": 9, "RDS for MySQL": 33, "SLB": 7,
    "MySQL (section 6)": 14, "SQL Server (section 6)": 14, "PostgreSQL (section 6)": 2, "RDS for PPAS (section 6)": 2,
}  # fmt: skip


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
