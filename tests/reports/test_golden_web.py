"""The part on the web, number by number."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from accounts import scope
from accounts.models import Customer, Severity
from assets.models import Asset
from monitoring import pipeline
from monitoring.collectors.config import Kind
from monitoring.models import Alert, Target
from monitoring.rules import CODES
from reports.blocks import Part
from reports.kinds.monthly import web
from reports.kinds.monthly.sites import PORT_RULE, SITE_RULE
from tests.monitoring.samples import Sample, batch
from tests.reports.golden import (
    STEPS,
    asset_of,
    chart,
    day,
    figure,
    one,
    read,
    rows,
    said,
    table,
    warnings,
    wide_rows,
    write,
)

pytestmark = pytest.mark.django_db
GIVEN = pytest.approx
SHOP, API = "https://shop.example/", "https://api.example/"
DOWN = (9 * 288 + 96, 9 * 288 + 108)
"""The steps of the 10th, 8:00 to 9:00."""


def fell(at: np.ndarray, code: float) -> np.ndarray:
    return np.where((at >= DOWN[0]) & (at < DOWN[1]), code, 0.0)


def alert(asset: Asset, rule_id: str, labels: str, since: datetime, until: datetime | None = None) -> Alert:
    with scope.customer(asset.customer):
        found: Alert = Alert.objects.create(
            customer=asset.customer,
            asset=asset,
            rule_id=rule_id,
            labels=labels,
            open_key=f"{rule_id}/{labels}/{since}",
            severity=Severity.HIGH,
            title="down",
            first_breach_at=since,
            opened_at=since,
            detected_at=since,
            recovered_at=until,
            ending="" if until is None else Alert.Ending.RECOVERED,
        )
        return found


@pytest.fixture
def shop(jia: Customer) -> Asset:
    asset = asset_of(jia, "shop", "url", url=SHOP)
    write(asset, "url.result_code", lambda at: fell(at, 1), url=SHOP)
    write(asset, "url.point.result_code", lambda at: fell(at, 1), url=SHOP, point="p1")
    write(asset, "url.point.result_code", lambda at: fell(at, 1), url=SHOP, point="p2")
    write(asset, "url.point.result_code", lambda at: fell(at, 7), url=SHOP, point="p3")
    write(
        asset,
        "url.latency_ms",
        lambda at: np.select([at % 100 < 90, at % 100 < 98], [100.0, 500.0], 2000.0),
        url=SHOP,
        point="p1",
    )
    write(asset, "url.latency_ms", 50, first=day(31), url=SHOP, point="p2")
    for at in (day(1) - timedelta(minutes=5), day(32)):  # the months before and after
        one(asset, "url.result_code", 1, at, url=SHOP)
        one(asset, "url.point.result_code", 1, at, url=SHOP, point="p1")
        one(asset, "url.latency_ms", 9000, at, url=SHOP, point="p1")
    write(asset, "url.cert_days_left", 20, first=day(31), last=day(31, 12.01), url=SHOP)
    one(asset, "probe.domain.days_left", 100, day(30), name="shop.example")
    return asset


@pytest.fixture
def part(jia: Customer, yi: Customer, shop: Asset) -> Part:
    labels = f'url="{SHOP}"'
    alert(shop, SITE_RULE, labels, day(10, 8), day(10, 9))
    alert(shop, SITE_RULE, labels, day(1) - timedelta(hours=3), day(1, 1))
    alert(shop, SITE_RULE, labels, day(31, 23))
    alert(shop, SITE_RULE, labels, day(1) - timedelta(hours=9), day(1) - timedelta(hours=8))
    alert(shop, SITE_RULE, labels, day(32), day(33))
    alert(shop, PORT_RULE, 'port="443"', day(5, 1), day(5, 3))
    alert(shop, PORT_RULE, 'port="443"', day(6, 1), day(6, 2))
    api = asset_of(jia, "api", "url", url=API, created_at=day(16))
    write(api, "url.result_code", 0, first=day(16), url=API)
    write(api, "url.latency_ms", 200, first=day(16), url=API, point="p1")
    gone = asset_of(jia, "gone", "url", retired_at=day(8))
    write(
        gone, "url.result_code", lambda at: np.where(at >= 7 * 288, 1.0, 0.0), last=day(9), url="https://gone.example/"
    )
    write(asset_of(yi, "other", "url"), "url.result_code", 1, url="https://other.example/")
    return read(jia, web.read)


def test_each_url_by_its_numbers(part: Part) -> None:
    found = rows(part, "sites")
    assert list(found) == [SHOP, API, "https://gone.example/"], "the worst first"
    share = 100 * (1 - 12 / STEPS)
    assert found[SHOP] == ("shop", GIVEN(share), 3, 3 * 3600, 100, 500, 2000, 100)
    assert found[API] == ("api", 100, 0, 0, 200, 200, 200, 100)
    assert found["https://gone.example/"][1:3] == (100, 0), "what came after it was retired does not count"
    assert found["https://gone.example/"][-1] == 100
    assert figure(part, "available") == GIVEN((share + 200) / 3)
    assert figure(part, "worst") == GIVEN(share)
    assert figure(part, "urls") == 3
    assert f"{share:.2f}" in said(part, "bad")


def test_each_probe_point_by_its_numbers(part: Part) -> None:
    found = wide_rows(part, "places")
    share = 100 * (1 - 12 / STEPS)
    assert found[SHOP, "p1"] == (GIVEN(share), 100, 500, 2000, STEPS)
    assert found[SHOP, "p2"] == (GIVEN(share), 50, 50, 50, STEPS)
    assert found[SHOP, "p3"] == (GIVEN(share), None, None, None, STEPS)
    assert found[API, "p1"] == (None, 200, 200, 200, 0), "no round, no share"


def test_outages_are_those_that_reach_into_the_month(part: Part) -> None:
    timed_out = CODES["url.point.result_code"][1][0]
    found = table(part, "outages").rows
    assert [(row[1], row[2], row[3]) for row in found] == [
        ("2026-02-28T21:00:00+08:00", "2026-03-01T01:00:00+08:00", 3600),
        ("2026-03-10T08:00:00+08:00", "2026-03-10T09:00:00+08:00", 3600),
        ("2026-03-31T23:00:00+08:00", None, 3600),
    ]
    assert [row[4] for row in found] == ["", timed_out, ""], "two of three places said so"
    assert figure(part, "outages") == 3
    assert figure(part, "down") == 3 * 3600


def test_days_begin_at_midnight_in_shanghai(part: Part) -> None:
    days = chart(part, "available_by_day")
    assert list(days[SHOP]) == [f"03-{number:02}" for number in range(1, 32)]
    assert days[SHOP]["03-10"] == GIVEN(100 * (1 - 12 / 288))
    assert {value for label, value in days[SHOP].items() if label != "03-10"} == {100}
    assert days[API]["03-15"] is None
    assert days[API]["03-16"] == 100
    slow = chart(part, "p95_by_day")
    assert slow[SHOP]["03-01"] == 500
    assert slow[API]["03-15"] is None


def test_certificates_and_domains_are_told_as_of_the_end(part: Part) -> None:
    assert [row[1:] for row in table(part, "endings").rows] == [
        (SHOP, 19, "2026-04-20"),
        ("shop.example", 98, "2026-07-08"),
    ]
    assert figure(part, "endings") == 1
    assert "19" in said(part, "next")


def test_ports_that_were_down_are_added_up(part: Part) -> None:
    assert table(part, "ports").rows == (("shop", "443", 2, 3 * 3600, "2026-03-06T01:00:00+08:00"),)
    assert "shop:443" in said(part, "bad")


def test_the_pipelines_own_alarm_is_an_outage(jia: Customer) -> None:
    asset, start = asset_of(jia, "blog", "url"), day(20, 12)
    points: list[Sample] = [
        (asset, "url.result_code", {"url": API}, start + timedelta(minutes=at), float(5 <= at < 15)) for at in range(30)
    ]
    pipeline.ingest(batch(jia, points), now=points[-1][3])
    (row,) = table(read(jia, web.read), "outages").rows
    assert row[:2] == (API, "2026-03-20T12:05:00+08:00")
    assert row[3] == 12 * 60, "to the third good round"


def test_what_is_watched_and_says_nothing_is_named(jia: Customer) -> None:
    asset = asset_of(jia, "blog", "url")
    with scope.customer(jia):
        Target.objects.create(
            customer=jia, asset=asset, kind=Kind.HTTP, name="blog", key="blog", config={"url": API},
            next_due_at=day(1), created_at=day(1), changed_at=day(1),
        )  # fmt: skip
    part = read(jia, web.read)
    assert rows(part, "sites")[API][1] is None
    assert API in warnings(part)[0]
    assert API in said(part, "next")


def test_without_any_url_nothing_is_made_up(jia: Customer) -> None:
    part = read(jia, web.read)
    assert figure(part, "urls") == 0
    assert figure(part, "available") is None
    assert figure(part, "p95") is None
    assert len(warnings(part)) == 1
    assert not any(table.rows for table in part.tables())


def test_a_customer_served_since_the_middle_of_the_month(jia: Customer, shop: Asset) -> None:
    part = read(jia, web.read, start=day(10, 8.5))
    found = rows(part, "sites")[SHOP]
    assert found[1] == GIVEN(100 * (1 - 6 / (22 * 288 - 102)))
    assert found[-1] == 100
    assert next(iter(chart(part, "available_by_day")[SHOP])) == "03-10"
