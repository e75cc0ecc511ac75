"""Logging a call while the caller is still on the line."""

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Contact, Customer, User
from tests.conftest import NOW, ClientFor
from tests.incidents.inbound.conftest import only_incident

pytestmark = pytest.mark.django_db


def test_the_form_knows_who_may_be_calling_who_answers_and_what_time_it_is(
    chen: User, alice: User, bob: User, eve: User, jia: Customer, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        Contact.objects.create(customer=jia, kind="first_pm", user=alice, phone="0571-1", email="a@jia.example")
    page = client_for(chen).get(f"/incidents/raise/?customer={jia.pk}").content.decode()
    assert '<option value="Alice 0571-1">' in page
    assert '<option value="Bob 13800000000">' in page
    assert "Eve" not in page
    assert f'value="{chen.name}"' in page
    assert f'value="{timezone.localtime(NOW):%Y-%m-%dT%H:%M}"' in page


def test_a_call_is_logged_with_its_time_caller_and_callee_and_the_clock_starts_there(
    chen: User, jia: Customer, client_for: ClientFor
) -> None:
    said = {
        "customer": jia.pk,
        "source": "phone",
        "contacted_at": "2026-03-02T09:52",
        "caller": "Alice 0571-1",
        "callee": "Chen",
        "title": "Nobody can pay",
        "severity": "1",
        "category": "application",
    }
    assert client_for(chen).post("/incidents/raise/", said).status_code == 302
    incident = only_incident()
    assert f"{timezone.localtime(incident.clock_started_at):%H:%M}" == "09:52"
    with scope.customer(jia):
        assert incident.timeline.get().data["caller"] == "Alice 0571-1"
