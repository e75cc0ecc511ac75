"""Rotations: made, changed and ended; their shifts laid out ahead as rows, so that whoever asks reads one table."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, rotation, scope
from accounts.errors import DomainError
from accounts.models import BusinessCalendar, CalendarVersion, Customer, RosterShift, Rotation, User
from accounts.models.people import PROVIDER_ROLES
from accounts.rotation import BadRotation, Rota, Turn, Works
from accounts.services import calendars

AHEAD: Final = timedelta(days=100)
"""How far shifts are laid out: well past the thirty days in which gaps are reported."""
WHY: Final = "shifts that serve all customers belong to none"


@transaction.atomic
def save(*, made: Rotation, actor: User | None, now: datetime) -> Rotation:
    """Store a new or changed rotation and lay its shifts out. Past shifts stay as they were.

    Raises DomainError when it cannot be.
    """
    rota_of(made)
    _require_people(made)
    is_new = made.pk is None
    with scope.platform(WHY):
        if is_new:
            made.created_at = now
        made.save()
        detail = {
            "duty": made.duty, "people": made.people, "rest_people": made.rest_people, "slots": made.slots,
            "first_day": made.first_day, "last_day": made.last_day, "days": made.days_per_turn, "at": made.handover,
        }  # fmt: skip
        action = "rotation.create" if is_new else "rotation.change"
        audit.record(action=action, actor=actor, customer=made.customer, obj=made, detail=detail, now=now)
        lay_out(made, now=now)
    return made


@transaction.atomic
def end(*, ended: Rotation, actor: User, now: datetime) -> None:
    """Take the shifts that lie ahead out of the roster; the one that runs ends now."""
    with scope.platform(WHY):
        if ended.ended_at is None:
            ended.ended_at = now
            ended.save()
            _replace(ended, [], now)
            audit.record(action="rotation.end", actor=actor, customer=ended.customer, obj=ended, now=now)


def rota_of(made: Rotation) -> Rota:
    """The pure form of a rotation. Raises DomainError with what is wrong."""
    handover = made.handover.hour * 60 + made.handover.minute
    try:
        slots = rotation.slots_of(made.slots) if made.slots else (rotation.whole_day(handover),)
        return Rota(
            first_day=made.first_day,
            last_day=made.last_day,
            tz=ZoneInfo(settings.TIME_ZONE),
            slots=slots,
            days_per_turn=made.days_per_turn,
            people=tuple(made.people),
            rest_people=tuple(made.rest_people),
        )
    except BadRotation as problem:
        raise DomainError(
            _("This rotation cannot be (%(problem)s). Nothing was saved: look at its people and the shifts of a day.")
            % {"problem": problem},
            code="bad_rotation",
        ) from None


def _require_people(made: Rotation) -> None:
    named = {*made.people, *made.rest_people}
    if User.objects.filter(pk__in=named, role__in=PROVIDER_ROLES, is_active=True).count() != len(named):
        raise DomainError(_("Only active people of the provider can be on duty."))


def working_days(customer: Customer | None) -> Works:
    """Which days are worked: by the customer's calendar, or by the provider's where there is none of its own."""
    version = calendars.current_version(customer) if customer is not None else _provider_version()
    if version is None:
        return lambda day: day.weekday() < 5
    calendar = calendars.load(version)
    return lambda day: bool(calendar.wall_clock(day))


def _provider_version() -> CalendarVersion | None:
    name = calendars.DEFAULT_NAME
    calendar = BusinessCalendar.objects.filter(customer=None, name=name).first()
    return None if calendar is None else calendar.versions.select_related("calendar").order_by("-number").first()


def planned(made: Rotation, *, first: date, last: date) -> list[Turn]:
    """The turns of a rotation as they would be, whether or not they are rows."""
    return list(rotation.turns(rota_of(made), first, last, working_days(made.customer)))


def lay_out(made: Rotation, *, now: datetime) -> int:
    """Bring the rows of a rotation in step with it, from now on. Returns how many rows changed. Safe to repeat."""
    if made.ended_at is not None:
        return 0
    today = timezone.localdate(now)
    begin = rotation.turn_begins(rota_of(made), today - timedelta(days=1))
    wanted = [turn for turn in planned(made, first=begin, last=today + AHEAD) if turn.ends_at > now]
    return _replace(made, wanted, now)


def _replace(made: Rotation, wanted: list[Turn], now: datetime) -> int:
    """Keep the rows that are as wanted; cut the one that runs, remove the others, add what is missing."""
    missing = {(turn.person, turn.starts_at, turn.ends_at) for turn in wanted}
    stale, changed = [], 0
    for shift in RosterShift.objects.filter(rotation=made, ends_at__gt=now).order_by("pk"):
        same = (shift.user_id, shift.starts_at, shift.ends_at)
        cut = next((turn for turn in missing if _continues(shift, turn)), None)
        if same in missing:
            missing.discard(same)
        elif shift.starts_at <= now and cut is not None:  # it began late, in the middle of its turn
            missing.discard(cut)
        elif shift.starts_at < now:
            shift.ends_at = now
            shift.save(update_fields=["ends_at"])
            changed += 1
        else:
            stale.append(shift.pk)
    RosterShift.objects.filter(pk__in=stale).delete()
    added = [
        RosterShift(
            customer_id=made.customer_id,
            duty=made.duty,
            rotation=made,
            user_id=person,
            starts_at=max(starts_at, now),
            ends_at=ends_at,
        )
        for person, starts_at, ends_at in sorted(missing, key=lambda turn: turn[1])
    ]
    RosterShift.objects.bulk_create(added)
    return changed + len(stale) + len(added)


def _continues(shift: RosterShift, turn: tuple[int, datetime, datetime]) -> bool:
    person, starts_at, ends_at = turn
    return shift.user_id == person and shift.ends_at == ends_at and starts_at <= shift.starts_at


def lay_out_all(*, now: datetime) -> int:
    """What housekeeping does: the next days, and what a new version of the calendar changed. Needs platform scope."""
    changed = 0
    for made in Rotation.objects.filter(ended_at=None).select_related("customer"):
        with transaction.atomic():
            changed += lay_out(made, now=now)
    return changed
