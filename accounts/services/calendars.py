"""Business calendars: seeding from published holidays, versions, and the pure `Calendar` that clocks count with."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import chinese_calendar
import holidays
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.calendars import ALWAYS, BadCalendar, Calendar, Minutes
from accounts.errors import DomainError
from accounts.models import BusinessCalendar, CalendarDay, CalendarVersion, Customer, SlaTerm, User

DEFAULT_NAME = "5x8"
# Decision Q1 on the SOW's "5 X 8": Monday to Friday, lunch out.
OFFICE_HOURS = ("09:00-12:00", "13:00-18:00")
WARN_FROM_MONTH = 12
SPAN = re.compile(r"^([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$")
SOURCE = "国务院办公厅通知（chinesecalendar {version}）"
SECOND_SOURCE = "holidays（另一来源未列，待确认）"


@dataclass(frozen=True)
class Day:
    """A day that differs from the week, with where we know it from."""

    day: date
    is_workday: bool
    name: str
    source: str
    is_approved: bool = True


def published_days(year: int) -> list[Day]:
    """Statutory holidays and 调休 working days of one year; empty when the State Council's notice is not packaged yet.

    A day on which two independent packages differ is kept and marked as not in force, for a person to decide (T6).
    """
    source = SOURCE.format(version=chinese_calendar.__version__ if hasattr(chinese_calendar, "__version__") else "1")
    off = {day: name for day, name in chinese_calendar.holidays.items() if day.year == year}
    if not off:
        return []
    worked = {day: name for day, name in chinese_calendar.workdays.items() if day.year == year}
    second_opinion = holidays.country_holidays("CN", years=year)
    days = [
        Day(day, False, name, source, is_approved=day.weekday() >= 5 or day in second_opinion)
        for day, name in off.items()
        if day.weekday() < 5
    ]
    days += [Day(day, True, name, source, is_approved=day not in second_opinion) for day, name in worked.items()]
    days += [
        Day(day, False, name, SECOND_SOURCE, is_approved=False)
        for day, name in second_opinion.items()
        if day.weekday() < 5 and day not in off and day not in worked
    ]
    return sorted(days, key=lambda entry: entry.day)


@transaction.atomic
def seed_default(*, years: Sequence[int], now: datetime) -> BusinessCalendar:
    """Make the provider's 5x8 calendar if it is missing. Needs a platform scope."""
    calendar, created = BusinessCalendar.objects.get_or_create(customer=None, name=DEFAULT_NAME)
    if created:
        week = [list(OFFICE_HOURS)] * 5 + [[], []]
        days = [entry for year in years for entry in published_days(year)]
        known = sorted({entry.day.year for entry in days})
        add_version(
            calendar=calendar,
            week=week,
            workday_hours=list(OFFICE_HOURS),
            days=days,
            known_years=known,
            reason="工作说明书表 1：5 × 8，午休除外",
            actor=None,
            now=now,
        )
    return calendar


@transaction.atomic
def add_version(
    *,
    calendar: BusinessCalendar,
    week: Sequence[Sequence[str]],
    workday_hours: Sequence[str],
    days: Iterable[Day],
    known_years: Sequence[int],
    reason: str,
    actor: User | None,
    now: datetime,
) -> CalendarVersion:
    """Make the next version; incidents that began before keep the version they began with (T12).

    Raises DomainError when the hours cannot be read or overlap.
    """
    if len(week) != 7:
        raise DomainError(_("A week has seven days."), code="bad_hours")
    try:
        Calendar(
            tz=ZoneInfo(calendar.timezone),
            week={weekday: parse_hours(spans) for weekday, spans in enumerate(week)},
            workday=parse_hours(workday_hours),
        )
    except BadCalendar as problem:
        raise DomainError(
            _("These hours overlap or run backwards (%(hours)s). Write them in order, such as 09:00-12:00.")
            % {"hours": problem},
            code="bad_hours",
        ) from None
    BusinessCalendar.objects.select_for_update().get(pk=calendar.pk)
    latest = calendar.versions.order_by("-number").first()
    version = CalendarVersion.objects.create(
        customer=calendar.customer,
        calendar=calendar,
        number=1 if latest is None else latest.number + 1,
        week=[list(spans) for spans in week],
        workday_hours=list(workday_hours),
        known_years=list(known_years),
        created_at=now,
        created_by=actor,
        reason=reason,
    )
    CalendarDay.objects.bulk_create(
        CalendarDay(
            customer=calendar.customer,
            version=version,
            day=entry.day,
            is_workday=entry.is_workday,
            name=entry.name,
            source=entry.source,
            is_approved=entry.is_approved,
        )
        for entry in days
    )
    detail = {"version": version.number, "reason": reason}
    audit.record(
        action="calendar.version", actor=actor, customer=calendar.customer, obj=calendar, detail=detail, now=now
    )
    return version


