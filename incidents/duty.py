"""Who is on duty for a customer, and who else of the provider has to know (R62, R186)."""

from datetime import datetime

from django.db.models import Q, QuerySet

from accounts.models import Assignment, Role, User
from accounts.services import roster


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
