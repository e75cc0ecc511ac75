"""Who is on duty at an instant, and where nobody is (R62, R186)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, RosterShift, User

GAP_HORIZON = timedelta(days=30)
Duty = RosterShift.Duty


@dataclass(frozen=True)
class OnDuty:
    """The people on duty at one instant; None where nobody is. The manager may be the acting one."""

    first: User | None
    second: User | None
    manager: User | None


@dataclass(frozen=True)
class Gap:
    """A time in which a duty is not taken."""

    duty: RosterShift.Duty
    starts_at: datetime
    ends_at: datetime


def on_duty(*, customer_id: int | None, at: datetime) -> OnDuty:
    """First and second responder and manager or acting manager of a customer at an instant; with None, of all.

    A shift for the customer alone goes before one for everybody, one put in by hand before a rotation's, a later start
    before an earlier one.
    """
    shifts = RosterShift.objects.serving(customer_id).at(at).select_related("user").filter(user__is_active=True)
    by_duty: dict[str, User] = {}
    for shift in sorted(shifts, key=_rank):
        by_duty[shift.duty] = shift.user
    manager = by_duty.get(Duty.MANAGER) or by_duty.get(Duty.ACTING_MANAGER)
    return OnDuty(by_duty.get(Duty.FIRST), by_duty.get(Duty.SECOND), manager)


def _rank(shift: RosterShift) -> tuple[bool, bool, datetime, int]:
    """Of shifts of one duty that overlap, the one that sorts last is the one that counts."""
    return shift.customer_id is not None, shift.rotation_id is None, shift.starts_at, shift.pk


@dataclass(frozen=True)
class Span:
    """A time in which one person really has a duty, whatever other shifts lie under it."""

    duty: str
    user: User
    starts_at: datetime
    ends_at: datetime
    shift: RosterShift


def effective(*, customer_id: int | None, start: datetime, end: datetime) -> list[Span]:
    """Who really has each duty between two instants; of all customers, or of one with its own shifts."""
    shifts = RosterShift.objects.filter(ends_at__gt=start, starts_at__lt=end, user__is_active=True)
    shifts = shifts.filter(customer=None) if customer_id is None else shifts.serving(customer_id)
    return spans_of(list(shifts.select_related("user", "customer", "rotation")), start, end)


def everywhere(*, start: datetime, end: datetime) -> list[Span]:
    """What counts for all customers, and what counts for each in reach that has shifts of its own."""
    found = effective(customer_id=None, start=start, end=end)
    own = RosterShift.objects.filter(customer__in=Customer.objects.all(), ends_at__gt=start, starts_at__lt=end)
    own = own.filter(user__is_active=True).select_related("user", "customer", "rotation")
    by_customer: dict[int | None, list[RosterShift]] = {}
    for shift in own:
        by_customer.setdefault(shift.customer_id, []).append(shift)
    for shifts in by_customer.values():
        found += spans_of(shifts, start, end)
    return sorted(found, key=lambda span: (span.starts_at, span.duty))


def spans_of(shifts: Sequence[RosterShift], start: datetime, end: datetime) -> list[Span]:
    """Lay shifts over each other: at every instant the one with the highest rank of its duty counts."""
    found: list[Span] = []
    for duty in Duty.values:
        mine = sorted((shift for shift in shifts if shift.duty == duty), key=_rank)
        edges = {start, end, *(edge for shift in mine for edge in (shift.starts_at, shift.ends_at))}
        cuts = sorted(edge for edge in edges if start <= edge <= end)
        for begins, ends in pairwise(cuts):
            top = next((one for one in reversed(mine) if one.starts_at <= begins and one.ends_at >= ends), None)
            if top is None:
                continue
            last = found[-1] if found else None
            if last is not None and last.shift == top and last.ends_at == begins:
                found[-1] = Span(duty, top.user, last.starts_at, ends, top)
            else:
                found.append(Span(duty, top.user, begins, ends, top))
    return sorted(found, key=lambda span: (span.starts_at, span.duty))


def gaps(*, customer_id: int | None, start: datetime, end: datetime) -> list[Gap]:
    """Times between `start` and `end` without a first responder, a second responder, a manager or acting manager."""
    shifts = RosterShift.objects.filter(ends_at__gt=start, starts_at__lt=end, user__is_active=True)
    shifts = shifts.filter(customer=None) if customer_id is None else shifts.serving(customer_id)
    found = list(shifts)
    wanted = {
        Duty.FIRST: (Duty.FIRST,),
        Duty.SECOND: (Duty.SECOND,),
        Duty.MANAGER: (Duty.MANAGER, Duty.ACTING_MANAGER),
    }
    return [
        Gap(duty, *hole)
        for duty, takers in wanted.items()
        for hole in _holes([(s.starts_at, s.ends_at) for s in found if s.duty in takers], start, end)
    ]


def _holes(
    spans: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    holes, covered_until = [], start
    for begins, ends in sorted(spans):
        if begins > covered_until:
            holes.append((covered_until, min(begins, end)))
        covered_until = max(covered_until, ends)
    if covered_until < end:
        holes.append((covered_until, end))
    return holes


@transaction.atomic
def add_shift(
    *,
    duty: str,
    user: User,
    starts_at: datetime,
    ends_at: datetime,
    customer: Customer | None,
    actor: User | None,
    now: datetime,
) -> RosterShift:
    """Put a person of the provider on duty. Raises DomainError when the time or the person cannot be."""
    if not user.is_provider or not user.is_active:
        raise DomainError(_("Only active people of the provider can be on duty."))
    if ends_at <= starts_at:
        raise DomainError(_("The shift must end after it starts."))
    shift = RosterShift.objects.create(duty=duty, user=user, starts_at=starts_at, ends_at=ends_at, customer=customer)
    audit.record(action="roster.add", actor=actor, customer=customer, obj=shift, detail=_detail(shift), now=now)
    return shift


@transaction.atomic
def remove_shift(*, shift: RosterShift, actor: User, now: datetime) -> None:
    audit.record(
        action="roster.remove", actor=actor, customer=shift.customer, obj=shift, detail=_detail(shift), now=now
    )
    shift.delete()


def _detail(shift: RosterShift) -> dict[str, object]:
    return {"duty": shift.duty, "user": shift.user_id, "from": shift.starts_at, "to": shift.ends_at}
