"""What bills add up to: by day, product and resource, with what is not known said beside it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Count, Max, Sum

from accounts.models import Customer
from assets.models import Subscription
from costs import settling
from costs.forecast import WEEKS, Forecast, change, forecast
from costs.models import BillDay, BillLine, Charge, SavingProposal, Statement
from costs.models.anomalies import CostAnomalyQuerySet
from costs.models.proposals import SavingProposalQuerySet
from incidents.months import Month

SHOWN_PRODUCTS: Final = 7
"""In the chart; the rest is one colour."""
TREND_MONTHS: Final = 6
RENEWED_MONTHS: Final = 3
PLANNED_WITHIN: Final = timedelta(days=7)
"""Before the first day asked for: an account whose days were planned until then is still read."""
SOON: Final = timedelta(days=30)
HISTORY: Final = timedelta(weeks=WEEKS + 3)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of a stretch of days of a customer.

    `known`: every account that is still read was read; True: settled, so that its figures are whole. `read`: at least
    one was, so that sums hold what is known of the day. `whole`: settled, and good for comparing with other days.
    """

    known: Mapping[date, bool] = field(default_factory=dict)
    read: frozenset[date] = frozenset()
    whole: frozenset[date] = frozenset()

    def missing(self, days: Iterable[date]) -> tuple[date, ...]:
        """Those of the days whose bill is not known, or not of every account."""
        return tuple(day for day in days if day not in self.known)

    def provisional(self, days: Iterable[date]) -> tuple[date, ...]:
        """Those that are known and may still grow."""
        return tuple(day for day in days if self.known.get(day) is False)


def ledger(customer_id: int, first: date, end: date) -> Ledger:
    return ledgers([customer_id], first, end).get(customer_id, Ledger())


def ledgers(customer_ids: Collection[int], first: date, end: date) -> dict[int, Ledger]:
    """What is known of each customer's days, in as many queries for two hundred as for one.

    An account that is retired or switched off, or whose bills nobody may read, is not waited for: the page says so. In
    an issued month its statement says what is missing; an account that came later is not in its figures, and the day is
    compared with no other.
    """
    rows = BillDay.objects.filter(customer__in=customer_ids).order_by()
    there = rows.filter(day__gte=first, day__lt=end)
    settled: dict[tuple[int, date], list[bool]] = defaultdict(list)
    for customer_id, day, read_at in there.read().values_list("customer_id", "day", "read_at"):
        settled[customer_id, day].append(settling.is_settled(day, read_at))
    unread = set(there.filter(read_at=None).values_list("customer_id", "day"))
    awaited = set(there.awaited().values_list("customer_id", "day"))
    planned: dict[int, date] = {}
    lately = rows.served().filter(day__gte=first - PLANNED_WITHIN)
    newest = lately.values("customer_id", "cloud_account_id").annotate(newest=Max("day"))
    for row in newest:
        planned[row["customer_id"]] = min(row["newest"], planned.get(row["customer_id"], date.max))
    statements = Statement.objects.filter(customer__in=customer_ids, month__gte=first.replace(day=1), month__lt=end)
    issued = {
        (customer_id, month): set(missing)
        for customer_id, month, missing in statements.order_by().values_list("customer_id", "month", "missing")
    }
    found: dict[int, tuple[dict[date, bool], set[date], set[date]]] = defaultdict(lambda: ({}, set(), set()))
    for (customer_id, day), is_settled in settled.items():
        known, read, whole = found[customer_id]
        read.add(day)
        lacking = issued.get((customer_id, day.replace(day=1)))
        if lacking is None:
            waits = (customer_id, day) in awaited or day > planned.get(customer_id, day)
        else:
            waits = day.isoformat() in lacking and (customer_id, day) in unread
        if waits:
            continue
        known[day] = all(is_settled)
        if known[day] and (customer_id, day) not in awaited:
            whole.add(day)
    return {pk: Ledger(known, frozenset(read), frozenset(whole)) for pk, (known, read, whole) in found.items()}


