"""Freezes and maintenance windows (R92): whether one holds. Made and ended in `changes.services.freezing`."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import Customer
from accounts.services import calendars
from accounts.windows import overlaps
from changes.models import Change, ChangeWindow

Kind = ChangeWindow.Kind
LONGEST: Final = timedelta(days=7)
"""A change's window, and so what is compared with a freeze."""


def freezes(customer: Customer, start: datetime, end: datetime) -> list[ChangeWindow]:
    """The freezes that have a moment in common with this span of a week at most."""
    standing = ChangeWindow.objects.of(customer.pk).filter(kind=Kind.FREEZE).standing(start)
    found = [one for one in standing if overlaps(one.spans(), start, end)]
    holidays = [one for one in standing if one.holidays and one not in found]
    return [*found, *holidays] if holidays and has_holiday(customer, start, end) else found


def must_not_be_over(change: Change, now: datetime) -> None:
    """Raises DomainError when the window in which the work was agreed has ended."""
    if change.ends_at is not None and change.ends_at <= now:
        raise DomainError(
            _("The window of %(number)s is over: nothing was sent. Move its end first, then start it again.")
            % {"number": change.number},
            code="window_over",
        )


def is_maintenance(customer: Customer, start: datetime, end: datetime) -> bool | None:
    """Whether a maintenance window has the whole of it; None when the customer has agreed on none."""
    standing = list(ChangeWindow.objects.of(customer.pk).filter(kind=Kind.MAINTENANCE).standing(start))
    if not standing:
        return None
    spans = [span for one in standing for window in one.spans() for span in window.near(start)]
    return any(begins <= start and end <= ends for begins, ends in spans)


def has_holiday(customer: Customer, start: datetime, end: datetime) -> bool:
    """Whether a public holiday of the customer's calendar lies in it."""
    return bool(holidays(customer, start, end))


def holidays(customer: Customer | None, start: datetime, end: datetime) -> list[date]:
    """The public holidays in it, by the customer's calendar; none: by the provider's."""
    version = calendars.current_version(customer)
    if version is None:
        return []
    calendar = calendars.load(version)
    first, last = calendar.local_day(start), calendar.local_day(end - timedelta(microseconds=1))
    return sorted(day for day, is_workday in calendar.days.items() if not is_workday and first <= day <= last)
