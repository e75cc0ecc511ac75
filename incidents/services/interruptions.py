"""What was out and for how long, of the incidents on which the SOW counts it: Disaster and High (R115, Q9)."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from accounts.models import Severity
from incidents.interruptions import REPORTED_FROM, Interruption, Span, longest
from incidents.models import UNSOLVED_STATES, Incident, IncidentKind, IncidentQuerySet

LOOKED_BACK: Final = timedelta(days=14)
"""A platform that was down for so long finds on its return what it owes."""


def counts(incident: Incident) -> bool:
    return incident.severity <= Severity.HIGH and incident.kind == IncidentKind.INCIDENT


def of(incident: Incident, *, now: datetime) -> Interruption | None:
    """The longest outage of an incident, whatever its severity: from the first alert, or from when it was confirmed.

    Alerts say it best; the bad ones alone where there are such. Without alerts it lasts from the time that was
    reported until it was solved.
    """
    return longest(_spans(incident), now)


def suspects(now: datetime) -> IncidentQuerySet:
    """Incidents whose outage may have crossed the limit: old enough, bad enough, and open or not long past."""
    rows: IncidentQuerySet = Incident.objects.filter(
        Q(state__in=UNSOLVED_STATES) | Q(resolved_at__gte=now - LOOKED_BACK),
        severity__lte=Severity.HIGH,
        kind=IncidentKind.INCIDENT,
        detected_at__lt=now - REPORTED_FROM,
    )
    return rows.select_related("customer").prefetch_related("alerts").order_by("pk")


def _spans(incident: Incident) -> Iterator[Span]:
    alerts = list(incident.alerts.all())
    bad = [alert for alert in alerts if alert.severity <= Severity.HIGH] or alerts
    for alert in bad:
        yield alert.occurred_at, alert.recovered_at or incident.resolved_at
    if not bad:
        yield incident.detected_at, incident.resolved_at
