"""Cloud accounts: registering, replacing credentials, revealing the console password, switching off."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit, secrets
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_admin
from assets.addresses import AddressError, clean_url, host_of, is_own_machine
from assets.aliyun import Client, Patience
from assets.aliyun.codes import is_credential_code
from assets.models import Access, CloudAccount, Credential
from assets.permissions import can_manage_accounts
from assets.services.mirroring import mirror
from assets.services.verifying import QUICK, Verification, verify
from assets.words import PROBLEMS
from notify import live

PRODUCTS = (
    "Sts", "Ram", "Ecs", "Rds", "Slb", "R-kvstore", "Dds", "Drds", "polardbx", "Cdn", "elasticsearch", "Cms", "Oss",
    "BssOpenApi", "Actiontrail", "Vpc", "Sas",
)  # fmt: skip
DEFAULT_REGION = "cn-hangzhou"
POOL_SIZE = 32
PATIENCE = Patience()


@dataclass(frozen=True)
class Credentials:
    """Both credentials of SOW 附件一 2.2, as entered: the read-only AccessKey and the administrator's console login."""

    access_key_id: str
    access_key_secret: str
    login_url: str = ""
    ram_username: str = ""
    ram_password: str = ""

    def __repr__(self) -> str:
        return f"<Credentials {self.access_key_id[:6]}**** {self.ram_username}>"


def register_account(
    *,
    customer: Customer,
    name: str,
    credentials: Credentials,
    regions: Sequence[str],
    actor: User | None,
    now: datetime,
    endpoint_override: str = "",
    accept_reason: str = "",
) -> CloudAccount:
    """Verify both credentials with Alibaba Cloud, then store the account. Nothing is stored when they do not do.

    A key that can write is refused unless somebody says why it is accepted.
    """
    _may_manage(actor)
    if endpoint_override and actor is not None and not is_admin(actor):
        raise PermissionDenied  # whoever sets it says where signed requests go
    endpoint = _checked_endpoint(endpoint_override)
    found = _verified(credentials, endpoint, regions)
    _must_only_read(found, accept_reason)
    account = CloudAccount(
        customer=customer,
        name=name,
        account_uid=found.account_uid,
        regions=list(regions) or list(found.regions),
        endpoint_override=endpoint,
        simulated=found.is_simulated,
        login_url=credentials.login_url,
        ram_username=credentials.ram_username,
        created_at=now,
        next_sync_at=now,
    )
    _note(account, credentials, found, reason=accept_reason, actor=actor, now=now)
    try:
        with transaction.atomic():
            account.save(force_insert=True)
            _store(account, credentials, actor, now)
            mirror(account, now=now)
            detail = {"uid": found.account_uid, "key": account.masked_key_id, "access": found.key_access.value}
            audit.record(
                action="cloud_account.register", actor=actor, customer=customer, obj=account, detail=detail, now=now
            )
            live.publish(customer_id=customer.pk, topic="assets", object_id=account.pk)
    except IntegrityError:
        raise DomainError(
            _("Nothing was saved: the Alibaba Cloud account %(uid)s is registered already.")
            % {"uid": found.account_uid},
            code="duplicate",
        ) from None
    return account


def replace_key(
    *,
    account: CloudAccount,
    access_key_id: str,
    access_key_secret: str,
    actor: User | None,
    now: datetime,
    accept_reason: str = "",
) -> CloudAccount:
    """Rotate the AccessKey: the new one is verified, must be of the same account, and only then takes its place."""
    _may_manage(actor)
    credentials = Credentials(access_key_id, access_key_secret, ram_username=account.ram_username)
    found = _verified(credentials, account.endpoint_override, account.regions)
    if found.account_uid != account.account_uid:
        raise DomainError(
            _("The old AccessKey was kept: the new one belongs to account %(new)s, not to %(old)s.")
            % {"new": found.account_uid, "old": account.account_uid},
            code="other_account",
        )
    _must_only_read(found, accept_reason)
    with transaction.atomic():
        account = CloudAccount.objects.select_for_update().get(pk=account.pk)
        old = account.masked_key_id
        _note(account, credentials, found, reason=accept_reason, actor=actor, now=now)
        account.next_sync_at = now
        account.save()
        _store(account, credentials, actor, now)
        mirror(account, now=now)
        detail = {"old": old, "new": account.masked_key_id, "access": found.key_access.value}
        audit.record(
            action="cloud_account.replace_key",
            actor=actor,
            customer=account.customer,
            obj=account,
            detail=detail,
            now=now,
        )
    return account


