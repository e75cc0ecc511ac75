"""What a request is served with and the next one can have: a thread with its connection to PostgreSQL, one to Redis.

Django gives each request under ASGI a thread of its own, and with it new connections: a process of PostgreSQL that
begins with nothing in its memory costs more than most requests ask of it. It also goes back and forth between that
thread and the event loop for each middleware that looks at a view, where all of ours are synchronous.
"""

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import redis
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

MOST_IDLE: Final = 8
"""Threads that are kept while nobody asks for anything; there is no most of those that serve."""
KEPT_S: Final = 600
"""A connection to the database is replaced when it is older than this: a process of PostgreSQL only grows."""


class Handler(ASGIHandler):
    """Django's entry, each request on a thread that has served before where one is free, and there in one go."""

    def __init__(self) -> None:
        BaseHandler.__init__(self)  # not ASGIHandler's, which is to build the asynchronous chain of middlewares
        self.load_middleware()
        self._idle: list[ThreadPoolExecutor] = []

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, "request", _keep_connection)
        try:
            async with ThreadSensitiveContext(executor=thread):
                await super().__call__(scope, receive, send)
        finally:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(thread)
            else:
                thread.submit(connections.close_all)
                thread.shutdown(wait=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response)(request)


def _keep_connection() -> None:
    """In this thread alone: elsewhere `CONN_MAX_AGE` is 0, and a thread that has done its work holds none."""
    for connection in connections.all():
        connection.settings_dict = {**connection.settings_dict, "CONN_MAX_AGE": KEPT_S, "CONN_HEALTH_CHECKS": True}


class Pool(redis.ConnectionPool):
    """Of the cache: one for the process, while Django makes a cache, and a pool with it, for each request."""

    @classmethod
    @cache
    def from_url(cls, url: str, **said: Any) -> "Pool":
        return super().from_url(url, **said)
