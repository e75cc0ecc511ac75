"""A new AccessKey through RAM: made → verified → in use → old one disabled → deleted after a grace time.

RAM allows a user two keys and tells a secret once. A key that was made while nobody could keep its secret is found by
listing, and deleted before another one is made: never is there a third.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, secrets
from accounts.errors import DomainError
from assets.aliyun import AliyunError, Client, Patience, ram
from assets.models import Access, AccountPurpose, Check, CloudAccount, Credential, CredentialKind, Rotation
from assets.services import accounts, credentials
from assets.services.mirroring import mirror
from assets.services.rotation_outcome import Kind, Outcome
from assets.services.verifying import key_access

REASON = "rotation"
SETTLING = timedelta(minutes=10)
"""Work that began with the old key ends with it before it is disabled."""
ONCE = Patience(attempts=1)
RETRY = timedelta(minutes=1)
State, Step, Works = Rotation.State, Rotation.Step, Rotation.Works
Clock = Callable[[], datetime]


class _StoppedError(Exception):
    """It cannot go on without a person; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def must_be_possible(credential: Credential) -> None:
    if not credentials.has_secret(credential):
        raise DomainError(_("No secret was entered for %(name)s.") % {"name": credential}, code="no_secret")
    if credential.is_reading_key and _operations_key(credential) is None:
        raise DomainError(
            _(
                "A read-only AccessKey cannot make its successor. Write down an AccessKey for operations that may "
                "manage AccessKeys, or replace this one by hand."
            ),
            code="no_operations_key",
        )


def advance(rotation: Rotation, clock: Clock) -> Outcome:
    """From wherever the row stands to the next wait. A passing fault of the cloud is tried again a little later."""
    try:
        return _advance(rotation, clock)
    except (_StoppedError, DomainError) as stop:
        return Outcome(State.FAILED, _works(rotation), stop.code)
    except AliyunError as error:
        if not error.retryable:
            return Outcome(State.FAILED, _works(rotation), error.code)
        state = State.GRACE if _works(rotation) == Works.NEW else State.RUNNING
        return Outcome(state, problem=error.code, next_at=clock() + RETRY)


def _advance(rotation: Rotation, clock: Clock) -> Outcome:
    if rotation.step == Step.STARTED:
        _make(rotation, clock())
    if rotation.step == Step.CREATED:
        _verify(rotation, clock())
    if rotation.step == Step.VERIFIED:
        _switch(rotation, clock())
        return Outcome(State.GRACE, Works.NEW, next_at=clock() + SETTLING)
    if rotation.step == Step.SWITCHED:
        ram.disable_key(_operator(rotation, clock()), _user(rotation), rotation.old_key_id)
        _reached(rotation, Step.DISABLED)
        return Outcome(State.GRACE, Works.NEW, next_at=clock() + timedelta(hours=settings.KEY_GRACE_HOURS))
    return _end_old(rotation, clock())


def _make(rotation: Rotation, now: datetime) -> None:
    operator = _operator(rotation, now, ONCE)
    there = {key.access_key_id: key for key in ram.keys_of(operator, _user(rotation))}
    current = rotation.credential.access_key_id
    if current not in there:
        raise _StoppedError("key_not_of_user")
    if rotation.known_key_ids is None:
        rotation.old_key_id, rotation.known_key_ids = current, sorted(there)
        rotation.save(update_fields=["old_key_id", "known_key_ids"])
    for key_id in sorted(set(there) - set(rotation.known_key_ids)):
        _drop_half_made(rotation, operator, there.pop(key_id))
    if len(there) > 1:
        raise _StoppedError("two_keys")
    made = ram.make_key(operator, _user(rotation))
    with transaction.atomic():
        audit.hold(rotation.customer_id)
        secrets.put(obj=rotation.credential, field=Credential.PENDING, value=made.secret, actor=rotation.actor, now=now)
        rotation.new_key_id = made.access_key_id
        _reached(rotation, Step.CREATED)


def _drop_half_made(rotation: Rotation, operator: Client, key: ram.RamKey) -> None:
    """Made since this rotation began, by a run that died before it kept the secret; unless somebody uses it."""
    seen = ram.with_use(operator, _user(rotation), key)
    if seen.last_used_at is not None:
        raise _StoppedError("foreign_key")
    ram.delete_key(operator, _user(rotation), key.access_key_id)


