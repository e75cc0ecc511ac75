"""What the timers wake: thin entries that run inside the timer's transaction and scope; and one rhythm."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from incidents import clocks, services
from incidents.services import answering, duty_watch, escalating, following_up, responders


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


@shared_task(name=escalating.STEP_TASK, queue="default")
def escalate(*, due_at: datetime, now: datetime, step_id: int) -> None:
    escalating.fire(step_id=step_id, now=now)


@shared_task(name="incidents.watch_duty", queue="default")
def watch_duty() -> None:
    """Find responders that changed, and keep the daily look at the roster armed."""
    with scope.platform("the roster and the responders of all customers"):
        duty_watch.look(now=timezone.now())


@shared_task(name=duty_watch.GAP_TASK, queue="default")
def report_gaps(*, due_at: datetime, now: datetime) -> None:
    duty_watch.report_gaps(now=now)


@shared_task(name=responders.SEND_TASK, queue="default")
def send_responder_notice(*, due_at: datetime, now: datetime, notice_id: int) -> None:
    responders.send(notice_id=notice_id, now=now)


@shared_task(name=responders.WARN_TASK, queue="default")
def warn_of_responder_notice(*, due_at: datetime, now: datetime, notice_id: int) -> None:
    responders.warn(notice_id=notice_id, now=now)


@shared_task(name=responders.OVERDUE_TASK, queue="default")
def responder_notice_overdue(*, due_at: datetime, now: datetime, notice_id: int) -> None:
    responders.overdue(notice_id=notice_id, now=now)
