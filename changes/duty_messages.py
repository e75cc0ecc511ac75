"""What people are told of recurring duties: one has come round, is due, is late; and what the customer prepares."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Contact, Role, User
from changes.models import DutyOccurrence, RecurringDuty
from changes.telling import PROJECT_MANAGERS, Text, contacts_here, tell
from changes.words import said
from incidents import duty as on_duty


def opened(occurrence: DutyOccurrence, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("%(duty)s: due on %(day)s") % _names(occurrence), occurrence.agenda[:600]

    _tell(occurrence, "opened", _ours(occurrence, now), text, now=now)


def due(occurrence: DutyOccurrence, *, now: datetime) -> None:
    """A reminder; what is late is told to the service managers too."""
    is_late = occurrence.is_overdue(timezone.localdate(now))

    def text() -> tuple[str, str]:
        words = _("Overdue: %(duty)s, due on %(day)s") if is_late else _("%(duty)s: due on %(day)s")
        return words % _names(occurrence), f"{occurrence.customer}"

    people = _ours(occurrence, now)
    if is_late:
        people = [*people, *on_duty.eligible_assignees(occurrence.customer_id).filter(role=Role.MANAGER)]
    _tell(occurrence, f"due:{now:%Y%m%d}", people, text, now=now)


def told(occurrence: DutyOccurrence, *, now: datetime) -> None:
    """Day, agenda, content and requirements, to the customer's project managers and first contact."""

    def text() -> tuple[str, str]:
        return _("%(duty)s on %(day)s: agenda and what we ask of you") % _names(occurrence), occurrence.agenda

    _tell(occurrence, f"told:{now:%Y%m%d%H%M%S}", _theirs(occurrence), text, now=now)


def done(occurrence: DutyOccurrence, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        lines = [occurrence.get_result_display(), occurrence.backup, occurrence.minutes[:600]]
        return _("Done: %(duty)s of %(day)s") % _names(occurrence), "\n\n".join(line for line in lines if line)

    _tell(occurrence, "done", _theirs(occurrence), text, now=now)


def _names(occurrence: DutyOccurrence) -> dict[str, object]:
    return {"duty": said(occurrence.duty.words), "day": f"{occurrence.due_on:%Y-%m-%d}"}


def _ours(occurrence: DutyOccurrence, now: datetime) -> list[User]:
    if occurrence.duty.owner_role == RecurringDuty.Owner.MANAGER:
        return list(on_duty.eligible_assignees(occurrence.customer_id).filter(role=Role.MANAGER))
    return on_duty.first_to_know(customer_id=occurrence.customer_id, assignee=None, at=now)


def _theirs(occurrence: DutyOccurrence) -> list[User]:
    return contacts_here(occurrence.customer_id, (*PROJECT_MANAGERS, Contact.Kind.PRIMARY))


def _tell(occurrence: DutyOccurrence, what: str, people: Iterable[User], text: Text, *, now: datetime) -> None:
    about = f"duty:{occurrence.pk}"
    tell(
        occurrence.customer,
        f"{about}:{what}",
        people,
        text,
        about=about,
        url=f"/changes/duties/{occurrence.pk}/",
        now=now,
    )
