"""The way to a host: which account logs in, and through what. Today there is one way; a node will be another."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from accounts.errors import DomainError
from accounts.models import User
from assets import ssh
from assets.models import Asset, Credential, CredentialKind
from assets.services import reaching
from changes.script_words import problem_text


class Transport(Protocol):
    """What opens a session on a host. It holds no Django: threads use it."""

    def open(self, login: ssh.Login) -> AbstractContextManager[ssh.Session]:
        """Raises SshError."""


@dataclass(frozen=True, slots=True)
class Direct:
    """From the platform itself, to the pinned host key."""

    door: ssh.Door

    def open(self, login: ssh.Login) -> AbstractContextManager[ssh.Session]:
        return ssh.session(self.door, login)

    def __str__(self) -> str:
        return f"{self.door.host}:{self.door.port}"


def through(asset: Asset) -> Direct:
    """How this host is reached. Raises DomainError: `host_key_unknown`, or `no_node` of a host behind a node."""
    if asset.os == Asset.Os.WINDOWS:
        raise DomainError(problem_text("by_hand"), code="by_hand")
    return Direct(reaching.door_of(asset))


def account_for(asset: Asset, purposes: Collection[str], *, as_root: bool) -> Credential:
    """The account that logs in: one of these purposes, by key before password. Raises DomainError."""
    rows = Credential.objects.in_use().joined().filter(asset=asset, purpose__in=purposes).exclude(secret_set_at=None)
    if as_root:
        rows = rows.exclude(has_sudo=False)
    by_key = rows.filter(kind=CredentialKind.KEY_PAIR).first()
    found: Credential | None = by_key or rows.filter(kind=CredentialKind.HOST).first()
    if found is None:
        raise DomainError(problem_text("no_account"), code="no_account")
    return found


def login(credential: Credential, *, reason: str, actor: User | None, now: datetime) -> ssh.Login:
    """Raises DomainError without a secret. The use is in the audit log with its reason."""
    return reaching.login_of(credential, reason=reason, now=now, actor=actor)
