"""What both sides are told about temporary instances: how long they have, and that they are to go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from changes.models import TemporaryInstance
from changes.telling import Text, contacts_here, tell
from incidents import duty


def due(instance: TemporaryInstance, *, now: datetime) -> None:
    """It expires soon, or is to be released: to whoever looks after it and to the customer's project managers."""

    def text() -> tuple[str, str]:
        names = _names(instance)
        told = _("%(customer)s: restored from %(source)s under %(number)s.") % names
        if instance.is_overdue(now):
            subject = _("To be released: temporary instance %(name)s") % names
            return subject, told + " " + _("Its time ended on %(until)s. It costs until it is released.") % names
        subject = _("The temporary instance %(name)s expires on %(until)s") % names
        return subject, told + " " + _("Say so if it is needed for longer.") % names

    people = [*_ours(instance, now), *_theirs(instance)]
    _tell(instance, f"due:{now:%Y%m%d%H%M}", people, text, now=now)


def extended(instance: TemporaryInstance, actor: User, reason: str, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {**_names(instance), "who": actor.name}
        return _("%(who)s keeps the temporary instance %(name)s until %(until)s") % names, reason

    people = [person for person in [*_ours(instance, now), *_theirs(instance)] if person.pk != actor.pk]
    _tell(instance, f"extended:{now:%Y%m%d%H%M%S}", people, text, now=now)


def _names(instance: TemporaryInstance) -> dict[str, object]:
    return {
        "customer": instance.customer,
        "name": instance.name,
        "source": instance.source.name,
        "number": instance.change.number,
        "until": f"{timezone.localtime(instance.expires_at):%Y-%m-%d %H:%M}",
    }


def _ours(instance: TemporaryInstance, now: datetime) -> list[User]:
    owner = instance.change.owner or instance.recorded_by
    return duty.first_to_know(customer_id=instance.customer_id, assignee=owner, at=now)


def _theirs(instance: TemporaryInstance) -> list[User]:
    return contacts_here(instance.customer_id)


def _tell(instance: TemporaryInstance, what: str, people: Iterable[User], text: Text, *, now: datetime) -> None:
    about = f"temporary-instance:{instance.pk}"
    tell(
        instance.customer,
        f"{about}:{what}",
        people,
        text,
        about=about,
        url=f"/changes/restores/{instance.pk}/",
        now=now,
    )