def usage_by_product(customer_id: int, first: date, end: date) -> dict[str, dict[date, float]]:
    """What is paid as one goes, by product and day. Days without a charge are left out."""
    rows = BillLine.objects.filter(customer=customer_id).between(first, end).usage().order_by()
    found: dict[str, dict[date, float]] = defaultdict(dict)
    for code, day, amount in rows.values_list("product_code", "day").annotate(amount=Sum("amount")):
        found[code][day] = float(amount)
    return dict(found)


def product_names(customer_id: int, first: date, end: date) -> dict[str, str]:
    """The newest name of each product that was billed in a stretch of days."""
    rows = BillLine.objects.filter(customer=customer_id).between(first, end)
    newest = rows.order_by("product_code", "-day", "-pk").distinct("product_code")
    return dict(newest.values_list("product_code", "product_name"))


def filled(amounts: Mapping[date, float], days: Iterable[date]) -> dict[date, float]:
    """The amounts of days that were read: zero where a day had no charge. Days that were not read are not here."""
    return {day: amounts.get(day, 0.0) for day in days}


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A product in a month. `before` is the whole month before; `ahead` None where too little is known.

    `trend`: what it cost in the last months, the asked one last; None where no day of a month was read.
    """

    code: str
    name: str
    amount: Decimal
    usage: Decimal
    before: Decimal
    resources: int
    ahead: Forecast | None
    trend: tuple[Decimal | None, ...] = ()

    @property
    def change(self) -> float | None:
        """Of the end of the month against the month before, in percent."""
        return change(self.ahead.amount, float(self.before)) if self.ahead else None


@dataclass(frozen=True, slots=True)
class MonthView:
    """A month of a customer.

    `missing` are past days whose bill is not known, or not of every account: the sums hold what is known of them.
    `provisional` are those that may grow. `same_days` is what this month and the one before had cost by the last day
    that is whole, None where there is none.
    """

    month: Month
    products: tuple[ProductRow, ...]
    total: Decimal
    before: Decimal
    same_days: tuple[Decimal, Decimal] | None
    ahead: Forecast | None
    missing: tuple[date, ...]
    provisional: tuple[date, ...]
    is_over: bool
    trend: tuple[MonthSum, ...] = ()

    @property
    def has_bills(self) -> bool:
        """Whether anything of this month itself is known."""
        return any(product.resources for product in self.products)

    @property
    def change(self) -> float | None:
        return change(self.ahead.amount, float(self.before)) if self.ahead else None

    @property
    def change_so_far(self) -> float | None:
        """Against the same days of the month before; None where those are not known."""
        return None if self.same_days is None else change(*map(float, self.same_days))


def month_view(customer: Customer, month: Month, now: datetime) -> MonthView:
    first, end = settling.ends(month)
    earlier = settling.first_day(month.shifted(-1))
    today = settling.today(now)
    past = past_days(month, now)
    known = ledger(customer.pk, first - HISTORY, end)
    usage = usage_by_product(customer.pk, first - HISTORY, end)
    now_sums, before_sums = _sums(customer.pk, first, end), _sums(customer.pk, earlier, first)
    days = settling.days_of(month)
    trend = tuple(months(customer.pk, month))
    renewed = _renewals(customer.pk, month, trend)
    products = []
    codes = now_sums.keys() | before_sums.keys()
    for code in sorted(codes, key=lambda one: (-_amount(now_sums, one), -_amount(before_sums, one), one)):
        mine = now_sums.get(code, _Sums())
        history = filled(usage.get(code, {}), known.whole)
        fixed = float(mine.total - mine.usage)
        products.append(
            ProductRow(
                code=code,
                name=mine.name or before_sums.get(code, mine).name,
                amount=mine.total,
                usage=mine.usage,
                before=before_sums.get(code, _Sums()).total,
                resources=mine.resources,
                ahead=forecast(history, days, fixed=fixed, renewed=renewed.get(code, 0.0)) if history else None,
                trend=tuple(one.of_product(code) for one in trend),
            )
        )
    whole = {day: math.fsum(by_day.get(day, 0.0) for by_day in usage.values()) for day in known.whole}
    fixed = float(sum((one.total - one.usage for one in now_sums.values()), Decimal(0)))
    return MonthView(
        month=month,
        products=tuple(products),
        total=sum((one.total for one in now_sums.values()), Decimal(0)),
        before=sum((one.total for one in before_sums.values()), Decimal(0)),
        same_days=_same_days(customer.pk, earlier, first, known),
        ahead=forecast(whole, days, fixed=fixed, renewed=math.fsum(renewed.values())) if whole else None,
        missing=known.missing(past),
        provisional=known.provisional(past),
        is_over=end <= today,
        trend=trend,
    )


def _renewals(customer_id: int, month: Month, trend: Sequence[MonthSum]) -> dict[str, float]:
    """What subscriptions of each product are still to cost in a month, if they are renewed as in the last ones: at
    least so much was paid for them in each. Nothing is foretold where one of those is not whole."""
    before = [one for one in trend if one.month < month][-RENEWED_MONTHS:]
    if len(before) < RENEWED_MONTHS or any(one.days_read < len(settling.days_of(one.month)) for one in before):
        return {}
    first, end = settling.first_day(before[0].month), settling.ends(month)[1]
    rows = BillLine.objects.filter(customer=customer_id, charge=Charge.SUBSCRIPTION).between(first, end).order_by()
    paid: dict[str, dict[Month, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for day, code, amount in rows.values_list("day", "product_code").annotate(amount=Sum("amount")):
        paid[code][Month.of(day)] += amount
    usual = {code: min(sums[one.month] for one in before) for code, sums in list(paid.items())}
    return {code: float(max(amount - paid[code][month], Decimal(0))) for code, amount in usual.items()}


def past_days(month: Month, now: datetime) -> list[date]:
    """The days of a month of which a bill can be expected."""
    return [day for day in settling.days_of(month) if day < settling.today(now)]


def missing_days(customer_id: int, month: Month, now: datetime) -> tuple[date, ...]:
    """Past days of a month whose bill is not known, or not of every account."""
    return ledger(customer_id, *settling.ends(month)).missing(past_days(month, now))


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


def _same_days(customer_id: int, earlier: date, first: date, known: Ledger) -> tuple[Decimal, Decimal] | None:
    """What this month and the one before had cost by the last day before the first that is not whole; None where there
    is none, or where a day of the month before is not known."""
    count = 0
    while count < (first - earlier).days and known.known.get(first + timedelta(days=count)):
        count += 1
    stretch = timedelta(days=count)
    if not count or known.missing(settling.days_between(earlier, earlier + stretch)):
        return None
    rows = BillLine.objects.filter(customer=customer_id)
    now, before = (
        rows.between(start, start + stretch).aggregate(amount=Sum("amount"))["amount"] or Decimal(0)
        for start in (first, earlier)
    )
    return now, before


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer beside others. `missing` counts past days of the month whose bill is not known, as on its page."""

    customer: Customer
    total: Decimal
    before: Decimal
    missing: int


