"""What a page asks of the database does not grow with what it shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import Customer, Severity, User
from incidents import services
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident
from tests.incidents.test_attestations import ask
from tests.incidents.test_records import propose, write_down
from tests.incidents.test_requests import ask_for, name_contact

LISTS = [
    "/board/",
    "/board/?view=columns",
    "/board/?q=port+web",
    "/board/wall/",
    "/incidents/",
    "/incidents/?q=port+web",
    "/incidents/?missed=1&sort=due",
    "/incidents/search/?q=port",
    "/requests/",
    "/violations/",
    "/faults/",
    "/causes/",
    "/attestations/",
]
FOR_ENGINEERS = ("/board/",)


@pytest.fixture
def numbers() -> Iterator[int]:
    return iter(range(1000))


def live_through(numbers: Iterator[int], customer: Customer, engineer: User, pm: User) -> None:
    """Everything that lists show, once more."""
    number = next(numbers)
    stuck = alarm(make_asset(customer, f"web-{number}"), key=f"p:{number}")
    blamed = alarm(make_asset(customer, f"db-{number}"), key=f"d:{number}", severity=Severity.AVERAGE)
    raise_incident(pm, customer=customer, title=f"Port {number}", severity=Severity.WARNING)
    ask_for(pm, customer)
    with scope.customer(customer):
        services.acknowledge(incident=stuck, actor=engineer, now=NOW)
        propose(stuck, engineer)
        services.resolve(
            incident=blamed, resolution="x", cause="customer_application", proof="log", actor=engineer, now=NOW
        )
        write_down(customer, engineer, incident=stuck)
    ask(customer, engineer)


def asked(browser: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(address).status_code == 200
    return len(captured)


@pytest.mark.parametrize("side", ["provider", "customer"])
def test_lists_ask_a_constant_number_of_queries(
    side: str, jia: Customer, alice: User, chen: User, numbers: Iterator[int], client_for: ClientFor
) -> None:
    name_contact(alice)
    browser = client_for(chen if side == "provider" else alice)
    addresses = [each for each in LISTS if side == "provider" or not each.startswith(FOR_ENGINEERS)]
    live_through(numbers, jia, chen, alice)
    for address in addresses:
        asked(browser, address)  # the session's first visit, and calendars that are read once
    few = {address: asked(browser, address) for address in addresses}
    for _ in range(3):
        live_through(numbers, jia, chen, alice)
    assert {address: asked(browser, address) for address in addresses} == few


@pytest.mark.parametrize("side", ["provider", "customer"])
def test_the_page_of_an_incident_asks_a_constant_number_of_queries(
    side: str, jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    browser = client_for(chen if side == "provider" else alice)
    root = make_asset(jia, "root")
    incident = alarm(root, key="root")
    numbers = iter(range(1000))

    def grow() -> None:
        """Another alert, child, duplicate, comment and note."""
        number = next(numbers)
        alarm(root, key=f"more:{number}")
        child = alarm(make_asset(jia, f"child-{number}"), key=f"child:{number}")
        twin = raise_incident(alice, customer=jia, title=f"Twin {number}")
        with scope.customer(jia):
            services.group(incident=child, parent=incident, actor=chen, now=NOW)
            services.merge(duplicate=twin, into=incident, reason="same", actor=chen, now=NOW)
            services.comment(incident=incident, body="x", actor=alice, now=NOW)
            services.comment(incident=incident, body="y", actor=chen, now=NOW, is_internal=True)

    grow()
    address = f"/incidents/{incident.pk}/"
    asked(browser, address)
    few = asked(browser, address)
    for _ in range(3):
        grow()
    assert asked(browser, address) == few