@transaction.atomic
def copy_for(*, customer: Customer, source: CalendarVersion, actor: User, now: datetime) -> BusinessCalendar:
    """Give a customer a calendar of their own, which begins as a copy of another one."""
    calendar, created = BusinessCalendar.objects.get_or_create(
        customer=customer, name=source.calendar.name, defaults={"timezone": source.calendar.timezone}
    )
    if not created:
        raise DomainError(_("This customer has a calendar of its own already."), code="duplicate")
    add_version(
        calendar=calendar,
        week=source.week,
        workday_hours=source.workday_hours,
        days=days_of(source),
        known_years=source.known_years,
        reason=f"{source}",
        actor=actor,
        now=now,
    )
    return calendar


def days_of(version: CalendarVersion) -> list[Day]:
    """The special days of a version, as the next version may begin with them."""
    return [Day(row.day, row.is_workday, row.name, row.source, row.is_approved) for row in version.days.all()]


@transaction.atomic
def add_published_year(*, calendar: BusinessCalendar, year: int, actor: User | None, now: datetime) -> bool:
    """Add a year's holidays as a new version; False when they are known already or not published yet."""
    latest = calendar.versions.order_by("-number").first()
    new = published_days(year)
    if latest is None or year in latest.known_years or not new:
        return False
    decided = days_of(latest)  # what somebody entered before the notice came stays as they said
    add_version(
        calendar=calendar,
        week=latest.week,
        workday_hours=latest.workday_hours,
        days=[*decided, *(entry for entry in new if entry.day not in {day.day for day in decided})],
        known_years=sorted({*latest.known_years, year}),
        reason=f"录入 {year} 年节假日",
        actor=actor,
        now=now,
    )
    return True


def parse_hours(spans: Sequence[str]) -> tuple[Minutes, ...]:
    """`["09:00-12:00", "13:00-24:00"]` as minutes after midnight. Raises BadCalendar for anything else."""
    found = []
    for span in spans:
        match = SPAN.match(span)
        if match is None:
            raise BadCalendar(span)
        hours = [int(part) for part in match.groups()]
        found.append((hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]))
    return tuple(found)


def load(version: CalendarVersion) -> Calendar:
    """One version as the pure calendar that `incidents.sla` counts with."""
    approved = version.days.filter(is_approved=True).values_list("day", "is_workday")
    return Calendar(
        tz=ZoneInfo(version.calendar.timezone),
        week={weekday: parse_hours(spans) for weekday, spans in enumerate(version.week)},
        days=dict(approved),
        workday=parse_hours(version.workday_hours),
        known_years=frozenset(version.known_years),
        version=str(version.pk),
    )


def current_version(customer: Customer | None) -> CalendarVersion | None:
    """The version in force for a customer: of their own calendar if they have one, else of the provider's."""
    versions = CalendarVersion.objects.select_related("calendar").order_by("-number")
    return (versions.filter(calendar__customer=customer).first() if customer is not None else None) or versions.filter(
        calendar__customer=None, calendar__name=DEFAULT_NAME
    ).first()


def for_term(term: SlaTerm) -> tuple[Calendar, CalendarVersion | None]:
    """The calendar on which the handling clock of an SLA term runs, with the version to freeze on the incident."""
    version = current_version(term.customer) if term.handling_calendar == SlaTerm.HandlingCalendar.BUSINESS else None
    return (ALWAYS, None) if version is None else (load(version), version)


def years_missing(*, today: date) -> list[int]:
    """Years whose holidays the default calendar lacks: this year's, and from December the next one's (T13)."""
    wanted = [today.year] + [today.year + 1] * (today.month >= WARN_FROM_MONTH)
    version = CalendarVersion.objects.filter(calendar__customer=None, calendar__name=DEFAULT_NAME).first()
    known = [] if version is None else version.known_years
    return [year for year in wanted if year not in known]
