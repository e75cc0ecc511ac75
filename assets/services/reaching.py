"""Reaching hosts over SSH with the credentials written down for them: pinning the host key, logging in, trying sudo."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from assets import keypairs, ssh
from assets.addresses import AddressError, clean_host
from assets.models import AccountPurpose, Asset, Check, Credential, CredentialKind, SshAccess
from assets.permissions import can_manage_credentials
from assets.services import credentials
from assets.words import SSH_PROBLEMS

CHECKED_STATES = {"refused": Check.REFUSED}


Behind = Callable[[SshAccess], ssh.Dial]
"""How a host behind a node is dialled. Raises DomainError("no_node") when no node that reaches it answers."""


def look(*, host: str, port: int, actor: User, behind: Asset | None = None) -> str:
    """The host key that answers there now, for a person to compare. Nothing is stored.

    `behind`: the asset that is asked through a node of its customer's.
    """
    _may_manage(actor)
    try:
        host = clean_host(host)
        dial = None if behind is None else _behind_node(SshAccess(asset=behind, host=host, port=port))
        return ssh.read_host_key(ssh.Door(host, port, "", dial))
    except AddressError:
        raise DomainError(str(SSH_PROBLEMS["forbidden"]), code="forbidden") from None
    except ssh.SshError as problem:
        raise DomainError(str(SSH_PROBLEMS[problem.code]), code=problem.code) from None


@transaction.atomic
def pin(
    *,
    asset: Asset,
    host: str,
    port: int,
    host_key: str,
    actor: User,
    now: datetime,
    through: SshAccess.Through = SshAccess.Through.DIRECT,
) -> SshAccess:
    """From now on this host key is the only one accepted for the asset."""
    _may_manage(actor)
    try:
        fingerprint = keypairs.fingerprint(host_key)
        host = clean_host(host)
    except (keypairs.NotAKey, AddressError):
        raise DomainError(_("This is not a host key."), code="not_a_key") from None
    audit.hold(asset.customer_id)
    access, _made = SshAccess.objects.update_or_create(
        asset=asset,
        defaults={
            "customer_id": asset.customer_id,
            "host": host,
            "port": port,
            "host_key": " ".join(host_key.split()[:2]),
            "fingerprint": fingerprint,
            "pinned_at": now,
            "pinned_by": actor,
            "through": through,
        },
    )
    detail = {"host": host, "port": port, "fingerprint": fingerprint, "through": through.value}
    audit.record(action="ssh.pin", actor=actor, customer=asset.customer, obj=asset, detail=detail, now=now)
    return access


@transaction.atomic
def pin_seen(*, access: SshAccess, host_key: str, actor: User | None, now: datetime) -> SshAccess:
    """A key that a node has met there, for a caller that has seen to who may. The way to the host stays what it is."""
    access.host_key = " ".join(host_key.split()[:2])
    access.fingerprint = keypairs.fingerprint(access.host_key)
    access.pinned_at, access.pinned_by = now, actor
    access.save(update_fields=["host_key", "fingerprint", "pinned_at", "pinned_by"])
    detail = {"host": access.host, "port": access.port, "fingerprint": access.fingerprint}
    customer, asset = access.asset.customer, access.asset
    audit.record(action="ssh.pin", actor=actor, customer=customer, obj=asset, detail=detail, now=now)
    return access


@transaction.atomic
def put_behind_node(*, asset: Asset, host: str, port: int, actor: User, now: datetime) -> SshAccess:
    """The host answers a node in the customer's network alone: the platform itself sends nothing to it.

    The host key that somebody confirmed stays: the way to a host says nothing about who it is.
    """
    _may_manage(actor)
    try:
        host = clean_host(host)
    except AddressError:
        raise DomainError(str(SSH_PROBLEMS["forbidden"]), code="forbidden") from None
    audit.hold(asset.customer_id)
    said = {"host": host, "port": port, "through": SshAccess.Through.NODE}
    first = {"customer_id": asset.customer_id, "pinned_at": now, "pinned_by": actor}
    access, _made = SshAccess.objects.update_or_create(asset=asset, defaults=said, create_defaults=said | first)
    detail = {"host": host, "port": port}
    audit.record(action="ssh.behind_node", actor=actor, customer=asset.customer, obj=asset, detail=detail, now=now)
    return access


@transaction.atomic
def speak_legacy_algorithms(*, access: SshAccess, is_allowed: bool, actor: User, now: datetime) -> None:
    """Whether the bastion, too, offers this host what is broken or weak: for one that knows nothing better."""
    _may_manage(actor)
    audit.hold(access.customer_id)
    if (
        not SshAccess.objects.filter(pk=access.pk)
        .exclude(legacy_algorithms=is_allowed)
        .update(legacy_algorithms=is_allowed)
    ):
        return
    action = "ssh.legacy_algorithms" if is_allowed else "ssh.legacy_algorithms_off"
    detail = {"host": access.host, "port": access.port}
    audit.record(action=action, actor=actor, customer=access.asset.customer, obj=access.asset, detail=detail, now=now)


def door_of(asset: Asset) -> ssh.Door:
    """Raises DomainError while no host key was confirmed, and of a host behind a node that does not answer."""
    return door(SshAccess.objects.filter(asset=asset).first())


def door(access: SshAccess | None) -> ssh.Door:
    """The same, of what was read already."""
    if access is None or not access.host_key:
        raise DomainError(str(SSH_PROBLEMS["host_key_unknown"]), code="host_key_unknown")
    dial = _behind_node(access) if access.through == SshAccess.Through.NODE else None
    return ssh.Door(access.host, access.port, access.host_key, dial)


def _behind_node(access: SshAccess) -> ssh.Dial:
    """Nodes belong to a floor above this one, which names itself in the settings."""
    behind: Behind = import_string(settings.SSH_BEHIND_NODES)
    return behind(access)


def login_of(credential: Credential, *, reason: str, now: datetime, actor: User | None = None) -> ssh.Login:
    secret = credentials.use(credential=credential, reason=reason, actor=actor, now=now)
    if credential.kind == CredentialKind.KEY_PAIR:
        return ssh.Login(credential.username, private_key=secret)
    return ssh.Login(credential.username, password=secret)


def operator_for(credential: Credential) -> Credential:
    """Whose login changes this account: the account for operations, by key before password; else the account itself."""
    rows = Credential.objects.in_use().joined().filter(asset=credential.asset)
    ours = rows.filter(purpose=AccountPurpose.OPERATIONS).exclude(secret_set_at=None)
    by_key = ours.filter(kind=CredentialKind.KEY_PAIR).first()
    by_password = ours.filter(kind=CredentialKind.HOST).exclude(has_sudo=False).first()
    found: Credential | None = by_key or by_password
    if found is None and credential.has_sudo and credential.secret_set_at is not None:
        return credential
    if found is None:
        raise DomainError(_("No account for operations with sudo is written down for this server."), code="no_operator")
    return found


@dataclass(frozen=True)
class Root:
    """What stands before a command that needs root's rights, and what goes on its input before anything else."""

    prefix: str = ""
    given: str = field(default="", repr=False)


