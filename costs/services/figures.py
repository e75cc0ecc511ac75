"""What bills add up to: by day, product and resource, with what is not known said beside it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Count, Max, Sum

from accounts.models import Customer
from assets.models import Asset
from costs import settling
from costs.forecast import WEEKS, Forecast, change, forecast
from costs.models import BillDay, BillLine, Charge
from incidents.months import Month

SHOWN_PRODUCTS: Final = 7
"""In the chart; the rest is one colour."""
TREND_MONTHS: Final = 6
HISTORY: Final = timedelta(weeks=WEEKS + 3)


def known_days(customer_id: int, first: date, end: date) -> dict[date, bool]:
    """Days whose bill was read, of every account that has any; True: settled, so that its figures are whole.

    An account whose bills nobody may read is not waited for: the page says so.
    """
    rows = BillDay.objects.filter(customer=customer_id)
    accounts = rows.read().values("cloud_account_id").distinct().count()
    found: dict[date, list[bool]] = defaultdict(list)
    for day, read_at in rows.read().filter(day__gte=first, day__lt=end).values_list("day", "read_at"):
        found[day].append(settling.is_settled(day, read_at))
    return {day: all(settled) for day, settled in found.items() if len(settled) >= accounts}


def settled_days(customer_id: int, first: date, end: date) -> set[date]:
    return {day for day, settled in known_days(customer_id, first, end).items() if settled}


def usage_by_product(customer_id: int, first: date, end: date) -> dict[str, dict[date, float]]:
    """What is paid as one goes, by product and day. Days without a charge are left out."""
    rows = BillLine.objects.filter(customer=customer_id).between(first, end).usage().order_by()
    found: dict[str, dict[date, float]] = defaultdict(dict)
    for code, day, amount in rows.values_list("product_code", "day").annotate(amount=Sum("amount")):
        found[code][day] = float(amount)
    return dict(found)


def product_names(customer_id: int) -> dict[str, str]:
    """The newest name of each product."""
    rows = BillLine.objects.filter(customer=customer_id).order_by()
    return dict(rows.values_list("product_code").annotate(name=Max("product_name")))


def filled(amounts: Mapping[date, float], days: Iterable[date]) -> dict[date, float]:
    """The amounts of days that were read: zero where a day had no charge. Days that were not read are not here."""
    return {day: amounts.get(day, 0.0) for day in days}


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A product in a month. `before` is the whole month before; `ahead` None where too little is known."""

    code: str
    name: str
    amount: Decimal
    usage: Decimal
    before: Decimal
    resources: int
    ahead: Forecast | None

    @property
    def change(self) -> float | None:
        """Of the end of the month against the month before, in percent."""
        return change(self.ahead.amount, float(self.before)) if self.ahead else None


@dataclass(frozen=True, slots=True)
class MonthView:
    """A month of a customer. `missing` are past days whose bill is not known, `provisional` those that may grow."""

    month: Month
    products: tuple[ProductRow, ...]
    total: Decimal
    before: Decimal
    before_same_days: Decimal | None
    ahead: Forecast | None
    missing: tuple[date, ...]
    provisional: tuple[date, ...]
    is_over: bool

    @property
    def change(self) -> float | None:
        return change(self.ahead.amount, float(self.before)) if self.ahead else None

    @property
    def change_so_far(self) -> float | None:
        """Against the same days of the month before; None where those are not known."""
        return None if self.before_same_days is None else change(float(self.total), float(self.before_same_days))


