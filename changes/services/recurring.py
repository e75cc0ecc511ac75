"""Recurring duties: set up with the contract, opened once each time by a timer, reminded of, closed by evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import uuid4

from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Contract, Customer, User
from accounts.permissions import is_manager, is_provider
from changes import duty_messages
from changes.catalogue import Words
from changes.duties import Evidence, Kind, Need, Standard, lacks, standard_set
from changes.models import Change, DutyFile, DutyOccurrence, RecurringDuty
from changes.recurrence import Rhythm, first_day, following
from changes.services.marks import required
from incidents.services.storing import judge_file
from notify import live
from timers import services as timers

OPEN_TASK: Final = "changes.open_duty"
REMIND_TASK: Final = "changes.remind_of_duty"
MORNING: Final = time(9)
DAY: Final = timedelta(days=1)
LATE_EVERY: Final = timedelta(days=3)
LONGEST_LEAD: Final = 90
IN_SERVICE: Final = Customer.Status.IN_SERVICE
NEED_WORDS: Final[Mapping[Need, Promise]] = {
    Need.MINUTES: gettext_lazy("the minutes"),
    Need.TOLD: gettext_lazy("telling the customer"),
    Need.RESULT: gettext_lazy("the result"),
    Need.BACKUP: gettext_lazy("the backup that was proven"),
    Need.RESTORE_TIME: gettext_lazy("the restore time"),
    Need.DOCUMENT: gettext_lazy("the document or its address"),
}


@dataclass(frozen=True, slots=True)
class Described:
    kind: Kind
    words: Words
    rhythm: Rhythm
    first_due_on: date
    lead_days: int
    owner_role: str = RecurringDuty.Owner.ENGINEER
    tells_customer: bool = False
    agenda: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """The evidence as somebody gives it."""

    minutes: str = ""
    result: str = ""
    backup: str = ""
    restore_minutes: int | None = None
    link: str = ""
    change: Change | None = None


@transaction.atomic
def create(*, customer: Customer, said: Described, actor: User, now: datetime) -> RecurringDuty:
    """One more than the contract's own set."""
    if not is_provider(actor):
        raise PermissionDenied
    if said.lead_days > LONGEST_LEAD:
        raise DomainError(_("At most %(most)d days before.") % {"most": LONGEST_LEAD}, code="lead")
    if said.first_due_on < timezone.localdate(now):
        raise DomainError(_("The first day lies in the past. Nothing was saved."), code="in_the_past")
    complaint = _("Please give it a name in both languages.")
    names = Words(required(said.words.en, complaint), required(said.words.zh, complaint))
    audit.hold(customer.pk)
    duty = _make(customer, said, names, code="", actor=actor, now=now)
    _record(duty, "create", actor, now, {"rhythm": duty.rhythm, "first": duty.first_due_on.isoformat()})
    return duty


@transaction.atomic
def end(*, duty: RecurringDuty, actor: User, now: datetime) -> RecurringDuty:
    """It comes round no more; what is open stays open. Ending it twice changes nothing."""
    if not is_manager(actor):
        raise PermissionDenied
    audit.hold(duty.customer_id)
    duty = RecurringDuty.objects.select_for_update(of=("self",)).select_related("customer").get(pk=duty.pk)
    if duty.ended_at is None:
        duty.ended_at, duty.ended_by = now, actor
        duty.save(update_fields=["ended_at", "ended_by"])
        timers.cancel(prefix=_duty_key(duty))
        _record(duty, "end", actor, now, {})
    return duty


def follow_contracts(*, now: datetime) -> int:
    """Every customer in service with a contract in force has the contract's own set; returns how many were made."""
    today, made = timezone.localdate(now), 0
    with scope.platform("duties of contracts"):
        running = Contract.objects.filter(starts_on__lte=today, ends_on__gte=today, customer__status=IN_SERVICE)
        newest = {contract.customer_id: contract for contract in running.order_by("starts_on", "pk")}
    for customer_id, contract in newest.items():
        with scope.customer(customer_id):
            made += create_standard_set(contract=contract, now=now)
    return made


