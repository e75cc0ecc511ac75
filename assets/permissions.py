"""Who may do what with assets and cloud accounts, as plain questions about a person."""

from accounts.models import User
from accounts.permissions import is_customer_pm, is_manager, is_provider


def can_edit_assets(person: User) -> bool:
    """The provider's people write assets down, edit, import and retire them."""
    return is_provider(person)


def can_edit_owner(person: User) -> bool:
    """Owner, role and environment are the customer's knowledge (R16): its project managers give it."""
    return is_provider(person) or is_customer_pm(person)


def can_manage_accounts(person: User) -> bool:
    """Cloud accounts and their secrets."""
    return is_manager(person)


def can_reveal_console(person: User) -> bool:
    """Engineers work in the customer's console (SOW 附件一 2.2), so they may read its password, with a reason."""
    return is_provider(person)
