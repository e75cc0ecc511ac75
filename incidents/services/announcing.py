"""Announcing to customers: drafting, scheduling, publishing to whom it concerns, withdrawing, and who has read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.models.people import CUSTOMER_ROLES
from accounts.permissions import is_manager
from assets.models import Asset
from incidents.models import Announcement, AnnouncementCopy, AnnouncementKind, AnnouncementReading
from notify import live
from notify import services as notify
from timers import services as timers

TASK = "incidents.publish_announcement"
WHY = "announcements go to several customers"
State = Announcement.State
TOPIC = "account"
BY = ("inbox", "email", "push")


@dataclass(frozen=True)
class Details:
    """What is announced, to whom, and until when pages show it. No customers: all in service; no products: whatever
    they use."""

    kind: str
    title: str
    body: str
    ends_at: datetime
    recommendation: str = ""
    customers: list[int] = field(default_factory=list)
    roles: list[str] = field(default_factory=lambda: [role.value for role in CUSTOMER_ROLES])
    products: list[str] = field(default_factory=list)
    to_channels: bool = True


@dataclass(frozen=True)
class Audience:
    """One customer whom it concerns, and the people there."""

    customer: Customer
    people: tuple[User, ...]


@transaction.atomic
def save(*, announcement: Announcement | None, details: Details, actor: User, now: datetime) -> Announcement:
    """Write or change a draft. What is scheduled stays so."""
    _check(actor)
    with scope.platform(WHY):
        draft = Announcement(author=actor) if announcement is None else _hold(announcement)
        if not draft.is_editable:
            raise DomainError(_("What is published is not changed any more: withdraw it and write another one."))
        for name in Details.__dataclass_fields__:
            setattr(draft, name, getattr(details, name))
        draft.changed_at = now
        draft.save()
        audit.record(action="announcement.save", actor=actor, customer=None, obj=draft, now=now)
    return draft


@transaction.atomic
def schedule(*, announcement: Announcement, at: datetime | None, actor: User, now: datetime) -> Announcement:
    """Publish now, or at a later moment by a durable timer."""
    _check(actor)
    with scope.platform(WHY):
        held = _hold(announcement)
        if not held.is_editable:
            raise DomainError(_("It is published or withdrawn already. Nothing was changed."))
        begins = now if at is None else at
        if held.ends_at <= begins:
            raise DomainError(_("It would be over before it begins. Nothing was changed: correct its end first."))
        audit.record(
            action="announcement.schedule", actor=actor, customer=None, obj=held, detail={"at": begins}, now=now
        )
        if begins <= now:
            return _publish(held, now)
        held.state, held.publish_at = State.SCHEDULED, begins
        held.save()
        timers.set(key=_timer(held), due_at=begins, task=TASK, args={"announcement_id": held.pk}, customer=None)
    return held


@transaction.atomic
def publish_due(*, announcement_id: int, now: datetime) -> bool:
    """The timer: publish what is still scheduled. Needs the platform's scope."""
    held = Announcement.objects.select_for_update().filter(pk=announcement_id, state=State.SCHEDULED).first()
    if held is None:
        return False
    _publish(held, now)
    return True


def audience(announcement: Announcement) -> list[Audience]:
    """Whom it concerns at this moment, of the customers in scope."""
    customers = Customer.objects.filter(status=Customer.Status.IN_SERVICE)
    if announcement.customers:
        customers = customers.filter(pk__in=announcement.customers)
    if announcement.products:
        using = Asset.objects.active().filter(kind__in=announcement.products).values("customer_id")
        customers = customers.filter(pk__in=using)
    found = list(customers)
    people = User.objects.filter(customer__in=found, role__in=announcement.roles, is_active=True)
    of_customer: dict[int, list[User]] = {}
    for person in people:
        of_customer.setdefault(person.customer_id or 0, []).append(person)
    return [Audience(customer, tuple(of_customer.get(customer.pk, ()))) for customer in found]


def _publish(announcement: Announcement, now: datetime) -> Announcement:
    timers.cancel(prefix=_timer(announcement))
    announcement.state, announcement.published_at = State.PUBLISHED, now
    announcement.save()
    for told in audience(announcement):
        copy = AnnouncementCopy.objects.create(
            customer=told.customer,
            announcement=announcement,
            kind=announcement.kind,
            title=announcement.title,
            body=announcement.body,
            recommendation=announcement.recommendation,
            published_at=now,
            ends_at=announcement.ends_at,
        )
        AnnouncementReading.objects.bulk_create(
            AnnouncementReading(customer=told.customer, copy=copy, user=person) for person in told.people
        )
        _tell(copy, told, to_channels=announcement.to_channels, now=now)
        live.publish(customer_id=told.customer.pk, topic="announcements", object_id=copy.pk)
    return announcement


def _tell(copy: AnnouncementCopy, told: Audience, *, to_channels: bool, now: datetime) -> None:
    notes = []
    for person in told.people:
        with translation.override(person.language):
            notes.append(notify.Note(person, _key(copy), message_of(copy), BY))
    notify.tell_many(customer=told.customer, notes=notes, now=now)
    if to_channels:
        with translation.override(told.customer.language):
            notify.broadcast(customer=told.customer, key=_key(copy), message=message_of(copy), now=now)


def message_of(copy: AnnouncementCopy) -> notify.Message:
    """The message in the language that is now active; the announcement itself is as it was written."""
    heading = _("Recommended change")
    advice = f"**{heading}**\n\n{copy.recommendation}" if copy.recommendation else ""
    return notify.Message(
        topic=TOPIC,
        subject=f"{AnnouncementKind(copy.kind).label}: {copy.title}",
        text=f"{copy.body}\n\n{advice}".strip(),
        url=f"/announcements/received/{copy.pk}/",
        about=f"announcement:{copy.announcement_id}",
    )


@transaction.atomic
def withdraw(*, announcement: Announcement, actor: User, now: datetime) -> Announcement:
    """It was wrong, or is no longer so: it leaves the pages, and what is not sent yet stays."""
    _check(actor)
    with scope.platform(WHY):
        held = _hold(announcement)
        if held.state == State.WITHDRAWN:
            return held
        timers.cancel(prefix=_timer(held))
        held.state, held.withdrawn_at = State.WITHDRAWN, now
        held.save()
        copies = AnnouncementCopy.objects.filter(announcement=held)
        copies.update(withdrawn_at=now)
        for copy in copies:
            notify.withdraw(customer=copy.customer_id, keys=[_key(copy)], now=now)
            live.publish(customer_id=copy.customer_id, topic="announcements", object_id=copy.pk)
        audit.record(action="announcement.withdraw", actor=actor, customer=None, obj=held, now=now)
    return held


def read(*, copy: AnnouncementCopy, person: User, now: datetime) -> None:
    """This person has read it; the first time counts."""
    AnnouncementReading.objects.filter(copy=copy, user=person, read_at=None).update(read_at=now)


def _hold(announcement: Announcement) -> Announcement:
    return Announcement.objects.select_for_update(of=("self",)).get(pk=announcement.pk)


def _key(copy: AnnouncementCopy) -> str:
    return f"announcement:{copy.pk}"


def _timer(announcement: Announcement) -> str:
    return f"announcement:{announcement.pk}."


def _check(actor: User) -> None:
    if not is_manager(actor):
        raise PermissionDenied