def root_of(session: ssh.Session, login: ssh.Login, *, probe: str = "true") -> Root:
    """Directly, by a sudo that asks nothing, or by one that gets the password on its input.

    `probe` begins as the command will: sudo may let one program pass unasked and not another, and a password that it
    does not read is read by the command.
    """
    if login.username == "root":
        return Root()
    if session.run(f"sudo -n {probe}").exit_code == 0:
        return Root("sudo -n ")
    return Root("sudo -S -p '' ", f"{login.password}\n")


def as_root(session: ssh.Session, login: ssh.Login, command: str, given: str) -> ssh.Ran:
    way = root_of(session, login)
    return session.run(f"{way.prefix}{command}", given=f"{way.given}{given}")


def check(*, credential: Credential, actor: User, now: datetime) -> None:
    """Log in with it and see whether it may use sudo; the result is kept. Raises DomainError if it cannot be tried."""
    _may_manage(actor)
    assert credential.asset is not None  # noqa: S101 - callers pass hosts' credentials
    door = door_of(credential.asset)
    login = login_of(credential, reason="check", now=now, actor=actor)
    has_sudo: bool | None = None
    state, words = Check.WORKS, ""
    try:
        with ssh.session(door, login) as session:
            if credential.kind == CredentialKind.HOST:
                has_sudo = as_root(session, login, "true", "").exit_code == 0
    except ssh.SshError as problem:
        state = CHECKED_STATES.get(problem.code, Check.UNREACHABLE)
        words = str(SSH_PROBLEMS[problem.code])
    credentials.note_check(credential=credential, state=state, words=words, actor=actor, now=now, has_sudo=has_sudo)


def _may_manage(actor: User) -> None:
    if not can_manage_credentials(actor):
        raise PermissionDenied
