"""A customer whose bills are read from a simulated cloud, and bills written down for what needs a frozen day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts import scope
from accounts.models import Contact, Customer, User
from assets.aliyun.billing import BillItem, DayBill
from assets.models import CloudAccount
from assets.services import pacing
from costs import settling
from costs.models import BillReading
from costs.services import reading
from demo.aliyun import CloudServer, demo_cloud
from demo.aliyun import cloud as simulated
from demo.aliyun.cloud import YI_READ_ONLY, YI_UID
from demo.aliyun.estate import Estate
from incidents.months import ZONE, Month
from tests.assets.conftest import _hasty, register, sync  # noqa: F401 - calls that fail are repeated soon

DAY = timedelta(days=1)


def later() -> datetime:
    """The simulated cloud checks clocks for real."""
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pacing.LIMITS, "BssOpenApi", 5000.0)
    monkeypatch.setitem(simulated.CALLS_PER_SECOND, "BssOpenApi", 5000)


@pytest.fixture
def server() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


@pytest.fixture
def estate(server: CloudServer) -> Estate:
    return server.cloud.estate(YI_UID)


@pytest.fixture
def account(jia: Customer, server: CloudServer) -> Iterator[CloudAccount]:
    with scope.customer(jia):
        made = register(jia, server, key=YI_READ_ONLY)
        sync(made, datetime.now(UTC))
        yield made


@pytest.fixture
def contacts(jia: Customer, alice: User) -> None:
    with scope.customer(jia):
        Contact.objects.create(customer=jia, user=alice, kind="primary", phone="13811110001", email=alice.email)


def look(account: CloudAccount, *, now: datetime | None = None, calls: int = 500) -> int:
    """One round; returns how many days it read."""
    made = reading.reading_of(account, now or later())
    return reading.read(reading_id=made.pk, now=now or later(), calls=calls)


def reading_now(account: CloudAccount) -> BillReading:
    found: BillReading = BillReading.objects.get(cloud_account=account)
    return found


def item(
    amount: object, *, instance: str = "i-1", product: str = "ecs", charge: str = "usage", **more: str
) -> BillItem:
    figure = Decimal(str(amount))
    return BillItem(
        product_code=product,
        product_name=more.get("product_name", product.upper()),
        instance_id=instance,
        name=more.get("name", instance),
        region="cn-hangzhou",
        spec="",
        charge=charge,
        item=more.get("item", "配置"),
        amount=figure,
        gross=figure,
    )


def noon_after(day: date) -> datetime:
    """A moment at which the bill of a day is settled."""
    return datetime(day.year, day.month, day.day, 14, tzinfo=ZONE) + DAY


def bill(account: CloudAccount, day: date, *items: BillItem, now: datetime | None = None) -> None:
    """Store a day as if it had been read."""
    reading.keep(account=account, bill=DayBill(day, items, 1), now=now or noon_after(day))


def bills(account: CloudAccount, amounts: Mapping[date, object], *, now: datetime, **more: str) -> None:
    for day, amount in amounts.items():
        bill(account, day, item(amount, **more), now=now)


def days(first: date, count: int) -> Iterable[date]:
    return (first + DAY * at for at in range(count))


def whole_month(account: CloudAccount, month: Month, amount: object, *, now: datetime) -> None:
    """Every day of a month, read after it was closed."""
    bills(account, dict.fromkeys(settling.days_of(month), amount), now=now)
