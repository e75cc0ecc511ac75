"""Many alarms at once: the alerts first, what follows from them right after.

Opening an incident writes a dozen rows, an alert one. When more than a few alerts open together, only they are
committed with the data that opened them; their incidents come in transactions of their own, worst first. The mark that
keeps them from being lost is the alert itself: open, not held back, and without an incident. Whoever sees such an alert
may finish it: the task that is sent after the commit, the sweep, and the closing of the alert. See docs/adr/0008.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

from celery import current_app
from django.db import transaction
from django.utils import translation

from accounts.models import Customer
from monitoring import registry
from monitoring.models import Alert
from monitoring.services import holding
from notify import live

AT_ONCE: Final = 20
"""So many alerts of one batch get their incidents in its own transaction."""
PER_TRANSACTION: Final = 200
SWEPT_AFTER: Final = timedelta(seconds=5)
TASK: Final = "monitoring.tell_waiting"
TASK_LIFE_S: Final = 60


def tell_later(customer_id: int) -> None:
    """Have the incidents of waiting alerts opened after the commit. If the queue is down, the sweep does it."""
    transaction.on_commit(partial(_send, customer_id), robust=True)


def _send(customer_id: int) -> None:
    current_app.send_task(TASK, args=[customer_id], queue="default", expires=TASK_LIFE_S, retry=False)


def tell_waiting(*, customer: Customer, now: datetime, detected_before: datetime | None = None) -> int:
    """Open the incidents of alerts that wait for one, in the customer's scope; returns how many alerts were told."""
    told = 0
    while some := _tell_some(customer, now, detected_before or now):
        told += some
    return told


@transaction.atomic
def _tell_some(customer: Customer, now: datetime, detected_before: datetime) -> int:
    """The ledger is held, so that nothing of the customer is judged or ended meanwhile."""
    registry.hold_ledger(customer.pk)
    waiting = Alert.objects.waiting().filter(detected_at__lte=detected_before).select_related("asset").worst_first()
    alerts = list(waiting[:PER_TRANSACTION])
    if not alerts:
        return 0
    with translation.override(customer.language):
        holding.tell(customer=customer, alerts=alerts, now=now)
    live.publish(customer_id=customer.pk, topic="alerts", object_id=alerts[-1].pk)
    return len(alerts)


def sweep(*, customer: Customer, now: datetime) -> int:
    """What a lost task or a worker that died left behind."""
    return tell_waiting(customer=customer, now=now, detected_before=now - SWEPT_AFTER)
