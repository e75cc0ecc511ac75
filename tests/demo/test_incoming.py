"""The demo has an incident by every way in, and a stranger who waits."""

import pytest

from accounts import scope
from accounts.models import Customer, Role, User
from accounts.services import calendars
from demo import incoming
from incidents.models import InboundKind, InboundMessage, Incident
from tests.conftest import NOW, make_person

pytestmark = pytest.mark.django_db


def test_something_came_in_by_each_way_and_a_stranger_waits(jia: Customer, yi: Customer, chen: User) -> None:
    with scope.platform("test"):
        calendars.seed_default(years=[2026], now=NOW)
        for name in ("wang", "zhao"):
            person = make_person(name, Role.CUSTOMER_PM, jia)
            User.objects.filter(pk=person.pk).update(email=f"{name}@xinghai.example")
        incoming.write(incoming.Stage(jia, yi, chen, NOW))
        messages = InboundMessage.objects.select_related("source")
        led = {message.source.kind for message in messages.exclude(incident=None)}
        assert led == set(InboundKind.values)
        assert [message.reason for message in messages.held()] == ["unknown_sender"]
        assert messages.filter(verdict=InboundMessage.Verdict.FAILED).count() == 0
        assert {incident.customer_id for incident in Incident.objects.all()} == {jia.pk, yi.pk}
