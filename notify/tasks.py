"""The queue's side of the outbox and of the audit log on its way out."""

from celery import shared_task
from django.utils import timezone

from accounts import scope
from notify.services import delivering, siem


@shared_task(name="notify.deliver", queue="notify")
def deliver(lane: int) -> None:
    """Send what is due on one channel."""
    if delivering.drain(lane=lane) >= delivering.ROUNDS:
        deliver.delay(lane)  # there is more: other channels have their turn in between


@shared_task(name="notify.sweep", queue="notify")
def sweep() -> None:
    """The backstop: finds what a lost wake-up or a dead worker left behind."""
    now = timezone.now()
    delivering.recover(now=now)
    for lane in delivering.lanes_due(now=now):
        deliver.delay(lane)


@shared_task(name="notify.ship_audit", queue="automation")
def ship_audit() -> None:
    """To whoever collects the audit log elsewhere."""
    with scope.platform("audit log to a SIEM"):
        siem.ship(clock=timezone.now)
