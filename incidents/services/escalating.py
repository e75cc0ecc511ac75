"""Escalation while nobody takes an incident: begun, fired step by step, stopped; each step exactly once (R62..R64).

All steps of a run are rows from its first moment. Each has a durable timer; the step is done in the transaction in
which its messages go into the outbox. Whoever takes the incident cancels what is left in the same transaction, timers
and unsent messages with it. Callers hold the incident, as for its clocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from incidents import duty, escalation, locks, messages, timeline
from incidents.escalation import Who
from incidents.models import EscalationPolicy, EscalationStep, Incident, IncidentKind, TimelineEntry
from incidents.services.policies import calendar_for, in_force
from incidents.states import State
from notify import live
from notify import services as notify
from timers import services as timers

STEP_TASK: Final = "incidents.escalate"
ON_TIME: Final = timedelta(seconds=60)
"""A step that is done within this of its time was on time."""
Because = EscalationStep.Because


def begin(*, customer: Customer, incidents: Sequence[Incident], now: datetime) -> None:
    """Lay out the steps of incidents that have just been opened, with one statement of each kind."""
    _lay_out(customer, dict.fromkeys(incidents, 1), now)


def begin_again(*, customer: Customer, incidents: Sequence[Incident], because: Because, now: datetime) -> None:
    """A worse severity, or a reopening: what is left of the run before is cancelled, and another one begins."""
    if not incidents:
        return
    stop(customer=customer, incidents=incidents, because=because, now=now)
    found = EscalationStep.objects.filter(incident__in=incidents).order_by().values("incident")
    runs = dict(found.annotate(last=Max("run")).values_list("incident", "last"))
    _lay_out(customer, {incident: runs.get(incident.pk, 0) + 1 for incident in incidents}, now)


def stop(*, customer: Customer, incidents: Sequence[Incident], because: Because, now: datetime) -> int:
    """Cancel what is left: steps, their timers, and messages of earlier steps that have not left yet.

    After the transaction nobody is called any more. Returns how many steps were left.
    """
    if not incidents:
        return 0
    steps = EscalationStep.objects.filter(incident__in=incidents)
    change = {"state": EscalationStep.State.CANCELLED, "cancelled_at": now, "cancelled_because": because}
    left: int = steps.pending().update(**change)
    done = steps.filter(state=EscalationStep.State.DONE)
    timers.cancel_many(prefixes=[f"escalation:{incident.pk}:" for incident in incidents])
    notify.withdraw(customer=customer, keys=[step.message_key for step in done], now=now)
    return left


def _lay_out(customer: Customer, runs: Mapping[Incident, int], now: datetime) -> None:
    if not runs:
        return
    policies = in_force(customer)
    laid_out = {
        level: tuple(escalation.schedule(policies[level].terms, now, calendar_for(policies[level].terms, customer)))
        for level in sorted({incident.level for incident in runs})
    }
    steps = [
        _row(incident, run, due, policies[incident.level].version)
        for incident, run in runs.items()
        for due in laid_out[incident.level]
    ]
    EscalationStep.objects.bulk_create(steps)
    timers.set_many(
        timers.Arming(f"{step.key}:", step.due_at, STEP_TASK, {"step_id": step.pk}, customer.pk) for step in steps
    )


def _row(incident: Incident, run: int, due: escalation.Due, policy: EscalationPolicy | None) -> EscalationStep:
    return EscalationStep(
        customer_id=incident.customer_id,
        incident=incident,
        run=run,
        round=due.round,
        number=due.number,
        key=f"escalation:{incident.pk}:{run}.{due.round}.{due.number}",
        policy=policy,
        who=due.step.who,
        people=list(due.step.people),
        media=list(due.step.media),
        due_at=due.at,
    )


@transaction.atomic
def fire(*, step_id: int, now: datetime) -> bool:
    """Do a step, once. False when it was done or cancelled, or somebody has the incident in hand."""
    found = EscalationStep.objects.select_related("incident").filter(pk=step_id).first()
    if found is None:
        return False
    incident = locks.hold(found.incident)
    step = EscalationStep.objects.pending().filter(pk=step_id).first()
    if step is None or incident.stage is not State.OPEN or incident.parent_id is not None:
        return False
    _do(incident, step, actor=None, now=now)
    return True


@transaction.atomic
def escalate_now(*, incident: Incident, actor: User, now: datetime) -> EscalationStep:
    """Do the next step at once, because somebody sees that it cannot wait; the steps after it keep their times."""
    if not actor.is_provider:
        raise PermissionDenied
    incident = locks.hold(incident)
    step = EscalationStep.objects.pending().filter(incident=incident).order_by("due_at", "round", "number").first()
    if step is None or incident.stage is not State.OPEN:
        raise DomainError(
            _("%(number)s has no step left to escalate to. Nobody was called.") % {"number": incident.number},
            code="nothing_left",
        )
    timers.cancel(prefix=f"{step.key}:")
    _do(incident, step, actor=actor, now=now)
    return step


def _do(incident: Incident, step: EscalationStep, *, actor: User | None, now: datetime) -> None:
    """Call the people of a step and write it down everywhere, in one transaction."""
    step.incident = incident
    reached = duty.called(
        who=Who(step.who),
        people=step.people,
        customer_id=incident.customer_id,
        is_internal=incident.kind == IncidentKind.INTERNAL,
        at=now,
    )
    outcome = _call(step, reached, now)
    step.state = EscalationStep.State.DONE
    step.done_at, step.done_by = now, actor
    step.is_late = now - step.due_at > ON_TIME
    step.outcome = outcome
    step.save(update_fields=["state", "done_at", "done_by", "is_late", "outcome"])
    data: dict[str, object] = {
        "step": step.number,
        "round": step.round,
        "who": step.who,
        "late": step.is_late,
        "by_hand": actor is not None,
        **outcome,
    }
    timeline.write(incident, TimelineEntry.Kind.ESCALATION, actor=actor, now=now, data=data, is_internal=True)
    detail = {"step": step.key, "due_at": step.due_at, "late": step.is_late, **outcome}
    audit.record(
        action="incident.escalation", actor=actor, customer=incident.customer, obj=incident, detail=detail, now=now
    )
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)


def _call(step: EscalationStep, reached: duty.Called, now: datetime) -> dict[str, object]:
    """Put the messages of a step into the outbox; what became of it, person by person, as its row keeps it.

    Who can be reached by none of the step's media finds it in the inbox at least.
    """
    offered = tuple(medium for medium in step.media if medium in notify.PERSONAL)
    messages.escalation(step.incident, step, reached.people, offered, now=now, numbers=reached.numbers)
    written = notify.written(customer=step.customer_id, key=step.message_key)
    told = {
        person.pk: [medium for medium in offered if written.get((person.pk, medium), "unwanted") == ""]
        for person in reached.people
    }
    untold = [person for person in reached.people if not told[person.pk]]
    messages.escalation(step.incident, step, untold, ("inbox",), now=now, numbers={})
    told |= {person.pk: ["inbox"] for person in untold}
    people = []
    for person in reached.people:
        missing = {
            medium: written.get((person.pk, medium), "unwanted") if medium in notify.PERSONAL else "not set up"
            for medium in step.media
            if medium not in told[person.pk]
        }
        people.append({"user": person.pk, "name": person.name, "media": told[person.pk], "missing": missing})
    return {"people": people, "stands_in": reached.stands_in}


def level_changed(*, incident: Incident, old: Severity, now: datetime) -> None:
    """Somebody judged the incident anew while it waits: its policy is another one now, counted from this moment."""
    if incident.stage is State.OPEN and incident.level is not old:
        begin_again(customer=incident.customer, incidents=[incident], because=Because.SEVERITY, now=now)
