"""Limits of calls per second, shared by all workers: a token bucket in Redis, and a stricter one without it.

CloudMonitor lets an account make 50 calls a second to each API, RAM users together (API reference); whoever also
reads the account, such as the customer's own tools, gets a share. A Redis that is away must not stop collecting: then
each process keeps to a small part by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import redis
from django.conf import settings

log = logging.getLogger(__name__)

SHARE: Final = 0.8
"""Of a limit, what the platform takes."""
LIMITS: Final = {"Cms": 50.0, "Actiontrail": 2.0, "BssOpenApi": 10.0, "Sas": 10.0}
USUAL_LIMIT: Final = 20.0
LONE_SHARE: Final = 0.2
"""Of a limit, what one process takes while it cannot ask Redis: five of them stay within it."""
LONGEST_WAIT_S: Final = 20.0
RETRY_REDIS_S: Final = 5.0

# Generic cell rate algorithm: the key holds the moment at which the next call is free, by Redis' own clock.
_SCRIPT: Final = """
local now = redis.call('TIME')
now = now[1] * 1000 + now[2] / 1000
local step, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now - burst * step)
local wait = math.max(0, free - now)
if wait > tonumber(ARGV[3]) then return tostring(-wait) end
redis.call('SET', KEYS[1], tostring(free + step), 'PX', math.ceil(burst * step + wait + 60000))
return tostring(wait)
"""


class TooBusy(Exception):
    """The queue for an API is longer than a caller may wait."""


class Bucket:
    """Hands out turns. One per process; shared by threads."""

    def __init__(self, *, url: str = "", sleep: Callable[[float], None] = time.sleep) -> None:
        self._url = url
        self._sleep = sleep
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._silent_until = 0.0
        self._free: dict[str, float] = {}

    def wait(self, account_uid: str, product: str, action: str) -> float:
        """Wait for the turn of a call; returns the seconds waited. Raises TooBusy."""
        limit = LIMITS.get(product, USUAL_LIMIT)
        key = f"pace:{account_uid}:{product}:{action}"
        delay = self._shared(key, limit * SHARE)
        if delay is None:
            delay = self._alone(key, limit * LONE_SHARE)
        if delay > LONGEST_WAIT_S:
            raise TooBusy(key)
        if delay > 0:
            self._sleep(delay)
        return delay

    def _shared(self, key: str, rate: float) -> float | None:
        """Seconds to wait by Redis, None when it cannot be asked."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            with self._lock:
                if self._client is None:
                    self._client = redis.Redis.from_url(
                        self._url or settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1
                    )
                client = self._client
            answer = client.eval(_SCRIPT, 1, key, 1000 / rate, max(1.0, rate / 4), LONGEST_WAIT_S * 1000)
        except redis.RedisError as error:
            log.warning("pacing without Redis: %s", type(error).__name__)
            self._silent_until = time.monotonic() + RETRY_REDIS_S
            return None
        return abs(float(answer)) / 1000

    def _alone(self, key: str, rate: float) -> float:
        with self._lock:
            now = time.monotonic()
            free = max(self._free.get(key, 0.0), now)
            self._free[key] = free + 1 / rate
            return free - now


BUCKET: Final = Bucket()
