"""The way to a host behind a node, for whoever speaks SSH to it from the platform (`settings.SSH_BEHIND_NODES`)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial

from django.utils import timezone

from accounts.errors import DomainError
from assets.models import SshAccess
from assets.ssh import Dial, SshError
from assets.words import SSH_PROBLEMS
from bastion.gateway.contract import Tunnel
from bastion.gateway.streams import StreamClosed
from bastion.models import Node
from bastion.services import streams


def behind_node(access: SshAccess) -> Dial:
    """Through a node that answers now. Raises DomainError("no_node").

    Only who administers credentials writes an `SshAccess`: it may name the node's own machine.
    """
    now = timezone.now()
    try:
        node = streams.node_for(access.asset, now=now)
    except DomainError:
        raise DomainError(str(SSH_PROBLEMS["no_node"]), code="no_node") from None
    return partial(_dial, node, Tunnel(access.host, access.port, is_near_allowed=True), now)


@contextmanager
def _dial(node: Node, tunnel: Tunnel, found_at: datetime) -> Iterator[socket.socket]:
    with ExitStack() as stack:
        try:
            connected = stack.enter_context(streams.open_socket(node=node, purpose=tunnel, now=found_at))
        except StreamClosed as closed:
            raise SshError("forbidden" if closed.reason == "forbidden_address" else "unreachable") from None
        except DomainError:
            raise SshError("unreachable") from None
        yield connected
