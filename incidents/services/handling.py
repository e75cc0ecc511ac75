"""The provider's verbs, from acknowledging to closing; and the customer's two: confirming and reopening."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Severity, User
from incidents import clocks, closing, contacting, duty, locks, messages, timeline
from incidents.models import Clock, Incident, IncidentKind, IncidentState, Pause, TimelineEntry
from incidents.policy import freeze
from incidents.services import causes, escalating, following, third_parties, waiting
from incidents.services.marks import allowed, move_on, same_version, touch
from incidents.states import State, Verb
from notify import live

Kind = TimelineEntry.Kind
Response = Clock.Kind.RESPONSE
Handling = Clock.Kind.HANDLING
Report = Clock.Kind.STAGE_REPORT
Reply = Clock.Kind.CUSTOMER_REPLY


@transaction.atomic
def acknowledge(*, incident: Incident, actor: User, now: datetime, via: str = "") -> Incident:
    """Take the incident in hand: the response clock stops, and the first stage is reported by it (R80).

    Who presses second learns who was first. `via`: "phone" (a key pressed) or "link" (the one in a message), or the way
    in from outside, when it was not done on a page.
    """
    incident = locks.hold(incident)
    move_on(incident, allowed(Verb.ACKNOWLEDGE, incident, actor))
    incident.state = IncidentState.ACKNOWLEDGED
    _responded(incident, actor, now)
    clocks.stop(incident, Response, now=now)
    _nobody_is_called(incident, escalating.Because.ACKNOWLEDGED, now)
    _next_report(incident, now)
    data: dict[str, object] = {"via": via} if via else {}
    _finish(incident, Kind.ACKNOWLEDGED, "incident.acknowledge", actor=actor, now=now, data=data)
    messages.acknowledged(incident, actor, now=now)
    following.acknowledged(incident, actor=actor, now=now)
    return incident


@transaction.atomic
def assign(
    *, incident: Incident, assignee: User | None, actor: User, now: datetime, version: int | None = None
) -> Incident:
    """Hand the incident to a person of the provider who serves this customer, or back to the team."""
    incident = locks.hold(incident)
    allowed(Verb.ASSIGN, incident, actor)
    same_version(incident, version)
    if assignee is not None and not duty.eligible_assignees(incident.customer_id).filter(pk=assignee.pk).exists():
        raise DomainError(
            _("%(name)s does not work for this customer. The incident stays where it was.") % {"name": assignee.name},
            code="not_assignable",
        )
    if incident.assignee_id == (None if assignee is None else assignee.pk):
        return incident
    incident.assignee = assignee
    data: dict[str, object] = {} if assignee is None else {"name": assignee.name, "user": assignee.pk}
    _finish(incident, Kind.ASSIGNED, "incident.assign", actor=actor, now=now, data=data)
    if assignee is not None and assignee.pk != actor.pk:
        messages.assigned(incident, assignee, now=now)
    return incident


@transaction.atomic
def change_severity(
    *,
    incident: Incident,
    severity: Severity,
    reason: str,
    actor: User,
    now: datetime,
    version: int | None = None,
) -> Incident:
    """Judge the incident anew: its clocks are counted again from their start, with their pauses (R61)."""
    incident = locks.hold(incident)
    allowed(Verb.CHANGE_SEVERITY, incident, actor)
    same_version(incident, version)
    severity = Severity(severity)
    if severity == incident.severity:
        return incident
    reason = _required(reason, _("Please give the reason: the customer reads it."))
    old = incident.level
    incident.severity = severity
    incident.policy = freeze(customer=incident.customer, severity=severity, now=now).as_json()
    clocks.apply_policy(incident, now=now)
    if incident.stage is not State.OPEN:
        _next_report(incident, now)  # the reason is for the customer to read
    clocks.arm(incident, now=now)
    escalating.level_changed(incident=incident, old=old, now=now)
    data: dict[str, object] = {"old": old.value, "new": severity.value}
    _finish(incident, Kind.SEVERITY, "incident.change_severity", actor=actor, now=now, body=reason, data=data)
    return incident


@transaction.atomic
def wait_for_customer(*, incident: Incident, question: str, actor: User, now: datetime) -> Incident:
    """Ask the customer: our clocks stand still until the reply (R60), and theirs runs (R59)."""
    incident = locks.hold(incident)
    allowed(Verb.WAIT, incident, actor)
    question = _required(question, _("Please write what you need from the customer."))
    incident.state = IncidentState.WAITING_CUSTOMER
    clocks.begin_pause(incident, Pause.Reason.WAITING_CUSTOMER, now=now)
    clocks.begin(incident, Reply, since=now)
    _next_report(incident, now)
    _finish(incident, Kind.WAITING, "incident.wait", actor=actor, now=now, body=question)
    messages.waiting(incident, actor, question, now=now)
    return incident


@transaction.atomic
def resume(*, incident: Incident, actor: User, now: datetime, note: str = "") -> Incident:
    """The answer came another way: the clocks run on."""
    incident = locks.hold(incident)
    allowed(Verb.RESUME, incident, actor)
    _run_on(incident, now)
    _finish(incident, Kind.RESUMED, "incident.resume", actor=actor, now=now, body=note.strip())
    return incident


@transaction.atomic
def resolve(
    *,
    incident: Incident,
    resolution: str,
    cause: str,
    actor: User,
    now: datetime,
    version: int | None = None,
    proof: str = "",
    files: Sequence[UploadedFile[Any]] = (),
) -> Incident:
    """Say what solved it and whose side the cause was on; the clocks stop. Resolving responds, too.

    When the cause was the customer's application they are told so with the `proof` and its files (R69).
    """
    incident = locks.hold(incident)
    allowed(Verb.RESOLVE, incident, actor)
    same_version(incident, version)
    incident.resolution = _required(resolution, _("Please write what solved it: the customer reads it."))
    if cause not in Incident.Cause.values:
        raise DomainError(_("Please choose where the cause was."), code="cause_missing")
    incident.cause = cause
    is_theirs = cause == Incident.Cause.CUSTOMER_APPLICATION and incident.kind != IncidentKind.INTERNAL
    proof = causes.required_proof(proof) if is_theirs else ""
    settle(incident, actor=actor, now=now)
    data: dict[str, object] = {"cause": cause}
    _finish(incident, Kind.RESOLVED, "incident.resolve", actor=actor, now=now, body=incident.resolution, data=data)
    messages.resolved(incident, actor, now=now)
    if is_theirs:
        causes.tell(incident, proof, files=files, actor=actor, now=now)
    following.resolved(incident, actor=actor, now=now)
    return incident


def settle(incident: Incident, *, actor: User, now: datetime) -> None:
    """Everything that solving changes on an incident that is held; the caller saves it. Solving responds, too."""
    if incident.stage is State.OPEN:
        _responded(incident, actor, now)
        timeline.write(incident, Kind.ACKNOWLEDGED, actor=actor, now=now, data={"by_resolving": True})
    incident.state = IncidentState.RESOLVED
    incident.resolved_at = now
    third_parties.end_with(incident, now=now)
    clocks.end_pause(incident, now=now)
    clocks.stop(incident, Response, Handling, Report, Reply, now=now)
    clocks.arm(incident, now=now)
    _nobody_is_called(incident, escalating.Because.RESOLVED, now)
    closing.schedule(incident, now=now)


@transaction.atomic
def close(
    *, incident: Incident, actor: User | None, now: datetime, remark: str = "", unanswered: bool = False
) -> Incident:
    """The customer confirms the solution, or the provider closes; nobody does when the time to answer is over."""
    incident = locks.hold(incident)
    move_on(incident, allowed(Verb.CLOSE, incident, actor))
    incident.state = IncidentState.CLOSED
    incident.closed_at = now
    contacting.stop(incident, now=now)
    closing.forget(incident)
    data: dict[str, object] = {}
    if unanswered:
        data["unanswered"] = True
    if actor is not None and not actor.is_provider:
        data["confirmed"] = True
    _finish(incident, Kind.CLOSED, "incident.close", actor=actor, now=now, body=remark.strip(), data=data)
    following.closed(incident, actor=actor, now=now)
    return incident


@transaction.atomic
def reopen(*, incident: Incident, reason: str, actor: User, now: datetime) -> Incident:
    """It was not solved. The handling clock runs on; a customer who reopens is owed a response once more."""
    incident = locks.hold(incident)
    transition = allowed(Verb.REOPEN, incident, actor)
    move_on(incident, transition)
    reason = _required(reason, _("Please write what is still wrong."))
    _leave_storm_to_newer(incident)
    assert transition.target is not None  # noqa: S101 - both lines of the table have one
    incident.state = transition.target
    _pause_while_solved(incident, now)
    incident.resolved_at = incident.closed_at = None
    closing.forget(incident)
    clocks.restart(incident, Handling)
    clocks.begin(incident, Response if transition.target is State.OPEN else Report, since=now)
    clocks.arm(incident, now=now)
    if transition.target is State.OPEN:
        again = escalating.Because.AGAIN
        escalating.begin_again(customer=incident.customer, incidents=[incident], because=again, now=now)
    _finish(incident, Kind.REOPENED, "incident.reopen", actor=actor, now=now, body=reason)
    messages.reopened(incident, actor, reason, now=now)
    return incident


def take_reply(incident: Incident, *, actor: User, now: datetime) -> None:
    """The customer's comment answers the question: the clocks run on. The caller holds the incident.

    What needs a signature is not answered by a comment.
    """
    allowed(Verb.REPLY, incident, actor)
    if waiting.for_signature(incident):
        return
    _run_on(incident, now)
    _finish(incident, Kind.RESUMED, "incident.reply", actor=actor, now=now, data={"by_reply": True})


def take_report(incident: Incident, *, now: datetime) -> None:
    """The customer has heard from us: the next stage report is due from now on (R80). The caller holds the incident."""
    if incident.stage in (State.ACKNOWLEDGED, State.WAITING_CUSTOMER):
        _next_report(incident, now)
        incident.save(update_fields=["next_due_at"])


def _next_report(incident: Incident, now: datetime) -> None:
    clocks.stop(incident, Report, now=now)
    clocks.begin(incident, Report, since=now)
    clocks.arm(incident, now=now)


def _run_on(incident: Incident, now: datetime) -> None:
    incident.state = IncidentState.ACKNOWLEDGED
    clocks.end_pause(incident, now=now)
    clocks.stop(incident, Reply, now=now)
    clocks.arm(incident, now=now)


def _responded(incident: Incident, actor: User, now: datetime) -> None:
    incident.acknowledged_at = now
    incident.acknowledged_by = actor
    if incident.assignee_id is None:
        incident.assignee = actor


def _nobody_is_called(incident: Incident, because: escalating.Because, now: datetime) -> None:
    """Somebody has it in hand: what is left of the escalation is cancelled with this transaction."""
    escalating.stop(customer=incident.customer, incidents=[incident], because=because, now=now)


def _pause_while_solved(incident: Incident, now: datetime) -> None:
    began = incident.resolved_at or now
    Pause.objects.create(
        customer_id=incident.customer_id,
        incident=incident,
        reason=Pause.Reason.RESOLVED,
        started_at=min(began, now),
        ended_at=now,
    )


def _leave_storm_to_newer(incident: Incident) -> None:
    """An asset's alarms gather in one unsolved incident; a newer one may have taken over."""
    if incident.storm_asset_id is None:
        return
    newer = Incident.objects.unsolved().filter(storm_asset_id=incident.storm_asset_id).first()
    if newer is not None:
        incident.storm_asset = None


def _required(text: str, complaint: str) -> str:
    text = text.strip()
    if not text:
        raise DomainError(complaint, code="text_missing")
    return text


def _finish(
    incident: Incident,
    kind: TimelineEntry.Kind,
    action: str,
    *,
    actor: User | None,
    now: datetime,
    body: str = "",
    data: dict[str, object] | None = None,
) -> None:
    """Save, and write timeline and audit in the same transaction; browsers learn of it after the commit."""
    touch(incident, now=now)
    timeline.write(incident, kind, actor=actor, now=now, body=body, data=data)
    audit.record(action=action, actor=actor, customer=incident.customer, obj=incident, detail=data or {}, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
