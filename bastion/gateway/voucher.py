"""How the platform's own node vouches for itself: by a secret that both have, over just this key, about now.

A voucher is worth nothing to whoever overhears it: it vouches for a public key whose private half stays on the node.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

PREFIX: Final = "own."
SKEW_S: Final = 60.0


def write(secret: str, public_key: str, now: float) -> str:
    moment = f"{now:.3f}"
    return f"{PREFIX}{_sum(secret, public_key, moment)}.{moment}"


def is_one(token: str) -> bool:
    return token.startswith(PREFIX)


def is_good(token: str, secret: str, public_key: str, now: float) -> bool:
    """Never without a secret."""
    found, _, moment = token.removeprefix(PREFIX).partition(".")
    try:
        is_fresh = abs(float(moment) - now) <= SKEW_S
    except ValueError:
        return False
    return bool(secret) and is_fresh and hmac.compare_digest(found.encode(), _sum(secret, public_key, moment).encode())


def _sum(secret: str, public_key: str, moment: str) -> str:
    return hmac.new(secret.encode(), f"enrol\n{public_key}\n{moment}".encode(), hashlib.sha256).hexdigest()
