"""Which of a customer's contacts are told, by what and when: the agreed policy, else the contract's default (R71)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.calendars import ALWAYS, Calendar
from accounts.errors import DomainError
from accounts.models import Contact, Customer, Severity, User
from accounts.permissions import is_manager
from accounts.services import calendars
from notify.models import NotificationPolicy

DEFAULTS = Path(__file__).parent.parent / "data" / "policy.json"
MEDIUMS = ("voice", "sms", "push", "email", "inbox")
LOOK_AHEAD = 31  # days in which a calendar must open once
Hours = NotificationPolicy.Hours


@dataclass(frozen=True)
class Plan:
    """How the contacts are told of incidents of one severity."""

    contacts: tuple[str, ...]
    mediums: tuple[str, ...]
    with_progress: bool = True
    until_reached: bool = False
    repeat_minutes: int = 15
    hours: str = Hours.ALWAYS.value
    is_agreed: bool = False

    @property
    def calls(self) -> bool:
        return "voice" in self.mediums

    @property
    def messages(self) -> tuple[str, ...]:
        """What is told to everybody at once; calls go one after the other."""
        return tuple(medium for medium in self.mediums if medium != "voice")


@dataclass(frozen=True)
class Recipient:
    """A contact and the number that the contract names for them."""

    user: User
    number: str
    kind: str


@cache
def defaults() -> Mapping[int, Plan]:
    """The contract's own policy for each severity. Raises on a file that does not say it."""
    found = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    return {level.value: _plan(found[str(level.value)]) for level in Severity}


def _plan(entry: dict[str, Any]) -> Plan:
    return Plan(**{**entry, "contacts": tuple(entry["contacts"]), "mediums": tuple(entry["mediums"])})


def plans_of(customer: Customer | int) -> dict[int, Plan]:
    """All four severities, in one query."""
    customer_id = customer if isinstance(customer, int) else customer.pk
    agreed = {row.severity: row for row in NotificationPolicy.objects.filter(customer_id=customer_id)}
    return {
        severity: _of_row(agreed[severity]) if severity in agreed else default
        for severity, default in defaults().items()
    }


def _of_row(row: NotificationPolicy) -> Plan:
    return Plan(
        contacts=tuple(row.contacts),
        mediums=tuple(row.mediums),
        with_progress=row.with_progress,
        until_reached=row.until_reached,
        repeat_minutes=row.repeat_minutes,
        hours=row.hours,
        is_agreed=True,
    )


def recipients(customer: Customer | int, plan: Plan, *, named: Sequence[Contact] | None = None) -> list[Recipient]:
    """The contacts of a plan, in its order, each person once; whoever is away stands back while others are there."""
    customer_id = customer if isinstance(customer, int) else customer.pk
    if named is None:
        named = list(Contact.objects.filter(customer_id=customer_id).select_related("user"))
    wanted = [contact for contact in named if contact.kind in plan.contacts and contact.user.is_active]
    present = [contact for contact in wanted if not contact.is_away] or wanted
    ordered = sorted(present, key=lambda contact: (plan.contacts.index(contact.kind), contact.pk))
    people: dict[int, Recipient] = {}
    for contact in ordered:
        people.setdefault(contact.user_id, Recipient(contact.user, contact.phone, contact.kind))
    return list(people.values())


def held_until(customer: Customer, plan: Plan, *, now: datetime) -> datetime | None:
    """When messages of a plan may go; None: now. Quiet hours end when the customer's calendar opens."""
    if plan.hours == Hours.ALWAYS:
        return None
    version = calendars.current_version(customer)
    return opening(ALWAYS if version is None else calendars.load(version), now=now)


def opening(calendar: Calendar, *, now: datetime) -> datetime | None:
    """The next opening of a calendar that is closed now; None when it is open, or does not open within a month."""
    today = calendar.local_day(now)
    for day in (today + timedelta(days=days) for days in range(LOOK_AHEAD)):
        for starts, ends in calendar.intervals(day):
            if starts <= now < ends:
                return None
            if starts > now:
                return starts
    return None


@transaction.atomic
def save(*, customer: Customer, severity: int, plan: Plan, actor: User, now: datetime) -> NotificationPolicy:
    """Agree on another policy for a severity. What is under way keeps the one it began with."""
    _check(actor)
    if not plan.contacts or not plan.mediums:
        raise DomainError(_("Nothing was saved: choose at least one contact and one way."), code="nobody_told")
    if severity == Severity.DISASTER and plan.hours != Hours.ALWAYS:
        raise DomainError(_("Nothing was saved: a Disaster is told around the clock."), code="quiet_disaster")
    values = {name: value for name, value in asdict(plan).items() if name != "is_agreed"}
    values |= {"contacts": list(plan.contacts), "mediums": list(plan.mediums), "changed_at": now}
    row, _created = NotificationPolicy.objects.update_or_create(customer=customer, severity=severity, defaults=values)
    detail = {name: value for name, value in values.items() if name != "changed_at"} | {"severity": severity}
    audit.record(action="notification.policy", actor=actor, customer=customer, obj=row, detail=detail, now=now)
    return row


@transaction.atomic
def reset(*, customer: Customer, severity: int, actor: User, now: datetime) -> None:
    """Back to the contract's default."""
    _check(actor)
    for row in NotificationPolicy.objects.filter(customer=customer, severity=severity):
        detail = {"severity": severity}
        audit.record(action="notification.default", actor=actor, customer=customer, obj=row, detail=detail, now=now)
        row.delete()


def _check(actor: User) -> None:
    """Negotiated by both sides (SOW 附件一 §4), written down by the provider's managers."""
    if not is_manager(actor):
        raise PermissionDenied
