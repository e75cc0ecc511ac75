"""Follow-ups: planned, worked on, finished or dropped, and their owners reminded by durable timers."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, Role, User
from accounts.permissions import can_write, require_write
from incidents import duty, follow_up_messages, follow_up_states
from incidents.follow_up_states import Part, State, Verb
from incidents.models import FollowUp, FollowUpState, Incident, IncidentKind
from notify import live
from timers import services as timers

REMIND_TASK: Final = "incidents.remind_of_follow_up"
MORNING: Final = time(9)
REMINDERS: Final[Mapping[str, timedelta]] = {
    "before": timedelta(days=-1),
    "due": timedelta(0),
    "late": timedelta(days=1),
}
"""When the owner hears of it, in days from the due day; at the last the day has passed."""
FARTHEST: Final = timedelta(days=3 * 366)
LONGEST: Final = 10_000


def may_own(*, customer_id: int, is_internal: bool = False) -> "list[User]":
    """Who can be the owner: the provider's people who serve the customer, and those of the customer who may write."""
    staff = list(duty.eligible_assignees(customer_id))
    if is_internal:
        return staff
    theirs = User.objects.filter(customer_id=customer_id, is_active=True).exclude(role=Role.CUSTOMER_VIEWER)
    return [*staff, *theirs]


def part_of(person: User, follow_up: FollowUp) -> Part:
    if person.is_provider:
        return Part.PROVIDER
    return Part.OWNER if follow_up.owner_id == person.pk and can_write(person) else Part.BYSTANDER


@transaction.atomic
def plan(
    *,
    customer: Customer,
    title: str,
    owner: User,
    due_on: date,
    actor: User,
    now: datetime,
    detail: str = "",
    incident: Incident | None = None,
    is_internal: bool = False,
) -> FollowUp:
    """Give somebody something to do. The provider plans for both sides, a customer for their own people."""
    require_write(actor)
    if actor.customer_id not in (None, customer.pk):
        raise PermissionDenied
    if not actor.is_provider and (is_internal or owner.is_provider):
        raise DomainError(_("You can plan for your own colleagues. Ask us by an incident for anything else."))
    if incident is not None and incident.customer_id != customer.pk:
        raise PermissionDenied
    kept_back = is_internal or (incident is not None and incident.kind == IncidentKind.INTERNAL)
    follow_up = FollowUp(
        customer=customer,
        incident=incident,
        title=_titled(title),
        detail=_bounded(detail),
        owner=_owner(owner, customer_id=customer.pk, is_internal=kept_back),
        due_on=_day(due_on, now),
        is_internal=kept_back,
        created_by=actor,
        created_at=now,
        changed_at=now,
    )
    follow_up.save(force_insert=True)
    _arm(follow_up, now)
    _record(follow_up, "follow_up.plan", actor, now, {"owner": owner.pk, "due_on": due_on.isoformat()})
    if owner.pk != actor.pk:
        follow_up_messages.yours(follow_up, now=now)
    return follow_up


@transaction.atomic
def change(
    *,
    follow_up: FollowUp,
    title: str,
    detail: str,
    owner: User,
    due_on: date,
    actor: User,
    now: datetime,
    version: int | None = None,
) -> FollowUp:
    """Change what, who or when; the reminders follow the new day, a new owner is told."""
    follow_up = _hold(follow_up)
    _allowed(Verb.CHANGE, follow_up, actor)
    _same_version(follow_up, version)
    before = follow_up.owner_id
    was_due_on = follow_up.due_on
    follow_up.title, follow_up.detail = _titled(title), _bounded(detail)
    follow_up.owner = _owner(owner, customer_id=follow_up.customer_id, is_internal=follow_up.is_internal)
    if due_on != was_due_on:
        follow_up.due_on = _day(due_on, now)
        follow_up.missed_at = None
        _arm(follow_up, now)
    _save(follow_up, now)
    detail_said = {"owner": owner.pk, "due_on": due_on.isoformat(), "was_due_on": was_due_on.isoformat()}
    _record(follow_up, "follow_up.change", actor, now, detail_said)
    if owner.pk not in (before, actor.pk):
        follow_up_messages.yours(follow_up, now=now)
    return follow_up


@transaction.atomic
def start(*, follow_up: FollowUp, actor: User, now: datetime) -> FollowUp:
    follow_up = _hold(follow_up)
    return _move(Verb.START, follow_up, actor, now)


@transaction.atomic
def finish(*, follow_up: FollowUp, result: str, actor: User, now: datetime) -> FollowUp:
    """It is done: say what was done. Whoever planned it hears."""
    follow_up = _hold(follow_up)
    _allowed(Verb.FINISH, follow_up, actor)
    follow_up.result = _said(result, _("Please write what was done: the other side reads it."))
    return _close(Verb.FINISH, follow_up, actor, now)


@transaction.atomic
def drop(*, follow_up: FollowUp, reason: str, actor: User, now: datetime) -> FollowUp:
    """It is not going to be done: say why."""
    follow_up = _hold(follow_up)
    _allowed(Verb.DROP, follow_up, actor)
    follow_up.result = _said(reason, _("Please write why it is dropped: the other side reads it."))
    return _close(Verb.DROP, follow_up, actor, now)


@transaction.atomic
def reopen(*, follow_up: FollowUp, actor: User, now: datetime) -> FollowUp:
    """It was not done after all; the reminders run again."""
    follow_up = _hold(follow_up)
    follow_up.closed_by = follow_up.closed_at = None
    moved = _move(Verb.REOPEN, follow_up, actor, now)
    _arm(moved, now)
    return moved


