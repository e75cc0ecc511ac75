"""What the rhythm of reports does: opens what outages ask for, and finds documents that nobody is making."""

import logging
from datetime import datetime
from typing import Final

from accounts import scope
from accounts.models import Customer
from incidents.months import Month
from incidents.services import interruptions
from reports.models import AccidentReport, ServiceFigures
from reports.services import accidents, families, month_troubles, reaching, service_ending, service_reports
from reports.services.leases import said

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
    """Open the monthly reports whose day has come; one customer's trouble is only its own, and goes on record."""
    with scope.platform("months of every customer"):
        owed = service_reports.owed_months(now=now)
    opened = 0
    for customer, month in owed:
        with scope.customer(customer.pk):
            try:
                opened += service_reports.open_by_plan(customer=customer, month=month, now=now) is not None
            except Exception as problem:
                log.exception("the report of customer %s for %s cannot be opened", customer.pk, month)
                _note(customer, month, problem, now)
    return opened


def _note(customer: Customer, month: Month, problem: Exception, now: datetime) -> None:
    try:
        month_troubles.not_opened(customer=customer, month=month, reason=said(problem), now=now)
    except Exception:
        log.exception("the trouble of customer %s with %s cannot be put on record", customer.pk, month)


def look_after_months(*, now: datetime) -> None:
    """Figures of months that were given up become incidents, and troubles that are over end theirs."""
    with scope.platform("troubles with months of every customer"):
        given_up, over = month_troubles.given_up(), month_troubles.over()
    for report in given_up:
        with scope.customer(report.customer_id):
            try:
                month_troubles.without_figures(report=report, now=now)
            except Exception:
                log.exception("nobody can be told that the figures of report %s were given up", report.pk)
    for trouble in over:
        with scope.customer(trouble.customer_id):
            try:
                month_troubles.end(trouble=trouble, now=now)
            except Exception:
                log.exception("the trouble of customer %s with %s does not end", trouble.customer_id, trouble.period)


def look_after_sent(*, now: datetime) -> None:
    """Mails that were lost are told; what waited for a report to be sent ends: its alarm, and the duty to make it."""
    with scope.platform("what became of reports"):
        lost = reaching.lost(now=now)
        over: list[service_ending.Ending] = [*service_ending.alarms(), *service_ending.duties()]
    for one in lost:
        with scope.customer(one.recipient.customer_id):
            try:
                reaching.note(lost=one, now=now)
            except Exception:
                log.exception("nobody can be told that the mail to recipient %s was lost", one.recipient.pk)
    for ending in over:
        with scope.customer(ending.customer_id):
            try:
                ending.end(now)
            except Exception:
                log.exception("%s of customer %s does not end", ending, ending.customer_id)


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
