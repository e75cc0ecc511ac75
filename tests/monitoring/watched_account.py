"""A cloud account of the simulated Alibaba Cloud whose happenings are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from accounts import scope
from accounts.models import Customer
from assets.models import CloudAccount
from demo.aliyun import CloudServer
from monitoring.models import CloudReading
from monitoring.services import happenings, targets
from tests.assets.conftest import register, sync


def later(minutes: float = 0) -> datetime:
    """The simulated cloud checks clocks for real."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


@contextmanager
def watched(customer: Customer, server: CloudServer) -> Iterator[CloudAccount]:
    """Registered, synchronised and watched, within the customer's scope."""
    with scope.customer(customer):
        made = register(customer, server)
        sync(made, later())
        targets.create_for_account(account=made, actor=None, now=later())
        yield made


def look(account: CloudAccount, now: datetime | None = None) -> None:
    happenings.read(reading_id=CloudReading.objects.get(cloud_account=account).pk, now=now or later())
