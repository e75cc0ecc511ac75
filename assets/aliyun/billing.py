"""The bill of an account, resource by resource, for one day (BSS OpenAPI, DescribeInstanceBill).

At most 300 rows a page and ten calls a second and account, 18 months back. A day is read whole or not at all: its pages
may repeat a row or lose one while the bill is being made, so what was listed is weighed against what was counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

from assets.aliyun.resources import Row, number, rows, text
from assets.aliyun.transport import AliyunError, Connection

MONTHS_BACK: Final = 18
"""How far back bills can be asked for (DescribeInstanceBill, BillingCycle)."""
PAGE: Final = 300
MOST_PAGES: Final = 400
TRIES: Final = 3
ACTION: Final = ("BssOpenApi", "2017-12-14", "DescribeInstanceBill")
CHARGES: Final[Mapping[str, str]] = MappingProxyType(
    {"SubscriptionOrder": "subscription", "Refund": "refund", "Adjustment": "adjustment"}
)
"""What kind of charge a row is, by its `Item`; all others are use that is paid as one goes."""
CURRENCY: Final = "CNY"
BIGGEST: Final = Decimal(10) ** 10


@dataclass(frozen=True, slots=True)
class BillItem:
    """One item of one resource on one day. `amount` is what is payable, `gross` what the price list says."""

    product_code: str
    product_name: str
    instance_id: str
    name: str
    region: str
    spec: str
    charge: str
    item: str
    amount: Decimal
    gross: Decimal


@dataclass(frozen=True, slots=True)
class DayBill:
    """Everything that an account was charged on a day, and how many calls it took to read."""

    on: date
    items: tuple[BillItem, ...]
    calls: int


def read_day(client: Connection, on: date) -> DayBill:
    """The bill of one day to its last page. Raises AliyunError rather than return less."""
    calls = 0
    before: Counter[BillItem] | None = None
    for _try in range(TRIES):
        listed, counted, used = _listed(client, on)
        calls += used
        unique = tuple(dict.fromkeys(listed))
        if counted in (len(unique), None):
            return DayBill(on, unique, calls)
        found = Counter(listed)
        if found == before and len(listed) == counted:
            return DayBill(on, tuple(listed), calls)  # twice the same: rows that are equal, and none is lost
        before = found
    raise AliyunError("IncompleteListing", f"The bill of {on} listed other rows than it counted.")


def _listed(client: Connection, on: date) -> tuple[list[BillItem], int | None, int]:
    """Rows of every page, how many there should be, and how many calls were made."""
    wanted = {
        "BillingCycle": f"{on:%Y-%m}",
        "BillingDate": on.isoformat(),
        "Granularity": "DAILY",
        "IsBillingItem": "true",
        "MaxResults": str(PAGE),
    }
    found: list[BillItem] = []
    token, used, counted = "", {""}, None
    for calls in range(1, MOST_PAGES + 1):
        answer = client.call(*ACTION, {**wanted, **({"NextToken": token} if token else {})})
        data = answer.get("Data")
        if not isinstance(data, Mapping):
            raise AliyunError("InvalidResponse", "The bill came without its data.")
        found += map(item_of, rows(data, "Items"))
        counted = number(data, "TotalCount")
        token = text(data, "NextToken")
        if not token:
            return found, counted, calls
        if token in used:
            break
        used.add(token)
    raise AliyunError("IncompleteListing", f"The bill of {on} never came to its last page.")


def item_of(row: Row) -> BillItem:
    """A row as the API writes it. Raises AliyunError for an amount that is none, and for another currency: what is
    added up, compared and issued is yuan."""
    currency = _plain(row, "Currency", 3) or CURRENCY
    if currency != CURRENCY:
        raise AliyunError("InvalidResponse", f"The bill is in {currency}, not in {CURRENCY}.")
    return BillItem(
        product_code=_plain(row, "ProductCode", 60),
        product_name=_plain(row, "ProductName", 120) or _plain(row, "ProductCode", 120),
        instance_id=_plain(row, "InstanceID", 128),
        name=_plain(row, "NickName", 200),
        region=_plain(row, "Region", 60),
        spec=_plain(row, "InstanceSpec", 120),
        charge=CHARGES.get(text(row, "Item"), "usage"),
        item=_plain(row, "BillingItem", 120) or _plain(row, "ProductDetail", 120),
        amount=_money(row, "PretaxAmount"),
        gross=_money(row, "PretaxGrossAmount"),
    )


def _plain(row: Row, name: str, longest: int) -> str:
    """A name as PostgreSQL takes it: without NUL and halves of characters, and not endless."""
    return text(row, name).replace("\0", "").encode(errors="replace").decode()[:longest]


def _money(row: Row, name: str) -> Decimal:
    try:
        found = Decimal(text(row, name) or "0")
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or abs(found) >= BIGGEST:
        raise AliyunError("InvalidResponse", f"{name} of a bill was not an amount.")
    return found
