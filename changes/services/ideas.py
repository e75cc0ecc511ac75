"""A chance for automation is written down by either side and decided by the customer's project manager (R139)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import can_write, is_customer_pm
from changes import idea_messages
from changes.catalogue import operations
from changes.models import AutomationIdea
from changes.services import targets
from changes.services.marks import required
from notify import live

OPERATION: Final = "automation-build"
LONGEST: Final = 1000
State = AutomationIdea.State


@dataclass(frozen=True, slots=True)
class Idea:
    """What somebody saw, where, and what it would take and save."""

    title: str
    what: str
    found_in: str
    effort_hours: int
    saving_hours: int
    tool: str = ""


@transaction.atomic
def propose(*, customer: Customer, idea: Idea, actor: User, now: datetime) -> AutomationIdea:
    if not can_write(actor) or actor.customer_id not in (None, customer.pk):
        raise PermissionDenied
    if idea.effort_hours < 1 or idea.saving_hours < 0:
        raise DomainError(_("It takes at least an hour, and saves none or more. Nothing was saved."), code="bad_hours")
    made = AutomationIdea.objects.create(
        customer=customer,
        title=required(idea.title, _("Please give it a title."))[:200],
        what=required(idea.what, _("Please write what is to be automated.")),
        found_in=required(idea.found_in, _("Please write where it was found."))[:200],
        tool=idea.tool.strip()[:120],
        effort_hours=idea.effort_hours,
        saving_hours=idea.saving_hours,
        proposed_by=actor,
        proposed_at=now,
    )
    _record(made, "propose", actor, now, {"effort": made.effort_hours, "saving": made.saving_hours})
    idea_messages.proposed(made, now=now)
    return made


@transaction.atomic
def accept(*, idea: AutomationIdea, reason: str, actor: User, now: datetime) -> AutomationIdea:
    """It shall be built: a request of the catalogue from now on, which is reviewed and done like every other."""
    idea = _hold(idea, actor)
    lines = (idea.number, idea.what, idea.tool, reason.strip())
    idea.request = targets.ask(
        customer=idea.customer,
        operation=operations()[OPERATION],
        fields={"what": "\n".join(filter(None, lines))},
        title=idea.title,
        description=idea.found_in,
        assets=(),
        wished_at=None,
        actor=actor,
        now=now,
    )
    return _decide(idea, State.ACCEPTED, reason, actor, now)


@transaction.atomic
def reject(*, idea: AutomationIdea, reason: str, actor: User, now: datetime) -> AutomationIdea:
    idea = _hold(idea, actor)
    reason = required(reason, _("Please say why not."))
    return _decide(idea, State.REJECTED, reason, actor, now)


def _hold(idea: AutomationIdea, actor: User) -> AutomationIdea:
    """Only the customer's project manager decides, and only once."""
    if not is_customer_pm(actor) or actor.customer_id != idea.customer_id:
        raise PermissionDenied
    audit.hold(idea.customer_id)
    rows = AutomationIdea.objects.select_for_update(of=("self",)).select_related("customer", "proposed_by")
    held = rows.get(pk=idea.pk)
    if held.state != State.PROPOSED:
        raise DomainError(_("It is decided already. Nothing was changed."), code="decided")
    return held


def _decide(idea: AutomationIdea, state: State, reason: str, actor: User, now: datetime) -> AutomationIdea:
    idea.state, idea.reason, idea.decided_by, idea.decided_at = state, reason.strip()[:LONGEST], actor, now
    idea.save(update_fields=["state", "reason", "decided_by", "decided_at", "request"])
    request = None if idea.request is None else idea.request.number
    _record(idea, str(state), actor, now, {"reason": idea.reason, "request": request})
    idea_messages.decided(idea, now=now)
    return idea


def _record(idea: AutomationIdea, what: str, actor: User, now: datetime, detail: dict[str, object]) -> None:
    audit.record(action=f"automation.{what}", actor=actor, customer=idea.customer, obj=idea, detail=detail, now=now)
    live.publish(customer_id=idea.customer_id, topic="changes", object_id=idea.pk)
