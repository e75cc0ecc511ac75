"""Stage reports to the customer (R80), and the reasons of missed deadlines (R79)."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from incidents import locks, messages, months, timeline
from incidents.models import Clock, Incident, TimelineEntry
from incidents.services.handling import take_report
from incidents.services.marks import allowed
from incidents.stages import REPORTED, Stage
from incidents.states import Verb
from notify import live


@transaction.atomic
def report_stage(*, incident: Incident, stage: Stage | None, body: str, actor: User, now: datetime) -> TimelineEntry:
    """Tell the customer how far it is: a stage that is reached, or None for progress within one."""
    incident = locks.hold(incident)
    allowed(Verb.REPORT, incident, actor)
    body = body.strip()
    if not body:
        raise DomainError(_("Please write what the customer should know."), code="text_missing")
    if stage is not None and stage not in REPORTED:
        raise DomainError(_("This stage is reported by acknowledging or resolving."), code="stage_unknown")
    data: dict[str, object] = {} if stage is None else {"stage": stage.value}
    entry = timeline.write(incident, TimelineEntry.Kind.STAGE, actor=actor, now=now, body=body, data=data)
    take_report(incident, now=now)
    audit.record(action="incident.report", actor=actor, customer=incident.customer, obj=incident, detail=data, now=now)
    messages.stage_reported(incident, entry, actor, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return entry


@transaction.atomic
def explain(*, clock: Clock, code: str, note: str, actor: User, now: datetime) -> Clock:
    """Say why a deadline of ours was missed. It may be said better until the month's report stands.

    The audit keeps each version; the timeline shows both sides the latest.
    """
    incident = locks.hold(clock.incident)
    allowed(Verb.EXPLAIN, incident, actor)
    clock = Clock.objects.get(pk=clock.pk)
    if not clock.is_breached or not clock.is_of_provider:
        raise DomainError(_("This deadline was not missed. Nothing was saved."), code="not_missed")
    if code not in Clock.BreachCode.values:
        raise DomainError(_("Please choose the reason."), code="reason_missing")
    note = note.strip()
    if not note:
        raise DomainError(_("Please explain it: the customer reads this on the SLA page."), code="text_missing")
    freezes_at = months.Month.of(timezone.localdate(clock.started_at)).freezes_at
    if now >= freezes_at:
        raise DomainError(
            _("The report of that month stands since %(time)s. Nothing was changed.")
            % {"time": f"{timezone.localtime(freezes_at):%Y-%m-%d %H:%M}"},
            code="frozen",
        )
    before = {"code": clock.breach_code, "note": clock.breach_note}
    if before == {"code": code, "note": note}:
        return clock
    clock.breach_code, clock.breach_note = code, note
    clock.explained_by, clock.explained_at = actor, now
    clock.save(update_fields=["breach_code", "breach_note", "explained_by", "explained_at"])
    data: dict[str, object] = {"clock": clock.kind, "code": code}
    timeline.write(incident, TimelineEntry.Kind.REASON, actor=actor, now=now, body=note, data=data)
    detail = {"clock": clock.kind, "round": clock.round, "before": before, "after": {"code": code, "note": note}}
    audit.record(
        action="incident.explain", actor=actor, customer=incident.customer, obj=incident, detail=detail, now=now
    )
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return clock
