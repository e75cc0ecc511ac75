"""Who may do what with assets and cloud accounts, as plain questions about a person."""

from accounts.models import User
from accounts.permissions import is_customer_pm, is_manager, is_provider
from assets.models import AccountPurpose, Credential, CredentialKind


def can_edit_assets(person: User) -> bool:
    """The provider's people write assets down, edit, import and retire them."""
    return is_provider(person)


def can_edit_owner(person: User) -> bool:
    """Owner, role and environment are the customer's knowledge (R16): its project managers give it."""
    return is_provider(person) or is_customer_pm(person)


def can_manage_accounts(person: User) -> bool:
    """Cloud accounts and their secrets."""
    return is_manager(person)


def can_manage_credentials(person: User) -> bool:
    """Writing credentials down, setting, checking and rotating them."""
    return is_manager(person)


def can_decide_reveal(person: User) -> bool:
    """Being the second person; never for one's own request."""
    return is_manager(person)


def can_reveal(person: User, credential: Credential) -> bool:
    """Engineers see what they work with: the account for operations and the customer's console (SOW 附件一 2).

    Everything else is for managers and administrators.
    """
    if is_manager(person):
        return True
    is_theirs = credential.purpose == AccountPurpose.OPERATIONS and credential.kind != CredentialKind.ACCESS_KEY
    return is_provider(person) and is_theirs
