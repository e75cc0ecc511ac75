"""The way to a host: which account logs in, and where; by way of a node where only that reaches it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from accounts.errors import DomainError
from accounts.models import User
from assets import ssh
from assets.models import Asset, Credential, CredentialKind, SshAccess
from assets.services import reaching
from changes.script_words import problem_text


@dataclass(frozen=True, slots=True)
class Transport:
    """What opens a session on a host, to the pinned host key. It holds no Django: threads use it."""

    door: ssh.Door

    def open(self, login: ssh.Login) -> AbstractContextManager[ssh.Session]:
        """Raises SshError."""
        return ssh.session(self.door, login)

    def __str__(self) -> str:
        return f"{self.door.host}:{self.door.port}"


@dataclass(frozen=True, slots=True)
class Ways:
    """How some hosts are reached, and by which accounts: read together."""

    doors: Mapping[int, SshAccess]
    accounts: Mapping[int, Credential]

    def through(self, asset: Asset) -> Transport:
        """Raises DomainError: `host_key_unknown`, `no_node` of a host behind a node, or `by_hand`."""
        if asset.os == Asset.Os.WINDOWS:
            raise DomainError(problem_text("by_hand"), code="by_hand")
        return Transport(reaching.door(self.doors.get(asset.pk)))

    def account_for(self, asset: Asset) -> Credential:
        """Raises DomainError."""
        found = self.accounts.get(asset.pk)
        if found is None:
            raise DomainError(problem_text("no_account"), code="no_account")
        return found


def ways(assets: Collection[Asset], purposes: Collection[str], *, as_root: bool) -> Ways:
    """The account that logs in has one of these purposes; a key comes before a password."""
    rows = Credential.objects.in_use().joined().filter(asset__in=assets, purpose__in=purposes)
    rows = rows.exclude(secret_set_at=None)
    if as_root:
        rows = rows.exclude(has_sudo=False)
    accounts: dict[int, Credential] = {}
    for kind in (CredentialKind.KEY_PAIR, CredentialKind.HOST):
        for one in rows.filter(kind=kind):
            accounts.setdefault(one.asset_id or 0, one)
    return Ways({access.asset_id: access for access in SshAccess.objects.filter(asset__in=assets)}, accounts)


def through(asset: Asset) -> Transport:
    """How this one is reached now. Raises DomainError, see `Ways`."""
    return ways([asset], (), as_root=False).through(asset)


def address(credential: Credential, way: Transport) -> str:
    """Who logs in, and where: what a dry run shows."""
    return f"{credential.username}@{way}"


def login(credential: Credential, *, reason: str, actor: User | None, now: datetime) -> ssh.Login:
    """Raises DomainError without a secret. The use is in the audit log with its reason."""
    return reaching.login_of(credential, reason=reason, now=now, actor=actor)
