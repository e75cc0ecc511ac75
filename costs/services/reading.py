"""Reading the bills of cloud accounts day by day (R135): what is new first, then corrections, then the past.

Each day is a row that says when it was read and when it is worth reading again, so that no day is forgotten and none is
taken for free. A day is stored whole in one transaction. Once its month is issued its lines stand, and what the cloud
says later is written beside them (R6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction

from accounts import bulk
from accounts.errors import DomainError
from accounts.models import Customer
from assets.aliyun import AliyunError, Client, billing
from assets.aliyun.codes import is_permission_code
from assets.models import Asset, CloudAccount
from assets.services import client_for
from assets.services.pacing import BUCKET, TooBusy
from costs import settling
from costs.models import BillDay, BillDifference, BillLine, BillReading, Statement
from costs.services import anomalies, messages
from incidents import locks
from incidents.months import Month
from notify import live

EVERY: Final = timedelta(minutes=20)
AFTER_DENIAL: Final = timedelta(hours=6)
"""Until the AccessKey may read bills there is no use in asking often."""
LEASE: Final = timedelta(minutes=15)
CALLS: Final = 30
"""Pages of one round, at eight a second: the worker is free again after a few seconds."""
PAST_MONTHS: Final = 6
"""How far back a new account is read: enough for weekdays to show a habit and for a half year's trend."""
POSTPONED: Final = timedelta(hours=1)
OF_ONE_DAY: Final = ("IncompleteListing", "InvalidResponse")
"""Trouble that may lie in the bill of a single day: the others are read meanwhile."""
Key = tuple[str, str, str]


class Pace:
    """Waits for the account's turn before each call; every worker of the platform shares one queue."""

    def __init__(self, account_uid: str) -> None:
        self._account_uid = account_uid

    def before(self, product: str, action: str) -> None:
        try:
            BUCKET.wait(self._account_uid, product, action)
        except TooBusy:
            raise AliyunError("Throttling.Own", "The queue for this API is too long.", retryable=False) from None

    def after(self, product: str, action: str, code: str) -> None:
        """Nothing is counted: bills have no monthly quota."""


def follow_accounts(*, now: datetime) -> int:
    """A row for every account that has none yet; returns how many were made. Needs a platform scope."""
    there = CloudAccount.objects.existing().filter(is_enabled=True).exclude(customer__status=Customer.Status.LEFT)
    new = [reading_of(account, now) for account in there.exclude(pk__in=BillReading.objects.values("cloud_account"))]
    return len(new)


def reading_of(account: CloudAccount, now: datetime) -> BillReading:
    """The account's row, made when it is first asked for."""
    found, _made = BillReading.objects.get_or_create(
        cloud_account=account, defaults={"customer_id": account.customer_id, "began_at": now, "next_due_at": now}
    )
    return found


@transaction.atomic
def claim(*, now: datetime, limit: int = 100) -> list[tuple[int, int]]:
    """Take the accounts that are due: customer and reading. Needs a platform scope."""
    due = BillReading.objects.claimable(now)
    rows = list(due.select_for_update(skip_locked=True, of=("self",)).order_by("next_due_at", "pk")[:limit])
    BillReading.objects.filter(pk__in=[row.pk for row in rows]).update(lease_until=now + LEASE, next_due_at=now + EVERY)
    return [(row.customer_id, row.pk) for row in rows]


def read(*, reading_id: int, now: datetime, calls: int = CALLS) -> int:
    """One round over an account; returns how many days were read. Trouble is written down and not raised: one account
    does not hold up another. Needs the customer's scope."""
    reading = BillReading.objects.select_related("cloud_account__customer").get(pk=reading_id)
    account = reading.cloud_account
    plan_days(account, now)
    done, code, detail = 0, "", ""
    try:
        client = client_for(account, purpose="bills", now=now).watched(Pace(account.account_uid))
        done, trouble = _round(account, client, calls, now)
        code, detail = (trouble.code, trouble.message) if trouble else ("", "")
    except DomainError as error:
        code, detail = error.code, error.message
    except AliyunError as error:
        code, detail = error.code, error.message
    if done:
        anomalies.look(customer=account.customer, now=now)
    goes_on = (done or not code) and BillDay.objects.filter(cloud_account=account).due(now).exists()
    _settle(reading, code, detail, now=now, done=done, goes_on=bool(goes_on))
    return done


