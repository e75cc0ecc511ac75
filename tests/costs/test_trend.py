"""Trend and forecast of each product, the graph behind a proposal, and subscriptions that end."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.models import Customer, User
from assets.models import Asset, CloudAccount, Subscription
from costs import settling
from costs.forecast import Forecast
from costs.models import BillDay
from costs.services import figures
from costs.services.figures import MonthSum, MonthView, ProductRow, monthly
from costs.templatetags.cost_tags import trend_bars
from incidents.months import Month
from tests.conftest import ClientFor
from tests.costs.conftest import DAY, bill, item, later
from tests.costs.test_proposals import costs, look, measured

pytestmark = pytest.mark.django_db


def this_month() -> Month:
    return Month.of(settling.today(later()))


@pytest.fixture
def billed(account: CloudAccount) -> CloudAccount:
    """Two products for a hundred days: one steady, one that came half way."""
    today = settling.today(later())
    for back in range(100, 0, -1):
        lines = [item(10, instance="i-1")]
        if back <= 50:
            lines.append(item(25, product="cdn", instance="shop", product_name="CDN"))
        bill(account, today - back * DAY, *lines, now=later())
    return account


def test_each_product_has_its_months_and_its_forecast(billed: CloudAccount, jia: Customer) -> None:
    last = this_month().shifted(-1)
    view = figures.month_view(jia, this_month(), later())
    rows = {row.code: row for row in view.products}
    whole = len(settling.days_of(last))
    assert rows["ecs"].trend[-2] == 10 * whole
    assert rows["ecs"].trend[0] is None, "nothing of that month was read"
    assert [one.month for one in view.trend] == [this_month().shifted(back) for back in range(-5, 1)]
    for at, one in enumerate(view.trend):
        parts = [row.trend[at] for row in view.products]
        assert one.days_read == 0 or sum(part or 0 for part in parts) == one.amount
    days = len(settling.days_of(this_month()))
    for code, price in (("ecs", 10), ("cdn", 25)):
        ahead = rows[code].ahead
        assert ahead is not None
        assert ahead.amount == pytest.approx(price * days, rel=0.02)


def test_what_is_renewed_every_month_is_foretold_and_an_order_for_a_year_is_not(
    account: CloudAccount, jia: Customer
) -> None:
    """A subscription of 300 a month, once 900; one of 5000 for a year; the month before the last was read in part."""
    today, now = settling.today(later()), later()
    renewed = [settling.first_day(this_month().shifted(back)) for back in (-3, -2, -1)]
    for back in range(130, 0, -1):
        day, lines = today - back * DAY, [item(10)]
        if day in renewed:
            lines.append(item(900 if day == renewed[1] else 300, instance="i-2", charge="subscription"))
        if day == renewed[2]:
            lines.append(item(5000, instance="i-3", product="rds", charge="subscription"))
        bill(account, day, *lines, now=now)

    def ahead() -> float:
        found = figures.month_view(jia, this_month(), later()).ahead
        assert found is not None
        return found.amount

    usage = 10 * len(settling.days_of(this_month()))
    assert ahead() == pytest.approx(usage + 300, rel=0.02)
    bill(account, today - DAY * 40, item(10), now=now)
    BillDay.objects.filter(day=today - DAY * 40).delete()
    assert ahead() == pytest.approx(usage, rel=0.02), "a month that is not whole says nothing of renewals"


def row(code: str, *trend: int | None, ahead: float | None = None) -> ProductRow:
    amounts = tuple(None if one is None else Decimal(one) for one in trend)
    foretold = None
    if ahead is not None:
        foretold = Forecast(float(trend[-1] or 0), ahead, ahead, ahead, 3, 3, 0)
    return ProductRow(code, code.upper(), amounts[-1] or Decimal(0), Decimal(0), Decimal(0), 1, foretold, amounts)


def shown(*rows: ProductRow, is_over: bool = False) -> MonthView:
    months = tuple(
        MonthSum(Month(2026, at + 1), Decimal(0), 0 if rows[0].trend[at] is None else 5, {})
        for at in range(len(rows[0].trend))
    )
    zero = Decimal(0)
    return MonthView(Month(2026, 3), rows, zero, zero, None, None, (), (), is_over, months)


def test_the_chart_stacks_the_dearest_and_the_rest_as_one() -> None:
    rows = [row(f"p{at}", None, 10 * at, at, ahead=at + 5.0) for at in range(1, 11)]
    stacks = monthly(shown(*rows), "Other")
    assert [one.name for one in stacks] == ["P10", "P9", "P8", "P7", "P6", "P5", "P4", "Other"]
    assert stacks[0].values == [None, 100.0, 10.0]
    assert stacks[0].ahead == 5.0
    assert stacks[-1].values == [None, 60.0, 6.0]
    assert stacks[-1].ahead == 15.0
    assert [one.ahead for one in monthly(shown(*rows, is_over=True), "Other")] == [0.0] * 8
    assert monthly(shown(row("only", 1, 2)), "Other")[0].ahead == 0.0, "nothing is foretold of what nobody knows"


def test_the_small_chart_says_its_figures_in_words() -> None:
    product = row("ecs", None, 50, 25, ahead=100.0)
    found = trend_bars(product, shown(product))
    assert [(bar.kind, bar.height) for bar in found.bars] == [
        ("ahead", "24.0"), ("unknown", "1.0"), ("cost", "12.0"), ("cost", "6.0"),
    ]  # fmt: skip
    assert "2026-01 —" in found.words
    assert "2026-02 ¥50.00" in found.words
    assert "¥100.00" in found.words
    refund = row("ecs", -5, 0, 0)
    assert {bar.height for bar in trend_bars(refund, shown(refund)).bars} == {"0.0"}, "a month of refunds has no bar"


def test_page_csv_and_api_have_it(
    billed: CloudAccount, jia: Customer, alice: User, eve: User, client_for: ClientFor
) -> None:
    browser, address = client_for(alice), f"/costs/customers/{jia.pk}/"
    page = browser.get(address).content.decode()
    found = re.search(r'<script id="cost-data" type="application/json">(.*?)</script>', page)
    assert found is not None
    chart = json.loads(found[1])
    assert {one["name"] for one in chart["products"]} == {"ECS", "CDN"}
    assert all(len(one["values"]) == 6 for one in chart["products"])
    assert page.count('class="cost-trend"') == 2
    sheet = list(csv.DictReader(io.StringIO(browser.get(f"{address}?export=csv").content.decode("utf-8-sig"))))
    last = this_month().shifted(-1)
    ecs = next(line for line in sheet if line["产品"] == "ECS")
    assert Decimal(ecs[f"{last}（元）"]) == 10 * len(settling.days_of(last))
    assert ecs[f"{this_month().shifted(-5)}（元）"] == ""
    told = browser.get(f"/api/v1/customers/{jia.pk}/cost/").json()
    assert [one["month"] for one in told["trend"]] == [str(this_month().shifted(back)) for back in range(-5, 1)]
    product = next(one for one in told["products"] if one["code"] == "cdn")
    assert product["trend"][0]["amount"] is None
    assert product["ahead"]["low"] <= product["ahead"]["amount"] <= product["ahead"]["high"]
    assert client_for(eve).get(f"/api/v1/customers/{jia.pk}/cost/").status_code == 404


# --- the graph behind a proposal --------------------------------------------------------------------------------------


def test_a_proposal_shows_the_graph_of_what_it_was_found_by(
    account: CloudAccount, alice: User, eve: User, client_for: ClientFor
) -> None:
    oa = Asset.objects.get(name="oa-01")
    measured(oa, "ecs.cpu.util", 0.8)
    costs(account, oa.provider_id, 10)
    [proposal] = look(account)
    page = client_for(alice).get(f"/costs/proposals/{proposal.pk}/").content.decode()
    sources = re.findall(r'data-src="([^"]+)"', page)
    assert sources
    assert '"range":"30d"' in page
    told = [client_for(alice).get(f"{source}?range=30d").json() for source in sources]
    values = [value for one in told for series in one["series"] for value in series["v"] if value is not None]
    assert values
    assert max(values) == pytest.approx(0.8, abs=0.01)
    for source in sources:
        assert client_for(eve).get(f"{source}?range=30d").status_code == 404
    assert client_for(eve).get(f"/costs/proposals/{proposal.pk}/").status_code == 404


# --- subscriptions that end -------------------------------------------------------------------------------------------


def test_subscriptions_that_end_and_are_not_renewed_are_counted_and_lead_to_their_list(
    billed: CloudAccount, jia: Customer, alice: User, client_for: ClientFor
) -> None:
    Subscription.objects.all().delete()
    now = later()

    def paid(name: str, days: int, renewal: str, **more: object) -> None:
        Subscription.objects.create(
            customer=jia, cloud_account=billed, product="ecs", instance_id=name, ends_at=now + timedelta(days=days),
            renewal=renewal, seen_at=now, **more,
        )  # fmt: skip

    paid("i-ends", 20, "none")
    paid("i-by-hand", 29, "manual")
    paid("i-unknown", 3, "unknown")
    paid("i-renewed", 20, "auto")
    paid("i-later", 31, "none")
    paid("i-gone", 20, "none", gone_at=now)
    browser = client_for(alice)
    page = browser.get(f"/costs/customers/{jia.pk}/").content.decode()
    found = re.search(
        r'href="(/monitoring/expiry/[^"]+)"[^>]*>\s*<div class="card-body"><div class="h2 mb-0 tabular">(\d+)<', page
    )
    assert found is not None
    assert found[2] == "3"
    listed = browser.get(found[1].replace("&amp;", "&")).content.decode()
    assert "i-ends" in listed
    assert "i-by-hand" in listed
    assert "i-later" not in listed
    assert "i-gone" not in listed
