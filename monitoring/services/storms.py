"""Many alarms at once: the alerts first, what follows from them right after.

Opening an incident writes a dozen rows, an alert one. When more than a few alerts open together, only they are
committed with the data that opened them; their incidents come in transactions of their own, worst first, and so do the
copies of the data points that fired them. The mark that keeps them from being lost is the alert itself: open, not held
back, and without an incident; without data points. Whoever sees such an alert may finish it: the task that is sent
after the commit, the sweep, and the closing of the alert. See docs/adr/0008.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from celery import current_app
from django.db import transaction
from django.utils import translation
from kombu.exceptions import OperationalError

from accounts import bulk
from accounts.models import Customer
from monitoring import registry
from monitoring.models import Alert
from monitoring.services import holding
from monitoring.services.openings import samples_of_alerts
from notify import live

log = logging.getLogger(__name__)

AT_ONCE: Final = 20
"""So many alerts of one batch get their incidents in its own transaction."""
PER_TRANSACTION: Final = 200
SWEPT_AFTER: Final = timedelta(seconds=5)
TASK: Final = "monitoring.tell_waiting"
TASK_LIFE_S: Final = 60


_gathered: ContextVar[set[int] | None] = ContextVar("storms_gathered", default=None)


@contextmanager
def told_once() -> Generator[None]:
    """However many transactions within leave alerts waiting, one task for each customer is sent at the end."""
    customers: set[int] = set()
    token = _gathered.set(customers)
    try:
        yield
    finally:
        _gathered.reset(token)
        for customer_id in sorted(customers):
            _send(customer_id)


def tell_later(customer_id: int) -> None:
    """Have the incidents of waiting alerts opened after the commit. If the queue is down, the sweep does it."""
    gathered = _gathered.get()
    transaction.on_commit(partial(_send if gathered is None else gathered.add, customer_id), robust=True)


def _send(customer_id: int) -> None:
    try:
        current_app.send_task(TASK, args=[customer_id], queue="default", expires=TASK_LIFE_S, retry=False)
    except OperationalError:
        log.warning("the queue is down: incidents of customer %s are opened by the sweep", customer_id)


def tell_waiting(*, customer: Customer, now: datetime, detected_before: datetime | None = None) -> int:
    """Open the incidents of alerts that wait for one, in the customer's scope; returns how many alerts were told."""
    told = 0
    while some := _tell_some(customer, now, detected_before or now):
        told += some
    while Alert.objects.bare().exists():
        _copy_some(customer)
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
    _copy_samples(alerts)
    live.publish(customer_id=customer.pk, topic="alerts", object_id=alerts[-1].pk)
    return len(alerts)


@transaction.atomic
def _copy_some(customer: Customer) -> None:
    """Data points of alerts that nobody is told of: those that are held back, those that have ended."""
    registry.hold_ledger(customer.pk)
    _copy_samples(list(Alert.objects.bare().order_by("pk")[:PER_TRANSACTION]))


def _copy_samples(alerts: Sequence[Alert]) -> None:
    bare = [alert for alert in alerts if alert.samples is None]
    for alert, samples in zip(bare, samples_of_alerts(bare), strict=True):
        alert.samples = list(samples)
    bulk.update(bare, ["samples"])


def sweep(*, customer: Customer, now: datetime) -> int:
    """What a lost task or a worker that died left behind."""
    return tell_waiting(customer=customer, now=now, detected_before=now - SWEPT_AFTER)
