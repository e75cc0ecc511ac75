"""The two credentials of a cloud account (SOW 附件一 2.2) as rows among all others, kept in step with the account."""

from datetime import datetime

from accounts.models import Secret
from assets.models import Access, AccountPurpose, Check, CloudAccount, Credential, CredentialKind
from assets.services import rotation_due


def mirror(account: CloudAccount, *, now: datetime) -> None:
    """Called in the transaction that changed the account or its secrets."""
    if account.retired_at is not None:
        for credential in account.credentials.in_use():
            credential.retired_at = now
            credential.save(update_fields=["retired_at"])
            rotation_due.keep(credential)
        return
    if account.ram_username:
        console = _row(account, CredentialKind.CONSOLE, AccountPurpose.OPERATIONS, now)
        console.username, console.is_privileged = account.ram_username, True
        console.secret_set_at = _set_at(account, CloudAccount.PASSWORD)
        _save(console)
    key = _row(account, CredentialKind.ACCESS_KEY, AccountPurpose.READING, now)
    key.username, key.access_key_id = account.key_user or account.masked_key_id, account.access_key_id
    key.secret_set_at = account.key_created_at or _set_at(account, CloudAccount.KEY_SECRET)
    key.check_state, key.checked_at = _check(account), account.verified_at
    key.check_words = "" if account.key_access == Access.READ_ONLY else ", ".join(account.key_findings)[:300]
    _save(key)


def _check(account: CloudAccount) -> Check:
    if account.verified_at is None:
        return Check.NEVER
    if account.state == CloudAccount.State.REFUSED:
        return Check.REFUSED
    return Check.WORKS


def _row(account: CloudAccount, kind: CredentialKind, purpose: AccountPurpose, now: datetime) -> Credential:
    found: Credential | None = account.credentials.in_use().filter(kind=kind, purpose=purpose).first()
    return found or Credential(
        customer_id=account.customer_id, cloud_account=account, kind=kind, purpose=purpose, created_at=now
    )


def _save(credential: Credential) -> None:
    credential.save()
    rotation_due.keep(credential)


def _set_at(account: CloudAccount, field: str) -> datetime | None:
    rows = Secret.objects.filter(object_type=account._meta.label_lower, object_id=str(account.pk), field=field)
    return rows.values_list("set_at", flat=True).first()
