"""What people are told about a script run: that it waits for somebody, or has left hosts behind."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _

from accounts.models import User
from changes.models import HostState, ScriptRun
from changes.script_words import problem_text
from changes.telling import INBOX, tell
from changes.words import said
from incidents import duty


def needs_person(run: ScriptRun, *, now: datetime) -> None:
    """To whoever started it and whoever has the change in hand."""

    def text() -> tuple[str, str]:
        failed = run.hosts.filter(state__in=(HostState.FAILED, HostState.UNKNOWN)).select_related("asset")
        names = {"name": said(run.version.words), "state": run.get_state_display()}
        lines = [problem_text(run.problem_code), ", ".join(f"{host.asset.name}" for host in failed[:20])]
        return _("Script “%(name)s”: %(state)s") % names, "\n\n".join(line for line in lines if line)

    about = f"script-run:{run.pk}"
    key = f"{about}:{now:%Y%m%d%H%M%S}"
    tell(
        run.customer, key, _concerned(run, now), text,
        about=about, url=f"/changes/script-runs/{run.pk}/", now=now, channels=INBOX,
    )  # fmt: skip


def _concerned(run: ScriptRun, now: datetime) -> list[User]:
    owner = None if run.change is None else run.change.owner
    people = duty.first_to_know(customer_id=run.customer_id, assignee=owner or run.started_by, at=now)
    return [person for person in (run.started_by, *people) if person is not None]
