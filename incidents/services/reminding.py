"""Saying again, or adding, something about alerts that are on their incidents already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.models import Customer
from incidents import locks, messages, timeline
from incidents.models import Incident, IncidentAlert, TimelineEntry
from notify import live


@dataclass(frozen=True, slots=True)
class Reminder:
    """`text` in the customer's language. `is_loud`: the customer's channels hear of it, not the timeline alone.
    `flaps`: it is not simply firing, it comes and goes."""

    incident_id: int
    alert_key: str
    text: str
    is_loud: bool = True
    flaps: bool = False


@transaction.atomic
def remind(*, customer: Customer, reminders: Sequence[Reminder], now: datetime) -> int:
    """Write each on its incident and tell it; returns how many alerts were still open there."""
    if not reminders:
        return 0
    locks.hold_customer(customer)
    keys = [each.alert_key for each in reminders]
    found = IncidentAlert.objects.filter(customer=customer, alert_key__in=keys, recovered_at=None)
    alerts = {alert.alert_key: alert for alert in found}
    incidents = Incident.objects.in_bulk({alert.incident_id for alert in found})
    post = messages.Post(customer, now=now)
    entries = []
    for each in reminders:
        alert = alerts.get(each.alert_key)
        if alert is None:
            continue
        incident = incidents[alert.incident_id]
        incident.customer = customer
        data = {"title": alert.title, "severity": alert.severity, "alert": alert.pk, "again": True}
        kind = TimelineEntry.Kind.ALERT
        entries.append(timeline.entry_of(incident, kind, actor=None, now=now, body=each.text, data=data))
        if each.is_loud:
            messages.post_reminded(post, incident, alert, each.text, flaps=each.flaps)
    TimelineEntry.objects.bulk_create(entries)
    post.send()
    for incident_id in sorted({entry.incident_id for entry in entries})[:20]:
        live.publish(customer_id=customer.pk, topic="incidents", object_id=incident_id)
    return len(entries)
