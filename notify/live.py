"""Telling open browsers that something changed. Only a hint: the page asks the server, which checks who may see it.

Hints leave after commit by one thread per process with its own event loop and Redis connection, so that neither a
burst of them nor a Redis that is slow or down holds up whoever committed. What cannot be said is dropped.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from functools import partial

from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
PATIENCE_S = 1.0
MOST_WAITING = 5000
EVERYTHING = "all"
Hint = tuple[str, str, int]  # group, topic, object


def group_of_customer(customer_id: int) -> str:
    return f"customer.{customer_id}"


def group_of_person(user_id: int) -> str:
    return f"person.{user_id}"


def publish(*, customer_id: int, topic: str, object_id: int) -> None:
    """After commit, to every browser that may see the customer: what has `data-live` of the topic asks again."""
    _after_commit((group_of_customer(customer_id), EVERYTHING), topic, object_id)


def publish_to(*, user_id: int, topic: str, object_id: int = 0) -> None:
    """After commit, to one person's browsers."""
    _after_commit((group_of_person(user_id),), topic, object_id)


def _after_commit(groups: tuple[str, ...], topic: str, object_id: int) -> None:
    hints = [(group, topic, object_id) for group in groups]
    transaction.on_commit(partial(_voice.say, hints), robust=True)


class _Voice:
    """The thread that speaks to Redis. Starts with the first hint; a forked worker gets one of its own."""

    def __init__(self) -> None:
        self.silence()

    def silence(self) -> None:
        """Forget everything, in a child process that has no such thread."""
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._nothing = threading.Event()
        self._nothing.set()
        self._waiting: dict[Hint, None] = {}
        self._thread: threading.Thread | None = None

    def say(self, hints: list[Hint]) -> None:
        with self._lock:
            if len(self._waiting) < MOST_WAITING:
                self._waiting |= dict.fromkeys(hints)
            self._nothing.clear()
            self._something.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._speak, name="live", daemon=True)
                self._thread.start()

    def finish(self, patience_s: float = PATIENCE_S) -> None:
        """Let what was said get out, within reason: a command that ends right after its commit."""
        self._nothing.wait(patience_s)

    def _speak(self) -> None:
        """One loop for the thread's whole life, because the Redis connection belongs to the loop that opened it."""
        loop = asyncio.new_event_loop()
        while True:
            self._something.wait()
            with self._lock:
                hints, self._waiting = list(self._waiting), {}
                self._something.clear()
            loop.run_until_complete(self._send(hints))
            with self._lock:
                if not self._waiting:
                    self._nothing.set()

    async def _send(self, hints: list[Hint]) -> None:
        try:
            for group, topic, object_id in hints:
                async with asyncio.timeout(PATIENCE_S):
                    layer = get_channel_layer()
                    if layer is not None:
                        await layer.group_send(group, {"type": "live.event", "topic": topic, "id": object_id})
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("%d live hints are lost: %s", len(hints), type(error).__name__)


_voice = _Voice()
os.register_at_fork(after_in_child=_voice.silence)
atexit.register(_voice.finish)
finish = _voice.finish