def standings(customers: Sequence[Customer], month: Month, now: datetime) -> tuple[list[Standing], list[Customer]]:
    """Customers with bills, the dearest first, and those without; in as many queries for two hundred as for one."""
    first, end = settling.ends(month)
    total, before = _by_customer(first, end), _by_customer(settling.first_day(month.shifted(-1)), first)
    with_bills = set(BillDay.objects.read().order_by().values_list("customer_id", flat=True).distinct())
    known, past = ledgers(with_bills, first, end), past_days(month, now)
    rows = [
        Standing(
            one,
            total.get(one.pk, Decimal(0)),
            before.get(one.pk, Decimal(0)),
            len(known.get(one.pk, Ledger()).missing(past)),
        )
        for one in customers
        if one.pk in with_bills
    ]
    return sorted(rows, key=lambda row: -row.total), [one for one in customers if one.pk not in with_bills]


def _by_customer(first: date, end: date) -> dict[int, Decimal]:
    rows = BillLine.objects.all().between(first, end).order_by()
    return dict(rows.values_list("customer_id").annotate(amount=Sum("amount")))


def counts(rows: CostAnomalyQuerySet | SavingProposalQuerySet) -> dict[int, int]:
    """How many each customer has."""
    return dict(rows.order_by().values_list("customer_id").annotate(count=Count("pk")))


def open_saving(customer: Customer) -> Decimal:
    """What open proposals would save a month, as far as that is known."""
    rows = SavingProposal.objects.filter(customer=customer).open()
    found: Decimal | None = rows.aggregate(monthly=Sum("monthly"))["monthly"]
    return found or Decimal(0)