def month_view(customer: Customer, month: Month, now: datetime) -> MonthView:
    first, end = settling.first_day(month), settling.first_day(month.shifted(1))
    earlier = settling.first_day(month.shifted(-1))
    today = settling.today(now)
    past = [day for day in settling.days_of(month) if day < today]
    known = known_days(customer.pk, first - HISTORY, end)
    settled = {day for day, whole in known.items() if whole}
    usage = usage_by_product(customer.pk, first - HISTORY, end)
    now_sums, before_sums = _sums(customer.pk, first, end), _sums(customer.pk, earlier, first)
    days = settling.days_of(month)
    products = []
    for code in sorted(now_sums.keys() | before_sums.keys(), key=lambda one: -_amount(now_sums, one)):
        mine = now_sums.get(code, _Sums())
        history = filled(usage.get(code, {}), settled)
        fixed = float(mine.total - mine.usage)
        products.append(
            ProductRow(
                code=code,
                name=mine.name or before_sums.get(code, mine).name,
                amount=mine.total,
                usage=mine.usage,
                before=before_sums.get(code, _Sums()).total,
                resources=mine.resources,
                ahead=forecast(history, days, fixed=fixed) if history else None,
            )
        )
    whole = {day: math.fsum(by_day.get(day, 0.0) for by_day in usage.values()) for day in settled}
    fixed = float(sum((one.total - one.usage for one in now_sums.values()), Decimal(0)))
    return MonthView(
        month=month,
        products=tuple(products),
        total=sum((one.total for one in now_sums.values()), Decimal(0)),
        before=sum((one.total for one in before_sums.values()), Decimal(0)),
        before_same_days=_same_days(customer.pk, earlier, first, past),
        ahead=forecast(whole, days, fixed=fixed) if whole else None,
        missing=tuple(day for day in past if day not in known),
        provisional=tuple(day for day in past if day in known and not known[day]),
        is_over=end <= today,
    )


@dataclass(slots=True)
class _Sums:
    name: str = ""
    total: Decimal = Decimal(0)
    usage: Decimal = Decimal(0)
    resources: int = 0


def _sums(customer_id: int, first: date, end: date) -> dict[str, _Sums]:
    rows = BillLine.objects.filter(customer=customer_id).between(first, end).order_by()
    found: dict[str, _Sums] = defaultdict(_Sums)
    grouped = rows.values_list("product_code", "charge").annotate(amount=Sum("amount"), name=Max("product_name"))
    for code, charge, amount, name in grouped:
        mine = found[code]
        mine.name = max(mine.name, name)
        mine.total += amount
        mine.usage += amount if charge == Charge.USAGE else Decimal(0)
    for code, count in rows.values_list("product_code").annotate(count=Count("instance_id", distinct=True)):
        found[code].resources = count
    return dict(found)


def _amount(sums: Mapping[str, _Sums], code: str) -> Decimal:
    return sums[code].total if code in sums else Decimal(0)


def _same_days(customer_id: int, earlier: date, first: date, past: Sequence[date]) -> Decimal | None:
    """What the month before had cost by the same day; None where a day of it is not known."""
    if not past:
        return None
    end = min(earlier + timedelta(days=past[-1].day), first)
    known = known_days(customer_id, earlier, end)
    if len(known) < (end - earlier).days:
        return None
    rows = BillLine.objects.filter(customer=customer_id).between(earlier, end)
    return rows.aggregate(amount=Sum("amount"))["amount"] or Decimal(0)


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer beside others. `missing` counts past days of the month that were not read of some account."""

    customer: Customer
    total: Decimal
    before: Decimal
    missing: int


def standings(customers: Sequence[Customer], month: Month, now: datetime) -> tuple[list[Standing], list[Customer]]:
    """Customers with bills, the dearest first, and those without; in as many queries for two hundred as for one."""
    first, end = settling.first_day(month), settling.first_day(month.shifted(1))
    total, before = _by_customer(first, end), _by_customer(settling.first_day(month.shifted(-1)), first)
    with_bills = set(BillDay.objects.read().order_by().values_list("customer_id", flat=True).distinct())
    unread = BillDay.objects.of_month(month).filter(read_at=None, day__lt=settling.today(now)).order_by()
    missing = dict(unread.values_list("customer_id").annotate(days=Count("day", distinct=True)))
    rows = [
        Standing(one, total.get(one.pk, Decimal(0)), before.get(one.pk, Decimal(0)), missing.get(one.pk, 0))
        for one in customers
        if one.pk in with_bills
    ]
    return sorted(rows, key=lambda row: -row.total), [one for one in customers if one.pk not in with_bills]


def _by_customer(first: date, end: date) -> dict[int, Decimal]:
    rows = BillLine.objects.all().between(first, end).order_by()
    return dict(rows.values_list("customer_id").annotate(amount=Sum("amount")))


# --- charts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stack:
    """One product as the chart stacks it; None: the day's bill is not known."""

    name: str
    values: list[float | None] = field(default_factory=list)


