"""Which node speaks: by the signature of its own key over just this request, about now, for the first time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from django.core.cache import cache

from accounts.numbers import row_number
from bastion.gateway import wire
from bastion.models import Node

NONCES_FOR_S: Final = int(2 * wire.SKEW_S) + 1
LONGEST_NONCE: Final = 64


def node_of(headers: Mapping[str, str], *, method: str, path: str, body: bytes) -> Node | None:
    """None for whoever is no enrolled node, and for what was sent before. Needs the platform's scope."""
    number = row_number(headers.get(wire.NODE, ""))
    node: Node | None = Node.objects.filter(pk=number, state=Node.State.ENROLLED).first()
    if node is None:
        return None
    is_signed = wire.is_signed(node.public_key, headers, method=method, path=path, body=body, now=time.time())
    if not is_signed or len(headers[wire.NONCE]) > LONGEST_NONCE:
        return None
    return node if cache.add(f"node-nonce:{node.pk}:{headers[wire.NONCE]}", 1, NONCES_FOR_S) else None
