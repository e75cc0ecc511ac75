"""When a resolved incident closes by itself: counted in working days, so that the customer has time to look (T10).

Callers hold the incident and save its `closes_at`. Both wake-ups are durable timers.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts.services import calendars, customers
from incidents import sla
from incidents.models import Incident, IncidentKind
from incidents.policy import calendar_at
from timers import services as timers

CLOSE_TASK = "incidents.close_unanswered"
REMIND_TASK = "incidents.remind_of_closing"


def schedule(incident: Incident, *, now: datetime) -> None:
    """Close at the end of the last day that the contract gives; remind when that day begins.

    An internal incident waits for its own people, and a contract may say never.
    """
    incident.closes_at = None
    days = _working_days(incident, now)
    if not days or incident.kind == IncidentKind.INTERNAL:
        return
    version = calendars.current_version(incident.customer)
    calendar = calendar_at(None if version is None else version.pk)
    try:
        incident.closes_at = sla.end_of_working_day(now, days, calendar)
    except sla.NeverDueError:
        return
    last_day = calendar.local_day(incident.closes_at - timedelta(microseconds=1))
    opening, _closing = calendar.intervals(last_day)[0]
    timers.set_many(
        timers.Arming(f"{_prefix(incident)}{name}", due_at, task, {"incident_id": incident.pk}, incident.customer_id)
        for name, due_at, task in (("remind", opening, REMIND_TASK), ("close", incident.closes_at, CLOSE_TASK))
    )


def forget(incident: Incident) -> None:
    """It was confirmed, closed by hand, or reopened."""
    incident.closes_at = None
    timers.cancel(prefix=_prefix(incident))


def _working_days(incident: Incident, now: datetime) -> int:
    contract = customers.contract_in_force(incident.customer, timezone.localdate(now))
    if contract is None or contract.closing_days is None:
        return int(settings.INCIDENT_CLOSING_DAYS)
    return int(contract.closing_days)


def _prefix(incident: Incident) -> str:
    return f"closing:{incident.pk}:"
