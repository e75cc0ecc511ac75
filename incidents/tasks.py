"""What the timers wake: thin entries that run inside the timer's transaction and scope."""

from datetime import datetime

from celery import shared_task

from incidents import clocks, services


@shared_task(name=clocks.WARN_TASK, queue="default")
def warn_clock(*, due_at: datetime, now: datetime, clock_id: int) -> None:
    services.warn(clock_id=clock_id, due_at=due_at, now=now)


@shared_task(name=clocks.BREACH_TASK, queue="default")
def breach_clock(*, due_at: datetime, now: datetime, clock_id: int) -> None:
    services.breach(clock_id=clock_id, now=now)
