"""Channels of the cast's customers that lead to a local endpoint, and a clock that stands still."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from django.conf import LazySettings

from accounts import scope
from accounts.models import Customer, Severity
from demo.robots import Robots, running
from notify.channels import email
from notify.models import Attempt, Channel, Delivery
from notify.services import Message, broadcast, delivering
from notify.services.channels import Details, create
from tests.conftest import NOW
from tests.notify.mailbox import Mailbox

SECRET = "SECtestsecret0001"


@dataclass
class Clock:
    """The time of a test: the platform's and the robots', moved by hand."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def advance(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def robots(clock: Clock, settings: LazySettings) -> Iterator[Robots]:
    with running(clock=clock.seconds) as endpoint:
        settings.NOTIFY_DINGTALK_BASE = settings.NOTIFY_WECOM_BASE = endpoint.base
        settings.NOTIFY_ALLOWED_HOSTS = [endpoint.host]
        yield endpoint


def make_dingtalk(robots: Robots, customer: Customer | None, token: str = "token-one", **details: object) -> Channel:
    robots.add_dingtalk(token, secret=SECRET)
    return make_channel(customer, Channel.Kind.DINGTALK, {"access_token": token, "secret": SECRET}, **details)


def make_wecom(robots: Robots, customer: Customer | None, key: str = "key-one", **details: object) -> Channel:
    robots.add_wecom(key)
    return make_channel(customer, Channel.Kind.WECOM, {"key": key}, **details)


def make_webhook(robots: Robots, customer: Customer | None, name: str = "hook", **details: object) -> Channel:
    values = {"url": robots.add_webhook(name, secret="hook-secret"), "secret": "hook-secret"}
    return make_channel(customer, Channel.Kind.WEBHOOK, values, **details)


def make_channel(customer: Customer | None, kind: str, values: dict[str, str], **details: object) -> Channel:
    details.setdefault("name", f"{kind} group")
    with scope.platform("test"):
        return create(
            customer=customer,
            kind=kind,
            details=Details(**details),  # type: ignore[arg-type]  # names and types are Details' own
            values=values,
            actor=None,
            now=NOW,
        )


def message(severity: int | None = Severity.HIGH, subject: str = "web-1 is down", topic: str = "incident") -> Message:
    return Message(
        topic=topic, subject=subject, text="**web-1** does not answer.", url="/incidents/7/", severity=severity
    )


Say = Callable[..., list[Delivery]]


def say(customer: Customer, key: str = "incident:7:opened", now: datetime = NOW, **said: object) -> list[Delivery]:
    with scope.customer(customer):
        return broadcast(customer=customer, key=key, message=message(**said), now=now)  # type: ignore[arg-type]


def drain(channel: Channel, clock: Clock) -> int:
    return delivering.drain(lane=channel.pk, clock=clock)


def states(channel: Channel) -> list[str]:
    with scope.platform("test"):
        return list(Delivery.objects.filter(channel=channel).order_by("pk").values_list("state", flat=True))


def attempts(channel: Channel) -> list[tuple[str, str]]:
    with scope.platform("test"):
        return list(Attempt.objects.filter(channel=channel).order_by("pk").values_list("verdict", "code"))


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, email.Server]]:
    box = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, email.Server("127.0.0.1", port, timeout_s=2)
    controller.stop()
