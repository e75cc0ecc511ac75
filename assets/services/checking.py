"""Trying whether a credential works, in the way of its kind."""

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import User
from assets.aliyun import AliyunError
from assets.models import Check, Credential, CredentialKind
from assets.permissions import can_manage_credentials
from assets.services import accounts, credentials, reaching
from assets.services.verifying import QUICK
from assets.words import say


def can_be_tried(credential: Credential) -> bool:
    """Consoles and databases are tried by people, who write the result down."""
    return credential.kind in (CredentialKind.HOST, CredentialKind.KEY_PAIR, CredentialKind.ACCESS_KEY)


def check(*, credential: Credential, actor: User, now: datetime) -> None:
    """Network first; the result is a row. Raises DomainError when it cannot be tried at all."""
    if not can_manage_credentials(actor):
        raise PermissionDenied
    if not can_be_tried(credential):
        raise DomainError(_("This kind of credential is checked by hand."), code="by_hand")
    if credential.kind != CredentialKind.ACCESS_KEY:
        reaching.check(credential=credential, actor=actor, now=now)
    elif credential.is_reading_key and credential.cloud_account is not None:
        accounts.verify_again(account=credential.cloud_account, actor=actor, now=now)
    else:
        _check_operations_key(credential, actor, now)


def _check_operations_key(credential: Credential, actor: User, now: datetime) -> None:
    account = credential.cloud_account
    assert account is not None  # noqa: S101 - an AccessKey is of a cloud account
    secret = credentials.use(credential=credential, reason="check", actor=actor, now=now)
    client = accounts.make_client(
        credential.access_key_id, secret, account.endpoint_override, account.regions, patience=QUICK
    )
    state, words = Check.WORKS, ""
    try:
        who = client.identity()
    except AliyunError as error:
        state = Check.REFUSED if error.is_credential_problem else Check.UNREACHABLE
        words = say(error.code, error.message, error.request_id)
    else:
        if who.account_uid != account.account_uid:
            state, words = Check.REFUSED, _("It belongs to the account %(uid)s.") % {"uid": who.account_uid}
    credentials.note_check(credential=credential, state=state, words=words, actor=actor, now=now)
