"""What people are told about follow-ups, each in their own language."""

from collections.abc import Callable, Iterable
from datetime import datetime

from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from incidents import duty
from incidents.models import FollowUp
from notify import services as notify

Text = Callable[[], tuple[str, str]]
TOPIC = "incident"
MEDIA = ("inbox", "email")


def yours(follow_up: FollowUp, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        subject = _("For you, due on %(day)s: %(title)s") % _names(follow_up)
        return subject, _lines(follow_up.detail, _about(follow_up))

    _tell(follow_up, f"yours:{follow_up.version}", [follow_up.owner], text, now=now)


def reminded(follow_up: FollowUp, stage: str, *, now: datetime) -> None:
    """`stage` is "before", "due" or "late"; when it is late, whoever planned it and the manager hear as well."""

    def text() -> tuple[str, str]:
        subject = {
            "before": _("Due tomorrow: %(title)s"),
            "due": _("Due today: %(title)s"),
            "late": _("Overdue since %(day)s: %(title)s"),
        }[stage] % _names(follow_up)
        return subject, _lines(_("Owner: %(name)s") % {"name": follow_up.owner.name}, _about(follow_up))

    people = [follow_up.owner]
    if stage == "late":
        people += [follow_up.created_by, *duty.also_when_missed(customer_id=follow_up.customer_id, at=now)]
    key = f"{stage}:{follow_up.due_on.isoformat()}"
    _tell(follow_up, key, _reachable(people, follow_up), text, now=now)


def closed(follow_up: FollowUp, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {**_names(follow_up), "name": actor.name}
        done = follow_up.state == "done"
        subject = _("%(name)s has done: %(title)s") % names if done else _("%(name)s dropped: %(title)s") % names
        return subject, _lines(follow_up.result[:1000], _about(follow_up))

    _tell(follow_up, f"closed:{follow_up.version}", _reachable([follow_up.created_by], follow_up), text, now=now)


def _reachable(people: Iterable[User], follow_up: FollowUp) -> list[User]:
    """Each once, and nobody of the customer where it is the provider's own."""
    once = {person.pk: person for person in people if person.is_active}
    return [person for person in once.values() if person.is_provider or not follow_up.is_internal]


def _tell(follow_up: FollowUp, what: str, people: Iterable[User], text: Text, *, now: datetime) -> None:
    notes = []
    for person in people:
        with translation.override(person.language):
            subject, body = text()
        message = notify.Message(TOPIC, subject, body, f"/follow-ups/{follow_up.pk}/")
        notes.append(notify.Note(person, f"follow-up:{follow_up.pk}:{what}:{person.pk}", message, MEDIA))
    notify.tell_many(customer=follow_up.customer, notes=notes, now=now)


def _names(follow_up: FollowUp) -> dict[str, str]:
    return {"title": follow_up.title, "day": follow_up.due_on.isoformat()}


def _about(follow_up: FollowUp) -> str:
    incident = follow_up.incident
    return f"{follow_up.number} · {follow_up.customer}" + (f" · {incident.number} {incident.title}" if incident else "")


def _lines(*lines: str) -> str:
    return "\n\n".join(line for line in lines if line)
