"""What the rhythm of reports does: opens what outages ask for, and finds documents that nobody is making."""

import logging
from datetime import datetime
from typing import Final

from accounts import scope
from incidents.services import interruptions
from reports.models import AccidentReport, ServiceFigures
from reports.services import accidents, families, service_reports

log = logging.getLogger(__name__)
AT_ONCE: Final = 50


def open_what_is_owed(*, now: datetime) -> int:
    """Look at the incidents whose outage may have crossed 30 minutes; returns how many reports were opened.

    It is a question to the rows and not a wake-up that could be lost: after any standstill the next one finds what
    is owed, and the database keeps it at one report per incident. One incident's trouble is only its own.
    """
    with scope.platform("outages of every customer"):
        suspects = list(interruptions.suspects(now).exclude(pk__in=AccidentReport.objects.values("incident_id")))
    opened = 0
    for incident in suspects:
        with scope.customer(incident.customer_id):
            try:
                opened += accidents.open_for_outage(incident=incident, now=now) is not None
            except Exception:
                log.exception("the accident report of incident %s cannot be opened", incident.pk)
    return opened


def open_months(*, now: datetime) -> int:
    """Open the monthly reports whose day has come; one customer's trouble is only its own."""
    with scope.platform("months of every customer"):
        owed = service_reports.owed_months(now=now)
    opened = 0
    for customer, month in owed:
        with scope.customer(customer.pk):
            try:
                opened += service_reports.open_by_plan(customer=customer, month=month, now=now) is not None
            except Exception:
                log.exception("the report of customer %s for %s cannot be opened", customer.pk, month)
    return opened


def documents_waiting(*, now: datetime) -> list[tuple[str, int]]:
    """Families and files. Needs a platform scope."""
    return [
        (name, pk)
        for name, family in families.FAMILIES.items()
        for pk in family.file.objects.waiting(now).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]
    ]


def figures_waiting(*, now: datetime) -> list[int]:
    """Of each customer its oldest: nobody's many reports hold up another's. Needs a platform scope."""
    waiting = ServiceFigures.objects.waiting(now).order_by("customer_id", "pk").distinct("customer_id")
    return list(waiting.values_list("pk", flat=True)[:AT_ONCE])
