"""Who answers the service desk's number at an instant, and the log of its changes (R131)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from accounts import phones, scope
from accounts.models import RosterShift, User
from incidents.models import DeskForward

Duty = RosterShift.Duty
ORDER = (Duty.FIRST, Duty.SECOND, Duty.MANAGER, Duty.ACTING_MANAGER)
WHY = "the desk's number serves every customer"
LINE = 0x6465736B  # the advisory lock of whoever writes the log
EVERYBODY = 0  # no customer has this id: the shifts that serve all of them are left


@dataclass(frozen=True)
class Answering:
    """The person and number that calls go to; `duty` empty: nobody."""

    user: User | None = None
    number: str = ""
    duty: str = ""
    until: datetime | None = None


def answering(*, at: datetime, customer_id: int | None = None) -> Answering:
    """First responder, else the second, else the manager: the first of them with a number that can be dialled.

    A shift for the customer alone goes before one for everybody.
    """
    with scope.platform(WHY):
        shifts = RosterShift.objects.serving(EVERYBODY if customer_id is None else customer_id).at(at)
        found = list(shifts.filter(user__is_active=True).select_related("user"))
    ranked = sorted(found, key=lambda each: (ORDER.index(Duty(each.duty)), each.customer_id is None, -each.pk))
    for shift in ranked:
        if number := phones.normal(shift.user.phone):
            return Answering(shift.user, number, shift.duty, shift.ends_at)
    return Answering()


@transaction.atomic
def note_change(*, now: datetime) -> bool:
    """Write down whom the desk's number leads to, when that has changed."""
    with scope.platform(WHY):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LINE])
        current, last = answering(at=now), DeskForward.objects.filter(customer=None).first()
        user_id = None if current.user is None else current.user.pk
        if last is not None and (last.user_id, last.number, last.duty) == (user_id, current.number, current.duty):
            return False
        DeskForward.objects.create(user=current.user, number=current.number, duty=current.duty, since=now)
    return True
