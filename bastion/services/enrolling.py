"""Nodes: announced in the portal, enrolled once by a token, known by their own key ever after, drained, revoked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_admin
from bastion.gateway.wire import Enrol
from bastion.models import Node
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
    token = secrets.token_urlsafe(32)
    node.state, node.public_key, node.enrolled_at = Node.State.WAITING, "", None
    node.enrolment_digest, node.enrolment_until = _digest(token), now + TOKEN_LIFE
    node.save()
    _write(node, "bastion.node.ask_again", actor, now)
    return node, token


@transaction.atomic
def enrol(*, said: Enrol, address: str, now: datetime) -> Node:
    """Take the key of whoever brings the token. Raises DomainError("bad_token") for one unknown, used or old."""
    rows = Node.objects.select_for_update(of=("self",)).select_related("customer")
    node: Node | None = rows.filter(state=Node.State.WAITING, enrolment_digest=_digest(said.token)).first()
    if node is None or node.enrolment_until is None or node.enrolment_until <= now or not _is_key(said.public_key):
        raise DomainError(_("This token is unknown, used or too old."), code="bad_token")
    node.state, node.public_key, node.enrolled_at = Node.State.ENROLLED, said.public_key, now
    node.enrolment_digest, node.enrolment_until = "", None
    node.version, node.ssh_port = said.version[:40], said.ssh_port
    node.host_keys = [key[:1000] for key in said.host_keys[:MOST_HOST_KEYS]]
    node.ssh_host = node.ssh_host or address
    node.seen_at = now
    try:
        with transaction.atomic():
            node.save()
    except IntegrityError:
        raise DomainError(_("This key is another node's."), code="bad_token") from None
    _write(node, "bastion.node.enrol", None, now)
    return node


@transaction.atomic
def drain(*, node: Node, is_on: bool, actor: User, now: datetime) -> Node:
    """Take no new sessions, before an upgrade; or take them again."""
    _may(actor)
    node = _hold(node)
    if node.is_draining != is_on:
        node.is_draining = is_on
        node.save(update_fields=["is_draining"])
        _write(node, "bastion.node.drain" if is_on else "bastion.node.undrain", actor, now)
    return node


@transaction.atomic
def revoke(*, node: Node, actor: User, now: datetime) -> Node:
    """Its key opens nothing from this moment."""
    _may(actor)
    node = _hold(node)
    if node.state != Node.State.REVOKED:
        node.state, node.revoked_at, node.enrolment_digest = Node.State.REVOKED, now, ""
        node.save(update_fields=["state", "revoked_at", "enrolment_digest"])
        _write(node, "bastion.node.revoke", actor, now)
    return node


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


def _write(node: Node, action: str, actor: User | None, now: datetime) -> None:
    audit.record(action=action, actor=actor, customer=node.customer, obj=node, now=now)
    if node.customer_id is not None:
        live.publish(customer_id=node.customer_id, topic="nodes", object_id=node.pk)
