"""How somebody gets to a server with a client of their own: the nodes that lead there, and a ticket for one connection."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import can_write
from assets.models import Asset
from bastion.access import Protocol
from bastion.models import Favourite, LoginTicket, Node
from bastion.services import authorising, signing_in


@dataclass(frozen=True, slots=True)
class Gateway:
    """A node as clients find it."""

    node: Node
    fingerprints: list[tuple[str, str]]
    """Kind of key and fingerprint, as OpenSSH shows them at the first connection."""

    @property
    def place(self) -> str:
        """`-p 2222 gateway`; without the port where it is the usual one."""
        return self.node.ssh_host if self.node.ssh_port == 22 else f"-p {self.node.ssh_port} {self.node.ssh_host}"


def gateways(asset: Asset, *, now: datetime) -> list[Gateway]:
    """The nodes that let somebody in to it now; the customer's own first."""
    rows = Node.objects.filter(Q(customer=asset.customer_id) | Q(customer=None), state=Node.State.ENROLLED)
    found = [node for node in rows.exclude(ssh_host="") if not node.is_draining and not node.is_silent(now)]
    found.sort(key=lambda node: (node.customer_id is None, node.name))
    return [Gateway(node, [(_kind(key), fingerprint(key)) for key in node.host_keys]) for node in found]


@transaction.atomic
def make(
    *, person: User, asset: Asset, account: str, work: str, address: str, now: datetime
) -> tuple[LoginTicket, str]:
    """A ticket, and its text, which nobody can read again. Good once, for five minutes, from this address.

    It opens nothing that the person could not open without it: who may do what is asked again when it is used.
    """
    if not can_write(person):
        raise PermissionDenied
    known = authorising.accounts_of(person, asset, protocol=Protocol.SSH, now=now)
    if account not in {row.username for row in known}:
        decision = authorising.decide(person, asset, account=account, protocol=Protocol.SSH, now=now)
        words = authorising.DENIED[decision.denial] if decision.denial else _("There is no such account.")
        raise DomainError(str(words), code=decision.denial or "unknown_account")
    authorising.work_of(person, asset, work)
    with scope.platform("a ticket of the provider's people belongs to no customer"):
        made, ticket = signing_in.make_ticket(
            person=person, asset=asset, account=account, work=work, address=address, now=now
        )
    detail = {"account": account, "work": work[:300], "address": address}
    audit.record(action="bastion.ticket", actor=person, customer=asset.customer, obj=asset, detail=detail, now=now)
    return made, ticket


@transaction.atomic
def star(*, person: User, asset: Asset, is_on: bool, now: datetime) -> None:
    """One's own mark: it comes first in one's lists and in the menu of the SSH door."""
    if is_on:
        Favourite.objects.get_or_create(
            person=person, asset=asset, defaults={"customer_id": asset.customer_id, "starred_at": now}
        )
    else:
        Favourite.objects.filter(person=person, asset=asset).delete()


def fingerprint(public_key: str) -> str:
    """As OpenSSH shows it, of any kind of key; empty for what is none."""
    parts = public_key.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (IndexError, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _kind(public_key: str) -> str:
    kind = public_key.split(maxsplit=1)[0] if public_key.split() else ""
    return {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA"}.get(kind, "ECDSA" if kind.startswith("ecdsa") else kind)
