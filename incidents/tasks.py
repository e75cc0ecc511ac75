"""What the timers wake: thin entries that run inside the timer's transaction and scope."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from incidents import clocks, services
from incidents.services import answering, following_up


@shared_task(name=clocks.WARN_TASK, queue="default")
def warn_clock(*, due_at: datetime, now: datetime, clock_id: int) -> None:
    services.warn(clock_id=clock_id, due_at=due_at, now=now)


@shared_task(name="incidents.ask_for_receipts", queue="notify")
def ask_for_receipts() -> None:
    """Calls and SMS whose receipt did not come."""
    answering.ask_for_reports(now=timezone.now())


@shared_task(name=clocks.BREACH_TASK, queue="default")
def breach_clock(*, due_at: datetime, now: datetime, clock_id: int) -> None:
    services.breach(clock_id=clock_id, now=now)


@shared_task(name=following_up.REMIND_TASK, queue="default")
def remind_of_follow_up(*, due_at: datetime, now: datetime, follow_up_id: int, stage: str) -> None:
    following_up.remind(follow_up_id=follow_up_id, stage=stage, due_at=due_at, now=now)
