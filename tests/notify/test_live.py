"""The live channel over the real door and Redis: who hears what, and how fast a reach that ends ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import channel_layers
from channels.routing import URLRouter
from django.conf import LazySettings, settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction

from accounts import scope
from accounts.models import Assignment, Customer, User
from accounts.websockets import NOT_SIGNED_IN, SignedInOnly
from notify import live
from notify.consumers import CANNOT_CHECK, REACH_CHANGED, LiveConsumer
from notify.models import Delivery
from notify.routing import websocket_urlpatterns
from notify.services import tell
from tests.conftest import NOW, ClientFor
from tests.notify.conftest import message

pytestmark = pytest.mark.django_db(transaction=True)
application = SignedInOnly(URLRouter(websocket_urlpatterns))


Asgi: Any = ApplicationCommunicator  # asgiref's test client carries no types


class Socket(Asgi):
    """One browser's WebSocket, spoken to in ASGI."""

    def __init__(self, session_key: str, origin: str) -> None:
        self.session_key = session_key
        headers = [
            (b"origin", origin.encode()),
            (b"host", b"testserver"),
            (b"cookie", f"{settings.SESSION_COOKIE_NAME}={session_key}".encode()),
        ]
        path = {"path": "/ws/live/", "query_string": b""}
        super().__init__(application, {"type": "websocket", "headers": headers, **path})

    async def is_let_in(self) -> bool:
        await self.send_input({"type": "websocket.connect"})
        return bool((await self.receive_output(timeout=5))["type"] == "websocket.accept")

    async def hears(self) -> tuple[str, int]:
        said = json.loads((await self.receive_output(timeout=5))["text"])
        return said["topic"], said["id"]

    async def closing_code(self) -> int:
        while True:
            said = await self.receive_output(timeout=5)
            if said["type"] == "websocket.close":
                return int(said["code"])


Connect = Callable[..., Awaitable[Socket]]


@pytest.fixture(autouse=True)
def _quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveConsumer, "check_every_s", 0.1)


@pytest.fixture
async def connect(client_for: ClientFor) -> AsyncIterator[Connect]:
    """Signs a person in and opens their browser's socket; all are closed at the end."""
    opened: list[Socket] = []

    async def open_socket(person: User | None, origin: str = "http://testserver", key: str = "none") -> Socket:
        if person is not None:
            browser = await sync_to_async(client_for)(person)
            key = browser.cookies[settings.SESSION_COOKIE_NAME].value
        socket = Socket(key, origin)
        opened.append(socket)
        return socket

    yield open_socket
    for socket in opened:
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait(timeout=5)
    channel_layers.backends.clear()


async def publish(customer: Customer, topic: str = "incidents", object_id: int = 7) -> None:
    await sync_to_async(live.publish)(customer_id=customer.pk, topic=topic, object_id=object_id)


async def test_a_person_hears_of_their_customers_and_no_other(
    alice: User, eve: User, chen: User, lin: User, connect: Connect
) -> None:
    sockets = [await connect(person) for person in (alice, chen, lin, eve)]
    assert [await socket.is_let_in() for socket in sockets] == [True] * 4
    assert alice.customer is not None
    await publish(alice.customer)
    assert [await socket.hears() for socket in sockets[:3]] == [("incidents", 7)] * 3
    assert await sockets[3].receive_nothing(timeout=0.3)


async def test_nobody_and_foreign_origins_are_turned_away(alice: User, connect: Connect) -> None:
    nobody = await connect(None)
    await nobody.send_input({"type": "websocket.connect"})
    assert (await nobody.receive_output(timeout=5))["type"] == "websocket.accept"  # else no browser hears the code
    assert await nobody.receive_output(timeout=5) == {"type": "websocket.close", "code": NOT_SIGNED_IN}
    assert await nobody.receive_nothing(timeout=0.3)
    assert not await (await connect(alice, origin="https://evil.example")).is_let_in()


async def test_signing_out_closes_the_socket(alice: User, connect: Connect) -> None:
    socket = await connect(alice)
    assert await socket.is_let_in()
    await sync_to_async(SessionStore(socket.session_key).delete)()
    assert await socket.closing_code() == NOT_SIGNED_IN


async def test_a_withdrawn_assignment_closes_the_socket_and_the_next_one_hears_less(
    chen: User, jia: Customer, yi: Customer, connect: Connect
) -> None:
    socket = await connect(chen)
    assert await socket.is_let_in()

    def withdraw() -> None:
        with scope.platform("test"):
            Assignment.objects.filter(customer=yi).delete()

    await sync_to_async(withdraw)()
    assert await socket.closing_code() == REACH_CHANGED
    again = await connect(None, key=socket.session_key)
    assert await again.is_let_in()
    await publish(yi)
    await publish(jia, object_id=8)
    assert await again.hears() == ("incidents", 8)


async def test_a_socket_that_cannot_be_checked_is_closed(
    alice: User, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = await connect(alice)
    assert await socket.is_let_in()

    async def broken(*_said: object) -> None:
        raise ConnectionError("database gone")

    monkeypatch.setattr("accounts.websockets.person_of", broken)
    assert await socket.closing_code() == CANNOT_CHECK


async def test_a_beat_comes_when_nothing_happens(
    alice: User, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveConsumer, "heartbeat_every_s", 0.1)
    socket = await connect(alice)
    assert await socket.is_let_in()
    assert await socket.hears() == ("ping", 0)


async def test_a_personal_message_rings_only_its_readers_bell(
    alice: User, bob: User, jia: Customer, connect: Connect
) -> None:
    mine, other = await connect(alice), await connect(bob)
    assert await mine.is_let_in()
    assert await other.is_let_in()

    def tell_alice() -> None:
        with scope.customer(jia):
            tell(user=alice, key="k", message=message(), now=NOW)

    await sync_to_async(tell_alice)()
    assert await mine.hears() == ("inbox", 0)
    assert await other.receive_nothing(timeout=0.3)


async def test_nothing_is_told_of_what_was_rolled_back(alice: User, jia: Customer, connect: Connect) -> None:
    socket = await connect(alice)
    assert await socket.is_let_in()

    def fail_after_publishing() -> None:
        with transaction.atomic():
            live.publish(customer_id=jia.pk, topic="incidents", object_id=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await sync_to_async(fail_after_publishing)()
    assert await socket.receive_nothing(timeout=0.3)


def test_without_redis_the_transaction_stands(
    jia: Customer, alice: User, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:9/0"]},
        }
    }
    channel_layers.backends.clear()
    try:
        with scope.customer(jia), transaction.atomic():
            tell(user=alice, key="k", message=message(), now=NOW)
            live.publish(customer_id=jia.pk, topic="incidents", object_id=1)
        live.finish(5)
    finally:
        channel_layers.backends.clear()
    with scope.platform("test"):
        assert Delivery.objects.inbox_of(alice).count() == 1
    assert "live hints are lost" in caplog.text


async def test_a_flushed_redis_deafens_nobody(alice: User, jia: Customer, connect: Connect, redis_url: str) -> None:
    socket = await connect(alice)
    assert await socket.is_let_in()
    await asyncio.to_thread(redis.Redis.from_url(redis_url).flushdb)
    await publish(jia)
    assert await socket.hears() == ("incidents", 7)