def plan_days(account: CloudAccount, now: datetime) -> int:
    """A row for every day from the first of the half year before the account came up to yesterday.

    Of a customer that has left, up to the end of the month in which it did: that month is still issued.
    """
    mine = BillDay.objects.filter(cloud_account=account).order_by("-day").values_list("day", flat=True)
    if not mine.exists():
        _take_over(account)
    end, newest = settling.today(now), mine.first()
    first = newest + timedelta(days=1) if newest else settling.first_day(Month.of(end).shifted(-PAST_MONTHS))
    if newest and account.customer.status == Customer.Status.LEFT:
        end = min(end, settling.ends(Month.of(newest))[1])
    rows = [
        BillDay(
            customer_id=account.customer_id,
            cloud_account=account,
            day=day,
            next_due_at=settling.next_reading(day, None),
        )
        for day in settling.days_between(first, end)
    ]
    BillDay.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


@transaction.atomic
def _take_over(account: CloudAccount) -> None:
    """An account that was retired and is registered again goes on where it was, or each of its days would count twice.
    Lines of issued months stand as they are."""
    locks.hold_customer(account.customer)
    same = CloudAccount.objects.filter(customer=account.customer_id, account_uid=account.account_uid)
    days = BillDay.objects.filter(cloud_account__in=same.exclude(pk=account.pk).exclude(retired_at=None))
    before = days.order_by("-cloud_account").values_list("cloud_account", flat=True).first()
    if before is None:
        return
    lines = BillLine.objects.filter(cloud_account=before)
    for statement in Statement.objects.filter(customer=account.customer_id):
        first, end = settling.ends(statement.period)
        lines = lines.exclude(day__gte=first, day__lt=end)
    lines.update(cloud_account=account)
    BillDay.objects.filter(cloud_account=before).update(cloud_account=account)


def _round(account: CloudAccount, client: Client, calls: int, now: datetime) -> tuple[int, AliyunError | None]:
    """Days that are due until the calls are spent, and what one of them came to. Raises what stops all of them."""
    done, trouble = 0, None
    for row in BillDay.objects.filter(cloud_account=account).due(now)[:calls]:
        try:
            bill = billing.read_day(client, row.day)
        except AliyunError as error:
            if error.code not in OF_ONE_DAY:
                raise
            BillDay.objects.filter(pk=row.pk).update(next_due_at=now + POSTPONED)
            trouble, calls = error, calls - billing.TRIES
            continue
        keep(account=account, bill=bill, now=now)
        done += 1
        calls -= bill.calls
        if calls <= 0:
            break
    return done, trouble


@transaction.atomic
def keep(*, account: CloudAccount, bill: billing.DayBill, now: datetime) -> None:
    """Store a day as it was read: whole, once, and beside what was issued if its month is.

    A day that was unknown when its month was issued stays unknown: none of its lines is in the ledger.
    """
    customer = account.customer
    locks.hold_customer(customer)
    if not CloudAccount.objects.existing().filter(pk=account.pk).exists():
        return  # retired while it was read: who registers it again takes its days over
    lines = lines_of(account, bill)
    is_issued = Statement.objects.filter(customer=customer, month=bill.on.replace(day=1)).exists()
    if is_issued:
        _keep_differences(account, bill.on, lines, now)
    else:
        _replace(account, bill.on, lines)
    row, _made = BillDay.objects.get_or_create(
        cloud_account=account, day=bill.on, defaults={"customer_id": account.customer_id}
    )
    row.read_at = now if row.read_at or not is_issued else None
    row.next_due_at = settling.next_reading(bill.on, now)
    if customer.status == Customer.Status.LEFT and settling.is_final(bill.on, now):
        row.next_due_at = None
    row.save(update_fields=["read_at", "next_due_at"])
    live.publish(customer_id=account.customer_id, topic="costs", object_id=account.pk)


@dataclass(slots=True)
class _Sum:
    first: billing.BillItem
    amount: Decimal = Decimal(0)
    gross: Decimal = Decimal(0)
    items: dict[str, Decimal] = field(default_factory=dict)

    def add(self, item: billing.BillItem) -> None:
        self.amount += item.amount
        self.gross += item.gross
        self.items[item.item] = self.items.get(item.item, Decimal(0)) + item.amount


