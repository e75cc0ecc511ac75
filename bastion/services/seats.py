"""How many web terminals one person has open: each takes a seat, which is free again when it leaves or falls silent."""

from __future__ import annotations

from typing import Final

from django.core.cache import cache

MOST: Final = 30
KEPT_FOR_S: Final = 90
"""Longer than a terminal takes to open; an open one says every few seconds that it is there."""


async def take(person_id: int) -> str | None:
    """None when there is none left."""
    for number in range(MOST):
        seat = f"bastion-terminal:{person_id}:{number}"
        if await cache.aadd(seat, 1, KEPT_FOR_S):
            return seat
    return None


async def keep(seat: str) -> None:
    await cache.atouch(seat, KEPT_FOR_S)


async def leave(seat: str) -> None:
    await cache.adelete(seat)
