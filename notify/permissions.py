"""Who may see and change channels, as plain questions."""

from __future__ import annotations

from accounts.models import Role, User
from accounts.permissions import is_customer_pm, is_manager, is_provider


def may_see_channels(person: User) -> bool:
    """The provider's people and the customer's project managers and members; read-only users have no business here."""
    return person.role != Role.CUSTOMER_VIEWER


def may_manage_channels(person: User) -> bool:
    """The provider's people for the customers they serve, and the customer's project managers for their own."""
    return is_provider(person) or is_customer_pm(person)


def may_manage_channel_of(person: User, customer_id: int | None) -> bool:
    """Channels of the provider itself, which hear about every customer, belong to its managers."""
    if customer_id is None:
        return is_manager(person)
    return may_manage_channels(person)
