"""The entry of all requests: their threads and connections serve again, and a broken one serves nobody."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from accounts import scope
from accounts.postgres.base import DatabaseWrapper
from rdmp import serving, urls
from rdmp.serving import Handler

together = threading.Barrier(2)
"""Both of two requests are being served."""


@login_not_required
def here(_request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting('rdmp.customers', true)")
        server, customers = cursor.fetchone()
    return JsonResponse({"thread": threading.get_ident(), "server": server, "customers": customers or ""})


@login_not_required
def stays_in_scope(request: HttpRequest, customer: int) -> HttpResponse:
    """A view that forgets to leave the scope that it opened."""
    with scope.customer(customer) as opened:
        pass
    scope._current.set(opened)
    return here(request)


@login_not_required
def waits(request: HttpRequest) -> HttpResponse:
    together.wait(10)
    return here(request)


@login_not_required
def fails(_request: HttpRequest) -> HttpResponse:
    raise ValueError


urlpatterns = [
    path("here/", here),
    path("waits/", waits),
    path("fails/", fails),
    path("stays/<int:customer>/", stays_in_scope),
    *urls.urlpatterns,
]


@pytest.fixture
async def handler(transactional_db: None, settings: LazySettings) -> AsyncIterator[Handler]:
    settings.ROOT_URLCONF = __name__
    entry = Handler()
    yield entry
    for thread in entry._idle:
        await asyncio.wrap_future(thread.submit(connections.close_all))


async def ask(handler: Handler, where: str) -> tuple[int, dict[str, Any]]:
    said: list[Mapping[str, Any]] = []
    left = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if left:
            return left.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Mapping[str, Any]) -> None:
        said.append(message)

    said_to = {
        "type": "http",
        "method": "GET",
        "path": where,
        "headers": [(b"host", b"localhost")],
        "query_string": b"",
    }
    await handler(said_to, receive, send)
    body = b"".join(message.get("body", b"") for message in said)
    return said[0]["status"], json.loads(body) if said[0]["status"] == 200 else {}


async def test_the_next_request_has_the_thread_and_connection_of_the_last(handler: Handler) -> None:
    first = await ask(handler, "/here/")
    assert first[0] == 200
    assert await ask(handler, "/here/") == first


async def test_no_scope_of_one_request_is_left_to_the_next_on_its_connection(handler: Handler) -> None:
    first = await ask(handler, "/stays/7/")
    second = await ask(handler, "/stays/8/")
    third = await ask(handler, "/here/")
    assert {one[1]["server"] for one in (first, second, third)} == {first[1]["server"]}
    said = [one[1]["customers"] for one in (first, second, third)]
    assert said[0] != said[1]
    assert ("7" in said[0], "8" in said[1], said[2]) == (True, True, "")


async def test_requests_at_once_have_one_each(handler: Handler) -> None:
    one, two = await asyncio.gather(ask(handler, "/waits/"), ask(handler, "/waits/"))
    assert one[1]["thread"] != two[1]["thread"]
    assert one[1]["server"] != two[1]["server"]


async def test_no_more_of_them_stay_than_are_of_use(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_IDLE", 1)
    await asyncio.gather(ask(handler, "/waits/"), ask(handler, "/waits/"))
    assert len(handler._idle) == 1


async def test_a_request_that_fails_leaves_a_good_thread(handler: Handler) -> None:
    assert (await ask(handler, "/fails/"))[0] == 500
    assert (await ask(handler, "/here/"))[0] == 200


async def test_a_connection_that_the_database_has_ended_is_made_anew(handler: Handler) -> None:
    _status, first = await ask(handler, "/here/")
    await asyncio.to_thread(_end, first["server"])
    status, second = await ask(handler, "/here/")
    assert status == 200
    assert second["server"] != first["server"]


def _end(server: int) -> None:
    other = DatabaseWrapper(connection.settings_dict, "other")
    with other.as_owner(), other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [server])
    other.close()


def test_every_cache_of_a_process_has_the_same_connections() -> None:
    cache.set("a", 1)
    mine = cache._cache._get_connection_pool(write=True)  # type: ignore[attr-defined]
    theirs: list[object] = []

    def other() -> None:
        theirs.append(cache._cache._get_connection_pool(write=True))  # type: ignore[attr-defined]

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert theirs == [mine]
