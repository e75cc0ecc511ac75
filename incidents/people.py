"""The people around an incident: who may be spoken to on it."""

from django.db.models import Q, QuerySet

from accounts.models import ProviderContact, User
from incidents import duty
from incidents.models import Incident, TimelineEntry


def mentionable(incident: Incident, author: User, *, is_internal: bool) -> QuerySet[User]:
    """Whom `author` may name in a text. On an internal note that is nobody of the customer's; a customer's people
    may name each other, the team that serves them, and whoever has written here."""
    customer_id = incident.customer_id
    of_provider = duty.eligible_assignees(customer_id)
    if not author.is_provider:
        known = ProviderContact.objects.filter(customer_id=customer_id).values("user_id")
        spoke = TimelineEntry.objects.filter(incident=incident, is_internal=False).values("actor_id")
        of_provider = of_provider.filter(Q(pk__in=known) | Q(pk__in=spoke) | Q(pk=incident.assignee_id))
    people = Q(pk__in=of_provider.values("pk"))
    if not is_internal:
        people |= Q(customer_id=customer_id)
    return User.objects.filter(people, is_active=True).exclude(pk=author.pk).order_by("name", "pk")
