"""What ends once a monthly report was sent: the alarm that it was not, and the recurring duty of it (R179)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from changes.models import DutyKind, DutyOccurrence
from changes.services import recurring
from changes.services.recurring import Shown
from incidents.models import Incident, IncidentState
from incidents.months import Month
from incidents.services.settling import settle
from reports.models import ServiceRecipient, ServiceReport
from reports.services import reaching


class Ending(Protocol):
    @property
    def customer_id(self) -> int: ...

    def end(self, now: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Alarm:
    """Of a report that is owed no more."""

    report: ServiceReport

    @property
    def customer_id(self) -> int:
        return self.report.customer_id

    def end(self, now: datetime) -> None:
        if self.report.alarm is None:
            return
        with translation.override(self.report.customer.language):
            resolution = _("The report was sent, or is not owed any more.")
        settle(incident=self.report.alarm, cause=Incident.Cause.SYSTEM, resolution=resolution, now=now)


@dataclass(frozen=True, slots=True)
class Duty:
    """Of a month whose report was sent."""

    occurrence: DutyOccurrence
    report: ServiceReport

    @property
    def customer_id(self) -> int:
        return self.report.customer_id

    @transaction.atomic
    def end(self, now: datetime) -> None:
        """Done by whoever sent it, with its address as the evidence."""
        first = ServiceRecipient.objects.filter(issue__report=self.report).order_by("sent_at", "pk")
        sender = first.select_related("sent_by")[0].sent_by
        address = reverse("reports:detail", args=[self.report.FAMILY, self.report.pk])
        shown = Shown(link=f"{settings.PUBLIC_URL}{address}")
        recurring.complete(occurrence=self.occurrence, shown=shown, actor=sender, now=now)


def alarms() -> list[Alarm]:
    """Needs a platform scope."""
    over = (IncidentState.RESOLVED, IncidentState.CLOSED)
    rows = ServiceReport.objects.monthly().exclude(alarm=None).exclude(alarm__state__in=over)
    rows = rows.select_related("customer", "alarm").defer("figures")
    return [Alarm(report) for report in rows if not reaching.is_owed(report)]


def duties() -> list[Duty]:
    """Needs a platform scope."""
    waiting = DutyOccurrence.objects.open().filter(duty__kind=DutyKind.MONTHLY_REPORT).select_related("duty")
    about = {(one.customer_id, str(Month.of(one.due_on).shifted(-1))): one for one in waiting}
    rows = ServiceReport.objects.monthly().filter(
        customer__in={customer for customer, _period in about},
        period__in={period for _customer, period in about},
        sent_at__isnull=False,
    )
    rows = rows.select_related("customer").defer("figures")
    return [Duty(about[key], row) for row in rows if (key := (row.customer_id, row.period)) in about]
