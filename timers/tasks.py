"""Celery's side of the timers: one rhythm that sweeps, one task that fires."""

from celery import shared_task
from django.utils import timezone

from accounts import scope
from timers import services


@shared_task(name="timers.sweep", queue="timers")
def sweep() -> None:
    """Claim what is due and hand each timer to a worker."""
    with scope.platform("timer sweep"):
        for timer_id in services.claim(now=timezone.now()):
            fire.delay(timer_id)


@shared_task(name="timers.fire", queue="timers")
def fire(timer_id: int) -> None:
    with scope.platform("fire a timer"):
        services.fire(timer_id=timer_id, now=timezone.now())