@transaction.atomic
def set_console_login(
    *, account: CloudAccount, login_url: str, ram_username: str, ram_password: str, actor: User, now: datetime
) -> None:
    """Change the administrator's console login. An empty password keeps the one that is stored."""
    _may_manage(actor)
    account = CloudAccount.objects.select_for_update().get(pk=account.pk)
    account.login_url, account.ram_username = login_url, ram_username
    account.save(update_fields=["login_url", "ram_username"])
    if ram_password:
        secrets.put(obj=account, field=CloudAccount.PASSWORD, value=ram_password, actor=actor, now=now)
    mirror(account, now=now)
    detail = {"user": ram_username, "password": bool(ram_password)}
    audit.record(
        action="cloud_account.set_console", actor=actor, customer=account.customer, obj=account, detail=detail, now=now
    )


def verify_again(*, account: CloudAccount, actor: User | None, now: datetime) -> CloudAccount:
    """Check the stored credentials once more: a customer may change what they are allowed at any time."""
    client = client_for(account, purpose="verify", now=now, quick=True)
    try:
        found = verify(client, console_user=account.ram_username)
    except DomainError as error:
        _note_failure(account, error, now)
        raise
    with transaction.atomic():
        account = CloudAccount.objects.select_for_update().get(pk=account.pk)
        _note_findings(account, found, now)
        account.save()
        mirror(account, now=now)
        detail = {"access": found.key_access.value, "findings": list(found.findings)}
        audit.record(
            action="cloud_account.verify", actor=actor, customer=account.customer, obj=account, detail=detail, now=now
        )
    return account


@transaction.atomic
def change_settings(
    *,
    account: CloudAccount,
    name: str,
    regions: Sequence[str],
    sync_minutes: int,
    is_enabled: bool,
    actor: User,
    now: datetime,
) -> None:
    _may_manage(actor)
    account = CloudAccount.objects.select_for_update().get(pk=account.pk)
    account.name, account.regions, account.sync_minutes = name, list(regions), sync_minutes
    if is_enabled and not account.is_enabled:
        account.next_sync_at = now
    account.is_enabled = is_enabled
    account.save()
    detail = {"name": name, "regions": list(regions), "minutes": sync_minutes, "enabled": is_enabled}
    audit.record(
        action="cloud_account.change", actor=actor, customer=account.customer, obj=account, detail=detail, now=now
    )


@transaction.atomic
def retire_account(*, account: CloudAccount, actor: User, now: datetime) -> None:
    """Stop looking after an account: its secrets are destroyed, its assets retired, its history kept."""
    _may_manage(actor)
    account = CloudAccount.objects.select_for_update().get(pk=account.pk)
    if account.retired_at is not None:
        return
    account.retired_at, account.is_enabled, account.next_sync_at = now, False, None
    account.save()
    for field in (CloudAccount.PASSWORD, CloudAccount.KEY_SECRET):
        secrets.drop(obj=account, field=field, actor=actor, now=now)
    for credential in account.credentials.in_use():
        for field in (Credential.SECRET, Credential.PENDING):
            secrets.drop(obj=credential, field=field, actor=actor, now=now)
    mirror(account, now=now)
    retired = account.assets.active().update(retired_at=now, changed_at=now)
    detail = {"assets": retired}
    audit.record(
        action="cloud_account.retire", actor=actor, customer=account.customer, obj=account, detail=detail, now=now
    )
    live.publish(customer_id=account.customer_id, topic="assets", object_id=account.pk)


# clients

_clients: dict[int, tuple[tuple[str, ...], Client]] = {}
_clients_lock = threading.Lock()


def client_for(account: CloudAccount, *, purpose: str, now: datetime, quick: bool = False) -> Client:
    """A client with the account's AccessKey, one per process and account, shared by threads.

    Raises DomainError when the account has no secret any more. `quick` gives a fresh one that soon gives up.
    """
    try:
        secret = secrets.use(obj=account, field=CloudAccount.KEY_SECRET, purpose=purpose, now=now)
    except secrets.Missing:
        raise DomainError(
            _("The cloud account %(name)s has no AccessKey any more.") % {"name": account}, code="no_key"
        ) from None
    if quick:
        return make_client(account.access_key_id, secret, account.endpoint_override, account.regions, quick=True)
    fingerprint = (account.access_key_id, secret, account.endpoint_override, *account.regions)
    with _clients_lock:
        known = _clients.get(account.pk)
        if known is None or known[0] != fingerprint:
            known = (
                fingerprint,
                make_client(account.access_key_id, secret, account.endpoint_override, account.regions),
            )
            _clients[account.pk] = known
        return known[1]


