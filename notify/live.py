"""Telling open browsers that something changed. Only a hint: the page asks the server, which checks who may see it.

Sent after commit over Redis. A Redis that is down or slow costs at most a second and never the transaction.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
PATIENCE_S = 1.0
EVERYTHING = "all"
Event = dict[str, str | int]


def group_of_customer(customer_id: int) -> str:
    return f"customer.{customer_id}"


def group_of_person(user_id: int) -> str:
    return f"person.{user_id}"


def publish(*, customer_id: int, topic: str, object_id: int) -> None:
    """After commit, to every browser that may see the customer: the DOM event `live:<topic>` with `{id}`.

    Topics in use: incidents, alerts, assets, targets, inbox, deliveries.
    """
    event: Event = {"type": "live.event", "topic": topic, "id": object_id}
    _after_commit((group_of_customer(customer_id), EVERYTHING), event)


def publish_to(*, user_id: int, topic: str, object_id: int = 0) -> None:
    """After commit, to one person's browsers."""
    _after_commit((group_of_person(user_id),), {"type": "live.event", "topic": topic, "id": object_id})


def _after_commit(groups: tuple[str, ...], event: Event) -> None:
    transaction.on_commit(partial(_send, groups, event), robust=True)


def _send(groups: tuple[str, ...], event: Event) -> None:
    try:
        async_to_sync(_send_all)(groups, event)
    except (RedisError, OSError, TimeoutError) as error:
        logger.warning("live event %s not sent: %s", event["topic"], type(error).__name__)


async def _send_all(groups: tuple[str, ...], event: Event) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    async with asyncio.timeout(PATIENCE_S):
        for group in groups:
            await layer.group_send(group, event)
