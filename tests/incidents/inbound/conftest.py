"""Ways in of jia and of the provider, and senders that speak to them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts import scope
from accounts.models import Customer
from incidents.models import InboundMessage, InboundSource, Incident
from incidents.services import sources
from incidents.services.sources import Details
from tests.conftest import NOW
from tests.incidents.conftest import _business_calendar, in_jia, web  # noqa: F401 - fixtures


@dataclass
class Door:
    """A way in with its address."""

    source: InboundSource
    path: str
    client: Client = field(default_factory=Client)

    def send(self, body: object, *, content_type: str = "application/json", **headers: str) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(self.path, content, content_type=content_type, headers=headers)


def open_door(kind: str, customer: Customer | None, **config: object) -> Door:
    values = {"app_secret": "SECtestsecret0001", "token": "QDG6eK", "password": "geheim-1"}
    values["aes_key"] = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
    with scope.platform("test"):
        source, address = sources.create(
            customer=customer,
            kind=kind,
            details=Details(name=f"our {kind}", config=config),
            values=values,
            actor=None,
            now=NOW,
        )
    return Door(source, address.removeprefix("http://testserver"))


def incidents() -> list[Incident]:
    with scope.platform("test"):
        return list(Incident.objects.order_by("pk").select_related("customer", "raised_by"))


def only_incident() -> Incident:
    (found,) = incidents()
    return found


def messages() -> list[InboundMessage]:
    with scope.platform("test"):
        return list(InboundMessage.objects.order_by("pk").select_related("source", "incident", "customer"))


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    """Views use the real time."""
    with time_machine.travel(NOW, tick=False):
        yield
