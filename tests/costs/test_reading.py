"""Bills read from a simulated cloud: pages, repeats, losses, throttling, refusal, late figures, and corrections."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.aliyun import AliyunError, billing
from assets.models import Asset, CloudAccount
from assets.services import client_for
from costs import settling
from costs.models import BillDay, BillDifference, BillLine, BillReading, Statement, StatementLine
from costs.services import figures, issuing, reading
from demo.aliyun import CloudServer
from demo.aliyun import bills as simulated_bills
from demo.aliyun.account import MONITOR_READ_ONLY, READ_ONLY_ACCESS
from demo.aliyun.cloud import READ_ONLY, YI_UID
from demo.aliyun.estate import Estate
from incidents.months import Month
from notify.models import Delivery
from tests.costs.conftest import DAY, bill, item, later, look, noon_after, reading_now, whole_month

pytestmark = pytest.mark.django_db
ADD = """INSERT INTO costs_billline (cloud_account_id, customer_id, day, product_code, product_name, instance_id,
    charge, name, region, spec, amount, gross, items)
    SELECT cloud_account_id, customer_id, day, 'x', '', '', 'usage', '', '', '', 1, 1, '{}' FROM costs_billline
    WHERE day < '2026-03-01' LIMIT 1"""


def yesterday() -> date:
    """The newest day whose bill is worth reading: before nine in the morning it is the day before yesterday."""
    day = settling.today(later()) - DAY
    return day if settling.milestones(day)[0] <= later() else day - DAY


def unread() -> list[date]:
    """Days that should have been read by now and were not."""
    return list(BillDay.objects.filter(read_at=None, day__lte=yesterday()).values_list("day", flat=True))


def closed_month() -> Month:
    """A month that Alibaba Cloud closed long ago."""
    return Month.of(settling.today(later())).shifted(-2)


def total(first: date, end: date) -> Decimal:
    return sum((line.amount for line in BillLine.objects.all().between(first, end)), Decimal(0))


def test_half_a_year_is_read_news_first_in_short_rounds(account: CloudAccount, server: CloudServer) -> None:
    assert look(account, calls=5) == 5
    assert min(BillDay.objects.read().values_list("day", flat=True)) == yesterday() - 4 * DAY
    assert reading_now(account).next_due_at <= later()
    assert look(account) > 150
    assert unread() == []
    assert reading_now(account).next_due_at > later()
    oa = Asset.objects.get(name="oa-01")
    assert BillLine.objects.filter(asset=oa).exists()
    before = server.cloud.calls(action="DescribeInstanceBill")
    assert look(account) == 0
    assert server.cloud.calls(action="DescribeInstanceBill") == before


def test_a_day_of_many_pages_is_whole_whatever_the_pages_repeat_or_lose(account: CloudAccount, estate: Estate) -> None:
    day = yesterday() - 5 * DAY
    estate.bills.extra[day] = [
        simulated_bills._row(simulated_bills.DISK, f"d-{number:05}", "disk", day, 1.0) for number in range(700)
    ]
    client = client_for(account, purpose="test", now=later())
    whole = billing.read_day(client, day)
    assert len({one.instance_id for one in whole.items if one.instance_id.startswith("d-0")}) == 700
    assert whole.calls == 3
    estate.bills.repeats = 1
    assert sorted(billing.read_day(client, day).items, key=str) == sorted(whole.items, key=str)
    estate.bills.loses = 1
    assert len(billing.read_day(client, day).items) == len(whole.items)
    estate.bills.loses = 99
    with pytest.raises(AliyunError) as caught:
        billing.read_day(client, day)
    assert caught.value.code == "IncompleteListing"


def test_equal_rows_are_charged_as_often_as_they_are_billed(account: CloudAccount, estate: Estate) -> None:
    day = yesterday() - 5 * DAY
    row = simulated_bills._row(simulated_bills.EIP, "eip-1", "gateway", day, 2.0)
    estate.bills.extra[day] = [row, dict(row)]
    found = billing.read_day(client_for(account, purpose="test", now=later()), day)
    assert sum(one.amount for one in found.items if one.instance_id == "eip-1") == 4


def test_a_day_that_cannot_be_read_whole_holds_up_no_other_and_stays_unknown(
    account: CloudAccount, estate: Estate, server: CloudServer
) -> None:
    day = yesterday() - 3 * DAY
    estate.bills.extra[day] = [
        simulated_bills._row(simulated_bills.DISK, f"d-{number:05}", "disk", day, 1.0) for number in range(400)
    ]
    estate.bills.loses = 99
    look(account)
    assert unread() == [day]
    assert reading_now(account).problem_code == "IncompleteListing"
    assert not BillLine.objects.filter(day=day).exists()
    estate.bills.loses = 0
    assert look(account, now=later() + timedelta(hours=2)) >= 1
    assert unread() == []
    assert reading_now(account).problem_code == ""


def test_throttling_and_faults_end_a_round_and_the_next_goes_on(account: CloudAccount, server: CloudServer) -> None:
    server.cloud.fail("throttle", 50, action="DescribeInstanceBill", skip=4)
    assert look(account) == 0  # trouble of all days: said, nothing lost
    assert BillDay.objects.read().count() == 4
    assert reading_now(account).problem_code == "Throttling.User"
    server.cloud.heal()
    server.cloud.fail("half", 1, action="DescribeInstanceBill")
    assert look(account) > 150
    assert reading_now(account).problem_code == ""


def test_a_key_that_may_not_read_bills_is_told_once_and_is_no_outage(
    account: CloudAccount, chen: User, server: CloudServer
) -> None:
    owner = server.cloud.accounts[YI_UID][0].user("rdmp-readonly")
    assert owner is not None
    owner.policies = [MONITOR_READ_ONLY]
    look(account)
    look(account, now=later() + timedelta(hours=7))
    found = reading_now(account)
    assert found.is_denied
    assert found.next_due_at > later() + timedelta(hours=12)
    assert Delivery.objects.filter(user=chen, medium="inbox", subject__contains="Main").count() == 1
    assert figures.ledger(account.customer_id, yesterday() - 30 * DAY, yesterday()).known == {}
    owner.policies = [READ_ONLY_ACCESS]
    assert look(account, now=later() + timedelta(hours=14)) > 150
    assert not reading_now(account).problem_code


def test_yesterday_grows_until_it_is_settled_and_its_lines_stay_one(account: CloudAccount) -> None:
    day = date(2026, 2, 28)
    morning = datetime.fromisoformat("2026-03-01T09:10:00+08:00")
    bill(account, day, item(5), now=morning)
    assert not settling.is_settled(day, BillDay.objects.get(day=day).read_at)
    bill(account, day, item(9), item(1, instance="i-2"), now=noon_after(day))
    assert settling.is_settled(day, BillDay.objects.get(day=day).read_at)
    assert {line.instance_id: line.amount for line in BillLine.objects.filter(day=day)} == {"i-1": 9, "i-2": 1}
    bill(account, day, item(9), now=noon_after(day) + 2 * DAY)
    assert list(BillLine.objects.filter(day=day).values_list("instance_id", flat=True)) == ["i-1"]


def test_items_of_a_resource_are_added_and_an_amount_that_is_none_is_refused(account: CloudAccount) -> None:
    day = date(2026, 2, 3)
    bill(account, day, item("0.1", item="CPU"), item("0.2", item="磁盘"), item(-3, charge="refund"))
    line = BillLine.objects.get(day=day, charge="usage")
    assert line.amount == Decimal("0.3")
    assert line.items == {"CPU": "0.100000", "磁盘": "0.200000"}
    assert total(day, day + DAY) == Decimal("-2.7")
    with pytest.raises(AliyunError):
        billing.item_of({"PretaxAmount": "NaN", "ProductCode": "ecs"})
    assert billing.item_of({"ProductCode": "e\0cs", "InstanceID": "i" * 500}).product_code == "ecs"


def test_a_bill_in_another_currency_is_refused(account: CloudAccount) -> None:
    assert billing.item_of({"PretaxAmount": "1", "ProductCode": "ecs", "Currency": "CNY"}).amount == 1
    with pytest.raises(AliyunError) as caught:
        billing.item_of({"PretaxAmount": "1", "ProductCode": "ecs", "Currency": "USD"})
    assert caught.value.code == "InvalidResponse"


def test_a_denial_is_told_once_although_other_trouble_comes_between(
    account: CloudAccount, chen: User, server: CloudServer
) -> None:
    owner = server.cloud.accounts[YI_UID][0].user("rdmp-readonly")
    assert owner is not None
    owner.policies = [MONITOR_READ_ONLY]
    look(account)
    server.cloud.fail("throttle", 50, action="DescribeInstanceBill")
    look(account, now=later() + timedelta(hours=7))
    assert reading_now(account).problem_code == "Throttling.User"
    assert reading_now(account).is_denied
    server.cloud.heal()
    look(account, now=later() + timedelta(hours=14))
    assert Delivery.objects.filter(user=chen, medium="inbox", subject__contains="Main").count() == 1
    owner.policies = [READ_ONLY_ACCESS]
    look(account, now=later() + timedelta(hours=21))
    assert not reading_now(account).is_denied


def test_two_workers_claim_an_account_once(account: CloudAccount) -> None:
    reading.reading_of(account, later())
    with scope.platform("test"):
        assert len(reading.claim(now=later())) == 1
        assert reading.claim(now=later()) == []
        assert len(reading.claim(now=later() + reading.LEASE + reading.EVERY)) == 1


# --- issued months ----------------------------------------------------------------------------------------------------


def test_a_month_is_issued_when_it_is_closed_and_whole(jia: Customer, account: CloudAccount, lin: User) -> None:
    month = Month(2026, 2)
    closed = settling.issued_at(month) + timedelta(hours=1)
    whole_month(account, month, "10.005", now=closed)
    assert issuing.sweep(customer=jia, now=settling.final_at(month) - timedelta(hours=1)) == []
    [statement] = issuing.sweep(customer=jia, now=closed)
    assert statement.total == Decimal("280.14")
    assert issuing.is_unchanged(statement)
    assert issuing.sweep(customer=jia, now=closed) == []
    with pytest.raises(DomainError):
        issuing.issue(customer=jia, month=month, actor=lin, now=closed, reason="once more")


@pytest.mark.parametrize("field", ["name", "product_name", "asset_id", "amount", "charge"])
def test_the_fingerprint_covers_everything_that_a_line_says(
    jia: Customer, account: CloudAccount, lin: User, field: str
) -> None:
    bill(account, date(2026, 2, 3), item(1))
    closed = settling.issued_at(Month(2026, 2))
    issuing.issue(customer=jia, month=Month(2026, 2), actor=lin, now=closed, reason="x")
    [line] = StatementLine.objects.all()
    before = issuing.digest([line])
    setattr(line, field, {"asset_id": 7, "amount": Decimal(2)}.get(field, "other"))
    assert issuing.digest([line]) != before


def test_a_month_with_a_day_missing_waits_for_a_manager_and_a_reason(
    jia: Customer, account: CloudAccount, lin: User, alice: User
) -> None:
    month = Month(2026, 2)
    closed = settling.issued_at(month) + timedelta(hours=1)
    whole_month(account, month, 10, now=closed)
    BillDay.objects.filter(day=date(2026, 2, 11)).update(read_at=noon_after(date(2026, 2, 11)))
    assert issuing.sweep(customer=jia, now=closed) == []
    with pytest.raises(DomainError) as caught:
        issuing.issue(customer=jia, month=month, actor=lin, now=closed)
    assert caught.value.code == "days_missing"
    statement = issuing.issue(customer=jia, month=month, actor=lin, now=closed, reason="no bill for that day")
    assert statement.missing == ["2026-02-11"]
    with pytest.raises(PermissionDenied):
        issuing.issue(customer=jia, month=Month(2026, 1), actor=alice, now=closed)


def test_a_correction_after_issue_is_kept_beside_it_and_restates_nothing(jia: Customer, account: CloudAccount) -> None:
    month = Month(2026, 2)
    closed = settling.issued_at(month) + timedelta(hours=1)
    whole_month(account, month, 10, now=closed)
    [statement] = issuing.sweep(customer=jia, now=closed)
    day = date(2026, 2, 14)
    for _again in range(2):
        bill(account, day, item(7), item(1, instance="i-new"), now=closed + 11 * DAY)
    found = {(row.instance_id, int(row.issued), int(row.said)) for row in BillDifference.objects.all()}
    assert found == {("i-1", 10, 7), ("i-new", 0, 1)}
    assert BillLine.objects.get(day=day).amount == 10
    assert Statement.objects.get().total == 280
    assert issuing.is_unchanged(statement)
    bill(account, day, item(10), now=closed + 40 * DAY)
    assert [int(row.said) for row in BillDifference.objects.filter(instance_id="i-1")] == [10, 7]
    assert BillDifference.objects.count() == 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE costs_billline SET amount = 1",
        "DELETE FROM costs_billline",
        "UPDATE costs_statement SET total = 1",
        "DELETE FROM costs_statement",
        "UPDATE costs_statementline SET amount = 1, cloud_cost = 1",
        "DELETE FROM costs_billdifference",
        ADD,
        "UPDATE costs_billline SET day = '2026-02-05' WHERE day = '2026-03-05'",
    ],
)
def test_the_database_refuses_to_restate_even_its_owner(jia: Customer, account: CloudAccount, statement: str) -> None:
    month = Month(2026, 2)
    closed = settling.issued_at(month) + timedelta(hours=1)
    whole_month(account, month, 10, now=closed)
    bill(account, date(2026, 3, 5), item(3))
    issuing.sweep(customer=jia, now=closed)
    bill(account, date(2026, 2, 5), item(3), now=closed + DAY)
    for as_owner in (False, True):
        role = connection.as_owner() if as_owner else nullcontext()  # type: ignore[attr-defined]  # our own wrapper
        with role, pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert BillLine.objects.filter(day__month=2).count() == 28


def test_what_is_used_while_leaving_is_passed_on_at_cost(jia: Customer, account: CloudAccount) -> None:
    month = Month(2026, 2)
    closed = settling.issued_at(month) + timedelta(hours=1)
    whole_month(account, month, 10, now=closed)
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(status=Customer.Status.LEAVING)
        jia.refresh_from_db()
    issuing.sweep(customer=jia, now=closed)
    line = StatementLine.objects.get()
    assert line.is_offboarding
    assert [int(one) for one in (line.cloud_cost, line.markup, line.amount)] == [280, 0, 280]
    with pytest.raises(DatabaseError), transaction.atomic():
        StatementLine.objects.create(
            customer=jia, statement=line.statement, cloud_account=account, product_code="x", product_name="x",
            charge="usage", cloud_cost=10, markup=1, amount=11, is_offboarding=True,
        )  # fmt: skip


def test_another_customers_bills_are_not_there(jia: Customer, yi: Customer, account: CloudAccount) -> None:
    whole_month(account, closed_month(), 10, now=later())
    issuing.sweep(customer=jia, now=later())
    with scope.customer(yi):
        for model in (BillLine, BillDay, BillReading, Statement, StatementLine):
            assert model.objects.count() == 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM costs_billline")
            assert cursor.fetchone()[0] == 0
        assert figures.usage_by_product(jia.pk, date(2020, 1, 1), date(2030, 1, 1)) == {}


def test_the_adapter_asks_with_the_real_names_and_a_month_too_old_is_refused(
    account: CloudAccount, server: CloudServer
) -> None:
    client = client_for(account, purpose="test", now=later())
    with pytest.raises(AliyunError) as caught:
        billing.read_day(client, yesterday() - timedelta(days=800))
    assert caught.value.code == "InvalidParameter"
    assert READ_ONLY.access_key_secret not in str(caught.value)