def expiring(customer: Customer, now: datetime) -> int:
    """Subscriptions that end soon and are not renewed by themselves."""
    rows = Subscription.objects.filter(customer=customer, gone_at=None, ends_at__lte=now + SOON)
    return rows.exclude(renewal=Subscription.Renewal.AUTO).count()


# --- charts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stack:
    """One product as the chart stacks it; None: the day's bill is not known, or not wholly and without the product."""

    name: str
    values: list[float | None] = field(default_factory=list)


def daily(customer_id: int, days: Sequence[date], names: Mapping[str, str], other: str) -> list[Stack]:
    """Every day by product, the dearest first, and the rest as one. What is known of a day is shown as it is summed."""
    if not days:
        return []
    first, end = days[0], days[-1] + timedelta(days=1)
    rows = BillLine.objects.filter(customer=customer_id).between(first, end).order_by()
    found: dict[str, dict[date, float]] = defaultdict(dict)
    for code, day, amount in rows.values_list("product_code", "day").annotate(amount=Sum("amount")):
        found[code][day] = float(amount)
    known = ledger(customer_id, first, end).known
    ordered = sorted(found, key=lambda code: -math.fsum(found[code].values()))
    shown, rest = ordered[:SHOWN_PRODUCTS], ordered[SHOWN_PRODUCTS:]

    def values(codes: Sequence[str]) -> list[float | None]:
        return [
            round(math.fsum(found[code].get(day, 0.0) for code in codes), 2)
            if day in known or any(day in found[code] for code in codes)
            else None
            for day in days
        ]

    stacks = [Stack(names.get(code, code), values([code])) for code in shown]
    return [*stacks, Stack(other, values(rest))] if rest else stacks


@dataclass(frozen=True, slots=True)
class MonthSum:
    """`products`: what each product cost, by code."""

    month: Month
    amount: Decimal
    days_read: int
    products: Mapping[str, Decimal]

    def of_product(self, code: str) -> Decimal | None:
        """None: no day of the month was read."""
        return self.products.get(code, Decimal(0)) if self.days_read else None


def months(customer_id: int, last: Month, count: int = TREND_MONTHS) -> list[MonthSum]:
    """The last months with what is known of each."""
    wanted = [last.shifted(back) for back in range(1 - count, 1)]
    first, end = settling.first_day(wanted[0]), settling.ends(last)[1]
    read = ledger(customer_id, first, end).read
    sums: dict[Month, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    rows = BillLine.objects.filter(customer=customer_id).between(first, end).order_by()
    for day, code, amount in rows.values_list("day", "product_code").annotate(amount=Sum("amount")):
        sums[Month.of(day)][code] += amount
    return [
        MonthSum(
            month,
            sum(sums[month].values(), Decimal(0)),
            sum(Month.of(day) == month for day in read),
            dict(sums[month]),
        )
        for month in wanted
    ]


@dataclass(frozen=True, slots=True)
class MonthStack:
    """One product over the last months as the chart stacks it; `ahead`: what the last month is still to cost."""

    name: str
    values: list[float | None]
    ahead: float


def monthly(view: MonthView, other: str) -> list[MonthStack]:
    """The last months by product, the dearest first, and the rest as one.

    The forecast of the whole is not the sum of those of its products: each follows its own weekdays.
    """
    ordered = sorted(view.products, key=lambda row: -math.fsum(float(one or 0) for one in row.trend))
    shown, rest = ordered[:SHOWN_PRODUCTS], ordered[SHOWN_PRODUCTS:]

    def stack(name: str, rows: Sequence[ProductRow]) -> MonthStack:
        sums = [
            None if one.days_read == 0 else round(math.fsum(float(row.trend[at] or 0) for row in rows), 2)
            for at, one in enumerate(view.trend)
        ]
        ahead = math.fsum(max(0.0, row.ahead.amount - float(row.amount)) for row in rows if row.ahead)
        return MonthStack(name, sums, 0.0 if view.is_over else round(ahead, 2))

    stacks = [stack(row.name, [row]) for row in shown]
    return [*stacks, stack(other, rest)] if rest else stacks
