"""The demo's monthly reports: everything was there for months, and last month's report has been sent and read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from accounts.models import Customer, Role, User
from assets.models import Asset
from incidents.months import Month
from reports.models import ServiceFigures, ServiceIssue, ServiceRecipient
from reports.services import rendering, sending, service_reports, writing

THERE_SINCE: Final = timedelta(days=120)


def write(*, customer: Customer, engineer: User, manager: User, now: datetime) -> None:
    """Needs a platform scope."""
    Asset.objects.filter(customer__isnull=False).update(created_at=now - THERE_SINCE)
    month = Month.of(timezone.localdate(now)).shifted(-1)
    at = max(month.ends_at + timedelta(hours=2), now - timedelta(days=2))
    report = service_reports.open_by_plan(customer=customer, month=month, now=at)
    if report is None:
        return
    reading = ServiceFigures.objects.get(report=report)
    if not service_reports.read_figures(reading_id=reading.pk, clock=lambda: at):
        return
    writing.submit(report=report, actor=engineer, now=at)
    issue: ServiceIssue = writing.sign(report=report, actor=manager, now=at)
    person = User.objects.filter(customer=customer, role=Role.CUSTOMER_PM).order_by("pk")[0]
    if rendering.render(family="service", file_id=issue.file.pk, clock=lambda: at):
        [recipient] = sending.send(report=report, people=[person], actor=engineer, now=at)
        sending.take_receipt(recipient=recipient, way=ServiceRecipient.Way.PORTAL, now=at)