@transaction.atomic
def create_standard_set(*, contract: Contract, now: datetime) -> int:
    """What the customer lacks of the set; a duty that somebody has ended stays ended."""
    customer = Customer.objects.get(pk=contract.customer_id)
    if not _missing(customer):
        return 0  # as on nearly every day: nobody is held up
    audit.hold(customer.pk)
    today, missing = timezone.localdate(now), _missing(customer)
    for one in missing:
        first = first_day(contract.starts_on, one.rhythm, month=one.month, day=one.day)
        said = Described(
            kind=one.kind,
            words=one.words,
            rhythm=one.rhythm,
            first_due_on=first if first >= today else following(first, one.rhythm, today - DAY),
            lead_days=one.lead_days,
            owner_role=one.owner,
            tells_customer=one.tells,
            agenda=one.agenda,
        )
        duty = _make(customer, said, one.words, code=one.code, actor=None, now=now)
        _record(duty, "create", None, now, {"contract": contract.number})
    return len(missing)


def _missing(customer: Customer) -> list[Standard]:
    known = set(RecurringDuty.objects.filter(customer=customer).values_list("code", flat=True))
    return [one for one in standard_set() if one.code not in known]


@transaction.atomic
def open_due(*, duty_id: int, now: datetime) -> DutyOccurrence | None:
    """The timer rang: the next occurrence is opened, once, and the timer of the one after it is armed.

    Nothing is owed on a day that no contract covers. It is looked for again every day: a contract that is signed late
    covers the days since it began.
    """
    duty = RecurringDuty.objects.select_related("customer").filter(pk=duty_id, ended_at=None).first()
    if duty is None:
        return None
    audit.hold(duty.customer_id)
    due_on = _owed(duty, now)
    if due_on is None:
        _arm_opening(duty, now=now)
        return None
    occurrence, is_new = DutyOccurrence.objects.get_or_create(
        duty=duty, due_on=due_on, defaults={"customer": duty.customer, "opened_at": now, "agenda": duty.agenda}
    )
    _arm_opening(duty)
    if is_new:
        _arm_reminder(occurrence, now)
        _record(duty, "open", None, now, {"due_on": due_on.isoformat()})
        duty_messages.opened(occurrence, now=now)
        live.publish(customer_id=duty.customer_id, topic="duties", object_id=occurrence.pk)
    return occurrence


@transaction.atomic
def remind(*, occurrence_id: int, now: datetime) -> None:
    """The timer rang: the day comes near, or has passed."""
    occurrence = DutyOccurrence.objects.for_lists().filter(pk=occurrence_id).first()
    if occurrence is None or not occurrence.is_open:
        return
    duty_messages.due(occurrence, now=now)
    _arm_reminder(occurrence, now)


@transaction.atomic
def tell(*, occurrence: DutyOccurrence, agenda: str, actor: User, now: datetime) -> DutyOccurrence:
    """The customer's people get day, agenda, content and what is wanted of them (R152)."""
    if not is_provider(actor):
        raise PermissionDenied
    occurrence = _hold(occurrence)
    occurrence.agenda = required(agenda, _("Please write agenda, content and what is wanted of the customer."))
    occurrence.told_at, occurrence.told_by = now, actor
    occurrence.save(update_fields=["agenda", "told_at", "told_by"])
    _record_occurrence(occurrence, "tell", actor, now, {})
    duty_messages.told(occurrence, now=now)
    return occurrence


