"""What the calls that change something share: client tokens, new IDs, and how far something has come."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime

from demo.aliyun.answers import ApiError, Call
from demo.aliyun.estate import Json

MISMATCH = "The request uses the same client token as a previous, but non-identical request."
_NOT_COMPARED = ("Signature", "SignatureNonce", "Timestamp")


def once(call: Call, action: str, act: Callable[[], Json]) -> Json:
    """Act, unless the client token was seen: then its first answer counts (ECS, "How to ensure idempotence")."""
    token, tokens = call.params.get("ClientToken", ""), call.estate.work.tokens
    if not token:
        return act()
    if len(token) > 64 or not token.isascii():
        raise ApiError(400, "InvalidClientToken.Malformed", "The specified ClientToken is invalid.")
    said = {name: value for name, value in call.params.items() if name not in _NOT_COMPARED}
    known = tokens.get((action, token))
    if known is not None:
        if known[0] != said:
            raise ApiError(400, "IdempotentParameterMismatch", MISMATCH)
        return known[1]
    answer = act()
    tokens[action, token] = (said, answer)
    return answer


def new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(9)[:17]


def progress(call: Call, row: Mapping[str, object]) -> int:
    """How far something has come that began at `_since`, in percent."""
    since, takes = row["_since"], call.estate.work.takes
    assert isinstance(since, datetime)  # noqa: S101 - set where the row is made
    return min(99, int(100 * ((call.now - since) / takes))) if takes else 99
