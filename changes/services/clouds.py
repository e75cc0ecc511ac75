"""The two ways to a customer's cloud account: the read-only key asks, the key for operations changes something.

The key for operations is the account's AccessKey with the purpose "operations" on the page of its credentials; without
one nothing is carried out. Every use of it is in the audit log with the change that it was for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from accounts import secrets
from accounts.errors import DomainError
from accounts.models import User
from assets.aliyun import Client, Patience
from assets.aliyun.resources import Row
from assets.models import AccountPurpose, CloudAccount, Credential, CredentialKind
from assets.services import credentials
from changes.operations.executable import VERSIONS, Step

ASKING: Final = Patience(attempts=2, total_s=8)
"""A turn of a run ends within its lease; what the cloud does not answer now is asked again by a timer."""
ONCE: Final = Patience(attempts=1)
"""A call that changes something is never repeated before the cloud was asked what came of it."""
CONNECT_S, READ_S = 3, 8


@dataclass(frozen=True, slots=True)
class Reader:
    """One region of an account, read only."""

    client: Client
    region: str

    def ask(self, product: str, action: str, params: Mapping[str, str]) -> Row:
        return self.client.call(product, VERSIONS[product], action, params, region=self.region)


def reader(account: CloudAccount, region: str, *, now: datetime) -> Reader:
    """Raises DomainError when the account has no AccessKey any more."""
    try:
        secret = secrets.use(obj=account, field=CloudAccount.KEY_SECRET, purpose="automation", now=now)
    except secrets.Missing:
        raise DomainError(
            _("The cloud account %(name)s has no AccessKey any more.") % {"name": account}, code="no_key"
        ) from None
    return Reader(_client(account, account.access_key_id, secret, ASKING), region)


def operations_key(account: CloudAccount) -> Credential:
    """Raises DomainError when none was written down."""
    rows = Credential.objects.in_use().joined().filter(cloud_account=account, kind=CredentialKind.ACCESS_KEY)
    found: Credential | None = rows.filter(purpose=AccountPurpose.OPERATIONS).exclude(secret_set_at=None).first()
    if found is None:
        raise DomainError(
            _("No AccessKey for operations is written down for the cloud account %(name)s: add one there first.")
            % {"name": account},
            code="no_operations_key",
        )
    return found


def send(account: CloudAccount, region: str, step: Step, *, reason: str, actor: User | None, now: datetime) -> Row:
    """Send one call that changes something, once. Raises AliyunError, or DomainError without a key."""
    key = operations_key(account)
    secret = credentials.use(credential=key, reason=reason, actor=actor, now=now)
    client = _client(account, key.access_key_id, secret, ONCE)
    return client.call(step.product, VERSIONS[step.product], step.action, step.params, region=region)


def _client(account: CloudAccount, access_key_id: str, secret: str, patience: Patience) -> Client:
    endpoint = account.endpoint_override
    return Client(
        access_key_id,
        secret,
        account.regions[0] if account.regions else "cn-hangzhou",
        dict.fromkeys(VERSIONS, endpoint) if endpoint else None,
        connect_timeout_s=CONNECT_S,
        read_timeout_s=READ_S,
        patience=patience,
        pool_size=2,
    )