@transaction.atomic
def complete(*, occurrence: DutyOccurrence, shown: Shown, actor: User, now: datetime) -> DutyOccurrence:
    """It is done, with the evidence that its kind wants. Raises DomainError with what is missing."""
    if not is_provider(actor):
        raise PermissionDenied
    occurrence = _hold(occurrence)
    if shown.change is not None and shown.change.customer_id != occurrence.customer_id:
        raise DomainError(_("The change is another customer's. Nothing was saved."), code="other_customer")
    occurrence.minutes, occurrence.result = shown.minutes.strip(), shown.result
    occurrence.backup, occurrence.restore_minutes = shown.backup.strip()[:300], shown.restore_minutes
    occurrence.link, occurrence.change = shown.link.strip(), shown.change
    missing = lacks(Kind(occurrence.duty.kind), evidence_of(occurrence))
    if missing:
        raise DomainError(
            _("Not done yet: %(what)s is missing. Nothing was saved.") % {"what": _list(missing)},
            code="evidence_missing",
        )
    occurrence.done_at, occurrence.done_by = now, actor
    occurrence.save()
    timers.cancel(prefix=_occurrence_key(occurrence))
    detail = {"result": occurrence.result, "backup": occurrence.backup, "minutes": occurrence.restore_minutes}
    _record_occurrence(occurrence, "complete", actor, now, detail)
    duty_messages.done(occurrence, now=now)
    return occurrence


@transaction.atomic
def drop(*, occurrence: DutyOccurrence, reason: str, actor: User, now: datetime) -> DutyOccurrence:
    """This time it is not done: a service manager says why, and both sides read it."""
    if not is_manager(actor):
        raise PermissionDenied
    occurrence = _hold(occurrence)
    occurrence.dropped_because = required(reason, _("Please write why."))[:300]
    occurrence.dropped_at, occurrence.dropped_by = now, actor
    occurrence.save(update_fields=["dropped_because", "dropped_at", "dropped_by"])
    timers.cancel(prefix=_occurrence_key(occurrence))
    _record_occurrence(occurrence, "drop", actor, now, {"reason": occurrence.dropped_because})
    return occurrence


@transaction.atomic
def attach(*, occurrence: DutyOccurrence, file: UploadedFile[Any], actor: User, now: datetime) -> DutyFile:
    """Minutes, a report, a protocol of the drill."""
    if not is_provider(actor):
        raise PermissionDenied
    occurrence = _hold(occurrence)
    verdict, digest = judge_file(file), hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    stored = default_storage.save(f"duties/{occurrence.customer_id}/{uuid4().hex}", file)
    try:
        kept = DutyFile.objects.create(
            customer_id=occurrence.customer_id,
            occurrence=occurrence,
            name=verdict.name,
            content_type=verdict.content_type,
            size=file.size or 0,
            sha256=digest.hexdigest(),
            stored_name=stored,
            at=now,
            by=actor,
        )
        _record_occurrence(occurrence, "attach", actor, now, {"name": kept.name, "sha256": kept.sha256})
    except BaseException:  # whatever went wrong, no byte stays behind without its row
        default_storage.delete(stored)
        raise
    return kept


def evidence_of(occurrence: DutyOccurrence) -> Evidence:
    return Evidence(
        minutes=occurrence.minutes,
        was_told=occurrence.told_at is not None,
        result=occurrence.result,
        backup=occurrence.backup,
        restore_minutes=occurrence.restore_minutes,
        has_document=bool(occurrence.link) or occurrence.files.exists(),
    )


def _list(missing: tuple[Need, ...]) -> str:
    return ", ".join(str(NEED_WORDS[need]) for need in missing)


def _make(
    customer: Customer, said: Described, names: Words, *, code: str, actor: User | None, now: datetime
) -> RecurringDuty:
    duty = RecurringDuty.objects.create(
        customer=customer,
        code=code,
        kind=said.kind.value,
        name_en=names.en[:120],
        name_zh=names.zh[:120],
        rhythm=said.rhythm.value,
        first_due_on=said.first_due_on,
        lead_days=said.lead_days,
        owner_role=said.owner_role,
        tells_customer=said.tells_customer,
        agenda=said.agenda.strip(),
        created_by=actor,
        created_at=now,
    )
    _arm_opening(duty)
    return duty