def lines_of(account: CloudAccount, bill: billing.DayBill) -> list[BillLine]:
    """The items of a day by resource and kind of charge, each with the asset that it is."""
    sums: dict[Key, _Sum] = {}
    for item in bill.items:
        sums.setdefault((item.product_code, item.instance_id, item.charge), _Sum(item)).add(item)
    assets = _assets(account, {key[1] for key in sums})
    return [
        BillLine(
            customer_id=account.customer_id,
            cloud_account=account,
            day=bill.on,
            product_code=code,
            product_name=found.first.product_name,
            instance_id=instance_id,
            charge=charge,
            name=found.first.name,
            region=found.first.region,
            spec=found.first.spec,
            amount=round(found.amount, 6),
            gross=round(found.gross, 6),
            items={name: str(round(amount, 6)) for name, amount in sorted(found.items.items())},
            asset_id=assets.get(instance_id),
        )
        for (code, instance_id, charge), found in sorted(sums.items())
    ]


def _assets(account: CloudAccount, names: Iterable[str]) -> dict[str, int]:
    rows = Asset.objects.filter(cloud_account=account, provider_id__in=[name for name in names if name])
    return dict(rows.order_by("pk").values_list("provider_id", "pk"))


def _replace(account: CloudAccount, day: date, lines: list[BillLine]) -> None:
    """The day as it is known now. Lines that did not change are not written again."""
    before = {line.key: line for line in BillLine.objects.filter(cloud_account=account, day=day)}
    after = {line.key: line for line in lines}
    gone = [line.pk for key, line in before.items() if key not in after or _differs(line, after[key])]
    if gone:
        BillLine.objects.filter(pk__in=gone).delete()
    bulk.insert([line for key, line in after.items() if key not in before or _differs(before[key], line)])


def _differs(old: BillLine, new: BillLine) -> bool:
    names = ("amount", "gross", "product_name", "name", "region", "spec", "items", "asset_id")
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _keep_differences(account: CloudAccount, day: date, lines: list[BillLine], now: datetime) -> None:
    """What is said of an issued day and differs from it, once as long as it stays the same."""
    same = CloudAccount.objects.filter(customer=account.customer_id, account_uid=account.account_uid)
    issued = {line.key: line for line in BillLine.objects.filter(cloud_account__in=same, day=day)}
    said = {line.key: line for line in lines}
    known = {row.key: row for row in BillDifference.objects.filter(cloud_account__in=same, day=day).order_by("pk")}
    fresh = []
    for key in sorted(issued.keys() | said.keys() | known.keys()):
        line = said.get(key) or issued.get(key) or known[key]
        stands = issued[key].amount if key in issued else Decimal(0)
        heard = said[key].amount if key in said else Decimal(0)
        if heard != (known[key].said if key in known else stands):
            fresh.append(
                BillDifference(
                    customer_id=account.customer_id,
                    cloud_account=account,
                    day=day,
                    product_code=line.product_code,
                    product_name=line.product_name,
                    instance_id=line.instance_id,
                    name=line.name,
                    charge=line.charge,
                    issued=stands,
                    said=heard,
                    seen_at=now,
                )
            )
    bulk.insert(fresh)


def _settle(reading: BillReading, code: str, detail: str, *, now: datetime, done: int, goes_on: bool) -> None:
    """End the round. That the key may not read bills is told once until it may, and asked again only now and then."""
    was_denied = reading.is_denied
    if is_permission_code(code):
        reading.denied_since = reading.denied_since or now
    elif done or not code:
        reading.denied_since = None
    reading.problem_since = (reading.problem_since if code == reading.problem_code else now) if code else None
    reading.problem_code, reading.problem_detail = code[:80], detail[:400]
    reading.read_at = reading.read_at if code else now
    reading.lease_until = None
    reading.next_due_at = now if goes_on else now + (AFTER_DENIAL if reading.is_denied else EVERY)
    reading.save(
        update_fields=[
            "problem_code", "problem_detail", "problem_since", "denied_since", "read_at", "lease_until", "next_due_at",
        ]
    )  # fmt: skip
    if reading.is_denied and not was_denied:
        messages.denied(reading, now=now)
    live.publish(customer_id=reading.customer_id, topic="costs", object_id=reading.cloud_account_id)
