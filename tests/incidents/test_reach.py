"""Who reaches requests by the API and the evidence of a violation: whoever may, and nobody of another customer."""

import pytest

from accounts import scope
from accounts.models import Customer, User
from incidents.models import Incident
from tests.conftest import ClientFor
from tests.incidents.test_requests import ask_for

VERBS = ("accept", "begin", "finish", "judge", "refuse", "warn", "withdraw")


@pytest.fixture
def asked(jia: Customer, bob: User) -> Incident:
    return ask_for(bob, jia)


def test_a_request_is_read_by_both_sides_and_by_nobody_else(
    asked: Incident, alice: User, chen: User, eve: User, client_for: ClientFor
) -> None:
    address = f"/api/v1/requests/{asked.pk}/"
    assert client_for(alice).get(address).status_code == 200
    assert client_for(chen).get(address).status_code == 200
    assert client_for(eve).get(address).status_code == 404


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_of_another_customer_moves_a_request(
    verb: str, asked: Incident, eve: User, vera: User, client_for: ClientFor
) -> None:
    address = f"/api/v1/requests/{asked.pk}/{verb}/"
    assert client_for(eve).post(address, {}, content_type="application/json").status_code in (403, 404)
    assert client_for(vera).post(address, {}, content_type="application/json").status_code in (400, 403)
    with scope.customer(asked.customer_id):
        assert Incident.objects.get(pk=asked.pk).phase == asked.phase