def _next_due(duty: RecurringDuty) -> date:
    """The first day that was not opened yet."""
    return _after(duty, duty.occurrences.order_by("-due_on").values_list("due_on", flat=True).first())


def _after(duty: RecurringDuty, last: date | None) -> date:
    return duty.first_due_on if last is None else following(duty.first_due_on, Rhythm(duty.rhythm), last)


def _owed(duty: RecurringDuty, now: datetime) -> date | None:
    """The first day that was not opened yet, is to be opened by now, and is covered by a contract."""
    if duty.customer.status != IN_SERVICE:
        return None
    terms = Contract.objects.filter(customer=duty.customer_id).values_list("starts_on", "ends_on")
    contracts, due_on = list(terms), _next_due(duty)
    while _opens_at(duty, due_on) <= now:
        if any(starts_on <= due_on <= ends_on for starts_on, ends_on in contracts):
            return due_on
        due_on = following(duty.first_due_on, Rhythm(duty.rhythm), due_on)
    return None


def next_due(duty: RecurringDuty) -> date | None:
    """Of a row of `with_last_due`. None: it has ended."""
    return None if duty.ended_at is not None else _after(duty, duty.last_due_on)


def _opens_at(duty: RecurringDuty, due_on: date) -> datetime:
    return _morning(due_on - timedelta(days=duty.lead_days))


def _arm_opening(duty: RecurringDuty, *, now: datetime | None = None) -> None:
    """`now`: it was looked at just now, so not again before tomorrow."""
    opens_at = _opens_at(duty, _next_due(duty))
    timers.set(
        key=_duty_key(duty),
        due_at=opens_at if now is None else max(opens_at, _morning(timezone.localdate(now) + DAY)),
        task=OPEN_TASK,
        args={"duty_id": duty.pk},
        customer=duty.customer_id,
    )


def _arm_reminder(occurrence: DutyOccurrence, now: datetime) -> None:
    """The day before, the morning after, and then every few days until somebody has done it."""
    moments = [_morning(occurrence.due_on - DAY), _morning(occurrence.due_on + DAY)]
    coming = [moment for moment in moments if moment > now]
    late = _morning(timezone.localdate(now) + LATE_EVERY)
    timers.set(
        key=_occurrence_key(occurrence),
        due_at=coming[0] if coming else late,
        task=REMIND_TASK,
        args={"occurrence_id": occurrence.pk},
        customer=occurrence.customer_id,
    )


def _morning(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, MORNING))


def _duty_key(duty: RecurringDuty) -> str:
    return f"duty:{duty.pk}:"


def _occurrence_key(occurrence: DutyOccurrence) -> str:
    return f"duty-occurrence:{occurrence.pk}:"


def _hold(occurrence: DutyOccurrence) -> DutyOccurrence:
    """Held until the transaction ends. Raises DomainError when it is over."""
    audit.hold(occurrence.customer_id)
    rows = DutyOccurrence.objects.select_for_update(no_key=True, of=("self",))
    held = rows.select_related("duty", "customer").get(pk=occurrence.pk)
    if not held.is_open:
        raise DomainError(_("It is over already. Nothing was changed."), code="over")
    return held


def _record(duty: RecurringDuty, verb: str, actor: User | None, now: datetime, detail: Mapping[str, object]) -> None:
    audit.record(action=f"duty.{verb}", actor=actor, customer=duty.customer, obj=duty, detail=detail, now=now)


def _record_occurrence(
    occurrence: DutyOccurrence, verb: str, actor: User, now: datetime, detail: Mapping[str, object]
) -> None:
    said = {"due_on": occurrence.due_on.isoformat(), **detail}
    audit.record(action=f"duty.{verb}", actor=actor, customer=occurrence.customer, obj=occurrence, detail=said, now=now)
    live.publish(customer_id=occurrence.customer_id, topic="duties", object_id=occurrence.pk)
