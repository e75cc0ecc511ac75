"""What people are told about a script run: that it waits for somebody, or has left hosts behind."""

from __future__ import annotations

from datetime import datetime

from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from changes.models import HostState, ScriptRun
from changes.script_words import problem_text
from changes.words import said
from incidents import duty
from notify import services as notify
from notify.services import Message

TOPIC = "change"


def needs_person(run: ScriptRun, *, now: datetime) -> None:
    """To whoever started it and whoever has the change in hand, each in their own language."""
    notes = []
    for person in _concerned(run, now):
        with translation.override(person.language):
            notes.append(notify.Note(person, f"script-run:{run.pk}:{now:%Y%m%d%H%M%S}:{person.pk}", _message(run)))
    notify.tell_many(customer=run.customer, notes=notes, now=now)


def _message(run: ScriptRun) -> Message:
    failed = run.hosts.filter(state__in=(HostState.FAILED, HostState.UNKNOWN)).select_related("asset")
    names = {"name": said(run.version.words), "state": run.get_state_display()}
    lines = [problem_text(run.problem_code), ", ".join(f"{host.asset.name}" for host in failed[:20])]
    return Message(
        topic=TOPIC,
        subject=_("Script “%(name)s”: %(state)s") % names,
        text="\n\n".join(line for line in lines if line),
        url=f"/changes/script-runs/{run.pk}/",
        about=f"script-run:{run.pk}",
    )


def _concerned(run: ScriptRun, now: datetime) -> list[User]:
    owner = None if run.change is None else run.change.owner
    people = duty.first_to_know(customer_id=run.customer_id, assignee=owner or run.started_by, at=now)
    found = {person.pk: person for person in (run.started_by, *people) if person is not None}
    return list(found.values())
