"""Schedules of rules: when they may open an alert."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.calendars import BadCalendar, Calendar
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider
from accounts.services import calendars
from monitoring.models import RuleOverride, RuleSchedule
from monitoring.services import levels


@transaction.atomic
def save(
    *,
    customer: Customer,
    schedule: RuleSchedule | None,
    name: str,
    basis: str,
    week: Sequence[Sequence[str]],
    timezone: str = "Asia/Shanghai",
    actor: User,
    now: datetime,
) -> RuleSchedule:
    """Make a schedule, or change it; the rules that keep to it follow with the next batch."""
    _check(actor)
    _check_week(week, timezone)
    levels.replan(customer)
    row = schedule or RuleSchedule(customer=customer)
    row.name, row.basis, row.timezone = name.strip(), basis, timezone
    row.week = [list(spans) for spans in week]
    row.changed_by, row.changed_at = actor, now
    row._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise DomainError(_("There is a schedule with this name already."), code="duplicate") from None
    detail = {"name": row.name, "basis": row.basis, "week": row.week}
    audit.record(action="rule_schedule.save", actor=actor, customer=customer, obj=row, detail=detail, now=now)
    return row


@transaction.atomic
def remove(*, schedule: RuleSchedule, actor: User, now: datetime) -> None:
    """Refused while rules keep to it."""
    _check(actor)
    used = RuleOverride.objects.filter(schedule=schedule).count()
    if used:
        said = ngettext(
            "%(count)d rule keeps to this schedule. Change it first.",
            "%(count)d rules keep to this schedule. Change them first.",
            used,
        )
        raise DomainError(said % {"count": used}, code="schedule_used")
    levels.replan(schedule.customer)
    detail = {"name": schedule.name}
    audit.record(
        action="rule_schedule.remove", actor=actor, customer=schedule.customer, obj=schedule, detail=detail, now=now
    )
    schedule._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    schedule.delete()


def _check_week(week: Sequence[Sequence[str]], timezone: str) -> None:
    try:
        spans = {day: calendars.parse_hours(hours) for day, hours in enumerate(week)}
        Calendar(tz=ZoneInfo(timezone), week=spans)
    except BadCalendar as problem:
        raise DomainError(
            _("These hours overlap or run backwards (%(hours)s). Write them in order, such as 09:00-12:00.")
            % {"hours": problem},
            code="bad_hours",
        ) from None
    except (KeyError, ValueError):  # ZoneInfo: no such zone
        raise DomainError(_("There is no such time zone."), code="timezone") from None
    if len(week) != 7 or not any(spans.values()):
        raise DomainError(_("A schedule needs at least one stretch of time in the week."), code="bad_hours")


def _check(actor: User) -> None:
    if not is_provider(actor):
        raise PermissionDenied
