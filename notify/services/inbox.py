"""A person's own messages and what they want by mail."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts import scope
from accounts.models import User
from notify import live
from notify.models import Delivery, Preference, all_topics


def mark_read(*, person: User, now: datetime, message_ids: list[int] | None = None) -> int:
    """Mark these messages, or all, as read; returns how many were not."""
    with scope.platform("one's own messages"):
        rows = Delivery.objects.inbox_of(person).unread()
        if message_ids is not None:
            rows = rows.filter(pk__in=message_ids)
        changed: int = rows.update(read_at=now)
    if changed:
        live.publish_to(user_id=person.pk, topic="inbox")
    return changed


@transaction.atomic
def set_preference(
    *,
    person: User,
    email_topics: list[str],
    email_min_severity: int | None,
    push_topics: list[str] | None = None,
    push_min_severity: int | None = None,
) -> Preference:
    """What one person wants by mail and pushed; `push_topics` None: everything."""
    with scope.platform("one's own preferences"):
        preference, _created = Preference.objects.update_or_create(
            user=person,
            defaults={
                "customer": person.customer,
                "email_topics": email_topics,
                "email_min_severity": email_min_severity,
                "push_topics": all_topics() if push_topics is None else push_topics,
                "push_min_severity": push_min_severity,
            },
        )
    return preference


def preference_of(person: User) -> Preference:
    """The stored preference, or the default."""
    with scope.platform("one's own preferences"):
        return Preference.objects.filter(user=person).first() or Preference(user=person)
