"""Nodes: announced in the portal, enrolled once by a token, known by their own key ever after, drained, revoked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from datetime import datetime, timedelta
from itertools import chain, count
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_admin
from bastion.gateway import voucher
from bastion.gateway.wire import Enrol, Here, Standing
from bastion.models import BastionSession, Node
from bastion.services import living
from notify import live

TOKEN_LIFE: Final = timedelta(hours=1)
KEY_BYTES: Final = 32
MOST_HOST_KEYS: Final = 4


@transaction.atomic
def announce(*, name: str, customer: Customer | None, actor: User | None, now: datetime) -> tuple[Node, str]:
    """A node to come, and the token by which it enrols: shown once, good for an hour."""
    _may(actor)
    if not name.strip():
        raise DomainError(_("Please give it a name."), code="no_name")
    token = secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            node = Node.objects.create(
                customer=customer,
                name=name.strip()[:80],
                enrolment_digest=_digest(token),
                enrolment_until=now + TOKEN_LIFE,
                created_by=actor,
                created_at=now,
            )
    except IntegrityError:
        raise DomainError(_("There is a node of this name already."), code="name_taken") from None
    _write(node, "bastion.node.announce", actor, now)
    return node, token


@transaction.atomic
def ask_again(*, node: Node, actor: User | None, now: datetime) -> tuple[Node, str]:
    """Another token: the first has run out, or the machine was set up anew. The key it had is worth nothing more."""
    _may(actor)
    node = _hold(node)
    if node.state == Node.State.REVOKED:
        raise DomainError(_("It was revoked: announce another node."), code="revoked")
    if node.is_own:
        raise DomainError(_("The platform's own node enrols by itself."), code="own")
    token = secrets.token_urlsafe(32)
    node.state, node.public_key, node.enrolled_at = Node.State.WAITING, "", None
    node.enrolment_digest, node.enrolment_until = _digest(token), now + TOKEN_LIFE
    node.save()
    living.shut(node)
    _write(node, "bastion.node.ask_again", actor, now)
    return node, token


@transaction.atomic
def enrol(*, said: Enrol, address: str, now: datetime) -> Node:
    """Take the key of whoever brings the token. Raises DomainError("bad_token") for one unknown, used or old."""
    if voucher.is_one(said.token):
        return _enrol_own(said, now)
    rows = Node.objects.select_for_update(of=("self",)).select_related("customer")
    node: Node | None = rows.filter(state=Node.State.WAITING, enrolment_digest=_digest(said.token)).first()
    if node is None or node.enrolment_until is None or node.enrolment_until <= now or not _is_key(said.public_key):
        raise DomainError(_("This token is unknown, used or too old."), code="bad_token")
    node.state, node.public_key, node.enrolled_at = Node.State.ENROLLED, said.public_key, now
    node.enrolment_digest, node.enrolment_until = "", None
    node.ssh_host = node.ssh_host or address
    node.seen_at = now
    _describe(node, said)
    try:
        with transaction.atomic():
            node.save()
    except IntegrityError:
        raise DomainError(_("This key is another node's."), code="bad_token") from None
    living.shut(node)
    _write(node, "bastion.node.enrol", None, now)
    return node


def _enrol_own(said: Enrol, now: datetime) -> Node:
    """The node that stands beside the platform, by the secret that both have. There is one: a new key replaces it."""
    if not voucher.is_good(said.token, settings.NODE_SECRET, said.public_key, now.timestamp()):
        raise DomainError(_("This token is unknown, used or too old."), code="bad_token")
    rows = Node.objects.select_for_update(of=("self",)).select_related("customer")
    before: Node | None = rows.filter(is_own=True).exclude(state=Node.State.REVOKED).first()
    if before is not None and before.public_key == said.public_key:
        _describe(before, said)
        before.save()
        return before
    if not _is_key(said.public_key) or Node.objects.filter(public_key=said.public_key).exists():
        raise DomainError(_("This key was revoked, or is another node's."), code="revoked_key")
    if before is not None:
        _shut_out(before, None, now)
    node = Node(
        name=_free_name(_("Beside the platform")),
        is_own=True,
        state=Node.State.ENROLLED,
        public_key=said.public_key,
        ssh_host=before.ssh_host if before is not None else urlsplit(settings.PUBLIC_URL).hostname or "",
        is_draining=before is not None and before.is_draining,
        created_at=now,
        enrolled_at=now,
        seen_at=now,
    )
    _describe(node, said)
    node.save()
    _write(node, "bastion.node.enrol", None, now)
    return node


def _set_draining(node: Node, is_on: bool, by_itself: bool, actor: User | None, now: datetime) -> None:
    node.is_draining, node.drains_itself = is_on, by_itself
    node.save(update_fields=["is_draining", "drains_itself"])
    _write(node, "bastion.node.drain" if is_on else "bastion.node.undrain", actor, now)


def _describe(node: Node, said: Enrol | Here) -> None:
    node.version, node.ssh_port = said.version[:40], said.ssh_port
    node.host_keys = [key[:1000] for key in said.host_keys[:MOST_HOST_KEYS]]


def _free_name(wanted: str) -> str:
    taken = set(Node.objects.filter(customer=None, revoked_at=None).values_list("name", flat=True))
    return next(name for name in chain((wanted,), (f"{wanted} {n}" for n in count(2))) if name not in taken)


@transaction.atomic
def describe(*, node: Node, name: str, ssh_host: str, ssh_port: int, actor: User, now: datetime) -> Node:
    """Its name, and where people's clients reach it: a router may stand before it."""
    _may(actor)
    node = _hold(node)
    detail: dict[str, object] = {"before": f"{node.name} {node.ssh_host}:{node.public_port}"}
    node.name, node.ssh_host = name.strip()[:80], ssh_host
    node.clients_port = None if ssh_port == node.ssh_port else ssh_port
    try:
        with transaction.atomic():
            node.save(update_fields=["name", "ssh_host", "clients_port"])
    except IntegrityError:
        raise DomainError(_("There is a node of this name already."), code="name_taken") from None
    _write(node, "bastion.node.describe", actor, now, detail)
    return node


