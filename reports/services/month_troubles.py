"""Months whose report cannot be made: the provider hears it once, as an incident of its own, which ends by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import Customer, Severity
from incidents.locks import hold_customer
from incidents.models import Incident, IncidentKind
from incidents.months import Month
from incidents.services import opening
from incidents.services.settling import settle
from reports.models import MadeState, MonthTrouble, ServiceReport
from reports.models.written import OWED
from reports.services import service_reports

PATIENCE: Final = timedelta(minutes=10)
"""A database that is away for a moment is not yet an incident."""
LANGUAGE: Final = "zh-hans"
"""Of what the provider's people share."""


@transaction.atomic
def not_opened(*, customer: Customer, month: Month, reason: str, now: datetime) -> MonthTrouble:
    """The sweep could not open the month's report, once more; it goes on trying."""
    with translation.override(LANGUAGE):
        what = _("The report could not be opened. The platform goes on trying; the reason must be removed.")
    return _note(customer, str(month), what, reason, now, patience=PATIENCE)


@transaction.atomic
def without_figures(*, report: ServiceReport, now: datetime) -> MonthTrouble:
    """Its figures were given up after the usual tries."""
    with translation.override(LANGUAGE):
        what = _("The figures could not be read. Remove the reason, then let them be read again on the report's page.")
    reason = report.reading.error
    return _note(report.customer, report.period, what, reason, now, patience=timedelta(0))


def given_up() -> list[ServiceReport]:
    """Monthly reports that are owed and have no figures, because nobody tries any more. Needs a platform scope."""
    rows = ServiceReport.objects.monthly().filter(OWED, figures_at=None, reading__state=MadeState.FAILED)
    known = MonthTrouble.objects.filter(over_at=None).exclude(incident=None).values_list("customer_id", "period")
    told = set(known)
    rows = rows.select_related("customer", "reading").order_by("pk")
    return [report for report in rows if (report.customer_id, report.period) not in told]


def over() -> list[MonthTrouble]:
    """Troubles that are no more: there is a report with figures, or none is owed. Needs a platform scope."""
    rows = MonthTrouble.objects.filter(over_at=None).select_related("customer", "incident")
    return [trouble for trouble in rows if _is_over(trouble)]


@transaction.atomic
def end(*, trouble: MonthTrouble, now: datetime) -> None:
    if not MonthTrouble.objects.filter(pk=trouble.pk, over_at=None).update(over_at=now):
        return
    if trouble.incident is not None:
        with translation.override(LANGUAGE):
            resolution = _("The report has its figures, or is not owed any more.")
        settle(incident=trouble.incident, cause=Incident.Cause.SYSTEM, resolution=resolution, now=now)


def _is_over(trouble: MonthTrouble) -> bool:
    customer, month = trouble.customer, Month.parse(trouble.period)
    rows = ServiceReport.objects.monthly().filter(customer=customer, period=trouble.period)
    report = rows.defer("figures").first()
    if report is None:
        return not service_reports.is_wanted(customer, service_reports.plan_of(customer), month)
    return report.figures_at is not None or not report.is_owed


def _note(
    customer: Customer, period: str, what: str, reason: str, now: datetime, *, patience: timedelta
) -> MonthTrouble:
    hold_customer(customer)
    trouble: MonthTrouble = MonthTrouble.objects.filter(
        customer=customer, period=period, over_at=None
    ).first() or MonthTrouble(customer=customer, period=period, since=now)
    trouble.reason = reason
    if trouble.incident is None and now - trouble.since >= patience:
        trouble.incident = _raise(trouble, what, now)
    trouble.save()
    return trouble


def _raise(trouble: MonthTrouble, what: str, now: datetime) -> Incident:
    with translation.override(LANGUAGE):
        names = {"customer": trouble.customer, "month": trouble.period}
        title = _("The monthly report of %(customer)s for %(month)s cannot be made") % names
    return opening.open_by_platform(
        customer=trouble.customer,
        kind=IncidentKind.INTERNAL,
        title=title,
        description=f"{what}\n\n{trouble.reason}",
        severity=Severity.HIGH,
        detected_at=trouble.since,
        now=now,
    )
