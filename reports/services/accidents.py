"""Accident reports: opened by an outage or by hand, written in five parts, reviewed and signed."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final

from celery import current_app
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit
from accounts.calendars import ALWAYS, Calendar
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from accounts.services import calendars
from incidents import duty, prose, timeline
from incidents.locks import hold_customer
from incidents.models import Incident, IncidentKind
from incidents.services import interruptions
from notify import live
from reports import deadlines, facts, messages, parts, states
from reports.models import AccidentComment, AccidentFile, AccidentIssue, AccidentPart, AccidentReport, PartName
from reports.permissions import rank_of
from reports.states import State, Verb
from timers import services as timers

REMIND_TASK: Final = "reports.remind_of_accident"
MISS_TASK: Final = "reports.miss_accident"
LONGEST: Final = 40_000
Trigger = AccidentReport.Trigger


class ConflictError(DomainError):
    """Somebody else saved the part meanwhile; `part` is what stands there now."""

    def __init__(self, part: AccidentPart) -> None:
        super().__init__(
            _("Somebody else changed this part meanwhile. Your text is still here and theirs was not overwritten."),
            code="changed_meanwhile",
        )
        self.part = part


@transaction.atomic
def open_for_outage(*, incident: Incident, now: datetime) -> AccidentReport | None:
    """Open the report that the outage of an incident asks for; None when it was short, or there is one (R115)."""
    if not interruptions.counts(incident):
        return None
    outage = interruptions.of(incident, now=now)
    if outage is None or not outage.has_crossed(now):
        return None
    hold_customer(incident.customer)
    if AccidentReport.objects.filter(incident=incident).exists():
        return None
    return _open(incident, Trigger.OUTAGE, actor=None, now=now)


@transaction.atomic
def open_by_hand(*, incident: Incident, actor: User, now: datetime) -> AccidentReport:
    """Open the report of an incident, whatever its length (R119); the one that is there already when there is."""
    if not actor.is_provider:
        raise PermissionDenied
    if incident.kind == IncidentKind.INTERNAL:
        raise DomainError(_("This incident is the provider's own: there is no customer to report to."), code="internal")
    hold_customer(incident.customer)
    known = AccidentReport.objects.filter(incident=incident).first()
    return known or _open(incident, Trigger.BY_HAND, actor=actor, now=now)


@transaction.atomic
def edit(
    *,
    part: AccidentPart,
    text: str,
    revision: int | None,
    actor: User,
    now: datetime,
) -> AccidentPart:
    """Save one part. Raises ConflictError when it is no longer the revision that the person began with."""
    report, part = _hold_part(part)
    _allowed(Verb.EDIT, report, actor)
    text = prose.clean(text).strip()
    if revision is not None and revision != part.revision and text != part.text:
        raise ConflictError(part)
    if len(text) > LONGEST:
        raise DomainError(_("This is too long. Nothing was saved: please shorten it."), code="too_long")
    if text == part.text:
        return part
    part.text = text
    part.revision += 1
    part.edited_by, part.edited_at = actor, now
    part.save()
    _touch(report, now)
    return part


@transaction.atomic
def refresh(*, report: AccidentReport, actor: User, now: datetime) -> list[AccidentPart]:
    """Ask the platform again. A text that nobody has edited follows; an edited one stays, the new facts beside it.

    Returns the parts whose text stayed although the facts are others.
    """
    report = _hold(report)
    _allowed(Verb.EDIT, report, actor)
    report.outage_started_at, report.outage_ended_at = facts.outage_of(report.incident, now)
    _touch(report, now)
    known = facts.texts(report, now=now)
    kept = []
    for part in report.parts.all():
        fresh = known.get(part.part, "")
        if fresh == part.facts:
            continue
        if part.is_edited:
            part.has_news = True
            kept.append(part)
        else:
            part.text = fresh
            part.revision += 1
        part.facts = fresh
        part.save()
    audit.record(action="accident.refresh", actor=actor, customer=report.customer, obj=report, now=now)
    return kept


@transaction.atomic
def take_facts(*, part: AccidentPart, replace: bool, actor: User, now: datetime) -> AccidentPart:
    """Put the new facts in the place of the text, or below it: because somebody said so."""
    report, part = _hold_part(part)
    _allowed(Verb.EDIT, report, actor)
    part.text = part.facts if replace else f"{part.text}\n\n{part.facts}".strip()
    part.has_news = False
    part.revision += 1
    part.edited_by, part.edited_at = actor, now
    part.save()
    _touch(report, now)
    return part


@transaction.atomic
def submit(*, report: AccidentReport, actor: User, now: datetime) -> AccidentReport:
    """Give it to the manager. All five parts must be filled, and the outage must have ended (R116)."""
    report = _hold(report)
    target = _allowed(Verb.SUBMIT, report, actor)
    _complete(report)
    report.author, report.reason = actor, ""
    _become(report, target, "accident.submit", actor, now)
    messages.to_be_signed(report, actor, now=now)
    return report


@transaction.atomic
def comment(*, part: AccidentPart, body: str, actor: User, now: datetime) -> AccidentComment:
    report, part = _hold_part(part)
    _allowed(Verb.COMMENT, report, actor)
    body = _said(body, _("Please write what should be different."))
    return AccidentComment.objects.create(
        customer_id=report.customer_id, part=part, body=body[:4000], author=actor, made_at=now
    )


@transaction.atomic
def settle(*, comment: AccidentComment, actor: User, now: datetime) -> AccidentComment:
    """What a comment asked for is done."""
    report, _part = _hold_part(comment.part)
    _allowed(Verb.COMMENT, report, actor)
    comment.settled_at = comment.settled_at or now
    comment.save(update_fields=["settled_at"])
    return comment


@transaction.atomic
def give_back(*, report: AccidentReport, reason: str, actor: User, now: datetime) -> AccidentReport:
    """Return it to its author with a reason."""
    report = _hold(report)
    target = _allowed(Verb.RETURN, report, actor)
    report.reason = _said(reason, _("Please write what should be different."))
    _become(report, target, "accident.return", actor, now, reason=report.reason)
    messages.returned(report, actor, now=now)
    return report


@transaction.atomic
def sign(*, report: AccidentReport, actor: User, now: datetime, address: str | None = None) -> AccidentIssue:
    """The manager's signature under exactly this content: name, time, address and hash, in a row that never changes."""
    report = _hold(report)
    target = _allowed(Verb.SIGN, report, actor)
    _complete(report)
    number = report.issues.count() + 1
    content = content_of(report, number)
    issue = AccidentIssue.objects.create(
        customer_id=report.customer_id,
        report=report,
        number=number,
        content=content,
        sha256=digest(content),
        reason=report.reissue_reason if number > 1 else "",
        signed_by=actor,
        signed_name=actor.name,
        signed_at=now,
        signed_from=address,
    )
    file = AccidentFile.objects.create(customer_id=report.customer_id, issue=issue)
    transaction.on_commit(partial(ask_for_document, file.pk), robust=True)
    detail = {"issue": number, "sha256": issue.sha256}
    _become(report, target, "accident.sign", actor, now, **detail)
    messages.signed(report, actor, now=now)
    return issue


