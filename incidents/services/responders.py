"""The responders' contact data as the customer was told it, and the notice of every change of it (R183).

The statement of work wants a formal notice within two working days of any change. Wherever the change comes from, a
profile, the list of named contacts, the settings, a look every minute finds that what is true differs from what was
told. The notice waits an hour, so that one telling holds all that is being edited, is then sent by itself, and counts
as given when a mail server has taken it for one of the customer's project managers or service contacts.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import audit
from accounts.calendars import Calendar
from accounts.errors import DomainError
from accounts.models import Contact, Customer, ProviderContact, Role, User
from accounts.permissions import is_manager
from accounts.services import calendars
from incidents.models import ResponderNotice
from incidents.policy import calendar_version
from notify import services as notify
from notify.models import Delivery
from notify.states import State
from timers import services as timers

How = ResponderNotice.How
Card = list[dict[str, str]]
WAIT: Final = timedelta(hours=1)
WORKING_DAYS: Final = 2
WARN_BEFORE: Final = timedelta(hours=4)
SEND_TASK: Final = "incidents.send_responder_notice"
WARN_TASK: Final = "incidents.warn_of_responder_notice"
OVERDUE_TASK: Final = "incidents.responder_notice_overdue"
LONGEST_SEARCH: Final = 60


def card_of(customer: Customer) -> Card:
    """What the customer is told of us: the people named to it, and the desk that always answers."""
    named = ProviderContact.objects.filter(customer=customer).select_related("user").order_by("kind", "pk")
    card = [
        {"duty": one.kind, "name": one.user.name, "phone": one.user.phone, "email": one.user.email}
        for one in named
        if one.user.is_active
    ]
    desk = {
        "duty": "desk",
        "name": settings.EMERGENCY_NAME,
        "phone": settings.EMERGENCY_PHONE,
        "email": settings.EMERGENCY_EMAIL,
    }
    return [*card, desk]


def end_of_working_day(start: datetime, count: int, calendar: Calendar) -> datetime:
    """The end of the `count`-th working day after the day of `start`."""
    day: date = calendar.local_day(start)
    for _day in range(LONGEST_SEARCH):
        day += timedelta(days=1)
        open_hours = calendar.intervals(day)
        count -= bool(open_hours)
        if count == 0:
            return open_hours[-1][1]
    return start + timedelta(days=LONGEST_SEARCH)  # a calendar without working days promises nothing sooner


def look(*, customer: Customer, now: datetime) -> ResponderNotice | None:
    """Compare what is true with what was told: open a notice, bring the open one up to date, or drop it again."""
    newest = ResponderNotice.objects.filter(customer=customer).first()
    if newest is not None and newest.card == card_of(customer):
        return newest if newest.given_at is None else None
    return _compare(customer, now)


@transaction.atomic
def _compare(customer: Customer, now: datetime) -> ResponderNotice | None:
    audit.hold(customer.pk)
    newest = list(ResponderNotice.objects.filter(customer=customer).select_for_update(no_key=True)[:2])
    waiting = next((one for one in newest if one.given_at is None), None)
    told: Card = next((one.card for one in newest if one.given_at is not None), [])
    card = card_of(customer)
    if card == told:
        if waiting is not None and waiting.sent_at is None:
            _disarm(waiting)
            detail = {"reason": "as it was told before"}
            audit.record(action="responders.drop", actor=None, customer=customer, obj=waiting, detail=detail, now=now)
            waiting.delete()
        return None
    if waiting is not None:
        return _follow(waiting, card, now) if waiting.card != card else waiting
    return _open(customer, told, card, now)


def _open(customer: Customer, told: Card, card: Card, now: datetime) -> ResponderNotice:
    version = calendars.current_version(customer)
    calendar = calendar_version(version.pk) if version else _week()
    subject, text = _draft(customer, told, card)
    notice = ResponderNotice.objects.create(
        customer=customer,
        told=told,
        card=card,
        changed_at=now,
        send_at=now + WAIT,
        due_at=end_of_working_day(now, WORKING_DAYS, calendar),
        subject=subject,
        text=text,
    )
    _arm(notice, SEND_TASK, notice.send_at)
    _arm(notice, WARN_TASK, max(notice.due_at - WARN_BEFORE, notice.send_at + WAIT))
    _arm(notice, OVERDUE_TASK, notice.due_at)
    detail = {"due_at": notice.due_at, "told": told, "card": card}
    audit.record(action="responders.changed", actor=None, customer=customer, obj=notice, detail=detail, now=now)
    return notice


def _week() -> Calendar:
    """Monday to Friday, while there is no business calendar."""
    zone = timezone.get_default_timezone()
    return Calendar(tz=zone, week=dict.fromkeys(range(5), ((540, 1080),)))


def _follow(notice: ResponderNotice, card: Card, now: datetime) -> ResponderNotice:
    """Another change before the notice was given: it tells both. Its term stays that of the first change."""
    notice.card = card
    notice.subject, notice.text = _draft(notice.customer, notice.told, card)
    if notice.sent_at is not None:
        notice.sent_at = None
        notify.withdraw(customer=notice.customer_id, keys=[notice.message_key], now=now)
    notice.send_at = min(now + WAIT, max(notice.due_at - WARN_BEFORE, now))
    notice.save(update_fields=["card", "subject", "text", "sent_at", "send_at"])
    _arm(notice, SEND_TASK, notice.send_at)
    return notice


def _draft(customer: Customer, told: Card, card: Card) -> tuple[str, str]:
    """The formal notice in the customer's language: what is new first, then the whole list."""
    with translation.override(customer.language):
        subject = _("Contact data of the responders of %(provider)s") % {"provider": settings.PROVIDER_NAME}
        lines = [
            _("To %(customer)s") % {"customer": customer.name},
            _("By the escalation procedure of the statement of work we inform you of our responders' contact data."),
        ]
        if told:
            lines += [_("What changed:"), "\n".join(f"- {line}" for line in changes(told, card))]
        lines += [_("From now on these hold:"), "\n".join(f"- {line_of(person)}" for person in card)]
        return subject, "\n\n".join([*lines, settings.PROVIDER_NAME])


