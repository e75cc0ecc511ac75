"""Who administers the bastion, as plain questions about a person."""

from accounts.models import Customer, User
from accounts.permissions import can_write, is_admin, is_customer_pm
from bastion.models import GroupAdministrator, ResourceGroup


def administers(person: User, customer_id: int) -> bool:
    """The provider's administrators everywhere, a customer's project managers in their own company (R101)."""
    return is_admin(person) or (is_customer_pm(person) and person.customer_id == customer_id)


def administers_group(person: User, group: ResourceGroup) -> bool:
    """Administrators, and whoever was named for this group."""
    if administers(person, group.customer_id):
        return True
    return can_write(person) and GroupAdministrator.objects.filter(group=group, person=person).exists()


def works_for(person: User, customer: Customer) -> bool:
    """Somebody of the customer's, or of the provider's who has the customer in reach."""
    return person.is_provider or person.customer_id == customer.pk
