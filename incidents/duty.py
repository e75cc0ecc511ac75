"""Who is on duty for a customer, and who else of the provider has to know (R62, R186)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db.models import Q, QuerySet

from accounts.models import Assignment, Contact, Customer, Role, User
from accounts.services import customers, roster
from incidents.escalation import Who

CUSTOMERS: Final = frozenset({Who.CUSTOMER_PM, Who.CUSTOMER_PRIMARY, Who.CUSTOMER_SECONDARY})


def first_to_know(*, customer_id: int, assignee: User | None, at: datetime) -> list[User]:
    """Whoever has the incident in hand, else the first responder, else every engineer of the customer."""
    if assignee is not None and assignee.is_active:
        return [assignee]
    duty = roster.on_duty(customer_id=customer_id, at=at)
    if duty.first is not None:
        return [duty.first]
    engineers = list(eligible_assignees(customer_id).filter(role=Role.ENGINEER))
    return engineers or list(eligible_assignees(customer_id).filter(role=Role.MANAGER))


def also_when_missed(*, customer_id: int, at: datetime) -> list[User]:
    """The second responder and the manager; without a roster every service manager."""
    duty = roster.on_duty(customer_id=customer_id, at=at)
    named = [person for person in (duty.second, duty.manager) if person is not None]
    return named or list(eligible_assignees(customer_id).filter(role=Role.MANAGER))


def eligible_assignees(customer_id: int) -> QuerySet[User]:
    """The provider's people who reach this customer."""
    engineers = Assignment.objects.filter(customer_id=customer_id).values("user_id")
    return User.objects.filter(
        Q(role__in=(Role.MANAGER, Role.ADMIN)) | Q(role=Role.ENGINEER, pk__in=engineers), is_active=True
    )


@dataclass(frozen=True, slots=True)
class Called:
    """Whom a step of an escalation reaches. `stands_in`: nobody had that duty, and these answer for it.

    `numbers`: of the customer's contacts those that the contract names, by the person's id.
    """

    people: tuple[User, ...]
    stands_in: bool = False
    numbers: Mapping[int, str] = field(default_factory=dict)


def called(*, who: Who, people: Sequence[int], customer_id: int, is_internal: bool, at: datetime) -> Called:
    """The people behind a step at an instant. Nobody is called who does not serve the customer or has no access.

    A duty that nobody has goes to the next one, and at last to every service manager: a step of the provider's own
    side never ends in silence. The customer's people are not called about what the provider keeps to itself.
    """
    if who in CUSTOMERS:
        contacts = [] if is_internal else _contacts(who, customer_id)
        numbers = {contact.user_id: contact.phone for contact in contacts}
        return Called(tuple(contact.user for contact in contacts), numbers=numbers)
    reach = {person.pk: person for person in eligible_assignees(customer_id)}
    if who is Who.PEOPLE:
        named = tuple(reach[pk] for pk in people if pk in reach)
        return Called(named) if named else Called(_managers(reach), stands_in=True)
    duty = roster.on_duty(customer_id=customer_id, at=at)
    order = {Who.FIRST: duty.first, Who.SECOND: duty.second, Who.MANAGER: duty.manager}
    asked = order.pop(who)
    if asked is not None and asked.pk in reach:
        return Called((asked,))
    if who is Who.FIRST:
        engineers = tuple(person for person in reach.values() if person.role == Role.ENGINEER)
        if engineers:
            return Called(engineers, stands_in=True)
    for other in (order.get(Who.SECOND), order.get(Who.MANAGER)):
        if other is not None and other.pk in reach:
            return Called((other,), stands_in=True)
    return Called(_managers(reach), stands_in=True)


def _managers(reach: Mapping[int, User]) -> tuple[User, ...]:
    managers = tuple(person for person in reach.values() if person.role == Role.MANAGER)
    return managers or tuple(reach.values())


def _contacts(who: Who, customer_id: int) -> list[Contact]:
    """The contacts who are not away; of the project managers the one in charge (R180)."""
    if who is Who.CUSTOMER_PM:
        contact = customers.project_manager_in_charge(Customer.objects.get(pk=customer_id))
        return [contact] if contact is not None and contact.user.is_active else []
    kind = Contact.Kind.PRIMARY if who is Who.CUSTOMER_PRIMARY else Contact.Kind.SECONDARY
    named = Contact.objects.filter(customer_id=customer_id, kind=kind).select_related("user")
    present = [contact for contact in named if not contact.is_away] or list(named)
    return [contact for contact in present if contact.user.is_active]
