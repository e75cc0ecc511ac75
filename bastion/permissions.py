"""Who administers the bastion, as plain questions about a person."""

from django.db.models import Q, QuerySet

from accounts.models import Customer, Role, User
from accounts.permissions import administers, can_write
from bastion.models import GroupAdministrator, GroupAsset, ResourceGroup


def administers_group(person: User, group: ResourceGroup) -> bool:
    """Administrators, and whoever was named for this group."""
    if administers(person, group.customer_id):
        return True
    return can_write(person) and GroupAdministrator.objects.filter(group=group, person=person).exists()


def looked_after(person: User) -> QuerySet[GroupAsset]:
    """What is in the groups that somebody was named for, but what they put in themselves: nobody takes a server over by
    adding it. Nothing for whoever may only read."""
    if not can_write(person):
        return GroupAsset.objects.none()
    named = GroupAdministrator.objects.filter(person=person, group__retired_at=None).values("group")
    by_others = Q(added_by=None) | ~Q(added_by=person)
    rows: QuerySet[GroupAsset] = GroupAsset.objects.filter(by_others, group__in=named)
    return rows


def works_for(person: User, customer: Customer) -> bool:
    """Somebody of the customer's, or of the provider's who has the customer in reach."""
    return person.is_provider or person.customer_id == customer.pk


def may_be_let_in(customer_id: int) -> QuerySet[User]:
    """The people to whom a customer's servers can be opened: its own who may do more than read, and ours for it.

    Administrators need no grant: they have everything.
    """
    people = User.objects.filter(is_active=True).order_by("name")
    theirs = people.filter(customer=customer_id, role=Role.CUSTOMER_MEMBER)
    ours = people.filter(role=Role.ENGINEER, assignments__customer=customer_id)
    return (theirs | ours | people.filter(role=Role.MANAGER)).distinct()
