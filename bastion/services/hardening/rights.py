"""Who may do what with hardening, as plain questions about a person."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied

from accounts.models import User
from accounts.permissions import is_customer_pm, is_manager


def may_check(person: User, customer_id: int) -> bool:
    """The provider's people, and the customer's project managers for their own servers."""
    return person.is_provider or (is_customer_pm(person) and person.customer_id == customer_id)


def may_set(person: User) -> bool:
    """What is asked of servers is in the contract: the provider's managers write it down."""
    return is_manager(person)


def require(allowed: bool) -> None:
    if not allowed:
        raise PermissionDenied