def daily(customer_id: int, days: Sequence[date], names: Mapping[str, str], other: str) -> list[Stack]:
    """Every day by product, the dearest first, and the rest as one."""
    if not days:
        return []
    first, end = days[0], days[-1] + timedelta(days=1)
    rows = BillLine.objects.filter(customer=customer_id).between(first, end).order_by()
    found: dict[str, dict[date, float]] = defaultdict(dict)
    for code, day, amount in rows.values_list("product_code", "day").annotate(amount=Sum("amount")):
        found[code][day] = float(amount)
    known = known_days(customer_id, first, end)
    ordered = sorted(found, key=lambda code: -math.fsum(found[code].values()))
    shown, rest = ordered[:SHOWN_PRODUCTS], ordered[SHOWN_PRODUCTS:]

    def values(codes: Sequence[str]) -> list[float | None]:
        return [
            round(math.fsum(found[code].get(day, 0.0) for code in codes), 2) if day in known else None for day in days
        ]

    stacks = [Stack(names.get(code, code), values([code])) for code in shown]
    return [*stacks, Stack(other, values(rest))] if rest else stacks


@dataclass(frozen=True, slots=True)
class MonthSum:
    month: Month
    amount: Decimal
    days_known: int
    days: int

    @property
    def is_whole(self) -> bool:
        return self.days_known >= self.days


def months(customer_id: int, last: Month, count: int = TREND_MONTHS) -> list[MonthSum]:
    """The last months with what is known of each."""
    wanted = [last.shifted(back) for back in range(1 - count, 1)]
    first, end = settling.first_day(wanted[0]), settling.first_day(last.shifted(1))
    known = known_days(customer_id, first, end)
    sums: dict[Month, Decimal] = defaultdict(Decimal)
    rows = BillLine.objects.filter(customer=customer_id).between(first, end).order_by()
    for day, amount in rows.values_list("day").annotate(amount=Sum("amount")):
        sums[Month.of(day)] += amount
    return [
        MonthSum(month, sums[month], sum(Month.of(day) == month for day in known), len(settling.days_of(month)))
        for month in wanted
    ]


# --- resources --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AssetCost:
    """What an asset cost: day by day, None where that is not known, this month and the one before."""

    days: list[date]
    values: list[float | None]
    this_month: Decimal
    month_before: Decimal


def of_asset(asset: Asset, now: datetime, *, days: int = 60) -> AssetCost | None:
    """None where no bill ever named it."""
    rows = BillLine.objects.filter(asset=asset)
    if not rows.exists():
        return None
    today = settling.today(now)
    shown = list(settling.days_between(today - timedelta(days=days), today))
    month = Month.of(today)
    first, earlier = settling.first_day(month), settling.first_day(month.shifted(-1))
    found: dict[date, Decimal] = dict(
        rows.between(min(shown[0], earlier), today).order_by().values_list("day").annotate(amount=Sum("amount"))
    )
    known = known_days(asset.customer_id, shown[0], today)
    return AssetCost(
        days=shown,
        values=[round(float(found.get(day, 0)), 2) if day in known else None for day in shown],
        this_month=sum((amount for day, amount in found.items() if day >= first), Decimal(0)),
        month_before=sum((amount for day, amount in found.items() if earlier <= day < first), Decimal(0)),
    )


def daily_cost(customer_id: int, instance_id: str, first: date, end: date) -> tuple[Decimal, int]:
    """What a resource cost a day in a stretch, and by how many known days that is: 0 days say nothing."""
    days = settled_days(customer_id, first, end)
    if not days:
        return Decimal(0), 0
    rows = BillLine.objects.filter(customer=customer_id, instance_id=instance_id, day__in=days).usage()
    total = rows.aggregate(amount=Sum("amount"))["amount"] or Decimal(0)
    return total / len(days), len(days)
