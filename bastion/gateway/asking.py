"""A single signed question, as a node asks before its life and after it: whether the portal knows it, and farewell."""

from __future__ import annotations

import asyncio
import email.utils
import time
from typing import Final, TypeVar

import aiohttp

from bastion.gateway import wire
from bastion.gateway.contract import Refused, Unreachable
from bastion.gateway.identity import Identity

T = TypeVar("T")
ANSWER_S: Final = 10.0
UNKNOWN: Final = "unknown_node"


class ClockOff(Refused):
    """The two clocks are too far apart for a signature to be taken. `by_s`: how far this one is ahead."""

    def __init__(self, by_s: float) -> None:
        super().__init__("clock", f"this machine's clock is {abs(by_s):.0f} s {'ahead' if by_s > 0 else 'behind'}")
        self.by_s = by_s


async def standing(identity: Identity) -> wire.Standing:
    """Raises Refused (`UNKNOWN`: revoked, or never enrolled), ClockOff and Unreachable."""
    return await ask(identity, "standing", None, wire.Standing)


async def ask(identity: Identity, what: str, question: object, kind: type[T]) -> T:
    path, body = f"/bastion/node/{what}/", wire.encode(question)
    headers = wire.sign(identity.key, node=identity.node, method="POST", path=path, body=body, now=time.time())
    try:
        async with (
            asyncio.timeout(ANSWER_S),
            aiohttp.ClientSession(trust_env=True) as http,
            http.post(identity.portal.rstrip("/") + path, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            said = await answer.read()
            if answer.status == 200:
                return wire.decode(kind, said)
            no, ahead = wire.decode(wire.No, said), _ahead(answer.headers.get("Date", ""))
    except (aiohttp.ClientError, TimeoutError, OSError, wire.Malformed) as problem:
        raise Unreachable(type(problem).__name__) from None
    if no.code == UNKNOWN and abs(ahead) > wire.SKEW_S:
        raise ClockOff(ahead)
    raise Refused(no.code, no.words)


def _ahead(date: str) -> float:
    """By how many seconds our clock is ahead of the one that wrote an HTTP date; 0 when there is none."""
    try:
        return time.time() - email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return 0.0