@transaction.atomic
def remind(*, follow_up_id: int, stage: str, due_at: datetime, now: datetime) -> bool:
    """What a timer does: tell the owner, and, when the day has passed, whoever planned it. False when it is closed."""
    found = FollowUp.objects.filter(pk=follow_up_id).first()
    if found is None:
        return False
    follow_up = _hold(found)
    if not follow_up.is_open or _moment(follow_up, stage) != due_at:
        return False
    if stage == "late":
        follow_up.missed_at = now
        _save(follow_up, now)
        _record(follow_up, "follow_up.missed", None, now, {"due_on": follow_up.due_on.isoformat()})
    follow_up_messages.reminded(follow_up, stage, now=now)
    return True


def _close(verb: Verb, follow_up: FollowUp, actor: User, now: datetime) -> FollowUp:
    follow_up.closed_by, follow_up.closed_at = actor, now
    moved = _move(verb, follow_up, actor, now)
    timers.cancel(prefix=_key(moved))
    if moved.created_by_id != actor.pk:
        follow_up_messages.closed(moved, actor, now=now)
    return moved


def _move(verb: Verb, follow_up: FollowUp, actor: User, now: datetime) -> FollowUp:
    target = _allowed(verb, follow_up, actor)
    assert target is not None  # noqa: S101 - these verbs all lead somewhere
    follow_up.state = target
    _save(follow_up, now)
    _record(follow_up, f"follow_up.{verb}", actor, now, {})
    return follow_up


def _allowed(verb: Verb, follow_up: FollowUp, actor: User) -> State | None:
    """Where the verb leads. Raises PermissionDenied when this person never may, DomainError when it is too late."""
    part = part_of(actor, follow_up)
    if not follow_up_states.may_ever(verb, part):
        raise PermissionDenied
    transition = follow_up_states.find(verb, follow_up.stage, part)
    if transition is None:
        raise DomainError(
            _("%(number)s is now “%(state)s”, so this is not possible any more. Nothing was changed.")
            % {"number": follow_up.number, "state": FollowUpState(follow_up.state).label},
            code="wrong_state",
        )
    return transition.target


def _hold(follow_up: FollowUp) -> FollowUp:
    """As it is now, held until the transaction ends; the customer's place in the audit chain comes first."""
    audit.hold(follow_up.customer_id)
    rows = FollowUp.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("customer", "owner", "created_by", "incident").get(pk=follow_up.pk)


def _save(follow_up: FollowUp, now: datetime) -> None:
    follow_up.version += 1
    follow_up.changed_at = now
    follow_up.save()


def _record(follow_up: FollowUp, action: str, actor: User | None, now: datetime, detail: Mapping[str, object]) -> None:
    audit.record(action=action, actor=actor, customer=follow_up.customer, obj=follow_up, detail=detail, now=now)
    live.publish(customer_id=follow_up.customer_id, topic="follow-ups", object_id=follow_up.pk)


def _arm(follow_up: FollowUp, now: datetime) -> None:
    timers.cancel(prefix=_key(follow_up))
    timers.set_many(
        timers.Arming(
            f"{_key(follow_up)}{stage}",
            moment,
            REMIND_TASK,
            {"follow_up_id": follow_up.pk, "stage": stage},
            follow_up.customer_id,
        )
        for stage in REMINDERS
        if (moment := _moment(follow_up, stage)) > now
    )


def _key(follow_up: FollowUp) -> str:
    return f"follow-up:{follow_up.pk}:"


def _moment(follow_up: FollowUp, stage: str) -> datetime:
    return datetime.combine(follow_up.due_on + REMINDERS[stage], MORNING, ZoneInfo(settings.TIME_ZONE))


def _owner(owner: User, *, customer_id: int, is_internal: bool) -> User:
    if owner.pk not in {person.pk for person in may_own(customer_id=customer_id, is_internal=is_internal)}:
        raise DomainError(
            _("%(name)s cannot be the owner: they have nothing to do with this customer, or it is internal.")
            % {"name": owner.name},
            code="not_assignable",
        )
    return owner


def _day(due_on: date, now: datetime) -> date:
    today = now.astimezone(ZoneInfo(settings.TIME_ZONE)).date()
    if due_on < today:
        raise DomainError(_("The day has passed already. Nothing was saved: please choose another."), code="past")
    if due_on > today + FARTHEST:
        raise DomainError(_("That is more than three years away. Please choose an earlier day."), code="too_far")
    return due_on


def _titled(title: str) -> str:
    return _said(" ".join(title.split())[:200], _("Please say in one line what is to be done."))


def _said(text: str, complaint: str) -> str:
    text = text.strip()
    if not text:
        raise DomainError(complaint, code="text_missing")
    return _bounded(text)


def _bounded(text: str) -> str:
    if len(text) > LONGEST:
        raise DomainError(_("This is too long. Nothing was saved: please shorten it."), code="too_long")
    return text.strip()


def _same_version(follow_up: FollowUp, expected: int | None) -> None:
    if expected is not None and expected != follow_up.version:
        raise DomainError(
            _("Somebody else changed %(number)s meanwhile. Nothing was overwritten: look at it again, then decide.")
            % {"number": follow_up.number},
            code="changed_meanwhile",
        )
