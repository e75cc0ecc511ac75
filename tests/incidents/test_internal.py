"""What the provider keeps to itself about a customer: no person of the customer comes near it."""

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from incidents.models import Incident, IncidentKind
from tests.conftest import ClientFor
from tests.incidents.conftest import raise_incident


@pytest.fixture
def internal(jia: Customer, chen: User) -> Incident:
    incident = raise_incident(chen, customer=jia, title="No robot of this customer answers", now=timezone.now())
    with scope.customer(jia):
        Incident.objects.filter(pk=incident.pk).update(kind=IncidentKind.INTERNAL)
    return incident


@pytest.mark.parametrize(
    "address",
    ["/incidents/{pk}/", "/incidents/{pk}/close/", "/monitoring/for-incident/{pk}/", "/api/v1/incidents/{pk}/"],
)
def test_it_is_not_there_for_the_customer(address: str, internal: Incident, alice: User, client_for: ClientFor) -> None:
    assert client_for(alice).get(address.format(pk=internal.pk)).status_code == 404


@pytest.mark.parametrize("address", ["/", "/incidents/", "/incidents/search/?q=robot", "/api/v1/incidents/"])
def test_no_list_of_the_customer_names_it(address: str, internal: Incident, alice: User, client_for: ClientFor) -> None:
    assert "No robot of this customer" not in client_for(alice).get(address).content.decode()


def test_engineers_see_it(internal: Incident, chen: User, client_for: ClientFor) -> None:
    assert client_for(chen).get(f"/incidents/{internal.pk}/").status_code == 200
    assert internal.title in client_for(chen).get("/board/").content.decode()