@transaction.atomic
def drain(*, node: Node, is_on: bool, actor: User, now: datetime) -> Node:
    """Take no new sessions, before an upgrade; or take them again."""
    _may(actor)
    node = _hold(node)
    if node.is_draining != is_on or node.drains_itself:
        _set_draining(node, is_on, False, actor, now)
    return node


@transaction.atomic
def drain_itself(*, node: Node, is_on: bool, now: datetime) -> Node:
    """As `drain`, asked for by the node: what a person has ordered it does not take back."""
    node = _hold(node)
    if node.is_draining != is_on and (is_on or node.drains_itself):
        _set_draining(node, is_on, is_on, None, now)
    return node


@transaction.atomic
def leave(*, node: Node, now: datetime) -> None:
    """It was taken off its machine."""
    _shut_out(_hold(node), None, now)


def present(*, node: Node, said: Here) -> Node:
    """What it says of itself at a start."""
    _describe(node, said)
    node.save(update_fields=["version", "ssh_port", "host_keys"])
    return node


def standing(*, node: Node, now: datetime) -> Standing:
    online = BastionSession.objects.online().filter(node=node).count()
    is_heard = not node.is_silent(now) and node.seen_at != node.enrolled_at
    return Standing(node.name, node.version, node.is_draining, online, is_heard)


@transaction.atomic
def revoke(*, node: Node, actor: User, now: datetime) -> Node:
    """Its key opens nothing from this moment."""
    _may(actor)
    node = _hold(node)
    if node.state != Node.State.REVOKED:
        _shut_out(node, actor, now)
    return node


def _shut_out(node: Node, actor: User | None, now: datetime) -> None:
    node.state, node.revoked_at, node.enrolment_digest = Node.State.REVOKED, now, ""
    node.save(update_fields=["state", "revoked_at", "enrolment_digest"])
    living.shut(node)
    _write(node, "bastion.node.revoke", actor, now)


def _may(actor: User | None) -> None:
    """The provider's administrators; nobody: the platform sets up its own."""
    if actor is not None and not is_admin(actor):
        raise PermissionDenied


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _hold(node: Node) -> Node:
    return Node.objects.select_for_update(of=("self",)).select_related("customer").get(pk=node.pk)


def _write(node: Node, action: str, actor: User | None, now: datetime, detail: dict[str, object] | None = None) -> None:
    audit.record(action=action, actor=actor, customer=node.customer, obj=node, detail=detail, now=now)
    if node.customer_id is not None:
        live.publish(customer_id=node.customer_id, topic="nodes", object_id=node.pk)