@transaction.atomic
def reissue(*, report: AccidentReport, reason: str, actor: User, now: datetime) -> AccidentReport:
    """Write it anew: what was signed stays as it is, the next signature makes another issue."""
    report = _hold(report)
    target = _allowed(Verb.REISSUE, report, actor)
    report.reissue_reason = _said(reason, _("Please write why it is issued again: the customer reads it."))
    report.reason = ""
    _become(report, target, "accident.reissue", actor, now, reason=report.reissue_reason)
    return report


@transaction.atomic
def withdraw(*, report: AccidentReport, reason: str, actor: User, now: datetime) -> AccidentReport:
    """No report is owed after all, with the manager's reason; the outage opens no other."""
    report = _hold(report)
    target = _allowed(Verb.WITHDRAW, report, actor)
    if report.issues.exists():
        raise DomainError(_("It has been signed before: it can be issued again, but not withdrawn."), code="signed")
    report.reason = _said(reason, _("Please write why no report is needed."))
    timers.cancel(prefix=key_of(report))
    _become(report, target, "accident.withdraw", actor, now, reason=report.reason)
    return report


@transaction.atomic
def restore(*, report: AccidentReport, actor: User, now: datetime) -> AccidentReport:
    report = _hold(report)
    target = _allowed(Verb.RESTORE, report, actor)
    report.reason = ""
    _become(report, target, "accident.restore", actor, now)
    _arm(report, now)
    return report


