"""What single resources cost: in a month, day by day, and on an average day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Max, Q, Sum

from assets.models import Asset
from costs import settling
from costs.models import BillLine, Charge
from costs.services import figures
from incidents.months import Month


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A resource in a month and the one before."""

    product: str
    instance_id: str
    name: str
    asset_id: int | None
    amount: Decimal
    before: Decimal
    charges: str


def in_month(customer_id: int, month: Month, *, code: str = "", words: str = "") -> list[ResourceRow]:
    """The resources of a month, the dearest first; of one product, or those that have all the words."""
    lines = BillLine.objects.filter(customer=customer_id).order_by()
    if code:
        lines = lines.filter(product_code=code)
    for word in words.split()[:8]:
        lines = lines.filter(Q(name__icontains=word) | Q(instance_id__icontains=word) | Q(product_name__icontains=word))
    group = ("product_code", "instance_id")
    earlier = lines.between(*settling.ends(month.shifted(-1))).values_list(*group).annotate(amount=Sum("amount"))
    before = {(product, instance): amount for product, instance, amount in earlier}
    mine = lines.between(*settling.ends(month))
    kinds: dict[tuple[str, str], set[str]] = {}
    for product, instance, charge in mine.values_list(*group, "charge").distinct():
        kinds.setdefault((product, instance), set()).add(str(Charge(charge).label))
    grouped = mine.values_list(*group).annotate(
        amount=Sum("amount"), product=Max("product_name"), named=Max("name"), known=Max("asset_id")
    )
    rows = [
        ResourceRow(
            product=product,
            instance_id=instance,
            name=named or instance,
            asset_id=known,
            amount=amount,
            before=before.get((product_code, instance), Decimal(0)),
            charges=" · ".join(sorted(kinds[product_code, instance])),
        )
        for product_code, instance, amount, product, named, known in grouped
    ]
    return sorted(rows, key=lambda row: (-row.amount, row.name))


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
    known = figures.ledger(asset.customer_id, shown[0], today).known
    return AssetCost(
        days=shown,
        values=[round(float(found.get(day, 0)), 2) if day in known or day in found else None for day in shown],
        this_month=sum((amount for day, amount in found.items() if day >= first), Decimal(0)),
        month_before=sum((amount for day, amount in found.items() if earlier <= day < first), Decimal(0)),
    )


def daily_cost(customer_id: int, instance_id: str, first: date, end: date) -> tuple[Decimal, int]:
    """What a resource cost a day in a stretch, and by how many known days that is: 0 days say nothing."""
    days = figures.ledger(customer_id, first, end).whole
    if not days:
        return Decimal(0), 0
    rows = BillLine.objects.filter(customer=customer_id, instance_id=instance_id, day__in=days).usage()
    total = rows.aggregate(amount=Sum("amount"))["amount"] or Decimal(0)
    return total / len(days), len(days)


def is_billed(customer_id: int, instance_id: str, first: date, end: date) -> bool:
    """A bill names the resource in a stretch as used: without that its cost is not zero but not known."""
    rows = BillLine.objects.filter(customer=customer_id, instance_id=instance_id).usage()
    return bool(rows.between(first, end).exists())


def daily_of(
    subjects: Collection[tuple[int, str]], first: date, end: date
) -> dict[tuple[int, str], dict[date, Decimal]]:
    """The use of resources (customer and instance id) by day. Days without a charge are left out."""
    customers, instances = {one for one, _instance in subjects}, {instance for _customer, instance in subjects}
    rows = BillLine.objects.filter(customer__in=customers, instance_id__in=instances).between(first, end).usage()
    found: dict[tuple[int, str], dict[date, Decimal]] = defaultdict(dict)
    grouped = rows.order_by().values_list("customer_id", "instance_id", "day").annotate(amount=Sum("amount"))
    for customer_id, instance_id, day, amount in grouped:
        found[customer_id, instance_id][day] = amount
    return dict(found)
