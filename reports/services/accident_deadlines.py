"""Until when an accident report is owed, and the timers that say so."""

from datetime import datetime
from typing import Final

from django.conf import settings

from accounts.calendars import ALWAYS, Calendar
from accounts.models import Customer
from accounts.services import calendars
from reports import deadlines
from reports.models import AccidentReport
from timers import services as timers

REMIND_TASK: Final = "reports.remind_of_accident"
MISS_TASK: Final = "reports.miss_accident"


def due(customer: Customer, asked_at: datetime) -> datetime:
    return deadlines.due(asked_at, settings.ACCIDENT_REPORT_WORKDAYS, _calendar(customer))


def arm(report: AccidentReport, now: datetime) -> None:
    args = {"report_id": report.pk}
    morning = deadlines.last_morning(report.opened_at, settings.ACCIDENT_REPORT_WORKDAYS, _calendar(report.customer))
    if report.missed_at is None:
        timers.set(key=f"{report.key}due", due_at=report.due_at, task=MISS_TASK, args=args, customer=report.customer_id)
    if morning > now:
        timers.set(key=f"{report.key}remind", due_at=morning, task=REMIND_TASK, args=args, customer=report.customer_id)


def _calendar(customer: Customer) -> Calendar:
    version = calendars.current_version(customer)
    return ALWAYS if version is None else calendars.load(version)
