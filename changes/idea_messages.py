"""Who hears of a chance for automation: whoever decides, and then whoever proposed it."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _

from accounts.models import User
from changes.models import AutomationIdea
from changes.telling import Text, contacts_here, tell


def proposed(idea: AutomationIdea, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("Please decide: %(number)s %(title)s") % {"number": idea.number, "title": idea.title}, idea.what[:300]

    people = [person for person in contacts_here(idea.customer_id) if person.pk != idea.proposed_by_id]
    _tell(idea, "proposed", people, text, now)


def decided(idea: AutomationIdea, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": idea.number, "title": idea.title, "state": idea.get_state_display()}
        return _("%(number)s %(title)s: %(state)s") % names, idea.reason

    people = [] if idea.proposed_by_id == idea.decided_by_id else [idea.proposed_by]
    _tell(idea, "decided", people, text, now)


def _tell(idea: AutomationIdea, what: str, people: list[User], text: Text, now: datetime) -> None:
    tell(
        idea.customer,
        f"automation-idea:{idea.pk}:{what}",
        people,
        text,
        about=f"automation-idea:{idea.pk}",
        url=f"/changes/ideas/{idea.pk}/",
        now=now,
        reference=idea.number,
    )
