"""Asking Alibaba Cloud whose credentials these are and what they may do (R124). Network only: nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from accounts.errors import DomainError
from assets import grants
from assets.aliyun import AliyunError, Client, Patience
from assets.models import Access
from assets.words import say

QUICK = Patience(attempts=3, total_s=12, longest_s=3)
"""A person waits in front of the form."""


@dataclass(frozen=True)
class Verification:
    """`findings` are the grants that write, or the policies that could not be read."""

    account_uid: str
    key_user: str
    key_access: Access
    findings: tuple[str, ...]
    key_created_at: datetime | None
    console_access: Access
    regions: tuple[str, ...]
    is_simulated: bool


def verify(client: Client, *, console_user: str) -> Verification:
    """Raises DomainError when the key does not work or belongs to the main account."""
    try:
        who = client.identity()
        regions = tuple(region.region_id for region in client.regions())
    except AliyunError as error:
        raise DomainError(_("Nothing was saved. %(why)s") % {"why": _why(error)}, code=error.code) from None
    if who.is_root:
        raise DomainError(
            _(
                "Nothing was saved. This AccessKey belongs to the main account and may do everything. "
                "Ask the customer for a RAM user with ReadOnlyAccess (SOW 附件一 2.2)."
            ),
            code="root_key",
        )
    access, findings = key_access(client, who.user_name)
    return Verification(
        account_uid=who.account_uid,
        key_user=who.user_name,
        key_access=access,
        findings=findings,
        key_created_at=_key_created_at(client, who.user_name),
        console_access=_console_access(client, console_user),
        regions=regions,
        is_simulated=who.request_id.startswith("SIMULATED-"),
    )


def key_access(client: Client, user_name: str) -> tuple[Access, tuple[str, ...]]:
    """What the key may do, and what speaks against read-only."""
    if not user_name:
        return Access.UNKNOWN, (_("The AccessKey belongs to a role, whose policies cannot be listed."),)
    try:
        verdict = grants.judge(client.policies(user_name))
    except AliyunError as error:
        return Access.UNKNOWN, (_why(error),)
    return Access(verdict.access.value), verdict.writing or verdict.unread


def _console_access(client: Client, console_user: str) -> Access:
    """Whether the console user has AdministratorAccess, as the SOW asks: it must be able to write everything."""
    user_name = console_user.partition("@")[0]
    if not user_name:
        return Access.UNKNOWN
    try:
        policies: Sequence[grants.Policy] = client.policies(user_name)
    except AliyunError:
        return Access.UNKNOWN
    is_administrator = any(policy.is_system and policy.name == "AdministratorAccess" for policy in policies)
    return Access.WRITES if is_administrator else Access.READ_ONLY


def _why(error: AliyunError) -> str:
    return say(error.code, error.message, error.request_id)


def _key_created_at(client: Client, user_name: str) -> datetime | None:
    try:
        facts = client.key_facts(user_name) if user_name else None
    except AliyunError:
        return None
    return facts.created_at if facts else None
