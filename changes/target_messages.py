"""Whoever works on a request is told that its time is over."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from changes.models import RequestTarget
from changes.telling import tell
from incidents import duty


def missed(target: RequestTarget, *, now: datetime) -> None:
    incident = target.incident

    def text() -> tuple[str, str]:
        names = {
            "number": incident.number,
            "title": incident.title,
            "until": f"{timezone.localtime(target.due_at):%Y-%m-%d %H:%M}",
        }
        subject = _("%(number)s is not done in its time") % names
        return subject, _("%(title)s: the catalogue promises it by %(until)s.") % names

    people = duty.first_to_know(customer_id=target.customer_id, assignee=incident.assignee, at=now)
    tell(
        incident.customer,
        f"request-target:{target.pk}",
        people,
        text,
        about=f"incident:{incident.pk}",
        url=f"/incidents/{incident.pk}/",
        now=now,
        reference=incident.number,
    )
