"""What is known of a day when accounts come, go, are refused, or join after a month was issued."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import CloudAccount
from assets.services import accounts as cloud_accounts
from costs import settling
from costs.models import BillDay, BillDifference, BillLine, BillReading, Statement, StatementLine
from costs.services import figures, issuing, reading
from incidents.months import Month
from tests.conftest import ClientFor
from tests.costs.conftest import DAY, bill, item, later, noon_after, whole_month

pytestmark = pytest.mark.django_db
FEBRUARY = Month(2026, 2)
CLOSED = settling.issued_at(FEBRUARY) + timedelta(hours=1)


def another(account: CloudAccount, **values: object) -> CloudAccount:
    """A second account of the customer, or the same once more."""
    fields = {"name": "Second", "account_uid": "1999", "created_at": later(), **values}
    made: CloudAccount = CloudAccount.objects.create(
        customer=account.customer, access_key_id="LTAIsecond", is_enabled=True, **fields
    )
    return made


def planned(account: CloudAccount, first: date, count: int) -> None:
    """Days that are to be read."""
    for at in range(count):
        day = first + at * DAY
        BillDay.objects.create(
            customer=account.customer, cloud_account=account, day=day, next_due_at=settling.next_reading(day, None)
        )


def ledger(account: CloudAccount, first: date = date(2026, 2, 1), end: date = date(2026, 3, 1)) -> figures.Ledger:
    return figures.ledger(account.customer_id, first, end)


def test_an_account_that_is_registered_again_goes_on_where_it_was(
    jia: Customer, account: CloudAccount, lin: User
) -> None:
    whole_month(account, FEBRUARY, 10, now=CLOSED)
    issuing.sweep(customer=jia, now=CLOSED)
    for at in range(5):
        bill(account, date(2026, 3, 1) + at * DAY, item(10))
    cloud_accounts.retire_account(account=account, actor=lin, now=noon_after(date(2026, 3, 5)))
    again = another(account, account_uid=account.account_uid)
    reading.plan_days(again, noon_after(date(2026, 3, 9)))
    assert sum(line.amount for line in BillLine.objects.filter(day__gte=date(2026, 3, 1))) == 50
    assert list(BillDay.objects.filter(read_at=None).values_list("day", flat=True).order_by("day")) == [
        date(2026, 3, day) for day in (6, 7, 8, 9)
    ]
    bill(again, date(2026, 3, 5), item(12), now=noon_after(date(2026, 3, 9)))
    assert BillLine.objects.get(day=date(2026, 3, 5)).amount == 12
    bill(again, date(2026, 2, 14), item(10), now=CLOSED + 11 * DAY)
    assert not BillDifference.objects.exists()  # what was issued under the other row is what is said


def test_a_day_of_an_account_that_is_retired_while_it_is_read_is_not_kept(account: CloudAccount, lin: User) -> None:
    cloud_accounts.retire_account(account=account, actor=lin, now=later())
    bill(account, date(2026, 2, 3), item(10))
    assert not BillDay.objects.exists()
    assert not BillLine.objects.exists()


def test_a_second_account_is_not_zero_in_months_that_were_issued_without_it(
    jia: Customer, account: CloudAccount
) -> None:
    whole_month(account, FEBRUARY, 10, now=CLOSED)
    issuing.sweep(customer=jia, now=CLOSED)
    second, day = another(account), date(2026, 2, 14)
    planned(second, date(2026, 2, 1), 28)
    assert day not in ledger(account).whole
    bill(second, day, item(500, instance="i-2"), now=CLOSED + 5 * DAY)
    row = BillDay.objects.get(cloud_account=second, day=day)
    assert row.read_at is None
    assert row.next_due_at == settling.next_reading(day, CLOSED + 5 * DAY)
    assert [int(one.said) for one in BillDifference.objects.all()] == [500]
    found = ledger(account)
    assert found.known[day]  # the issued figures stand and are shown
    assert day not in found.whole  # and nothing is compared with them


def test_a_day_that_was_missing_when_its_month_was_issued_stays_unknown(
    jia: Customer, account: CloudAccount, lin: User
) -> None:
    whole_month(account, FEBRUARY, 10, now=CLOSED)
    day = date(2026, 2, 11)
    BillDay.objects.filter(day=day).update(read_at=None)
    BillLine.objects.filter(day=day).delete()
    issuing.issue(customer=jia, month=FEBRUARY, actor=lin, now=CLOSED, reason="no bill")
    bill(account, day, item(10), now=CLOSED + 11 * DAY)
    assert ledger(account).missing(settling.days_of(FEBRUARY)) == (day,)


@pytest.mark.parametrize("trouble", ["retired", "switched off", "denied"])
def test_an_account_that_nobody_reads_any_more_leaves_the_other_days_known(account: CloudAccount, trouble: str) -> None:
    second, day = another(account), date(2026, 2, 10)
    reading.reading_of(second, later())
    bill(second, day - DAY, item(3, instance="i-2"))
    planned(second, day, 1)
    for each in (day - DAY, day, day + DAY):
        bill(account, each, item(10))
    found = ledger(account)
    assert set(found.known) == {day - DAY}  # the second one's bill is still to come
    assert found.read == {day - DAY, day, day + DAY}
    match trouble:
        case "retired":
            CloudAccount.objects.filter(pk=second.pk).update(retired_at=later())
        case "switched off":
            CloudAccount.objects.filter(pk=second.pk).update(is_enabled=False)
        case _:
            BillReading.objects.filter(cloud_account=second).update(denied_since=later())
    assert set(ledger(account).known) == {day - DAY, day, day + DAY}


def test_overview_page_and_api_name_the_same_missing_days_and_the_same_sums(
    jia: Customer, account: CloudAccount, lin: User, client_for: ClientFor
) -> None:
    month = Month.of(settling.today(later())).shifted(-1)
    first, end = settling.ends(month)
    second = another(account)
    planned(second, first, 3)
    for day in settling.days_between(first, end):
        bill(account, day, item(10), now=later())
    bill(second, end, item(1), now=later())
    [row], _without = figures.standings([jia], month, later())
    view = figures.month_view(jia, month, later())
    told = client_for(lin).get(f"/api/v1/customers/{jia.pk}/cost/?month={month}").json()
    assert row.missing == len(view.missing) == len(told["missing"]) == 3
    total = Decimal(10) * len(settling.days_of(month))
    assert row.total == view.total == Decimal(told["total"]) == total
    [shown] = figures.daily(jia.pk, settling.days_of(month), {}, "")
    assert sum(value or 0 for value in shown.values) == total  # the bars are what is summed
    page = client_for(lin).get(f"/costs/customers/{jia.pk}/resources/?month={month}").content.decode()
    assert f"{first:%m-%d}" in page


def test_the_same_days_are_compared_up_to_the_last_whole_one(jia: Customer, account: CloudAccount) -> None:
    for at in range(31 + 10):
        bill(account, date(2026, 1, 1) + at * DAY, item(10))
    bill(account, date(2026, 2, 11), item(99), now=noon_after(date(2026, 2, 11)) - timedelta(hours=4))
    view = figures.month_view(jia, FEBRUARY, datetime.fromisoformat("2026-02-12T10:00:00+08:00"))
    assert view.provisional == (date(2026, 2, 11),)
    assert view.same_days == (Decimal(100), Decimal(100))
    assert view.change_so_far == 0
    BillDay.objects.filter(day=date(2026, 2, 1)).update(read_at=None)
    assert figures.month_view(jia, FEBRUARY, noon_after(date(2026, 2, 11))).change_so_far is None


# --- the last month ---------------------------------------------------------------------------------------------------


def test_who_has_left_is_read_until_its_last_month_is_issued_and_no_longer(
    jia: Customer, account: CloudAccount
) -> None:
    left_on = date(2026, 2, 10)
    for at in range(10):
        bill(account, date(2026, 2, 1) + at * DAY, item(10))
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(status=Customer.Status.LEFT)
        made = reading.reading_of(account, noon_after(left_on))
        assert reading.claim(now=noon_after(left_on)) == [(jia.pk, made.pk)]
    account.customer.refresh_from_db()
    reading.plan_days(account, CLOSED)
    assert BillDay.objects.order_by("-day").values_list("day", flat=True)[0] == date(2026, 2, 28)
    whole_month(account, FEBRUARY, 10, now=CLOSED)
    [statement] = issuing.sweep(customer=account.customer, now=CLOSED)
    assert statement.missing == []
    assert StatementLine.objects.get().is_offboarding
    reading.plan_days(account, CLOSED + 40 * DAY)
    with scope.platform("test"):
        assert reading.claim(now=CLOSED + 40 * DAY) == []


def test_the_month_in_which_the_only_account_was_retired_is_issued_and_names_what_nobody_can_read(
    jia: Customer, account: CloudAccount, lin: User
) -> None:
    for at in range(9):
        bill(account, date(2026, 2, 1) + at * DAY, item(10), now=CLOSED if at < 8 else None)
    assert issuing.sweep(customer=jia, now=CLOSED) == []
    cloud_accounts.retire_account(account=account, actor=lin, now=noon_after(date(2026, 2, 9)))
    [statement] = issuing.sweep(customer=jia, now=CLOSED)
    assert statement.missing == ["2026-02-09", "2026-02-10"]
    assert statement.reason
    assert Statement.objects.get().total == 90
