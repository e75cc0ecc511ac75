"""What the timers wake: thin entries that run inside the timer's transaction and scope; and one rhythm."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from incidents import attestation_mail, clocks, closing, contacting, services
from incidents.policy import FIRST_SHARES
from incidents.services import (
    announcing,
    answering,
    attestations,
    chat_answers,
    desk,
    duty_watch,
    escalating,
    following_up,
    inbound,
    mailbox,
    outages,
    responders,
    triage,
)


@shared_task(name=clocks.WARN_TASK, queue="default")
def warn_clock(*, due_at: datetime, now: datetime, clock_id: int, share: int = FIRST_SHARES[0]) -> None:
    """`share` is missing in timers of the first version."""
    services.warn(clock_id=clock_id, share=share, due_at=due_at, now=now)


@shared_task(name=contacting.TASK, queue="default")
def go_on_calling(*, due_at: datetime, now: datetime, call_id: int, round: int, place: int) -> None:  # noqa: A002 - the name in the timer
    contacting.go_on(call_id=call_id, round_=round, place=place, now=now)


@shared_task(name="incidents.ask_for_receipts", queue="notify")
def ask_for_receipts() -> None:
    """Calls and SMS whose receipt did not come."""
    answering.ask_for_reports(now=timezone.now())


@shared_task(name=announcing.TASK, queue="default")
def publish_announcement(*, due_at: datetime, now: datetime, announcement_id: int) -> None:
    announcing.publish_due(announcement_id=announcement_id, now=now)


@shared_task(name="incidents.note_desk", queue="default")
def note_desk() -> None:
    """Whom the service desk's number leads to, when it changes."""
    desk.note_change(now=timezone.now())


@shared_task(name="incidents.watch_ways_out", queue="default")
def watch_ways_out() -> None:
    """Customers whom no channel reaches any more (N7)."""
    outages.watch(now=timezone.now())


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


@shared_task(name=inbound.READ_TASK, queue="default")
def read_inbound(message_id: int) -> None:
    now = timezone.now()
    inbound.read(message_id=message_id, now=now)
    chat_answers.send(message_id=message_id, now=now)


@shared_task(name="incidents.sweep_inbound", queue="default")
def sweep_inbound() -> None:
    """The backstop: what was stored and not read, and answers that were not sent."""
    now = timezone.now()
    inbound.sweep(now=now)
    for message_id in chat_answers.waiting(now=now):
        chat_answers.send(message_id=message_id, now=now)


@shared_task(name="incidents.forget_inbound", queue="default")
def forget_inbound() -> None:
    inbound.forget(now=timezone.now())


@shared_task(name=triage.REMIND_TASK, queue="default")
def remind_triage(*, due_at: datetime, now: datetime, message_id: int) -> None:
    triage.remind(message_id=message_id, now=now)


@shared_task(name="incidents.poll_mail", queue="default")
def poll_mail() -> None:
    """One task a mailbox: a server that is slow keeps only itself waiting."""
    for source_id in mailbox.due():
        poll_mailbox.apply_async(args=(source_id,), expires=30)


@shared_task(name="incidents.poll_mailbox", queue="default")
def poll_mailbox(source_id: int) -> None:
    mailbox.poll(source_id=source_id)


@shared_task(name=attestations.EXPIRE_TASK, queue="default")
def expire_attestation(*, due_at: datetime, now: datetime, attestation_id: int) -> None:
    attestations.expire(attestation_id=attestation_id, now=now)


@shared_task(name=attestations.MAIL_TASK, queue="notify")
def mail_attestation(*, due_at: datetime, now: datetime, attestation_id: int, contact_id: int) -> None:
    attestation_mail.send(attestation_id=attestation_id, contact_id=contact_id, now=now)


@shared_task(name=clocks.CHASE_TASK, queue="default")
def chase_clock(*, due_at: datetime, now: datetime, clock_id: int) -> None:
    services.chase(clock_id=clock_id, now=now)


@shared_task(name=closing.REMIND_TASK, queue="default")
def remind_of_closing(*, due_at: datetime, now: datetime, incident_id: int) -> None:
    services.remind_of_closing(incident_id=incident_id, now=now)


@shared_task(name=closing.CLOSE_TASK, queue="default")
def close_unanswered(*, due_at: datetime, now: datetime, incident_id: int) -> None:
    services.close_unanswered(incident_id=incident_id, now=now)
