"""What most tests of incidents begin with."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from accounts import scope
from accounts.models import Customer, Severity, User
from accounts.services import calendars
from assets.models import Asset
from incidents import services
from incidents.models import Incident
from tests.conftest import NOW
from tests.portal import browser, portal, visit  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def _business_calendar(request: pytest.FixtureRequest) -> None:
    """The provider's 5x8 calendar with the holidays of 2026."""
    if "jia" in request.fixturenames or "yi" in request.fixturenames:
        request.getfixturevalue("db")
        with scope.platform("test"):
            calendars.seed_default(years=[2025, 2026], now=NOW)


def make_asset(customer: Customer, name: str = "web-01") -> Asset:
    with scope.customer(customer):
        return Asset.objects.create(customer=customer, kind="server", name=name, created_at=NOW, changed_at=NOW)


def raise_incident(
    actor: User,
    *,
    customer: Customer,
    severity: Severity = Severity.HIGH,
    title: str = "Orders cannot be paid",
    now: datetime = NOW,
) -> Incident:
    with scope.customer(customer):
        return services.raise_by_customer(
            customer=customer,
            title=title,
            description="Since ten o'clock.",
            severity=severity,
            category=Incident.Category.APPLICATION,
            assets=[],
            actor=actor,
            now=now,
        )


def alarm(
    asset: Asset,
    *,
    severity: Severity = Severity.HIGH,
    key: str = "a:1",
    title: str = "Port 443 does not answer",
    now: datetime = NOW,
) -> Incident:
    with scope.customer(asset.customer_id):
        return services.open_from_alert(
            customer=asset.customer,
            asset=asset,
            severity=severity,
            title=title,
            text="3 checks failed",
            alert_key=key,
            occurred_at=now,
            now=now,
        )


@pytest.fixture
def web(jia: Customer) -> Asset:
    return make_asset(jia)


@pytest.fixture
def in_jia(jia: Customer) -> Iterator[Customer]:
    """Everything in the test happens within the customer jia."""
    with scope.customer(jia):
        yield jia
