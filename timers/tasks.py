"""Celery's side of the timers: a rhythm that sweeps, a task that fires, and one that tidies up."""

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


@shared_task(name="timers.housekeeping", queue="default")
def housekeeping() -> None:
    """Forget what fired long ago."""
    with scope.platform("old timers"):
        services.forget_fired(now=timezone.now())