def make_client(
    access_key_id: str,
    secret: str,
    endpoint: str,
    regions: Sequence[str],
    *,
    quick: bool = False,
    patience: Patience | None = None,
) -> Client:
    """A client for one key. `quick` soon gives up: a person waits. `patience` repeats calls as it says."""
    endpoints = dict.fromkeys(PRODUCTS, endpoint) if endpoint else None
    region = regions[0] if regions else DEFAULT_REGION
    if quick or patience is not None:
        kept = QUICK if patience is None else patience
        return Client(access_key_id, secret, region, endpoints, connect_timeout_s=3, read_timeout_s=5, patience=kept)
    return Client(access_key_id, secret, region, endpoints, pool_size=POOL_SIZE, patience=PATIENCE)


# what registering, replacing and verifying share


def _may_manage(actor: User | None) -> None:
    """None is the set-up itself."""
    if actor is not None and not can_manage_accounts(actor):
        raise PermissionDenied


def _checked_endpoint(text: str) -> str:
    """The API address that replaces Alibaba Cloud's: https, or plain http on this very machine (the simulation)."""
    if not text:
        return ""
    try:
        endpoint = clean_url(text).rstrip("/")
        is_here = is_own_machine(host_of(endpoint))
    except AddressError as error:
        raise DomainError(str(PROBLEMS[error.code]), code="endpoint") from None
    if not endpoint.startswith("https://") and not is_here:
        raise DomainError(_("The API address must begin with https://."), code="endpoint")
    return endpoint


def _verified(credentials: Credentials, endpoint: str, regions: Sequence[str]) -> Verification:
    client = make_client(credentials.access_key_id, credentials.access_key_secret, endpoint, regions, quick=True)
    return verify(client, console_user=credentials.ram_username)


def _must_only_read(found: Verification, accept_reason: str) -> None:
    if found.key_access is Access.READ_ONLY or accept_reason.strip():
        return
    what = ", ".join(found.findings)
    if found.key_access is Access.WRITES:
        text = _(
            "Nothing was saved. This AccessKey can write: %(what)s. Ask the customer for one with ReadOnlyAccess, "
            "or write down why this one is accepted."
        )
        raise DomainError(text % {"what": what}, code="not_read_only")
    text = _(
        "Nothing was saved. It could not be seen whether this AccessKey only reads: %(what)s "
        "Write down why it is accepted, or ask the customer for one with ReadOnlyAccess."
    )
    raise DomainError(text % {"what": what}, code="access_unknown")


def _note(
    account: CloudAccount,
    credentials: Credentials,
    found: Verification,
    *,
    reason: str,
    actor: User | None,
    now: datetime,
) -> None:
    account.access_key_id = credentials.access_key_id
    is_accepted = found.key_access is not Access.READ_ONLY
    account.key_accepted_by = actor if is_accepted else None
    account.key_accepted_reason = reason.strip() if is_accepted else ""
    _note_findings(account, found, now)


def _note_findings(account: CloudAccount, found: Verification, now: datetime) -> None:
    account.key_user = found.key_user
    account.key_access = found.key_access
    account.key_findings = list(found.findings)
    account.key_created_at = found.key_created_at
    account.console_access = found.console_access
    account.state = CloudAccount.State.WORKING
    account.verified_at, account.last_error_code, account.last_error = now, "", ""


def _note_failure(account: CloudAccount, error: DomainError, now: datetime) -> None:
    is_refused = is_credential_code(error.code) or error.code == "root_key"
    state = CloudAccount.State.REFUSED if is_refused else CloudAccount.State.FAILING
    with transaction.atomic():
        account = CloudAccount.objects.select_for_update().get(pk=account.pk)
        account.state, account.last_error_code, account.last_error = state, error.code[:80], ""
        account.save(update_fields=["state", "last_error_code", "last_error"])
        mirror(account, now=now)


def _store(account: CloudAccount, credentials: Credentials, actor: User | None, now: datetime) -> None:
    secrets.put(obj=account, field=CloudAccount.KEY_SECRET, value=credentials.access_key_secret, actor=actor, now=now)
    if credentials.ram_password:
        secrets.put(obj=account, field=CloudAccount.PASSWORD, value=credentials.ram_password, actor=actor, now=now)
