"""Web, hosts and databases of a month with known answers: the same numbers in JSON, on the page and on paper."""

from __future__ import annotations

import re

import numpy as np
import pytest

from accounts import scope
from accounts.models import Contract, Customer, User
from tests.conftest import ClientFor
from tests.reports import paper
from tests.reports.everywhere import Shown, shown_everywhere
from tests.reports.golden import asset_of, day, figure, table, write
from tests.reports.test_golden_hosts import fleet

pytestmark = pytest.mark.django_db
SHOP = "https://shop.example/"
FIGURES = {
    "web": {"urls": "2", "available": "99.93 %", "worst": "99.87 %", "outages": "0", "p95": "500 ms", "endings": "1"},
    "hosts": {
        "hosts": "6", "cpu": "29.40 %", "memory": "35 %", "fullest": "81.00 %", "short": "1", "filling": "1",
        "reboots": "2", "ports": "2", "closed": "1",
    },
    "databases": {"databases": "2", "cpu": "35 %", "connections": "88 %", "fullest": "91.00 %", "short": "1",
                  "filling": "1"},
}  # fmt: skip
"""By part and key, as people read them."""
ROWS: dict[tuple[str, str], list[tuple[str, ...]]] = {
    ("web", "sites"): [
        (SHOP, "mall", "99.87 %", "0", "0 秒", "100", "500", "500", "100 %"),
        ("https://api.example/", "api", "100 %", "0", "0 秒", "—", "—", "—", "100 %"),
    ],
    ("hosts", "use"): [
        ("gone", "20 %", "20 %", "20 %", "—", "—", "—", "—", "—", "100 %"),
        ("half", "50 %", "50 %", "50 %", "—", "—", "—", "—", "—", "50 %"),
        ("shop", "45.00 %", "90 %", "90 %", "60 %", "60 %", "60 %", "2", "2", "100 %"),
    ],
    ("hosts", "disks"): [
        ("shop", "/data", "65.50 %", "79.45 %", "81.00 %", "81.00 %"),
    ],
    ("hosts", "network"): [("idle", "10", "10", "10", "—", "—", "—"), ("shop", "12", "12", "12", "12.00", "12", "36")],
    ("databases", "instances"): [
        ("cache", "Redis", "50 %", "50 %", "—", "—", "—", "—", "100 %"),
        ("orders", "MySQL 8.0", "20 %", "20 %", "60 %", "20 %", "88 %", "30 %", "100 %"),
    ],
    ("databases", "space"): [("orders", "91.00 %", "1.00", "2026-04-09")],
}  # fmt: skip
"""By part and table: rows, or how they begin."""


@pytest.fixture
def shown(jia: Customer, yi: Customer, chen: User, client_for: ClientFor) -> Shown:
    fleet(jia, yi)
    mall, api = asset_of(jia, "mall", "url"), asset_of(jia, "api", "url")
    write(mall, "url.result_code", lambda at: np.where((at >= 2688) & (at < 2700), 1.0, 0.0), url=SHOP)
    write(mall, "url.latency_ms", lambda at: np.where(at % 100 < 90, 100.0, 500.0), url=SHOP, point="p1")
    write(mall, "url.cert_days_left", 20, first=day(31), url=SHOP)
    write(api, "url.result_code", 0, url="https://api.example/")
    orders, cache = asset_of(jia, "orders", "rds", engine="MySQL 8.0"), asset_of(jia, "cache", "redis", engine="Redis")
    for metric, value in (("cpu", 20), ("mem", 60), ("iops", 30)):
        write(orders, f"rds.{metric}.util", value)
    write(orders, "rds.connection.util", lambda at: np.where(at == 100, 88.0, 20.0))
    write(orders, "rds.disk.util", lambda at: 60 + at / 288)
    write(cache, "redis_cloud.cpu.util", 50)
    with scope.platform("test"):
        Contract.objects.update(starts_on="2026-01-01", ends_on="2026-12-31")
        Customer.objects.filter(pk=jia.pk).update(created_at=day(-60))
        jia.refresh_from_db()
    return shown_everywhere(jia, chen, client_for(chen))


def test_json_page_and_document_say_the_same(shown: Shown) -> None:
    assert figure(shown.parts["web"], "available") == pytest.approx(100 * (1 - 6 / 8928))
    assert figure(shown.parts["hosts"], "fullest") == pytest.approx(50 + 8927 / 288)
    assert figure(shown.parts["databases"], "connections") == 88
    wrong = []
    for name, golden in FIGURES.items():
        numbers = {one.key: one for one in shown.parts[name].figures()}
        for key, text in golden.items():
            label = numbers[key].label
            if paper.packed(label + text) not in shown.paper:
                wrong.append(("paper", name, key, text))
            if not re.search(
                rf"{re.escape(label)}<i [^>]*></i></span><span [^>]*>{re.escape(text)}</span>", shown.page
            ):
                wrong.append(("page", name, key, text))
    for (name, key), rows in ROWS.items():
        assert len(table(shown.parts[name], key).rows) >= len(rows)
        for texts in rows:
            if paper.packed("".join(texts)) not in shown.paper:
                wrong.append(("paper", name, key, str(texts)))
            if not re.search(r"\s*".join(rf"<td [^>]*>{re.escape(text)}</td>" for text in texts), shown.page):
                wrong.append(("page", name, key, str(texts)))
    assert wrong == []
    # The trend, the praise and the months beside each other.
    assert "2026-04-19" in shown.paper
    assert paper.packed("shop:8080") in shown.paper