@transaction.atomic
def remind(*, report_id: int, now: datetime) -> bool:
    """The last working day has begun: whoever writes it hears. False when it is not owed any more."""
    report = _owed(report_id)
    if report is None:
        return False
    messages.due_today(report, now=now)
    return True


@transaction.atomic
def miss(*, report_id: int, now: datetime) -> bool:
    """It was due and has not been sent: recorded once, and the manager hears. False when it was sent in time."""
    report = _owed(report_id)
    if report is None or report.missed_at is not None or now < report.due_at:
        return False
    report.missed_at = report.due_at
    report.save(update_fields=["missed_at"])
    detail = {"due_at": report.due_at.isoformat(), "late": (now - report.due_at).total_seconds() > 60}
    audit.record(action="accident.miss", actor=None, customer=report.customer, obj=report, detail=detail, now=now)
    messages.missed(report, now=now)
    return True


def ask_for_document(file_id: int) -> None:
    """Tell the workers of reports. If the queue is down the sweep finds the row within seconds."""
    current_app.send_task("reports.render", args=[file_id], queue="reports", retry=False)


def key_of(report: AccidentReport) -> str:
    return f"accident-report:{report.pk}:"


def content_of(report: AccidentReport, number: int) -> dict[str, object]:
    """Everything that the document says, as it is signed."""
    incident = report.incident
    with translation.override(report.language):
        entries = [
            {
                "at": entry.at.isoformat(),
                "kind": entry.kind,
                "who": entry.actor.name if entry.actor else "",
                "text": timeline.sentence(entry),
            }
            for entry in facts.entries_of(incident)
        ]
        severity = str(Severity(incident.severity).label)
    ended = report.outage_ended_at
    return {
        "number": report.number,
        "issue": number,
        "language": report.language,
        "customer": report.customer.name,
        "provider": settings.PROVIDER_NAME,
        "incident": {"number": incident.number, "title": incident.title, "severity": severity},
        "outage": {
            "started_at": report.outage_started_at.isoformat(),
            "ended_at": None if ended is None else ended.isoformat(),
        },
        "author": report.author.name if report.author else "",
        "reason": report.reissue_reason if number > 1 else "",
        "parts": {part.name: part.text for part in report.parts.all()},
        "timeline": entries,
    }


