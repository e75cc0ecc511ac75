"""Pages and API of cost: figures, exports, what each side may do, and another customer's user."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from costs import settling
from costs.models import BillReading, CostAnomaly, SavingProposal, Statement
from costs.services import figures, issuing, reading
from costs.templatetags.cost_tags import yuan
from incidents.months import Month
from tests.conftest import ClientFor
from tests.costs.conftest import DAY, bill, item, later

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def billed(account: CloudAccount) -> CloudAccount:
    """Ninety days of two products; one resource is an asset of ours."""
    oa = Asset.objects.get(name="oa-01")
    today = settling.today(later())
    for back in range(90, 0, -1):
        lines = [item(10, instance=oa.provider_id, name="oa-01"), item(25, product="cdn", instance="=cmd|calc")]
        bill(account, today - back * DAY, *lines, now=later())
    return account


@pytest.fixture
def proposal(jia: Customer, account: CloudAccount) -> SavingProposal:
    made: SavingProposal = SavingProposal.objects.create(
        customer=jia, kind="disk", instance_id="d-1", title="删除磁盘 d-1", monthly=33,
        proposed_at=later(), seen_at=later(),
    )  # fmt: skip
    return made


@pytest.fixture
def anomaly(jia: Customer, account: CloudAccount) -> CostAnomaly:
    made: CostAnomaly = CostAnomaly.objects.create(
        customer=jia, product_code="cdn", product_name="CDN", first_day=date(2026, 3, 2), last_day=date(2026, 3, 2),
        amount=400, usual=100, excess=300, weeks=8, found_at=later(),
    )  # fmt: skip
    return made


def closed() -> Month:
    return Month.of(settling.today(later())).shifted(-2)


def test_a_customer_comes_to_its_own_month_and_sees_products_forecast_and_chart(
    billed: CloudAccount, jia: Customer, alice: User, client_for: ClientFor
) -> None:
    browser = client_for(alice)
    address = browser.get("/costs/")["Location"]
    assert address == f"/costs/customers/{jia.pk}/"
    last = Month.of(settling.today(later())).shifted(-1)
    page = browser.get(f"{address}?month={last}").content.decode()
    days = len(settling.days_of(last))
    assert f"¥{35 * days:,.2f}" in page
    assert "CDN" in page
    assert 'id="cost-data"' in page
    csv = browser.get(f"{address}?month={last}&export=csv").content.decode()
    assert f"{25.0 * days}" in csv


def test_resources_link_to_their_assets_and_the_export_is_no_formula(
    billed: CloudAccount, jia: Customer, alice: User, client_for: ClientFor
) -> None:
    last = Month.of(settling.today(later())).shifted(-1)
    oa = Asset.objects.get(name="oa-01")
    address = f"/costs/customers/{jia.pk}/resources/?month={last}"
    page = client_for(alice).get(address).content.decode()
    assert f"/assets/{oa.pk}/" in page
    csv = client_for(alice).get(f"{address}&export=csv").content.decode()
    assert "'=cmd|calc" in csv
    narrowed = client_for(alice).get(f"{address}&q=oa-01&product=ecs").content.decode()
    assert "=cmd" not in narrowed
    for strange in ("month=9999-99", "month=%00", "product=%00x", "q=%27%3B--"):
        assert client_for(alice).get(f"/costs/customers/{jia.pk}/resources/?{strange}").status_code == 200


@pytest.mark.parametrize("path", ["", "resources/", "threshold/", "issue/"])
def test_another_customers_month_is_not_there(
    billed: CloudAccount, jia: Customer, eve: User, client_for: ClientFor, path: str
) -> None:
    assert client_for(eve).get(f"/costs/customers/{jia.pk}/{path}").status_code == 404


def test_another_customers_user_reaches_nothing_by_any_way(
    billed: CloudAccount, jia: Customer, yi: Customer, eve: User, proposal: SavingProposal, anomaly: CostAnomaly,
    client_for: ClientFor, lin: User,
) -> None:  # fmt: skip
    statement = issuing.issue(customer=jia, month=closed(), actor=lin, now=later(), reason="test")
    oa = Asset.objects.get(name="oa-01")
    browser = client_for(eve)
    for address in (
        f"/costs/proposals/{proposal.pk}/", f"/costs/anomalies/{anomaly.pk}/", f"/costs/statements/{statement.pk}/",
        f"/costs/for-asset/{oa.pk}/", f"/costs/for-account/{billed.pk}/", f"/api/v1/saving-proposals/{proposal.pk}/",
        f"/api/v1/cost-anomalies/{anomaly.pk}/", f"/api/v1/cost-statements/{statement.pk}/lines/",
        f"/api/v1/cost-statements/{statement.pk}/differences/", f"/api/v1/customers/{jia.pk}/cost/",
    ):  # fmt: skip
        assert browser.get(address).status_code == 404, address
    for address in (f"/costs/proposals/{proposal.pk}/accept/", f"/costs/anomalies/{anomaly.pk}/explain/"):
        assert browser.post(address, {"note": "x"}).status_code == 404
    for address in ("proposals", "anomalies", "statements"):
        rows = browser.get(f"/costs/{address}/?export=csv&customer={jia.pk}").content.decode()
        assert "d-1" not in rows
        assert jia.name not in rows
    for address in ("bill-lines", "cost-statements", "cost-anomalies", "saving-proposals"):
        assert browser.get(f"/api/v1/{address}/?customer={jia.pk}").json()["results"] == []


def test_the_project_manager_accepts_on_the_page_and_others_see_no_button(
    proposal: SavingProposal, alice: User, bob: User, chen: User, client_for: ClientFor
) -> None:
    address = f"/costs/proposals/{proposal.pk}/"
    assert f"{address}accept/" in client_for(alice).get(address).content.decode()
    for person in (bob, chen):
        assert f"{address}accept/" not in client_for(person).get(address).content.decode()
        assert client_for(person).post(f"{address}accept/").status_code == 403
    assert client_for(alice).post(f"{address}reject/", {"reason": ""}).status_code == 422
    assert client_for(alice).post(f"{address}accept/", {"reason": "好"}).status_code == 302
    done = client_for(chen).post(f"{address}finish/", {"result": "已删除"}, follow=True)
    assert "已删除" in done.content.decode()


def test_an_anomaly_is_explained_on_the_page(
    anomaly: CostAnomaly, alice: User, vera: User, client_for: ClientFor
) -> None:
    address = f"/costs/anomalies/{anomaly.pk}/"
    assert client_for(vera).get(address).status_code == 200
    assert client_for(vera).post(f"{address}explain/", {"note": "x"}).status_code == 403
    page = client_for(alice).post(f"{address}explain/", {"note": "<b>大促</b>", "expected": "on"}, follow=True)
    assert "&lt;b&gt;大促" in page.content.decode()
    anomaly.refresh_from_db()
    assert anomaly.state == "expected"


def test_a_month_is_issued_on_the_page_and_its_export_shows_no_mark_up(
    billed: CloudAccount, jia: Customer, lin: User, chen: User, client_for: ClientFor
) -> None:
    address = f"/costs/customers/{jia.pk}/issue/?month={closed()}"
    assert client_for(chen).get(address).status_code == 403
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(status=Customer.Status.LEAVING)
    page = client_for(lin).post(address, {"reason": "客户离场结清"}, follow=True)
    statement = Statement.objects.get()
    assert str(statement.digest) in page.content.decode()
    rows = client_for(lin).get(f"/costs/statements/{statement.pk}/?export=csv").content.decode().splitlines()
    lines = [row.split(",") for row in rows[1:]]
    assert len(lines) == 2
    for line in lines:
        assert float(line[7]) == float(line[9])
        assert float(line[8]) == 0
        assert line[10] == "是"


def test_without_permission_or_bills_the_page_says_what_is_missing(
    account: CloudAccount, jia: Customer, alice: User, lin: User, client_for: ClientFor
) -> None:
    empty = client_for(alice).get(f"/costs/customers/{jia.pk}/").content.decode()
    assert "coin-yuan" in empty
    made = reading.reading_of(account, later())
    BillReading.objects.filter(pk=made.pk).update(problem_code="NotAuthorized", denied_since=later())
    for page in (
        client_for(alice).get(f"/costs/customers/{jia.pk}/"), client_for(lin).get(f"/costs/for-account/{account.pk}/")
    ):  # fmt: skip
        assert "bss:DescribeInstanceBill" in page.content.decode()


def test_an_asset_shows_what_it_cost(billed: CloudAccount, alice: User, client_for: ClientFor) -> None:
    oa = Asset.objects.get(name="oa-01")
    page = client_for(alice).get(f"/costs/for-asset/{oa.pk}/").content.decode()
    assert 'id="cost-of-asset"' in page


def test_the_api_tells_a_month_with_what_is_not_known(
    billed: CloudAccount, jia: Customer, alice: User, client_for: ClientFor
) -> None:
    browser: Client = client_for(alice)
    last = Month.of(settling.today(later())).shifted(-1)
    found = browser.get(f"/api/v1/customers/{jia.pk}/cost/?month={last}").json()
    assert float(found["total"]) == 35 * len(settling.days_of(last))
    assert found["missing"] == []
    assert browser.get(f"/api/v1/customers/{jia.pk}/cost/?month=2026-13").status_code == 400
    lines = browser.get(f"/api/v1/bill-lines/?product=cdn&since={settling.today(later()) - timedelta(days=3)}").json()
    assert len(lines["results"]) == 3


def test_the_api_decides_by_the_rules_of_the_pages(
    proposal: SavingProposal, anomaly: CostAnomaly, alice: User, chen: User, client_for: ClientFor
) -> None:
    address = f"/api/v1/saving-proposals/{proposal.pk}"
    assert client_for(chen).post(f"{address}/accept/", {}, content_type=JSON).status_code == 403
    assert client_for(alice).post(f"{address}/reject/", {}, content_type=JSON).status_code == 400
    assert client_for(alice).post(f"{address}/accept/", {}, content_type=JSON).json()["state"] == "accepted"
    assert client_for(chen).post(f"{address}/finish/", {"result": "x"}, content_type=JSON).json()["state"] == "done"
    again = client_for(alice).post(f"{address}/accept/", {}, content_type=JSON)
    assert again.status_code == 409
    told = client_for(alice).post(f"/api/v1/cost-anomalies/{anomaly.pk}/explain/", {"note": "大促"}, content_type=JSON)
    assert told.json()["state"] == "explained"


def test_a_list_of_what_cannot_be_judged_follows_the_customer_and_forgets_retired_accounts(
    account: CloudAccount, yi: Customer, lin: User, client_for: ClientFor
) -> None:
    made = reading.reading_of(account, later())
    BillReading.objects.filter(pk=made.pk).update(unjudged=[{"asset": 1, "name": "idle-or-not", "lacking": []}])
    browser = client_for(lin)
    assert "idle-or-not" in browser.get("/costs/proposals/").content.decode()
    assert "idle-or-not" in browser.get(f"/costs/proposals/?customer={account.customer_id}").content.decode()
    assert "idle-or-not" not in browser.get(f"/costs/proposals/?customer={yi.pk}").content.decode()
    CloudAccount.objects.filter(pk=account.pk).update(retired_at=later())
    assert "idle-or-not" not in browser.get("/costs/proposals/").content.decode()


def test_the_lines_of_an_export_add_up_to_the_statement_refunds_included(
    account: CloudAccount, jia: Customer, lin: User, client_for: ClientFor
) -> None:
    first = settling.first_day(closed())
    lines = [item("0.004", instance=f"i-{number}") for number in range(10)]
    bill(account, first, *lines, item("-1.5", charge="refund"), now=later())
    statement = issuing.issue(customer=jia, month=closed(), actor=lin, now=later(), reason="test")
    rows = client_for(lin).get(f"/costs/statements/{statement.pk}/?export=csv").content.decode().splitlines()
    amounts = [Decimal(row.split(",")[9]) for row in rows[1:]]
    assert Decimal("0.004000") in amounts
    assert sum(amounts) == statement.total == Decimal("-1.46")


def test_lines_of_a_statement_come_by_pages(
    account: CloudAccount, jia: Customer, lin: User, client_for: ClientFor
) -> None:
    bill(account, settling.first_day(closed()), *(item(1, instance=f"i-{at}") for at in range(60)), now=later())
    statement = issuing.issue(customer=jia, month=closed(), actor=lin, now=later(), reason="test")
    found = client_for(lin).get(f"/api/v1/cost-statements/{statement.pk}/lines/").json()
    assert len(found["results"]) == 50
    assert found["next"]
    assert client_for(lin).get(f"/api/v1/cost-statements/{statement.pk}/differences/").json()["results"] == []


def test_links_keep_the_customer_and_the_month(
    billed: CloudAccount, jia: Customer, lin: User, client_for: ClientFor
) -> None:
    page = client_for(lin).get(f"/costs/customers/{jia.pk}/").content.decode()
    assert f"/monitoring/expiry/?customer={jia.pk}" in page
    form = client_for(lin).get(f"/costs/customers/{jia.pk}/issue/?month={closed()}").content.decode()
    assert form.count(f'href="/costs/customers/{jia.pk}/?month={closed()}"') == 2  # above the title, and to cancel


def test_a_statement_without_a_line_does_not_speak_of_a_filter(
    account: CloudAccount, jia: Customer, lin: User, client_for: ClientFor
) -> None:
    statement = issuing.issue(customer=jia, month=closed(), actor=lin, now=later(), reason="test")
    assert "filter-off" not in client_for(lin).get(f"/costs/statements/{statement.pk}/").content.decode()
    assert "filter-off" in client_for(lin).get(f"/costs/statements/{statement.pk}/?q=x").content.decode()


def test_charts_have_their_figures_in_a_table(
    billed: CloudAccount, anomaly: CostAnomaly, alice: User, client_for: ClientFor
) -> None:
    oa = Asset.objects.get(name="oa-01")
    for address in (f"/costs/for-asset/{oa.pk}/", f"/costs/anomalies/{anomaly.pk}/"):
        page = client_for(alice).get(address).content.decode()
        assert page.index("<details") < page.index("<table") < page.index("</details>")


@pytest.mark.parametrize(
    ("amount", "text"),
    [("-0.001", "¥0.00"), ("0.005", "¥0.01"), ("0.015", "¥0.02"), ("-1234.5", "-¥1,234.50"), (None, "—")],
)
def test_an_amount_reads_to_the_cent_half_upwards(amount: str | None, text: str) -> None:
    assert yuan(None if amount is None else Decimal(amount)) == text


def test_a_product_is_called_by_its_newest_name(account: CloudAccount, jia: Customer) -> None:
    bill(account, date(2026, 2, 1), item(1, product_name="Z old"))
    bill(account, date(2026, 2, 2), item(1, product_name="A new"))
    assert figures.product_names(jia.pk, date(2026, 2, 1), date(2026, 3, 1)) == {"ecs": "A new"}
    assert figures.product_names(jia.pk, date(2026, 3, 1), date(2026, 4, 1)) == {}
