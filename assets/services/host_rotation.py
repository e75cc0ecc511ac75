"""A new password for a host account over SSH: pending in the vault → set → logged in with → promoted.

The pending secret is in the vault before the host hears of it, and stays there with the old one until a log-in has
shown which of the two counts. So it does not matter where a worker dies: whoever comes next tries the pending one.
"""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, secrets
from accounts.errors import DomainError
from assets import ssh
from assets.models import Asset, Check, Credential, Rotation
from assets.services import credentials, reaching
from assets.services.rotation_outcome import Kind, Outcome

REASON = "rotation"
State, Works = Rotation.State, Rotation.Works


def must_be_possible(credential: Credential) -> None:
    asset = credential.asset
    assert asset is not None  # noqa: S101 - a host account stands on an asset
    if asset.os == Asset.Os.WINDOWS:
        raise DomainError(_("Windows passwords are changed by hand and then entered here."), code="by_hand")
    if not credentials.has_secret(credential):
        raise DomainError(_("No secret was entered for %(name)s.") % {"name": credential}, code="no_secret")
    reaching.door_of(asset)
    reaching.operator_for(credential)


def advance(rotation: Rotation, clock: Callable[[], datetime]) -> Outcome:
    credential = rotation.credential
    assert credential.asset is not None  # noqa: S101 - see above
    try:
        door = reaching.door_of(credential.asset)
        operator = reaching.operator_for(credential)
        was_there = _pend(credential, clock())
        pending = ssh.Login(credential.username, password=_pending(credential, clock()))
        if was_there and _opens(door, pending) is True:
            return _promote(rotation, clock())
        problem = _set(rotation, door, operator, pending, clock())
        opens = _opens(door, pending)
        if opens is True:
            return _promote(rotation, clock())
        return _failed(rotation, door, problem or "not_accepted", opens, clock())
    except DomainError as refused:
        return Outcome(State.FAILED, Works.UNKNOWN, refused.code)


def _pend(credential: Credential, now: datetime) -> bool:
    """Have a pending secret in the vault; True when an earlier run has left one, which the host may know already."""
    with transaction.atomic():
        audit.hold(credential.customer_id)
        if secrets.is_set(credential, Credential.PENDING):
            return True
        value = credentials.generate()
        secrets.put(obj=credential, field=Credential.PENDING, value=value, actor=None, now=now)
        return False


def _pending(credential: Credential, now: datetime) -> str:
    return secrets.use(obj=credential, field=Credential.PENDING, purpose=REASON, now=now)


def _set(rotation: Rotation, door: ssh.Door, operator: Credential, pending: ssh.Login, now: datetime) -> str:
    """Tell the host. Returns a problem's code; a time-out leaves open what the host has done."""
    rotation.step = Rotation.Step.SETTING
    rotation.save(update_fields=["step"])
    login = reaching.login_of(operator, reason=REASON, now=now, actor=rotation.actor)
    try:
        with ssh.session(door, login) as session:
            ran = reaching.as_root(session, login, "chpasswd", f"{pending.username}:{pending.password}\n")
    except ssh.SshError as problem:
        return f"operator_{problem.code}" if problem.code == "refused" else problem.code
    return "" if ran.exit_code == 0 else "sudo_refused"


def _opens(door: ssh.Door, login: ssh.Login) -> bool | None:
    """Whether a log-in works; None when the host could not be asked."""
    try:
        with ssh.session(door, login):
            return True
    except ssh.SshError as problem:
        return False if problem.code == "refused" else None


def _promote(rotation: Rotation, now: datetime) -> Outcome:
    credential = rotation.credential
    with transaction.atomic():
        audit.hold(credential.customer_id)
        credentials.store(credential, _pending(credential, now), actor=rotation.actor, now=now)
        secrets.drop(obj=credential, field=Credential.PENDING, actor=rotation.actor, now=now)
        credentials.note_check(credential=credential, state=Check.WORKS, words="", actor=rotation.actor, now=now)
        rotation.step = Rotation.Step.SWITCHED
    return Outcome(State.DONE, Works.NEW)


def _failed(rotation: Rotation, door: ssh.Door, problem: str, opens: bool | None, now: datetime) -> Outcome:
    """Both secrets stay; which one worked last is found out and kept."""
    if opens is None:
        return Outcome(State.FAILED, Works.UNKNOWN, problem)
    old = reaching.login_of(rotation.credential, reason=REASON, now=now, actor=rotation.actor)
    works = {True: Works.OLD, False: Works.NEITHER, None: Works.UNKNOWN}[_opens(door, old)]
    return Outcome(State.FAILED, works, problem)


KIND = Kind(must_be_possible, advance)