def _verify(rotation: Rotation, now: datetime) -> None:
    """The new key answers as the same user, and only reads when it should."""
    client = _client(rotation, rotation.new_key_id, _secret(rotation, Credential.PENDING, now))
    try:
        who = client.identity()
    except AliyunError as error:
        if error.code.startswith("InvalidAccessKeyId"):  # a new key takes some seconds to be known everywhere
            raise AliyunError(error.code, error.message, retryable=True) from None
        raise
    if who.account_uid != _account(rotation).account_uid or who.user_name != _user(rotation):
        raise _StoppedError("other_account")
    if rotation.credential.is_reading_key:
        access, _findings = key_access(client, who.user_name)
        if access is Access.WRITES and not _account(rotation).key_accepted_reason:
            ram.delete_key(_operator(rotation, now), _user(rotation), rotation.new_key_id)
            secrets.drop(obj=rotation.credential, field=Credential.PENDING, actor=rotation.actor, now=now)
            raise _StoppedError("not_read_only")
    _reached(rotation, Step.VERIFIED)


def _switch(rotation: Rotation, now: datetime) -> None:
    """One transaction: the new key counts, everywhere, from here on."""
    with transaction.atomic():
        audit.hold(rotation.customer_id)
        value = _secret(rotation, Credential.PENDING, now)
        credential = rotation.credential
        if credential.is_reading_key:
            account = CloudAccount.objects.select_for_update().get(pk=_account(rotation).pk)
            account.access_key_id, account.key_created_at = rotation.new_key_id, now
            account.verified_at = now
            account.save(update_fields=["access_key_id", "key_created_at", "verified_at"])
            secrets.put(obj=account, field=CloudAccount.KEY_SECRET, value=value, actor=rotation.actor, now=now)
            mirror(account, now=now)
        else:
            credential.access_key_id = rotation.new_key_id
            credential.save(update_fields=["access_key_id"])
            credentials.store(credential, value, actor=rotation.actor, now=now)
            credentials.note_check(credential=credential, state=Check.WORKS, words="", actor=rotation.actor, now=now)
        secrets.drop(obj=credential, field=Credential.PENDING, actor=rotation.actor, now=now)
        _reached(rotation, Step.SWITCHED)


def _end_old(rotation: Rotation, now: datetime) -> Outcome:
    ram.delete_key(_operator(rotation, now), _user(rotation), rotation.old_key_id)
    _reached(rotation, Step.DELETED)
    return Outcome(State.DONE, Works.NEW)


def _works(rotation: Rotation) -> str:
    return Works.NEW if rotation.step in (Step.SWITCHED, Step.DISABLED, Step.DELETED) else Works.OLD


def _reached(rotation: Rotation, step: Rotation.Step) -> None:
    rotation.step = step
    rotation.save(update_fields=["step", "new_key_id"])


def _account(rotation: Rotation) -> CloudAccount:
    account = rotation.credential.cloud_account
    assert account is not None  # noqa: S101 - an AccessKey is of a cloud account
    return account


def _user(rotation: Rotation) -> str:
    return rotation.credential.username


def _operations_key(credential: Credential) -> Credential | None:
    rows = Credential.objects.in_use().joined().filter(cloud_account=credential.cloud_account)
    found: Credential | None = rows.filter(kind=CredentialKind.ACCESS_KEY, purpose=AccountPurpose.OPERATIONS).first()
    return found


def _operator(rotation: Rotation, now: datetime, patience: Patience | None = None) -> Client:
    """With the key for operations, which is also how that one is rotated: it ends its own predecessor."""
    key = _operations_key(rotation.credential) or rotation.credential
    secret = credentials.use(credential=key, reason=REASON, actor=rotation.actor, now=now)
    return _client(rotation, key.access_key_id, secret, patience)


def _client(rotation: Rotation, access_key_id: str, secret: str, patience: Patience | None = None) -> Client:
    account = _account(rotation)
    return accounts.make_client(access_key_id, secret, account.endpoint_override, account.regions, patience=patience)


def _secret(rotation: Rotation, field: str, now: datetime) -> str:
    return secrets.use(obj=rotation.credential, field=field, purpose=REASON, actor=rotation.actor, now=now)


KIND = Kind(must_be_possible, advance)