def changes(told: Card, card: Card) -> list[str]:
    """What differs, person by person, in the language that is active."""
    gone = [_("no longer: %(line)s") % {"line": line_of(person)} for person in told if person not in card]
    new = [_("new: %(line)s") % {"line": line_of(person)} for person in card if person not in told]
    return [*new, *gone]


def line_of(person: dict[str, str]) -> str:
    duty = person["duty"]
    kinds = ProviderContact.Kind
    name = str(kinds(duty).label) if duty in kinds.values else _("Service desk, around the clock")
    return " · ".join(part for part in (name, person["name"], person["phone"], person["email"]) if part)


def _arm(notice: ResponderNotice, task: str, due_at: datetime) -> None:
    key = f"responders:{notice.pk}:{task.rpartition('.')[2]}"
    timers.set(key=key, due_at=due_at, task=task, args={"notice_id": notice.pk}, customer=notice.customer_id)


def _disarm(notice: ResponderNotice) -> None:
    timers.cancel(prefix=f"responders:{notice.pk}:")


@transaction.atomic
def send(*, notice_id: int, now: datetime, actor: User | None = None) -> bool:
    """Send the notice to the customer's project managers and service contacts. False when it was sent already.

    Raises DomainError, for the person who presses, when the customer has named nobody.
    """
    if actor is not None and not is_manager(actor):
        raise PermissionDenied
    notice = _held(notice_id)
    if notice is None or notice.sent_at is not None:
        return False
    people = _readers(notice.customer)
    if not people:
        if actor is not None:
            raise DomainError(_("The customer has named no contacts. Give the notice another way and note it here."))
        return False
    message = notify.Message(topic="account", subject=notice.subject, text=notice.text, url="/contract/")
    notes = [notify.Note(person, notice.message_key, message, ("inbox", "email")) for person in people]
    notify.tell_many(customer=notice.customer, notes=notes, now=now)
    notice.sent_at = now
    notice.save(update_fields=["sent_at"])
    detail = {"to": [person.pk for person in people]}
    audit.record(action="responders.send", actor=actor, customer=notice.customer, obj=notice, detail=detail, now=now)
    return True


def _readers(customer: Customer) -> list[User]:
    named = Contact.objects.filter(customer=customer).select_related("user")
    return list({contact.user.pk: contact.user for contact in named if contact.user.is_active}.values())


