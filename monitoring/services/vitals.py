"""How the platform itself does, in figures that hold for all its processes together: from PostgreSQL, from Redis, and
from counters in Redis that every process adds to.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

import redis
from django.conf import settings
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

COUNTERS: Final = "vitals:counters"
ALIVE: Final = "vitals:alive"
QUEUE_PREFIX: Final = "q:"
BOUNDS_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histogram of batch times."""


@lru_cache(maxsize=1)
def client() -> redis.Redis:
    """One connection pool per process; short patience, because nothing may wait for figures."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def count_batch(*, kind: str, targets: int, samples: int, took_s: float) -> None:
    """A batch has been collected. Lost when Redis is away: it is only a figure."""
    bound = next((str(bound) for bound in BOUNDS_S if took_s <= bound), "+Inf")
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.hincrby(COUNTERS, f"batches|{kind}", 1)
            pipe.hincrby(COUNTERS, f"targets|{kind}", targets)
            pipe.hincrby(COUNTERS, f"samples|{kind}", samples)
            pipe.hincrbyfloat(COUNTERS, f"seconds|{kind}", took_s)
            pipe.hincrby(COUNTERS, f"bucket|{bound}", 1)
            pipe.execute()
    except RedisError:
        log.debug("a batch was not counted", exc_info=True)


def count_claim(*, targets: int, late_s: float) -> None:
    """Targets have been claimed, the latest of them so many seconds after it was due."""
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.hincrby(COUNTERS, "claimed|", targets)
            pipe.hset(COUNTERS, "claim_late_s|", str(round(late_s, 3)))
            pipe.execute()
    except RedisError:
        log.debug("a claim was not counted", exc_info=True)


def stamp(queue: str, *, sent: float, now: float) -> None:
    """A worker of this queue is alive: the question put into it at ``sent`` has come out."""
    client().hset(ALIVE, queue, f"{now:.3f} {max(0.0, now - sent):.3f}")