def digest(content: Mapping[str, object]) -> str:
    """SHA-256 over the content in one canonical form, as lowercase hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _open(incident: Incident, trigger: str, *, actor: User | None, now: datetime) -> AccidentReport:
    customer = incident.customer
    started_at, ended_at = facts.outage_of(incident, now)
    calendar = _calendar(customer)
    report = AccidentReport(
        customer=customer,
        incident=incident,
        trigger=trigger,
        language=customer.language,
        author=incident.assignee or actor,
        outage_started_at=started_at,
        outage_ended_at=ended_at,
        opened_by=actor,
        opened_at=now,
        changed_at=now,
        due_at=deadlines.due(now, settings.ACCIDENT_REPORT_WORKDAYS, calendar),
    )
    report.save(force_insert=True)
    known = facts.texts(report, now=now)
    AccidentPart.objects.bulk_create(
        AccidentPart(customer=customer, report=report, name=part, text=known.get(part, ""), facts=known.get(part, ""))
        for part in parts.ORDER
    )
    _arm(report, now)
    detail = {"incident": incident.pk, "trigger": trigger, "due_at": report.due_at.isoformat()}
    audit.record(action="accident.open", actor=actor, customer=customer, obj=report, detail=detail, now=now)
    people = duty.first_to_know(customer_id=customer.pk, assignee=incident.assignee, at=now)
    messages.opened(report, [person for person in people if actor is None or person.pk != actor.pk], now=now)
    live.publish(customer_id=customer.pk, topic="reports", object_id=report.pk)
    return report


def _arm(report: AccidentReport, now: datetime) -> None:
    args = {"report_id": report.pk}
    morning = deadlines.last_morning(report.opened_at, settings.ACCIDENT_REPORT_WORKDAYS, _calendar(report.customer))
    if report.missed_at is None:
        timers.set(
            key=f"{key_of(report)}due", due_at=report.due_at, task=MISS_TASK, args=args, customer=report.customer_id
        )
    if morning > now:
        timers.set(
            key=f"{key_of(report)}remind", due_at=morning, task=REMIND_TASK, args=args, customer=report.customer_id
        )


def _calendar(customer: Customer) -> Calendar:
    version = calendars.current_version(customer)
    return ALWAYS if version is None else calendars.load(version)


def _owed(report_id: int) -> AccidentReport | None:
    found = AccidentReport.objects.filter(pk=report_id).first()
    if found is None:
        return None
    report = _hold(found)
    return report if report.is_owed else None


def _complete(report: AccidentReport) -> None:
    empty = parts.missing({part.part: part.text for part in report.parts.all()})
    if empty:
        names = ", ".join(str(PartName(part).label) for part in empty)
        raise DomainError(
            _("These parts are still empty: %(names)s. Nothing was issued.") % {"names": names}, code="empty"
        )
    if report.outage_ended_at is None:
        raise DomainError(
            _("The outage has not ended yet, or the facts are old: refresh them when it is over."), code="ongoing"
        )


def _hold(report: AccidentReport) -> AccidentReport:
    """The report as it is now, held until the transaction ends; the customer's audit chain comes first."""
    audit.hold(report.customer_id)
    rows = AccidentReport.objects.select_for_update(no_key=True, of=("self",))
    return (
        rows.select_related("customer", "incident", "author")
        .prefetch_related("parts", "incident__alerts")
        .get(pk=report.pk)
    )


def _hold_part(part: AccidentPart) -> tuple[AccidentReport, AccidentPart]:
    report = _hold(part.report)
    return report, AccidentPart.objects.select_related("edited_by").get(pk=part.pk)


def _allowed(verb: Verb, report: AccidentReport, actor: User) -> State | None:
    """Where the verb leads. Raises PermissionDenied when this person never may, DomainError when it is too late."""
    rank = rank_of(actor)
    if not states.may_ever(verb, rank):
        raise PermissionDenied
    transition = states.find(verb, report.stage, rank)
    if transition is None:
        raise DomainError(
            _("%(number)s is now “%(state)s”, so this is not possible any more. Nothing was changed.")
            % {"number": report.number, "state": AccidentReport.States(report.state).label},
            code="wrong_state",
        )
    return transition.target


def _become(
    report: AccidentReport, target: State | None, action: str, actor: User, now: datetime, **detail: object
) -> None:
    if target is not None:
        report.state = target
    _touch(report, now)
    audit.record(action=action, actor=actor, customer=report.customer, obj=report, detail=detail, now=now)


def _touch(report: AccidentReport, now: datetime) -> None:
    report.changed_at = now
    report.save()
    live.publish(customer_id=report.customer_id, topic="reports", object_id=report.pk)


def _said(text: str, complaint: str) -> str:
    text = text.strip()
    if not text:
        raise DomainError(complaint, code="text_missing")
    return text[:4000]
