"""What must happen though no data came: silence, events that pass, old days, and the moments of R44."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.utils import OperationalError

from accounts import scope
from accounts.models import Customer
from monitoring import storage
from monitoring.services import silence, storms

log = logging.getLogger(__name__)


def run(*, now: datetime) -> int:
    """Look after every customer, each in its own scope and transaction; returns how many alerts opened or ended."""
    with scope.platform("which customers are monitored"):
        customers = list(Customer.objects.exclude(status=Customer.Status.LEFT))
    moved = 0
    for customer in customers:
        with scope.customer(customer):
            moved += silence.sweep(customer=customer, now=now)
            storms.sweep(customer=customer, now=now)
            note_moments(customer_id=customer.pk)
    keep_days(now=now)
    return moved


def keep_days(*, now: datetime) -> None:
    """Make the partitions of the next days, drop those that the packer has emptied."""
    storage.make_days_ahead(now=now)
    oldest = (now - timedelta(days=storage.DAYS_KEPT)).astimezone(UTC).date()
    try:
        dropped = storage.drop_empty_days_before(oldest)
    except OperationalError:
        log.warning("old samples stay a little longer: the table is busy")  # tried again at the next round
        return
    if dropped:
        log.info("%s days before %s were packed and dropped", dropped, oldest)


@transaction.atomic
def note_moments(*, customer_id: int) -> None:
    """Copy onto the alerts when the first message about each was handed over and when its incident was acknowledged.

    An alert that joins an incident which somebody already has in hand counts as acknowledged when it was detected.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE monitoring_alert a SET acknowledged_at = greatest(i.acknowledged_at, a.detected_at)
            FROM incidents_incident i
            WHERE a.customer_id = %s AND a.incident_id = i.id
              AND a.acknowledged_at IS NULL AND i.acknowledged_at IS NOT NULL
            """,
            [customer_id],
        )
        cursor.execute(
            """
            UPDATE monitoring_alert a SET notified_at = told.at
            FROM (
                SELECT one.id, min(d.settled_at) AS at
                FROM monitoring_alert one
                JOIN incidents_incidentalert link
                  ON link.incident_id = one.incident_id AND link.alert_key = 'alert:' || one.id
                JOIN notify_delivery d
                  ON d.key IN ('incident:' || one.incident_id || ':opened',
                               'incident:' || one.incident_id || ':alert:' || link.id)
                WHERE one.customer_id = %s AND one.notified_at IS NULL AND one.detected_at > now() - interval '7 days'
                  AND d.state = 'delivered'
                GROUP BY one.id
            ) told
            WHERE a.id = told.id
            """,
            [customer_id],
        )