@transaction.atomic
def settle(*, customer: Customer, now: datetime) -> bool:
    """A notice that was sent counts as given when a mail server has taken it. True when that is so now."""
    notice = ResponderNotice.objects.open().filter(customer=customer, sent_at__isnull=False).first()
    if notice is None:
        return False
    audit.hold(customer.pk)
    mails = Delivery.objects.filter(key=notice.message_key, medium=Delivery.Medium.EMAIL, state=State.DELIVERED)
    first = mails.filter(created_at__gte=notice.sent_at).select_related("user").order_by("settled_at").first()
    if first is None or first.settled_at is None:
        return False
    _give(notice, how=How.EMAIL, at=first.settled_at, actor=None, evidence=f"{first.user}: {first.last_code}", now=now)
    return True


@transaction.atomic
def record_given(
    *, notice: ResponderNotice, how: str, given_at: datetime, evidence: str, actor: User, now: datetime
) -> None:
    """Somebody gave the notice another way. Raises DomainError when it was given already, or in the future."""
    if not is_manager(actor):
        raise PermissionDenied
    held = _held(notice.pk)
    if held is None:
        raise DomainError(_("This notice has been given already. Nothing was changed."), code="wrong_state")
    if given_at > now + timedelta(minutes=1) or given_at < held.changed_at - timedelta(minutes=1):
        raise DomainError(_("The notice was given between the change and now. Please correct the time."))
    if not evidence.strip():
        raise DomainError(_("Please say how one can see that it was given: a document, a message, minutes."))
    _give(held, how=How(how), at=given_at, actor=actor, evidence=evidence.strip(), now=now)


def _give(notice: ResponderNotice, *, how: str, at: datetime, actor: User | None, evidence: str, now: datetime) -> None:
    notice.given_at, notice.how, notice.given_by, notice.evidence = at, how, actor, evidence[:300]
    notice.save(update_fields=["given_at", "how", "given_by", "evidence"])
    _disarm(notice)
    detail = {"how": how, "at": at, "in_time": at <= notice.due_at, "evidence": evidence}
    audit.record(action="responders.given", actor=actor, customer=notice.customer, obj=notice, detail=detail, now=now)


@transaction.atomic
def warn(*, notice_id: int, now: datetime) -> bool:
    """The term is near: managers hear of it. False when the notice has been given."""
    notice = _held(notice_id)
    if notice is None or notice.warned_at is not None:
        return False
    notice.warned_at = now
    notice.save(update_fields=["warned_at"])
    _tell_managers(notice, "near", now)
    return True


@transaction.atomic
def overdue(*, notice_id: int, now: datetime) -> bool:
    """The term has passed."""
    notice = _held(notice_id)
    if notice is None or notice.overdue_at is not None:
        return False
    notice.overdue_at = now
    notice.save(update_fields=["overdue_at"])
    detail = {"due_at": notice.due_at}
    audit.record(action="responders.overdue", actor=None, customer=notice.customer, obj=notice, detail=detail, now=now)
    _tell_managers(notice, "overdue", now)
    return True


def _tell_managers(notice: ResponderNotice, what: str, now: datetime) -> None:
    due = f"{timezone.localtime(notice.due_at):%m-%d %H:%M}"
    notes = []
    for person in User.objects.filter(role=Role.MANAGER, is_active=True):
        with translation.override(person.language):
            names = {"customer": notice.customer, "time": due}
            subject = (
                _("%(customer)s: the notice of changed responders was due at %(time)s and has not been given") % names
                if what == "overdue"
                else _("%(customer)s: the notice of changed responders is due at %(time)s") % names
            )
            message = notify.Message(topic="sla", subject=subject, text=notice.text, url="/roster/notices/")
        notes.append(notify.Note(person, f"{notice.message_key}:{what}", message, ("inbox", "email")))
    notify.tell_many(customer=notice.customer, notes=notes, now=now)


def _held(notice_id: int) -> ResponderNotice | None:
    """The notice, held, unless it has been given; None then."""
    found = ResponderNotice.objects.select_related("customer").filter(pk=notice_id).first()
    if found is None:
        return None
    audit.hold(found.customer_id)
    rows = ResponderNotice.objects.open().select_for_update(of=("self",), no_key=True).select_related("customer")
    return rows.filter(pk=notice_id).first()
