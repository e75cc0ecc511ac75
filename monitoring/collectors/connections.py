"""HTTP connections that stay open from one batch to the next, and the event loop that they live in.

A new connection for every page costs more than reading the page. Kept connections are bounded in number and in age,
passed the guard when they were made, and never serve a target that may go where another may not. A server that closed
one meanwhile is asked again on a new one (aiohttp does that for what may be repeated).
"""

from __future__ import annotations

import asyncio
import atexit
import os
import resource
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp

from monitoring.collectors.network import Guard, connector

R = TypeVar("R")

LOOKUP_THREADS: Final = 32
KEEP_S: Final = 150.0
"""More than two of the usual minutes: a host that is late once keeps its connection."""
MOST_KEPT: Final = 4000


def most_kept() -> int:
    """As many as this process may keep and still have half of its file descriptors for everything else."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_KEPT if allowed == resource.RLIM_INFINITY else min(MOST_KEPT, allowed // 2)


class Connections:
    """The sessions of one event loop. With ``most`` of 0 every request has a connection of its own."""

    def __init__(self, guard: Guard, *, at_once: int, headers: dict[str, str], most: int = 0) -> None:
        self._guard = guard
        self._at_once = at_once
        self._headers = headers
        self._most = most
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}
        self._used: dict[tuple[str, bool], float] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        self._used.clear()

    def session(self, url: str, *, allow_internal: bool) -> aiohttp.ClientSession:
        """A session for requests to ``url``, which keeps the connection if there is room."""
        kind = (allow_internal, self._keeps((url, allow_internal)))
        if kind not in self._sessions:
            self._sessions[kind] = self._make(*kind)
        return self._sessions[kind]

    def _keeps(self, place: tuple[str, bool]) -> bool:
        now = time.monotonic()
        if place not in self._used and len(self._used) >= self._most:
            self._used = {one: used for one, used in self._used.items() if used > now - KEEP_S}
            if len(self._used) >= self._most:
                return False
        self._used[place] = now
        return True

    def _make(self, allow_internal: bool, is_kept: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector(
                self._guard,
                allow_internal=allow_internal,
                limit=self._at_once,
                keep_s=KEEP_S if is_kept else 0.0,
            ),
            headers=self._headers,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )


class Standing:
    """An event loop of one process and thread that stays, with its connections, for batch after batch."""

    def __init__(self, make: Callable[[], Connections]) -> None:
        self._make = make
        self._runner: asyncio.Runner | None = None
        self._connections: Connections | None = None
        self._process = 0
        atexit.register(self.close)

    def run(self, main: Callable[[Connections], Coroutine[Any, Any, R]]) -> R:
        """Run a batch to its end. One that is broken off (a time limit, a signal) takes the loop with it: nothing of
        it may go on beside the next."""
        if self._runner is None or self._process != os.getpid():  # a fork must not touch its parent's connections
            self._runner, self._connections, self._process = asyncio.Runner(), self._make(), os.getpid()
            pool = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
            self._runner.get_loop().set_default_executor(pool)
        assert self._connections is not None  # noqa: S101 - made together with the runner
        try:
            return self._runner.get_loop().run_until_complete(main(self._connections))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        runner, connections, self._runner = self._runner, self._connections, None
        if runner is not None and connections is not None and self._process == os.getpid():
            try:
                runner.get_loop().run_until_complete(connections.close())
            finally:
                runner.close()
