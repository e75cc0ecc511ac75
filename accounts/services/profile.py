"""What people change about themselves."""

from datetime import datetime

from django.db import transaction

from accounts import audit, scope
from accounts.models import User


@transaction.atomic
def update(*, person: User, name: str, phone: str, language: str, now: datetime) -> None:
    """Change one's own name, phone and language; what did not change leaves no entry in the log."""
    new = {"name": name, "phone": phone, "language": language}
    changed = {
        field: [getattr(person, field), value] for field, value in new.items() if getattr(person, field) != value
    }
    if not changed:
        return
    with scope.platform("the provider's people belong to no customer"):
        User.objects.filter(pk=person.pk).update(**new)
    for field, value in new.items():
        setattr(person, field, value)
    audit.record(
        action="person.profile",
        actor=person,
        customer=person.customer,
        obj=person,
        detail={"changed": changed},
        now=now,
    )
